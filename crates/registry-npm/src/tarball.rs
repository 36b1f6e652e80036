//! Looks into a tarball while it passes: is it a gzip tar, and does it hold the `package.json` that was announced?

use registry_core::archive::{
    Kept, Take,
    tar::{self, Entry, TarError, TarLimits, TarRules, Visitor},
};
use serde::Deserialize;

use crate::{names::PackageName, version::Version};

/// The largest `package.json` that is read.
const MAX_MANIFEST: u64 = 4 << 20;

/// How many of them.
const MAX_MANIFESTS: usize = 16;

/// The largest extended header, and so the longest path.
const MAX_EXTENDED: u32 = 256 << 10;

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

impl From<TarError> for TarballError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Malformed(what) => Self::Malformed(what),
            TarError::TooLarge { limit } => Self::TooLarge { limit },
            TarError::TooMany { limit } => Self::TooMany { limit },
            TarError::KeptTooLarge { .. } => Self::BadManifest("it is larger than 4 MiB"),
            TarError::KeptTooMany { .. } => Self::BadManifest("there are more than 16 of it"),
            TarError::Entry { what, .. } => Self::Malformed(what),
            // The only refusal of a visitor here.
            TarError::Refused(_) => Self::BadManifest("it is not valid JSON"),
            // None of what else can be wrong is asked for.
            _ => Self::Malformed("it cannot be read"),
        }
    }
}

/// Reads a tarball piece by piece.
#[derive(Debug)]
pub(crate) struct Inspector(tar::Inspector<Manifests>);

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
    fn read(manifest: &[u8]) -> Result<Self, TarError> {
        let text = manifest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(manifest);
        serde_json::from_slice(text).map_err(|_| TarError::refused("its package.json is not valid JSON"))
    }
}

/// Reads the `package.json` files of a tarball.
#[derive(Debug, Default)]
struct Manifests(Vec<Head>);

impl Visitor for Manifests {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
        Ok(if is_manifest(entry.path) { Take::Keep } else { Take::Skip })
    }

    fn kept(&mut self, kept: Kept) -> Result<Option<Kept>, TarError> {
        self.0.push(Head::read(&kept.bytes)?);
        Ok(None)
    }
}

impl Inspector {
    pub(crate) fn new(limits: TarballLimits) -> Self {
        let limits = TarLimits {
            unpacked_bytes: limits.unpacked_bytes,
            entries: limits.entries,
            path_bytes: MAX_EXTENDED as usize,
            header_bytes: u64::from(MAX_EXTENDED),
            kept_bytes: MAX_MANIFEST,
            kept_entries: MAX_MANIFESTS,
            ..TarLimits::default()
        };
        // Clients leave out what leads outside; what they unpack is theirs to judge.
        Self(tar::Inspector::gzip(limits, TarRules::ANY, Manifests::default()))
    }

    /// Reads a piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), TarballError> {
        Ok(self.0.feed(piece)?)
    }

    /// Says that nothing follows.
    pub(crate) fn finish(self) -> Result<Inspected, TarballError> {
        let (found, Manifests(manifests)) = self.0.finish()?;
        let contents = Contents { files: found.files, unpacked_bytes: found.file_bytes };
        Ok(Inspected { contents, manifests })
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

/// Whether this is the `package.json` in the archive's top folder.
fn is_manifest(name: &[u8]) -> bool {
    let mut parts = name.split(|&b| b == b'/').filter(|part| !part.is_empty());
    let (top, file) = (parts.next(), parts.next());
    top.is_some() && file == Some(b"package.json") && parts.next().is_none()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    pub(crate) use registry_core::testing::archives::gzip;
    use registry_core::testing::archives::tar;

    use super::*;

    const LIMITS: TarballLimits = TarballLimits { unpacked_bytes: 1 << 20, entries: 100 };

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
