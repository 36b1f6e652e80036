//! Documents and artefacts on an object store.
//!
//! *Artefacts* are immutable bytes at a key that no two writers can choose: `<readable key>~<random>`. *Documents* are
//! small, typed, changed by conditional writes, and alone name artefacts. A write is visible when its *arbiter*
//! document was written ([`Store::commit`]); until then its bytes are unreferenced and harmless.

mod artifact;
mod bucket;
mod cache;
mod connect;
mod data;
mod digests;
mod document;
mod engine;
mod envelope;
mod error;
mod folder;
mod key;
mod layout;
mod location;
mod look;
mod metered;
mod presign;
mod probe;
mod puts;
mod segments;
mod single_writer;
mod sink;
mod store;
mod update;

pub use artifact::{ArtifactSpec, DataRef, PendingArtifact};
pub use connect::{Connection, ProcessRole, StorageOptions};
pub use digests::{Digests, Hashes, WantedDigests};
pub use document::{Document, Draft, Revision, UnknownFields, Versioned};
pub use error::{StorageError, UpdateError};
pub use key::{Key, KeyBuilder, decode_segment};
pub use location::{Cloud, StorageLocation};
pub use look::ArtifactReader;
pub use presign::{PresignRequest, PresignedUrl, Presigner};
pub use segments::SegmentWriter;
pub use store::{Created, ListEntry, Permit, Storage, Store};

#[cfg(test)]
mod suite;
