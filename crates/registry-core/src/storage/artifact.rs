//! Immutable data and what names it.

use serde::{Deserialize, Serialize};

use super::Key;

/// Which digests to compute on the way in beside SHA-256, which is always computed.
#[derive(Clone, Copy, Debug, Default)]
pub struct WantedDigests {
    /// SHA-512 (npm's integrity).
    pub sha512: bool,
    /// SHA-1 (npm's shasum).
    pub sha1: bool,
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
}

/// What is expected of an artefact on its way in.
#[derive(Clone, Debug, Default)]
pub struct ArtifactSpec {
    /// Which digests to compute.
    pub digests: WantedDigests,
    /// The most bytes that are taken.
    pub max_bytes: Option<u64>,
    /// The exact length, where it is known.
    pub length: Option<u64>,
    /// The SHA-256 in hex that the bytes must have.
    pub sha256: Option<String>,
    /// The SHA-512 in hex that the bytes must have.
    pub sha512: Option<String>,
    /// The SHA-1 in hex that the bytes must have.
    pub sha1: Option<String>,
}

/// One immutable data object as a document names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRef {
    /// Its key.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in lowercase hex; `None` for a segment of a larger content that is hashed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Bytes that are durable but that no document names yet. Dropped without [`PendingArtifact::keep`], they are deleted
/// in the background.
#[derive(Debug)]
pub struct PendingArtifact {
    pub(crate) data: DataRef,
    pub(crate) digests: Digests,
    pub(crate) cleanup: Option<super::store::Cleanup>,
}

impl PendingArtifact {
    /// How a document names the bytes.
    pub fn data(&self) -> &DataRef {
        &self.data
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.data.size
    }

    /// The digests that were computed.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// The document that names the bytes is written: they stay.
    pub fn keep(mut self) -> DataRef {
        self.cleanup = None;
        self.data.clone()
    }
}
