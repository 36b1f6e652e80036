//! Looks into gems: whether they are sound, and what they say of themselves.
//!
//! A gem is a tar of `metadata.gz` (the specification), `data.tar.gz` (the files) and `checksums.yaml.gz`, each of them signed or not.

use std::{collections::BTreeSet, io::Read as _, sync::Arc};

use flate2::read::GzDecoder;
use parking_lot::Mutex;
use registry_core::archive::{
    Kept, Take,
    tar::{Entry, Inspector, TarError, TarLimits, TarRules, Visitor},
};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{
    error::Error,
    wire::checksums::{self, PartDigests},
};

const METADATA: &str = "metadata.gz";
const DATA: &str = "data.tar.gz";
const CHECKSUMS: &str = "checksums.yaml.gz";

/// All entries that a gem may have, each with its signature.
const PARTS: [(&str, &str); 3] =
    [(METADATA, "metadata.gz.sig"), (DATA, "data.tar.gz.sig"), (CHECKSUMS, "checksums.yaml.gz.sig")];

/// The most bytes of a part that is kept, as it comes.
const MAX_PACKED: u64 = 4 << 20;

/// The most bytes of the metadata or the checksums, unpacked.
const MAX_PART: usize = 10 << 20;

/// How many times its size a gem's data may unpack to, if it unpacks to more than a mebibyte.
const MAX_RATIO: u64 = 100;

/// How much a gem may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GemLimits {
    pub(crate) unpacked_bytes: u64,
    pub(crate) entries: u64,
}

/// What a gem turned out to hold.
#[derive(Debug)]
pub(crate) struct GemParts {
    /// The specification as YAML.
    pub(crate) metadata: String,
    /// Whether every part is signed.
    pub(crate) is_signed: bool,
}

/// Reads a gem's parts as they pass.
#[derive(Debug)]
pub(crate) struct GemVisitor {
    limits: GemLimits,
    seen: BTreeSet<&'static str>,
    metadata: Option<Vec<u8>>,
    checksums: Option<Vec<u8>>,
    data: Option<Data>,
    digests: Option<PartDigests>,
}

/// The data that is passing.
#[derive(Debug)]
struct Data {
    files: Inspector<Files>,
    sha256: Sha256,
    sha512: Sha512,
}

/// Looks at no file's content: whether the archive is sound is all that is asked.
#[derive(Clone, Copy, Debug)]
struct Files;

impl Visitor for Files {
    fn entry(&mut self, _entry: &Entry<'_>) -> Result<Take, TarError> {
        Ok(Take::Pass)
    }
}

/// Looks into a gem while it passes.
pub(crate) fn inspector(limits: GemLimits) -> Inspector<GemVisitor> {
    let tar_limits = TarLimits {
        // Whoever writes the gem limits its size.
        unpacked_bytes: u64::MAX,
        kept_bytes: MAX_PACKED,
        kept_entries: 2 * PARTS.len(),
        ..TarLimits::default()
    };
    let visitor = GemVisitor {
        limits,
        seen: BTreeSet::new(),
        metadata: None,
        checksums: None,
        data: None,
        digests: None,
    };
    Inspector::plain(tar_limits, TarRules::FILES, visitor)
}

/// What a gem that was looked into holds, if its parts are what its checksums say.
pub(crate) fn finish(inspector: Inspector<GemVisitor>) -> Result<GemParts, Error> {
    let (_, visitor) = inspector.finish().map_err(Error::Tar)?;
    let missing = |part: &str| Error::Gem(format!("it has no {part}"));
    let metadata = visitor.metadata.ok_or_else(|| missing(METADATA))?;
    let data = visitor.digests.ok_or_else(|| missing(DATA))?;
    let checksums = visitor.checksums.ok_or_else(|| missing(CHECKSUMS))?;
    let of_metadata = PartDigests {
        sha256: hex::encode(Sha256::digest(&metadata)),
        sha512: hex::encode(Sha512::digest(&metadata)),
    };
    checksums::check(&unpack(CHECKSUMS, &checksums)?, &[(METADATA, of_metadata), (DATA, data)])?;
    let is_signed = PARTS.iter().all(|(_, signature)| visitor.seen.contains(signature));
    Ok(GemParts { metadata: unpack(METADATA, &metadata)?, is_signed })
}

