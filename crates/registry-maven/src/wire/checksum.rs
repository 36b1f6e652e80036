//! Checksums beside files.

use registry_core::storage::Digests;
use serde::{Deserialize, Serialize};

/// The algorithms of checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// All four checksums of some bytes, in lowercase hex; or those of them that somebody expects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksums {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) md5: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha512: Option<String>,
}

/// A text is no checksum of this algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content is no {} checksum: send its {} hexadecimal digits", .0.name(), .0.digits())]
pub(crate) struct ChecksumError(pub(crate) Algorithm);

impl Algorithm {
    /// In the order in which clients like them.
    pub(crate) const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// The ending of the checksum's file: `sha1`.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// As people write it: `SHA-1`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }

    /// How many hexadecimal digits it has.
    pub(crate) const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The algorithm of a checksum's file, and the file that it belongs to.
    pub(crate) fn split(file: &str) -> Option<(&str, Self)> {
        let (of, extension) = file.rsplit_once('.')?;
        let algorithm = Self::ALL.into_iter().find(|algorithm| algorithm.extension() == extension)?;
        (!of.is_empty()).then_some((of, algorithm))
    }

    /// Reads a checksum as tools write them: the digits alone, with the file's name behind them, or `SHA1 (file)= digits`. The first
    /// line that is not empty counts.
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<String, ChecksumError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ChecksumError(self))?;
        let text = text.trim_start_matches('\u{feff}');
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let word = match line.rsplit_once('=') {
            Some((_, digits)) => digits.trim(),
            None => line.split_ascii_whitespace().next().unwrap_or_default(),
        };
        if word.len() == self.digits() && word.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(word.to_ascii_lowercase())
        } else {
            Err(ChecksumError(self))
        }
    }
}

impl Checksums {
    /// One of them.
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_deref(),
            Algorithm::Sha1 => self.sha1.as_deref(),
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Sha512 => self.sha512.as_deref(),
        }
    }

    /// Sets one of them.
    pub(crate) fn set(&mut self, algorithm: Algorithm, digits: String) {
        let place = match algorithm {
            Algorithm::Md5 => &mut self.md5,
            Algorithm::Sha1 => &mut self.sha1,
            Algorithm::Sha256 => &mut self.sha256,
            Algorithm::Sha512 => &mut self.sha512,
        };
        *place = Some(digits);
    }

    /// The first algorithm in which both say something and not the same.
    pub(crate) fn differs(&self, other: &Self) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| {
            let both = self.get(*algorithm).zip(other.get(*algorithm));
            both.is_some_and(|(ours, theirs)| ours != theirs)
        })
    }
}

impl From<&Digests> for Checksums {
    fn from(digests: &Digests) -> Self {
        Self {
            md5: digests.md5.clone(),
            sha1: digests.sha1.clone(),
            sha256: Some(digests.sha256.clone()),
            sha512: digests.sha512.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checklist_14_all_forms_are_read() {
        let digits = "a".repeat(39) + "F";
        for text in [
            digits.clone(),
            format!("{digits}\n"),
            format!("\r\n {digits}  lib-1.0.jar\r\nother"),
            format!("{digits} *lib.jar"),
            format!("SHA1 (lib-1.0.jar)= {digits}"),
            format!("SHA1(lib=1.jar)= {digits}\n"),
            digits.to_uppercase(),
        ] {
            assert_eq!(Algorithm::Sha1.parse(text.as_bytes()).unwrap(), digits.to_lowercase(), "{text:?}");
        }
        for bad in ["", "\n", "abc", "<html>", &"g".repeat(40), &"a".repeat(41), &format!("x {digits}")] {
            assert_eq!(Algorithm::Sha1.parse(bad.as_bytes()), Err(ChecksumError(Algorithm::Sha1)), "{bad:?}");
        }
        assert!(Algorithm::Sha1.parse(&[0xff; 40]).is_err());
        assert!(Algorithm::Md5.parse(digits.as_bytes()).unwrap_err().to_string().contains("no MD5 checksum"));
    }

    #[test]
    fn files_of_checksums_are_told_by_their_ending() {
        assert_eq!(Algorithm::split("a.jar.sha512"), Some(("a.jar", Algorithm::Sha512)));
        assert_eq!(Algorithm::split("a.sha1.md5"), Some(("a.sha1", Algorithm::Md5)));
        for none in ["a.jar", ".md5", "md5", "a.SHA1", "a.jar.asc"] {
            assert_eq!(Algorithm::split(none), None, "{none}");
        }
    }

    #[test]
    fn only_what_both_know_can_differ() {
        let mut one = Checksums::default();
        let mut two = Checksums { md5: Some("a".into()), ..Checksums::default() };
        assert_eq!(one.differs(&two), None);
        one.set(Algorithm::Md5, "a".into());
        one.set(Algorithm::Sha1, "b".into());
        assert_eq!(one.differs(&two), None);
        two.set(Algorithm::Sha1, "c".into());
        assert_eq!(one.differs(&two), Some(Algorithm::Sha1));
    }

    proptest! {
        #[test]
        fn what_is_read_is_hex(bytes in proptest::collection::vec(any::<u8>(), 0..80), digits in "[0-9a-fA-F]{32}") {
            for algorithm in Algorithm::ALL {
                if let Ok(found) = algorithm.parse(&bytes) {
                    prop_assert_eq!(found.len(), algorithm.digits());
                }
            }
            prop_assert_eq!(Algorithm::Md5.parse(digits.as_bytes()).unwrap(), digits.to_lowercase());
        }
    }
}
