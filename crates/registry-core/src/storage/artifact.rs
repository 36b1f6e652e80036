//! Immutable data and what names it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Digests, Key, WantedDigests, data::Cleanup, engine::Engine};

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
    /// The MD5 in hex that the bytes must have.
    pub md5: Option<String>,
    /// The BLAKE2b-256 in hex that the bytes must have.
    pub blake2b_256: Option<String>,
}

impl ArtifactSpec {
    /// What is computed: the digests that are wanted and those that are compared.
    pub(super) fn all_digests(&self) -> WantedDigests {
        WantedDigests {
            sha512: self.digests.sha512 || self.sha512.is_some(),
            sha1: self.digests.sha1 || self.sha1.is_some(),
            md5: self.digests.md5 || self.md5.is_some(),
            blake2b_256: self.digests.blake2b_256 || self.blake2b_256.is_some(),
        }
    }
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

impl DataRef {
    /// Its digest as hooks and operators are told it: `sha256:…`.
    pub fn digest(&self) -> Option<String> {
        self.sha256.as_ref().map(|hex| format!("sha256:{hex}"))
    }
}

/// Bytes that are durable but that no document names yet. They are deleted in the background when this is dropped.
///
/// To name them, hand this to the permit of the commit that writes the document ([`crate::storage::Permit::attach`]): the bytes
/// stay if it is written and go if it is refused, even when the caller of the commit goes away meanwhile.
#[derive(Debug)]
#[must_use = "dropped, the bytes are deleted"]
pub struct PendingArtifact {
    pub(crate) data: DataRef,
    pub(crate) digests: Digests,
    pub(crate) cleanup: Option<Cleanup>,
}

impl PendingArtifact {
    /// Bytes that were just written, with no digests.
    pub(crate) fn of(engine: &Arc<Engine>, data: DataRef) -> Self {
        let cleanup = Some(Cleanup::of(engine, data.key.clone()));
        Self { data, digests: Digests::default(), cleanup }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.data.size
    }

    /// The digests that were computed.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// The bytes as they would be named: to look at them before the commit. They go with `self`.
    pub fn data(&self) -> &DataRef {
        &self.data
    }

    /// Leaves the bytes to the caller: they stay, whether a document names them or not. For what is named by
    /// [`crate::storage::Store::update`]; where nothing comes to name them, garbage collection has to find them.
    pub fn keep(mut self) -> DataRef {
        if let Some(cleanup) = self.cleanup.take() {
            cleanup.disarm();
        }
        self.data.clone()
    }
}
