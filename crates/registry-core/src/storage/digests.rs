//! The digests of bytes, computed in one pass.

use blake2::Blake2b256;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Which digests to compute beside SHA-256, which is always computed. Each costs its own pass of the processor over the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedDigests {
    /// SHA-512 (npm's integrity, Maven's sidecars).
    pub sha512: bool,
    /// SHA-1 (npm's shasum, Composer's, Maven's sidecars).
    pub sha1: bool,
    /// MD5 (Maven's sidecars, PyPI's forms).
    pub md5: bool,
    /// BLAKE2b of 256 bits (PyPI's forms).
    pub blake2b_256: bool,
}

/// The digests of bytes, in lowercase hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// SHA-256.
    pub sha256: String,
    /// SHA-512, where it was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
    /// SHA-1, where it was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// MD5, where it was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// BLAKE2b-256, where it was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake2b_256: Option<String>,
}

/// Computes [`Digests`] piece by piece: for bytes that do not go through [`super::Store::write_artifact`].
#[derive(Clone, Debug)]
pub struct Hashes {
    sha256: Sha256,
    sha512: Option<Sha512>,
    sha1: Option<Sha1>,
    md5: Option<Md5>,
    blake2b_256: Option<Blake2b256>,
}

impl Hashes {
    /// Of no bytes yet.
    pub fn new(wanted: WantedDigests) -> Self {
        let WantedDigests { sha512, sha1, md5, blake2b_256 } = wanted;
        Self {
            sha256: Sha256::new(),
            sha512: sha512.then(Sha512::new),
            sha1: sha1.then(Sha1::new),
            md5: md5.then(Md5::new),
            blake2b_256: blake2b_256.then(Blake2b256::new),
        }
    }

    /// Goes on with a piece.
    pub fn update(&mut self, piece: &[u8]) {
        fn feed(hash: Option<&mut impl Digest>, piece: &[u8]) {
            if let Some(hash) = hash {
                hash.update(piece);
            }
        }
        self.sha256.update(piece);
        feed(self.sha512.as_mut(), piece);
        feed(self.sha1.as_mut(), piece);
        feed(self.md5.as_mut(), piece);
        feed(self.blake2b_256.as_mut(), piece);
    }

    /// The digests of all pieces.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: hex::encode(self.sha256.finalize()),
            sha512: self.sha512.map(|hash| hex::encode(hash.finalize())),
            sha1: self.sha1.map(|hash| hex::encode(hash.finalize())),
            md5: self.md5.map(|hash| hex::encode(hash.finalize())),
            blake2b_256: self.blake2b_256.map(|hash| hex::encode(hash.finalize())),
        }
    }
}

impl Digests {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8], wanted: WantedDigests) -> Self {
        let mut hashes = Hashes::new(wanted);
        hashes.update(bytes);
        hashes.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: WantedDigests = WantedDigests { sha512: true, sha1: true, md5: true, blake2b_256: true };

    #[test]
    fn digests_of_abc_are_the_published_ones() {
        let digests = Digests::of(b"abc", ALL);
        assert_eq!(digests.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digests.sha1.unwrap(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(digests.md5.unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            digests.blake2b_256.unwrap(),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
        );
        assert!(digests.sha512.unwrap().starts_with("ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn pieces_make_the_same_digests_and_only_the_wanted_ones() {
        let mut hashes = Hashes::new(ALL);
        hashes.update(b"a");
        hashes.update(b"");
        hashes.update(b"bc");
        assert_eq!(hashes.finish(), Digests::of(b"abc", ALL));
        let sha256 = Digests::of(b"abc", ALL).sha256;
        let only = Digests::of(b"abc", WantedDigests::default());
        assert_eq!(only, Digests { sha256, ..Digests::default() });
        assert_eq!(serde_json::to_value(&only).unwrap().as_object().unwrap().len(), 1);
    }
}
