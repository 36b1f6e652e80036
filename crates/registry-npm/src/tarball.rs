//! Looks into a tarball while it passes: is it a gzip tar, and does it hold the `package.json` that was announced?
//!
//! Archives are hostile. What is unpacked is only counted, never kept, except a `package.json` of limited size; unpacked
//! bytes, entries and headers have limits, and reaching one is an error.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use serde::Deserialize;

use crate::{names::PackageName, version::Version};

/// The largest `package.json` that is read, and the largest extended header.
const MAX_MANIFEST: u64 = 4 << 20;

/// The largest extended header.
const MAX_EXTENDED: u64 = 256 << 10;

/// A tar's block.
const BLOCK: usize = 512;

/// What a tarball may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TarballLimits {
    /// Unpacked bytes, headers included.
    pub(crate) unpacked_bytes: u64,
    /// Entries.
    pub(crate) entries: u64,
}

/// Why a tarball is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TarballError {
    #[error("the tarball is not a gzip-compressed tar archive: {0}")]
    Malformed(&'static str),
    #[error("the tarball unpacks to more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the tarball has more than {limit} entries")]
    TooMany { limit: u64 },
    #[error("the tarball holds no package.json in its top folder")]
    NoManifest,
    #[error("the tarball's package.json cannot be read: {0}")]
    BadManifest(&'static str),
    #[error("the tarball's package.json says {found}, but {expected} is published")]
    OtherPackage { found: String, expected: String },
}

/// What a tarball turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// How many files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) unpacked_bytes: u64,
}

/// Reads a tarball piece by piece.
#[derive(Debug)]
pub(crate) struct Inspector {
    gzip: MultiGzDecoder<Tar>,
}

/// What a tarball says of itself, once it was read whole.
#[derive(Debug)]
pub(crate) struct Inspected {
    contents: Contents,
    manifests: Vec<Head>,
}

/// The part of a `package.json` that is compared.
#[derive(Debug, Deserialize)]
struct Head {
    name: Option<String>,
    version: Option<String>,
}

impl Head {
    /// Reads a `package.json`: nothing else of it is kept.
    fn read(manifest: &[u8]) -> Result<Self, TarballError> {
        let text = manifest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(manifest);
        serde_json::from_slice(text).map_err(|_| TarballError::BadManifest("it is not valid JSON"))
    }
}

impl Inspector {
    pub(crate) fn new(limits: TarballLimits) -> Self {
        Self { gzip: MultiGzDecoder::new(Tar::new(limits)) }
    }

    /// Reads a piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), TarballError> {
        let result = self.gzip.write_all(piece);
        self.explain(result)
    }

    /// Says that nothing follows.
    pub(crate) fn finish(mut self) -> Result<Inspected, TarballError> {
        let result = self.gzip.try_finish();
        self.explain(result)?;
        self.gzip.get_ref().end()?;
        let tar = self.gzip.get_mut();
        let contents = Contents { files: tar.files, unpacked_bytes: tar.file_bytes };
        Ok(Inspected { contents, manifests: std::mem::take(&mut tar.manifests) })
    }

    /// What the archive's reader found comes before what the decompressor says.
    fn explain(&mut self, result: io::Result<()>) -> Result<(), TarballError> {
        match (self.gzip.get_mut().failed.take(), result) {
            (Some(error), _) => Err(error),
            (None, Err(_)) => Err(TarballError::Malformed("it cannot be decompressed")),
            (None, Ok(())) => Ok(()),
        }
    }
}

impl Inspected {
    /// Whether the tarball is of this package and version; what it holds if so.
    pub(crate) fn is(&self, name: &PackageName, version: &Version) -> Result<Contents, TarballError> {
        if self.manifests.is_empty() {
            return Err(TarballError::NoManifest);
        }
        // Which of several is taken depends on the client, so all must agree.
        for head in &self.manifests {
            let (Some(found_name), Some(found_version)) = (&head.name, &head.version) else {
                return Err(TarballError::BadManifest("it has no name or no version"));
            };
            let same = *found_name == name.as_str()
                && found_version.parse::<Version>().is_ok_and(|found| found == *version);
            if !same {
                let short = |text: &str| text.chars().take(100).collect::<String>();
                return Err(TarballError::OtherPackage {
                    found: format!("{}@{}", short(found_name), short(found_version)),
                    expected: format!("{name}@{version}"),
                });
            }
        }
        Ok(self.contents)
    }
}

