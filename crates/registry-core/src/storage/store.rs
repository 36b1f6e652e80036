//! [`Storage`] and an instance's view of it, [`Store`].

use std::{ops::Range, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::{
    ArtifactSpec, DataRef, Document, Draft, Key, KeyBuilder, PendingArtifact, StorageError, UpdateError,
    Versioned,
};
use crate::{
    Actor, Body, Instance,
    hooks::{HookEvent, Hooks, Operation},
};

/// How a storage behaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StorageOptions {
    /// Asked and told around every operation.
    pub hooks: Hooks,
}

/// Everything that is stored, of all instances. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Storage {
    _placeholder: Arc<()>,
}

/// One instance's part of a [`Storage`]. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    _placeholder: Arc<()>,
}

/// Deletes pending bytes when dropped.
#[derive(Debug)]
pub(crate) struct Cleanup;

/// Leave to do one operation: every `before_*` hook has agreed. Consumed by [`Store::commit`].
#[derive(Debug)]
#[must_use = "an operation is committed with its permit"]
pub struct Permit {
    /// The event, for the `after_*` hooks; `None` where there are no hooks.
    #[allow(unused)]
    event: Option<Box<HookEvent>>,
}

/// What [`Store::create`] found.
#[derive(Debug)]
pub enum Created<D> {
    /// The document is new; this is its first state.
    Now(Arc<Versioned<D>>),
    /// It was there before; this is its state.
    Exists(Arc<Versioned<D>>),
}

/// One object of a listing.
#[derive(Clone, Debug)]
pub struct ListEntry {
    /// Its key.
    pub key: Key,
    /// Its size in bytes, as stored.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

impl Storage {
    /// An empty storage in memory.
    pub fn memory(options: StorageOptions) -> Self {
        unimplemented!()
    }

    /// The part of an instance: its keys begin with the instance's name.
    pub fn store(&self, instance: &Instance) -> Store {
        unimplemented!()
    }

    /// The part of the program itself: keys begin with `_system`.
    pub fn system(&self) -> Store {
        unimplemented!()
    }

    /// Whether the store answers (for `/readyz`).
    pub async fn ready(&self) -> Result<(), StorageError> {
        unimplemented!()
    }
}

impl Store {
    /// A key below this store's root.
    pub fn key(&self) -> KeyBuilder {
        unimplemented!()
    }

    // ----- documents

    /// Reads a document through the cache, never older than the cache's rules allow (see the module's page).
    pub async fn read<D: Document>(&self, key: &Key) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        unimplemented!()
    }

    /// Creates a document unless it exists. An answer that was lost is looked up: the caller that made it gets `Now`.
    pub async fn create<D: Document>(&self, key: &Key, value: D) -> Result<Created<D>, StorageError> {
        unimplemented!()
    }

    /// Changes (or makes) a document that is not an operation's arbiter.
    ///
    /// The closure is pure, may run many times, sees the newest state and decides; on `Err` it must leave the draft as it
    /// found it. Callers of one key in this process queue up and share writes, each with its own result. Returns the closure's
    /// value and the state it led to (`None` where the document does not exist and was not made).
    pub async fn update<D, T, E, F>(
        &self,
        key: &Key,
        change: F,
    ) -> Result<(T, Option<Arc<Versioned<D>>>), UpdateError<E>>
    where
        D: Document,
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Draft<D>) -> Result<T, E> + Send + 'static,
    {
        unimplemented!()
    }

    /// [`Store::update`] of an operation's arbiter document: the permit's `after_*` hooks run when it is written.
    pub async fn commit<D, T, E, F>(
        &self,
        key: &Key,
        permit: Permit,
        change: F,
    ) -> Result<(T, Option<Arc<Versioned<D>>>), UpdateError<E>>
    where
        D: Document,
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Draft<D>) -> Result<T, E> + Send + 'static,
    {
        unimplemented!()
    }

    // ----- hooks

    /// An event of this instance, to be completed and handed to [`Store::permit`].
    pub fn event(&self, operation: Operation, key: &Key, actor: &Actor) -> HookEvent {
        unimplemented!()
    }

    /// Whether any hooks are there; where not, an event need not be built and [`Store::permit_unhooked`] will do.
    pub fn has_hooks(&self) -> bool {
        unimplemented!()
    }

    /// Asks the `before_*` hooks.
    pub async fn permit(&self, event: HookEvent) -> Result<Permit, StorageError> {
        unimplemented!()
    }

    /// [`Store::permit`] that builds the event only where hooks are there.
    pub async fn permit_with(
        &self,
        event: impl FnOnce() -> HookEvent + Send,
    ) -> Result<Permit, StorageError> {
        unimplemented!()
    }

    /// Tells the `after_*` hooks of an operation that wrote no arbiter (a read).
    pub async fn finish(&self, permit: Permit) {
        unimplemented!()
    }

    // ----- artefacts

    /// Streams bytes to a new data object `<key>~<random>`, hashing as they come. Fails and leaves nothing where the
    /// specification is not met.
    pub async fn write_artifact(
        &self,
        key: &Key,
        body: Body,
        spec: ArtifactSpec,
    ) -> Result<PendingArtifact, StorageError> {
        unimplemented!()
    }

    /// [`Store::write_artifact`] of bytes that are in memory.
    pub async fn write_artifact_bytes(
        &self,
        key: &Key,
        bytes: Bytes,
        spec: ArtifactSpec,
    ) -> Result<PendingArtifact, StorageError> {
        unimplemented!()
    }

    /// Streams a data object, or a part of it (which must lie within its size). Several data objects in order are one
    /// content (a large blob): the range counts over all of them.
    pub async fn read_artifact(
        &self,
        parts: &[DataRef],
        range: Option<Range<u64>>,
    ) -> Result<Body, StorageError> {
        unimplemented!()
    }

    // ----- listing and collecting

    /// The immediate children of a prefix in byte order of their encoded names: at most `limit` beginning after
    /// `after` (exclusive). Folders are told by a name that ends with `/`. Data objects (`~`) are left out.
    pub async fn children(
        &self,
        prefix: &Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        unimplemented!()
    }

    /// All objects below a prefix, data objects included, sorted by key. For collecting, verifying and rebuilding.
    pub async fn list(&self, prefix: &Key) -> Result<Vec<ListEntry>, StorageError> {
        unimplemented!()
    }

    /// Removes an object for good. Only garbage collection calls this, a grace after a tombstone.
    pub async fn remove(&self, key: &Key) -> Result<(), StorageError> {
        unimplemented!()
    }

    // ----- rendered forms

    /// A form of a document that is expensive to make (a rendered, compressed representation), made once a revision
    /// and kept in the bounded cache. `variant` tells forms of one document apart.
    pub fn derived<R: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: &super::Revision,
        variant: &str,
        make: impl FnOnce() -> (R, usize),
    ) -> Arc<R> {
        unimplemented!()
    }
}