/// Unpacks a small part: one member of gzip, UTF-8, and no more than the limit.
pub(crate) fn unpack(part: &str, packed: &[u8]) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(packed).take(MAX_PART as u64 + 1);
    decoder.read_to_end(&mut bytes).map_err(|_| Error::Gem(format!("its {part} cannot be unpacked")))?;
    if bytes.len() > MAX_PART {
        return Err(Error::Gem(format!("its {part} unpacks to more than {MAX_PART} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Error::Gem(format!("its {part} is not UTF-8")))
}

impl Visitor for GemVisitor {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
        let mut names = PARTS.iter().flat_map(|(part, signature)| [*part, *signature]);
        let known = names.find(|name| name.as_bytes() == entry.path);
        let Some(name) = known.filter(|_| entry.is_file()) else {
            return Err(TarError::refused(
                "a gem holds metadata.gz, data.tar.gz, checksums.yaml.gz and their signatures, and nothing else",
            ));
        };
        if !self.seen.insert(name) {
            return Err(TarError::refused(format!("it has {name} twice")));
        }
        if name != DATA {
            return Ok(Take::Keep);
        }
        let limits = TarLimits {
            unpacked_bytes: self.limits.unpacked_bytes,
            entries: self.limits.entries,
            ratio: Some(MAX_RATIO),
            ..TarLimits::default()
        };
        let files = Inspector::gzip(limits, TarRules::INSIDE, Files);
        self.data = Some(Data { files, sha256: Sha256::new(), sha512: Sha512::new() });
        Ok(Take::Pass)
    }

    fn kept(&mut self, kept: Kept) -> Result<Option<Kept>, TarError> {
        match kept.path.as_str() {
            METADATA => self.metadata = Some(kept.bytes),
            CHECKSUMS => self.checksums = Some(kept.bytes),
            _ => {}
        }
        Ok(None)
    }

    fn piece(&mut self, piece: &[u8]) -> Result<(), TarError> {
        if let Some(Data { files, sha256, sha512 }) = &mut self.data {
            sha256.update(piece);
            sha512.update(piece);
            files.feed(piece).map_err(|error| error.within(DATA))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), TarError> {
        if let Some(Data { files, sha256, sha512 }) = self.data.take() {
            files.finish().map_err(|error| error.within(DATA))?;
            self.digests = Some(PartDigests {
                sha256: hex::encode(sha256.finalize()),
                sha512: hex::encode(sha512.finalize()),
            });
        }
        Ok(())
    }
}

/// Looks for the metadata at the beginning of a gem, to know its name before the rest is there.
pub(crate) struct Peek {
    inspector: Option<Inspector<OnlyMetadata>>,
    found: Arc<Mutex<Option<Vec<u8>>>>,
}

struct OnlyMetadata(Arc<Mutex<Option<Vec<u8>>>>);

impl Visitor for OnlyMetadata {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
        Ok(if entry.path == METADATA.as_bytes() && entry.is_file() { Take::Keep } else { Take::Skip })
    }

    fn kept(&mut self, kept: Kept) -> Result<Option<Kept>, TarError> {
        *self.0.lock() = Some(kept.bytes);
        Ok(None)
    }
}

impl Peek {
    pub(crate) fn new() -> Self {
        let found = Arc::new(Mutex::new(None));
        let limits = TarLimits { kept_bytes: MAX_PACKED, ..TarLimits::default() };
        let inspector = Inspector::plain(limits, TarRules::ANY, OnlyMetadata(Arc::clone(&found)));
        Self { inspector: Some(inspector), found }
    }

    /// Reads a piece: the packed metadata once it is there whole. What is wrong with the gem is not told here.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        if let Some(inspector) = &mut self.inspector
            && inspector.feed(piece).is_err()
        {
            self.inspector = None;
        }
        self.found.lock().take()
    }

    /// Whether more pieces may bring it.
    pub(crate) fn goes_on(&self) -> bool {
        self.inspector.is_some()
    }
}

impl std::fmt::Debug for Peek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peek").field("goes_on", &self.goes_on()).finish_non_exhaustive()
    }
}
