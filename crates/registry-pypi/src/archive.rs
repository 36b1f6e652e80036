//! Looks into wheels and source distributions: whether they are sound, and the metadata that they hold.

use registry_core::archive::{
    Contents, Kept, Take,
    tar::{self, TarError, TarLimits, TarRules},
    zip::{self, ZipError, ZipLimits, ZipRules},
};

use crate::{
    names::{FileName, ProjectName},
    version::Version,
    wire::metadata::MAX_METADATA,
};

/// What unpacks to no more than this may do so from any size.
const RATIO_FREE: u64 = 64 << 20;

/// How many times its size anything larger may unpack to.
const MAX_RATIO: u64 = 50;

/// How much an archive may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArchiveLimits {
    pub(crate) unpacked_bytes: u64,
    pub(crate) entries: u64,
}

/// Whether `folder` is the name and version of the file, with nothing else.
fn is_stem(folder: &str, file: &FileName) -> bool {
    folder == file.stem()
        || folder.rsplit_once('-').is_some_and(|(name, version)| {
            name.parse::<ProjectName>().ok().as_ref() == Some(file.project())
                && version.parse::<Version>().ok().as_ref() == Some(file.version())
        })
}

fn check_ratio(contents: &Contents, size: u64) -> bool {
    contents.file_bytes <= RATIO_FREE || contents.file_bytes / MAX_RATIO <= size
}

/// Looks into a wheel of `size` bytes and returns its `METADATA`.
pub(crate) fn inspect_wheel<R: std::io::Read + std::io::Seek>(
    reader: R,
    size: u64,
    file: &FileName,
    limits: ArchiveLimits,
) -> Result<Vec<u8>, ZipError> {
    let zip_limits = ZipLimits {
        entries: limits.entries,
        unpacked_bytes: limits.unpacked_bytes,
        kept_bytes: MAX_METADATA,
        kept_entries: 1,
        ..ZipLimits::default()
    };
    let mut folder: Option<String> = None;
    let mut needed = ["WHEEL", "RECORD"].map(|name| (name, false));
    let contents = zip::inspect(std::io::BufReader::new(reader), &zip_limits, ZipRules::EXACT, |entry| {
        let (top, rest) = entry.name.split_once('/').unwrap_or((entry.name, ""));
        let Some(stem) = top.strip_suffix(".dist-info") else { return Ok(Take::Skip) };
        if folder.as_deref().is_some_and(|found| found != top) {
            return Err(ZipError::refused("the wheel has several .dist-info folders"));
        }
        if !is_stem(stem, file) {
            return Err(ZipError::refused(format!(
                "the wheel's .dist-info folder is of another project or version than the file name {file}"
            )));
        }
        folder = Some(top.to_owned());
        if let Some((_, found)) = needed.iter_mut().find(|(name, _)| *name == rest && entry.is_file()) {
            *found = true;
        }
        Ok(if rest == "METADATA" { Take::Keep } else { Take::Skip })
    })?;
    if !check_ratio(&contents, size) {
        return Err(ZipError::Ratio { limit: MAX_RATIO });
    }
    if let Some((name, _)) = needed.iter().find(|(_, found)| !found) {
        return Err(ZipError::refused(format!("the wheel has no {name} in {}.dist-info", file.stem())));
    }
    let metadata = contents.kept.into_iter().next();
    let metadata = metadata.ok_or_else(|| {
        ZipError::refused(format!("the wheel has no METADATA in {}.dist-info", file.stem()))
    })?;
    Ok(metadata.bytes)
}

/// What is looked for in a source distribution.
#[derive(Clone, Debug)]
pub(crate) struct SdistVisitor {
    file: FileName,
    top: Option<String>,
    metadata: Option<Vec<u8>>,
}

/// Looks into a source distribution while it passes.
pub(crate) fn sdist_inspector(file: &FileName, limits: ArchiveLimits) -> tar::Inspector<SdistVisitor> {
    let tar_limits = TarLimits {
        entries: limits.entries,
        unpacked_bytes: limits.unpacked_bytes,
        kept_bytes: MAX_METADATA,
        kept_entries: 1,
        ..TarLimits::default()
    };
    let visitor = SdistVisitor { file: file.clone(), top: None, metadata: None };
    tar::Inspector::gzip(tar_limits, TarRules::INSIDE, visitor)
}

/// The `PKG-INFO` of a source distribution of `size` bytes that was looked into.
pub(crate) fn sdist_metadata(
    inspector: tar::Inspector<SdistVisitor>,
    size: u64,
) -> Result<Vec<u8>, TarError> {
    let (contents, visitor) = inspector.finish()?;
    if !check_ratio(&contents, size) {
        return Err(TarError::Ratio { limit: MAX_RATIO });
    }
    let stem = visitor.file.stem().to_owned();
    visitor
        .metadata
        .ok_or_else(|| TarError::refused(format!("the source distribution has no {stem}/PKG-INFO")))
}

impl tar::Visitor for SdistVisitor {
    fn entry(&mut self, entry: &tar::Entry<'_>) -> Result<Take, TarError> {
        let name = entry.name();
        let (top, rest) = name.split_once('/').unwrap_or((name, ""));
        if name.is_empty() {
            return Ok(Take::Skip);
        }
        if self.top.as_deref() != Some(top) {
            if self.top.is_some() || !is_stem(top, &self.file) || (rest.is_empty() && entry.is_file()) {
                return Err(TarError::refused(format!(
                    "everything in the source distribution must be in one folder named {}",
                    self.file.stem()
                )));
            }
            self.top = Some(top.to_owned());
        }
        if rest != "PKG-INFO" {
            return Ok(Take::Skip);
        }
        if self.metadata.is_some() || !entry.is_file() {
            return Err(TarError::refused("PKG-INFO must be one file"));
        }
        Ok(Take::Keep)
    }

    fn kept(&mut self, kept: Kept) -> Result<Option<Kept>, TarError> {
        self.metadata = Some(kept.bytes);
        Ok(None)
    }
}