/// Reads a tar piece by piece.
#[derive(Debug)]
struct Tar {
    limits: TarballLimits,
    seen: u64,
    entries: u64,
    files: u64,
    file_bytes: u64,
    state: State,
    /// The name that an extended header gave to the next entry.
    next_name: Option<Vec<u8>>,
    /// The size that an extended header gave to the next entry.
    next_size: Option<u64>,
    manifests: Vec<Head>,
    failed: Option<TarballError>,
}

#[derive(Debug)]
enum State {
    /// Collecting a header block.
    Header(Vec<u8>),
    /// In an entry's bytes: how many are left, then how much padding.
    Data { left: u64, padding: u64, keep: Keep, kept: Vec<u8> },
    /// After the end mark.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Extended,
    LongName,
    Manifest,
    Nothing,
}

impl Tar {
    fn new(limits: TarballLimits) -> Self {
        Self {
            limits,
            seen: 0,
            entries: 0,
            files: 0,
            file_bytes: 0,
            state: State::Header(Vec::new()),
            next_name: None,
            next_size: None,
            manifests: Vec::new(),
            failed: None,
        }
    }

    /// Whether the archive may end here: some writers leave out the end mark.
    fn end(&self) -> Result<(), TarballError> {
        match &self.state {
            State::Ended => Ok(()),
            State::Header(block) if block.is_empty() && self.entries > 0 => Ok(()),
            State::Data { left: 0, .. } => Ok(()),
            _ => Err(TarballError::Malformed("it ends early")),
        }
    }

