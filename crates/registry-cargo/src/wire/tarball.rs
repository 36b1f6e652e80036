//! What a `.crate` file must be: a tar in gzip with one folder, `name-version`, and one `Cargo.toml` in it.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use registry_core::archive::{
    Inspect, Kept, Take,
    tar::{Entry, Inspector, TarError, TarLimits, TarRules, Visitor},
};

/// The largest `Cargo.toml`.
const MAX_MANIFEST: u64 = 1 << 20;

/// Looks into a `.crate` file while it passes.
pub(crate) struct CrateInspector(Inspector<Files>);

/// What was found in a `.crate` file.
pub(crate) struct Inspected {
    /// Its `Cargo.toml`.
    pub(crate) manifest: Vec<u8>,
    /// Whether two paths are one where case does not count.
    pub(crate) folds: bool,
}

struct Files {
    folder: String,
    manifest_begun: bool,
    manifest: Option<Vec<u8>>,
    seen: HashSet<u64>,
    hasher: RandomState,
    folds: bool,
}

impl CrateInspector {
    pub(crate) fn new(folder: String, unpacked_bytes: u64, entries: u64) -> Self {
        let limits = TarLimits {
            unpacked_bytes,
            entries,
            kept_bytes: MAX_MANIFEST,
            kept_entries: 1,
            ..TarLimits::default()
        };
        let files = Files {
            folder,
            manifest_begun: false,
            manifest: None,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            folds: false,
        };
        Self(Inspector::gzip(limits, TarRules::FILES, files))
    }

    /// Says that nothing follows.
    pub(crate) fn finish(self) -> Result<Inspected, TarError> {
        let (_, files) = self.0.finish()?;
        match files.manifest {
            Some(manifest) => Ok(Inspected { manifest, folds: files.folds }),
            None => Err(TarError::refused(format!("the archive holds no {}/Cargo.toml", files.folder))),
        }
    }
}

impl Inspect for CrateInspector {
    type Error = TarError;

    fn feed(&mut self, piece: &[u8]) -> Result<(), TarError> {
        self.0.feed(piece)
    }
}

impl Visitor for Files {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
        let name = entry.name();
        if name == self.folder && !entry.is_file() {
            return Ok(Take::Skip);
        }
        let inside = name.strip_prefix(&*self.folder).and_then(|rest| rest.strip_prefix('/'));
        let Some(path) = inside.filter(|_| entry.path.starts_with(self.folder.as_bytes())) else {
            let shown: String = name.chars().take(100).collect();
            return Err(TarError::refused(format!(
                "the archive's entry {shown:?} is not in the folder \"{}\"",
                self.folder
            )));
        };
        if !entry.is_file() {
            return Ok(Take::Skip);
        }
        // A hash is enough for a warning, and holds no more memory than the limit of entries allows.
        self.folds |= !self.seen.insert(self.hasher.hash_one(path.to_lowercase()));
        if !path.eq_ignore_ascii_case("Cargo.toml") {
            return Ok(Take::Skip);
        }
        if path != "Cargo.toml" || self.manifest_begun {
            return Err(TarError::refused("the archive must hold one Cargo.toml, spelled so"));
        }
        self.manifest_begun = true;
        Ok(Take::Keep)
    }

    fn kept(&mut self, kept: Kept) -> Result<Option<Kept>, TarError> {
        self.manifest = Some(kept.bytes);
        Ok(None)
    }
}
