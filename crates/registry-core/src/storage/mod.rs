//! Documents and artefacts on an object store.
//!
//! *Artefacts* are immutable bytes at a key that no two writers can choose: `<readable key>~<random>`. *Documents* are
//! small, typed, changed by conditional writes, and alone name artefacts. A write is visible when its *arbiter*
//! document was written ([`Store::commit`]); until then its bytes are unreferenced and harmless.

mod artifact;
mod document;
mod error;
mod key;
mod store;

pub use artifact::{ArtifactSpec, DataRef, Digests, PendingArtifact, WantedDigests};
pub use document::{Document, Draft, Revision, UnknownFields, Versioned};
pub use error::{StorageError, UpdateError};
pub use key::{Key, KeyBuilder};
pub use store::{Created, ListEntry, Permit, Storage, StorageOptions, Store};
