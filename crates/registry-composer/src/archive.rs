//! Looks for composer.json in an archive, where Composer itself looks.

use std::{
    collections::BTreeSet,
    io::{BufReader, Read, Seek},
};

use registry_core::archive::{
    Take,
    zip::{self, ZipError, ZipLimits, ZipRules},
};

/// The file that is looked for.
const MANIFEST: &str = "composer.json";

/// Folders that macOS adds.
const MACOS: &str = "__MACOSX";

/// How much larger than the archive its contents may be.
const RATIO: u64 = 200;

/// The largest composer.json.
const MANIFEST_BYTES: u64 = 1 << 20;

/// Why an archive cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ArchiveError {
    #[error("the archive has no composer.json, neither at its root nor in its one folder")]
    NoManifest,
    #[error("the archive has no composer.json at its root, and more than one entry there")]
    SeveralFolders,
    #[error(transparent)]
    Zip(#[from] ZipError),
}

/// How much an archive may hold.
pub(crate) fn limits(unpacked_bytes: u64, entries: u64) -> ZipLimits {
    ZipLimits {
        entries,
        unpacked_bytes,
        ratio: Some(RATIO),
        kept_bytes: MANIFEST_BYTES,
        kept_entries: 8,
        ..ZipLimits::default()
    }
}

/// The text of the composer.json that counts.
pub(crate) fn manifest<R: Read + Seek>(reader: R, limits: &ZipLimits) -> Result<Vec<u8>, ArchiveError> {
    let mut tops: BTreeSet<String> = BTreeSet::new();
    let contents = zip::inspect(BufReader::new(reader), limits, ZipRules::INSIDE, |entry| {
        let (top, below) = entry.name.split_once('/').unwrap_or((entry.name, ""));
        if top.contains(MACOS) {
            return Ok(Take::Skip);
        }
        // Two are enough to know that there are several.
        if tops.len() < 2 {
            tops.insert(top.to_owned());
        }
        let wanted = entry.is_file() && (entry.name == MANIFEST || below == MANIFEST && tops.len() < 2);
        Ok(if wanted { Take::Keep } else { Take::Skip })
    })?;
    let mut kept = contents.kept;
    if let Some(at) = kept.iter().position(|kept| kept.path == MANIFEST) {
        return Ok(kept.swap_remove(at).bytes);
    }
    if tops.len() > 1 {
        return Err(ArchiveError::SeveralFolders);
    }
    match kept.pop() {
        Some(found) => Ok(found.bytes),
        None => Err(ArchiveError::NoManifest),
    }
}