    fn read(&mut self, mut piece: &[u8]) -> Result<(), TarballError> {
        self.seen += piece.len() as u64;
        if self.seen > self.limits.unpacked_bytes {
            return Err(TarballError::TooLarge { limit: self.limits.unpacked_bytes });
        }
        while !piece.is_empty() {
            match &mut self.state {
                State::Ended => return Ok(()),
                State::Header(block) => {
                    let take = piece.len().min(BLOCK - block.len());
                    let (head, rest) = piece.split_at(take);
                    block.extend_from_slice(head);
                    piece = rest;
                    if block.len() == BLOCK {
                        let block = std::mem::take(block);
                        self.header(&block)?;
                    }
                }
                State::Data { left, padding, keep, kept } => {
                    let take = usize::try_from(*left).map_or(piece.len(), |left| left.min(piece.len()));
                    let (data, rest) = piece.split_at(take);
                    if *keep != Keep::Nothing {
                        kept.extend_from_slice(data);
                    }
                    *left -= take as u64;
                    let skip = if *left == 0 {
                        usize::try_from(*padding).unwrap_or(BLOCK).min(rest.len())
                    } else {
                        0
                    };
                    *padding -= skip as u64;
                    piece = rest.get(skip..).unwrap_or_default();
                    if *left == 0 && *padding == 0 {
                        let (keep, kept) = (*keep, std::mem::take(kept));
                        self.state = State::Header(Vec::with_capacity(BLOCK));
                        self.entry_read(keep, &kept)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, block: &[u8]) -> Result<(), TarballError> {
        if block.iter().all(|&b| b == 0) {
            self.state = State::Ended;
            return Ok(());
        }
        let field = |from: usize, to: usize| block.get(from..to).unwrap_or_default();
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, &b)| if (148..156).contains(&at) { 32 } else { u64::from(b) })
            .sum();
        if number(field(148, 156)) != Some(sum) {
            return Err(TarballError::Malformed("a header's checksum is wrong"));
        }
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(TarballError::TooMany { limit: self.limits.entries });
        }
        let kind = field(156, 157).first().copied().unwrap_or(0);
        let mut size = number(field(124, 136)).ok_or(TarballError::Malformed("a header has no size"))?;
        let extended = matches!(kind, b'x' | b'g' | b'L' | b'K');
        let mut keep = Keep::Nothing;
        if extended {
            if size > MAX_EXTENDED {
                return Err(TarballError::Malformed("an extended header is too large"));
            }
            keep = match kind {
                b'x' => Keep::Extended,
                b'L' => Keep::LongName,
                _ => Keep::Nothing,
            };
        } else {
            size = self.next_size.take().unwrap_or(size);
            let name = match self.next_name.take() {
                Some(name) => name,
                None => entry_name(block),
            };
            match kind {
                b'0' | 0 | b'7' => {
                    self.files += 1;
                    self.file_bytes = self.file_bytes.saturating_add(size);
                    if is_manifest(&name) {
                        if size > MAX_MANIFEST {
                            return Err(TarballError::BadManifest("it is larger than 4 MiB"));
                        }
                        if self.manifests.len() >= 16 {
                            return Err(TarballError::BadManifest("there are more than 16 of it"));
                        }
                        keep = Keep::Manifest;
                    }
                }
                // Links, devices and folders have no bytes of their own; readers disagree about what follows one that
                // claims to.
                b'1'..=b'6' if size != 0 => {
                    return Err(TarballError::Malformed("a link or folder has a size"));
                }
                _ => {}
            }
        }
        if size == 0 {
            self.state = State::Header(Vec::with_capacity(BLOCK));
            return self.entry_read(keep, &[]);
        }
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        self.state = State::Data { left: size, padding, keep, kept: Vec::new() };
        Ok(())
    }

    fn entry_read(&mut self, keep: Keep, kept: &[u8]) -> Result<(), TarballError> {
        match keep {
            Keep::Nothing => {}
            Keep::Manifest => self.manifests.push(Head::read(kept)?),
            Keep::LongName => self.next_name = Some(until_nul(kept).to_vec()),
            Keep::Extended => {
                for (key, value) in extended_records(kept)? {
                    match key {
                        b"path" => self.next_name = Some(value.to_vec()),
                        b"size" => {
                            let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                            self.next_size =
                                Some(size.ok_or(TarballError::Malformed(
                                    "an extended header's size is no number",
                                ))?);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

impl Write for Tar {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.read(piece) {
            Ok(()) => Ok(piece.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::from(io::ErrorKind::InvalidData))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether this is the `package.json` in the archive's top folder.
fn is_manifest(name: &[u8]) -> bool {
    let mut parts = name.split(|&b| b == b'/').filter(|part| !part.is_empty());
    let (top, file) = (parts.next(), parts.next());
    top.is_some() && file == Some(b"package.json") && parts.next().is_none()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// An entry's name from its header, joined with the prefix where the format has one.
fn entry_name(block: &[u8]) -> Vec<u8> {
    let field = |from: usize, to: usize| until_nul(block.get(from..to).unwrap_or_default());
    let name = field(0, 100);
    let prefix =
        if block.get(257..263) == Some(b"ustar\0".as_slice()) { field(345, 500) } else { b"".as_slice() };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// A number in octal, or in base 256 where its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        if first & 0x40 != 0 {
            return None;
        }
        return rest
            .iter()
            .try_fold(u64::from(first & 0x3f), |sum, &b| sum.checked_mul(256)?.checked_add(u64::from(b)));
    }
    let text = until_nul(field);
    let digits: Vec<u8> = text.iter().copied().filter(|&b| b != b' ').collect();
    if digits.is_empty() {
        return Some(0);
    }
    digits.iter().try_fold(0u64, |sum, &b| {
        (b'0'..=b'7').contains(&b).then_some(())?;
        sum.checked_mul(8)?.checked_add(u64::from(b - b'0'))
    })
}

/// A key and its value in a pax header.
type Record<'h> = (&'h [u8], &'h [u8]);

/// The records of a pax header: `<length> <key>=<value>\n`.
fn extended_records(mut bytes: &[u8]) -> Result<Vec<Record<'_>>, TarballError> {
    const BAD: TarballError = TarballError::Malformed("an extended header cannot be read");
    let mut records = Vec::new();
    while !bytes.is_empty() && bytes.first() != Some(&0) {
        let space = bytes.iter().position(|&b| b == b' ').ok_or(BAD)?;
        let length: usize = bytes
            .get(..space)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .ok_or(BAD)?;
        let record = bytes.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or(BAD)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
        let (key, value) = record.split_at(equals);
        records.push((key, value.get(1..).unwrap_or_default()));
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(records)
}

#[cfg(test)]
pub(crate) mod tests {
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    const LIMITS: TarballLimits = TarballLimits { unpacked_bytes: 1 << 20, entries: 100 };

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// A tarball with these files.
    pub(crate) fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
        gzip(&tar(files))
    }

    fn inspect(bytes: &[u8], size: usize) -> Result<Inspected, TarballError> {
        let mut inspector = Inspector::new(LIMITS);
        for piece in bytes.chunks(size) {
            inspector.feed(piece)?;
        }
        inspector.finish()
    }

    fn check(bytes: &[u8]) -> Result<Contents, TarballError> {
        let results: Vec<_> = [1, 13, 1 << 20]
            .into_iter()
            .map(|size| {
                inspect(bytes, size)
                    .and_then(|found| found.is(&"@acme/lib".parse().unwrap(), &"1.0.0".parse().unwrap()))
            })
            .collect();
        assert_eq!(results[0], results[1]);
        assert_eq!(results[1], results[2]);
        results[0].clone()
    }

    const MANIFEST: &[u8] = br#"{"name":"@acme/lib","version":"v1.0.0"}"#;

    #[test]
    fn a_good_tarball_is_counted() {
        let bytes = tarball(&[("package/index.js", b"1"), ("package/package.json", MANIFEST)]);
        assert_eq!(check(&bytes).unwrap(), Contents { files: 2, unpacked_bytes: 1 + MANIFEST.len() as u64 });
        let other_folder =
            tarball(&[("lib-abc/package.json", MANIFEST), ("lib-abc/x/package.json", b"no json")]);
        assert!(check(&other_folder).is_ok());
        let long = format!("package/{}/x.js", "d".repeat(150));
        let long = tarball(&[(&long, &[7; 1025]), ("package/package.json", MANIFEST)]);
        assert_eq!(check(&long).unwrap().files, 2);
    }

    #[test]
    fn checklist_51_another_name_or_version_is_refused() {
        for manifest in [
            br#"{"name":"lib","version":"1.0.0"}"#.as_slice(),
            br#"{"name":"@acme/lib","version":"1.0.1"}"#,
            br#"{"name":"@acme/lib","version":"x"}"#,
        ] {
            let error = check(&tarball(&[("package/package.json", manifest)])).unwrap_err();
            assert!(matches!(error, TarballError::OtherPackage { .. }), "{error}");
        }
        let two = tarball(&[
            ("package/package.json", MANIFEST),
            ("package/package.json", br#"{"name":"x","version":"1.0.0"}"#),
        ]);
        assert!(matches!(check(&two), Err(TarballError::OtherPackage { .. })));
    }

    #[test]
    fn checklist_51_paths_that_leave_the_folder_do_not_matter() {
        let mut bytes = tar(&[("package/package.json", MANIFEST), ("package/aaaaaaaaaaaaaa", b"x")]);
        let at = bytes.windows(14).position(|w| w == b"aaaaaaaaaaaaaa").unwrap();
        bytes[at..at + 14].copy_from_slice(b"../../../etc/x");
        let header = at - 8;
        bytes[header + 148..header + 156].copy_from_slice(b"        ");
        let sum: u64 = bytes[header..header + 512].iter().map(|&b| u64::from(b)).sum();
        bytes[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(check(&gzip(&bytes)).unwrap().files, 2);
    }

    #[test]
    fn hostile_archives_are_refused_with_a_reason() {
        let bomb = tarball(&[("package/zero", &vec![0; 2 << 20]), ("package/package.json", MANIFEST)]);
        assert_eq!(check(&bomb), Err(TarballError::TooLarge { limit: 1 << 20 }));
        let files: Vec<(String, &[u8])> =
            (0..101).map(|i| (format!("package/{i}"), b"".as_slice())).collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (&**n, *b)).collect();
        assert_eq!(check(&tarball(&files)), Err(TarballError::TooMany { limit: 100 }));
        assert_eq!(check(&tarball(&[("package/x", b"")])), Err(TarballError::NoManifest));
        assert_eq!(check(&tarball(&[("package.json", MANIFEST)])), Err(TarballError::NoManifest));
        assert_eq!(
            check(&tarball(&[("package/package.json", b"{")])),
            Err(TarballError::BadManifest("it is not valid JSON"))
        );
        for bytes in [b"".to_vec(), b"no gzip".to_vec(), gzip(b""), gzip(b"no tar"), gzip(&[7; 1024])] {
            assert!(matches!(check(&bytes), Err(TarballError::Malformed(_))), "{bytes:?}");
        }
        let whole = tarball(&[("package/package.json", MANIFEST)]);
        for cut in 1..whole.len() {
            assert!(check(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let mut trailing = whole;
        trailing.extend_from_slice(b"trailing");
        assert!(check(&trailing).is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = inspect(&gzip(&bytes), 100);
        }

        #[test]
        fn no_damaged_tar_panics(at in 0usize..1536, byte in any::<u8>()) {
            let mut bytes = tar(&[("package/package.json", MANIFEST)]);
            bytes[at] = byte;
            let _ = inspect(&gzip(&bytes), 1 << 20);
        }

        #[test]
        fn what_the_tar_crate_writes_is_counted(sizes in proptest::collection::vec(0usize..3000, 0..6)) {
            let files: Vec<(String, Vec<u8>)> =
                sizes.iter().enumerate().map(|(i, &size)| (format!("package/{i}"), vec![1; size])).collect();
            let mut files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (&**n, &**b)).collect();
            files.push(("package/package.json", MANIFEST));
            let want = Contents {
                files: files.len() as u64,
                unpacked_bytes: files.iter().map(|(_, b)| b.len() as u64).sum(),
            };
            prop_assert_eq!(check(&tarball(&files)).unwrap(), want);
        }
    }
}
