//! [`Storage`] and an instance's view of it, [`Store`].

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{TryStreamExt, stream};
use object_store::ObjectMeta;

use super::{
    ArtifactReader, ArtifactSpec, DataRef, Digests, Document, Draft, Key, KeyBuilder, PendingArtifact,
    PresignRequest, PresignedUrl, Revision, SegmentWriter, StorageError, UpdateError, Versioned,
    WantedDigests,
    cache::State,
    engine::{Engine, Place, Trust, WriteError, path, storage_error},
    envelope::OperationId,
    update::{Outcome, back_off},
};
use crate::{
    Actor, Body, BodyError, Instance, InstanceName, Protocol,
    hooks::{HookEvent, Operation},
};

/// How often a creation is tried when the store fails.
const CREATE_ATTEMPTS: u32 = 3;
/// The first segment of the program's own keys.
const SYSTEM: &str = "_system";

/// Everything that is stored, of all instances. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(super) engine: Arc<Engine>,
}

/// One instance's part of a [`Storage`]. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<Engine>,
    root: Key,
    /// `None` for the program's own part, which has no hooks.
    instance: Option<(Protocol, InstanceName)>,
}

/// Leave to do one operation: every `before_*` hook has agreed. Consumed by [`Store::commit`].
#[derive(Debug)]
#[must_use = "an operation is committed with its permit"]
pub struct Permit {
    /// The event, for the `after_*` hooks; `None` where there are no hooks.
    event: Option<Box<HookEvent>>,
    attached: Vec<PendingArtifact>,
}

impl Permit {
    /// Hands bytes to the commit that will name them and says how to name them. They stay if the commit alters the document, and
    /// are deleted if its closure refuses or changes nothing.
    pub fn attach(&mut self, artifact: PendingArtifact) -> DataRef {
        let data = artifact.data.clone();
        self.attached.push(artifact);
        data
    }

    /// [`Permit::attach`] of several.
    pub fn attach_all(&mut self, artifacts: impl IntoIterator<Item = PendingArtifact>) -> Vec<DataRef> {
        artifacts.into_iter().map(|artifact| self.attach(artifact)).collect()
    }
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

impl ListEntry {
    /// How long ago it was last written; nothing where that is yet to come.
    pub fn age(&self, now: DateTime<Utc>) -> Duration {
        SystemTime::from(now).duration_since(self.modified).unwrap_or_default()
    }
}

impl Storage {
    /// The part of an instance: its keys begin with the instance's name.
    pub fn store(&self, instance: &Instance) -> Store {
        Store {
            engine: Arc::clone(&self.engine),
            root: Key::from_encoded(instance.name.as_str()),
            instance: Some((instance.protocol, instance.name.clone())),
        }
    }

    /// The part of the program itself: keys begin with `_system`. Hooks are not called for what happens there.
    pub fn system(&self) -> Store {
        Store { engine: Arc::clone(&self.engine), root: Key::from_encoded(SYSTEM), instance: None }
    }

    /// Whether the store answers (for `/readyz`).
    pub async fn ready(&self) -> Result<(), StorageError> {
        let key = super::layout::key();
        match self
            .engine
            .documents
            .get_opts(&path(&key), object_store::GetOptions::new().with_head(true))
            .await
        {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(storage_error(&key, error)),
        }
    }

    /// Whether other long-lived servers may work on the same store: a bucket's may, a folder's may not.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.engine.place, Place::Bucket)
    }

    /// Whether no server works on the folder, and none can start on it as long as this process has it open. `false` where this
    /// process is the server; `None` for a bucket, which knows no locks.
    pub(crate) async fn exclude_servers(&self) -> Result<Option<bool>, StorageError> {
        match &self.engine.place {
            Place::Memory | Place::Folder { server: true, .. } => Ok(Some(false)),
            Place::Folder { folder, server: false } => {
                let locked = folder.clone().serve_alone().await;
                locked.map(Some).map_err(|error| {
                    StorageError::Setup(format!("the folder's lock cannot be tried: {error}"))
                })
            }
            Place::Bucket => Ok(None),
        }
    }

    /// Waits until everything that was begun is done: changes whose callers went away, and bytes to delete.
    pub async fn drained(&self) {
        self.engine.tasks.drained().await;
    }
}

impl Store {
    /// A key below this store's root.
    pub fn key(&self) -> KeyBuilder {
        self.root.child()
    }

    // ----- documents

    /// Reads a document through the cache, never older than the cache's rules allow (see the module's page).
    pub async fn read<D: Document>(&self, key: &Key) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        let state: Option<Arc<State<D>>> = self.engine.load(key, Trust::Rule).await?;
        Ok(state.map(|state| Arc::clone(&state.decoded.document)))
    }

    /// [`Store::read`] of what the store says now, whatever age the cache's rule lets pass: for decisions that may not stand on
    /// an old state.
    pub async fn read_fresh<D: Document>(
        &self,
        key: &Key,
    ) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        let state: Option<Arc<State<D>>> = self.engine.load(key, Trust::Newest).await?;
        Ok(state.map(|state| Arc::clone(&state.decoded.document)))
    }

    /// [`Store::read`] of what says whether something is here at all, where some documents (`is_gone`) say that nothing is. That nothing is
    /// here is never told from an old state: what is absent is not cached, and a document that says so is read again.
    pub async fn read_unless<D: Document>(
        &self,
        key: &Key,
        is_gone: impl Fn(&D) -> bool,
    ) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        let Some(document) = self.read::<D>(key).await? else { return Ok(None) };
        if !is_gone(&document) {
            return Ok(Some(document));
        }
        Ok(self.read_fresh::<D>(key).await?.filter(|document| !is_gone(document)))
    }

    /// Creates a document unless it exists. An answer that was lost is looked up: the caller that made it gets `Now`.
    pub async fn create<D: Document>(&self, key: &Key, value: D) -> Result<Created<D>, StorageError> {
        let mut operations: Vec<OperationId> = Vec::new();
        let mut attempt = 0;
        loop {
            let operation = OperationId::random();
            operations.push(operation);
            let error = match self.engine.write(key, value.clone(), operation, None).await {
                Ok(state) => return Ok(Created::Now(Arc::clone(&state.decoded.document))),
                Err(WriteError::Final(error)) => return Err(error),
                Err(error) => error,
            };
            let now: Option<Arc<State<D>>> = self.engine.load(key, Trust::Nothing).await?;
            if let Some(state) = now {
                let document = Arc::clone(&state.decoded.document);
                let own = operations.iter().any(|operation| state.decoded.operations.contains(operation));
                return Ok(if own { Created::Now(document) } else { Created::Exists(document) });
            }
            attempt += 1;
            if attempt >= CREATE_ATTEMPTS {
                return Err(match error {
                    WriteError::Failed(error) | WriteError::Final(error) => error,
                    WriteError::Contended => {
                        StorageError::Contended { key: key.to_string(), attempts: attempt }
                    }
                });
            }
            back_off(attempt).await;
        }
    }

    /// Changes (or makes) a document that is not an operation's arbiter.
    ///
    /// The closure is pure, may run many times, sees the newest state and decides; on `Err` it must leave the draft as it
    /// found it. Callers of one key in this process queue up and share writes, each with its own result. Returns the closure's
    /// value and the state it led to (`None` where the document does not exist and was not made). A change goes on when
    /// its caller goes away. Who must tell the closure's refusal from a failure of the store takes [`UpdateError`] as `E`.
    pub async fn update<D, T, E, F>(&self, key: &Key, change: F) -> Result<(T, Option<Arc<Versioned<D>>>), E>
    where
        D: Document,
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: FnMut(&mut Draft<D>) -> Result<T, E> + Send + 'static,
    {
        let changed = self.engine.change(key, change, Vec::new()).await;
        let Outcome { value, document } = changed.map_err(UpdateError::<E>::merge::<E>)?;
        Ok((value, document))
    }

    /// [`Store::update`] of an operation's arbiter document: the permit's `after_*` hooks run when it is done, and the bytes
    /// attached to it share its fate.
    pub async fn commit<D, T, E, F>(
        &self,
        key: &Key,
        permit: Permit,
        change: F,
    ) -> Result<(T, Option<Arc<Versioned<D>>>), E>
    where
        D: Document,
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: FnMut(&mut Draft<D>) -> Result<T, E> + Send + 'static,
    {
        let Permit { event, attached } = permit;
        let changed = match event {
            None => self.engine.change(key, change, attached).await,
            Some(event) => {
                let (answer, answered) = tokio::sync::oneshot::channel();
                let (engine, key_of_task) = (Arc::clone(&self.engine), key.clone());
                // A caller that goes away must not keep the hooks from hearing of what was done.
                self.engine.tasks.spawn(async move {
                    let result = engine.change(&key_of_task, change, attached).await;
                    if result.is_ok() {
                        engine.hooks.after(&event).await;
                    }
                    let _sent = answer.send(result);
                });
                answered.await.unwrap_or_else(|_| {
                    Err(UpdateError::Storage(super::engine::unavailable(key, "a hook panicked")))
                })
            }
        };
        let Outcome { value, document } = changed.map_err(UpdateError::<E>::merge::<E>)?;
        Ok((value, document))
    }

    /// An operation that brings no bytes with it: asks the hooks ([`Store::permit_with`]) and commits ([`Store::commit`]). Returns the
    /// state that it led to, `None` where the document does not exist and was not made.
    pub async fn change<D, E>(
        &self,
        key: &Key,
        event: impl FnOnce() -> HookEvent + Send,
        change: impl FnMut(&mut Draft<D>) -> Result<(), E> + Send + 'static,
    ) -> Result<Option<Arc<Versioned<D>>>, E>
    where
        D: Document,
        E: From<StorageError> + Send + 'static,
    {
        let permit = self.permit_with(event).await?;
        let ((), document) = self.commit(key, permit, change).await?;
        Ok(document)
    }

    // ----- hooks

    /// An event of this instance, to be completed and handed to [`Store::permit`].
    pub fn event(&self, operation: Operation, key: &Key, actor: &Actor) -> HookEvent {
        // The program's own part has no instance and calls no hooks, so nobody sees the stand-in.
        let (protocol, instance) =
            self.instance.clone().unwrap_or_else(|| (Protocol::Oci, InstanceName::from(Protocol::Oci)));
        HookEvent::new(operation, protocol, instance, key.as_str(), actor.clone())
    }

    /// Whether any hooks are there; where not, an event need not be built.
    pub fn has_hooks(&self) -> bool {
        self.instance.is_some() && !self.engine.hooks.is_empty()
    }

    /// Asks the `before_*` hooks.
    pub async fn permit(&self, event: HookEvent) -> Result<Permit, StorageError> {
        self.permit_with(|| event).await
    }

    /// [`Store::permit`] that builds the event only where hooks are there.
    pub async fn permit_with(
        &self,
        event: impl FnOnce() -> HookEvent + Send,
    ) -> Result<Permit, StorageError> {
        if !self.has_hooks() {
            return Ok(Permit { event: None, attached: Vec::new() });
        }
        let event = event();
        self.engine.hooks.before(&event).await?;
        Ok(Permit { event: Some(Box::new(event)), attached: Vec::new() })
    }

    /// Tells the `after_*` hooks of an operation that wrote no arbiter (a read).
    pub async fn finish(&self, permit: Permit) {
        if let Some(event) = permit.event {
            self.engine.hooks.after(&event).await;
        }
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
        self.engine.write_data(key, body.into_data_stream(), spec).await
    }

    /// [`Store::write_artifact`] of bytes that are in memory.
    pub async fn write_artifact_bytes(
        &self,
        key: &Key,
        bytes: Bytes,
        spec: ArtifactSpec,
    ) -> Result<PendingArtifact, StorageError> {
        let pieces = stream::iter([Ok::<_, BodyError>(bytes)]);
        self.engine.write_data(key, pieces, spec).await
    }

    /// A writer for content of any size under this readable key.
    pub fn segment_writer(&self, key: &Key) -> SegmentWriter {
        SegmentWriter::new(Arc::clone(&self.engine), key)
    }

    /// Streams a data object, or a part of it (which must lie within its size). Several data objects in order are one
    /// content (a large blob): the range counts over all of them.
    pub async fn read_artifact(
        &self,
        parts: &[DataRef],
        range: Option<Range<u64>>,
    ) -> Result<Body, StorageError> {
        self.engine.read_data(parts, range).await
    }

    /// Whether [`Store::presign`] gives addresses here.
    pub fn can_presign(&self) -> bool {
        self.engine.presigner.is_some()
    }

    /// An address at which a client reads a data object without going through this process, for `valid` from now on; `None`
    /// where there are no such addresses (a folder, memory). Nobody asks whether the object is there.
    pub async fn presign(
        &self,
        data: &DataRef,
        valid: Duration,
        content_type: &str,
    ) -> Result<Option<PresignedUrl>, StorageError> {
        let Some(presigner) = &self.engine.presigner else { return Ok(None) };
        let object = PresignRequest::new(&data.key, valid, content_type);
        presigner.presign(&object).await.map(Some)
    }

    /// Runs code that blocks on stored bytes, on a thread made for that: it reads and seeks as in a file, before a document names
    /// the bytes ([`PendingArtifact::data`]) or after. Four run at once; the others wait.
    ///
    /// A failure of the store is the result, whatever `look` made of it. When the caller goes away, `look` still runs to
    /// its end: what it does must have limits.
    pub async fn inspect<T: Send + 'static>(
        &self,
        parts: &[DataRef],
        look: impl FnOnce(&mut ArtifactReader) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let Some(key) = parts.first().map(|part| part.key.clone()) else {
            return Err(StorageError::Missing { key: self.root.to_string() });
        };
        let failed = |error: &dyn std::fmt::Display| super::engine::unavailable(&key, error.to_string());
        let permit = Arc::clone(&self.engine.inspections).acquire_owned().await;
        let permit = permit.map_err(|error| failed(&error))?;
        let (engine, parts, runtime) =
            (Arc::clone(&self.engine), parts.to_vec(), tokio::runtime::Handle::current());
        let looked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut reader = ArtifactReader::open(&engine, parts, runtime)?;
            let result = look(&mut reader);
            reader.take_failure().map_or(Ok(result), Err)
        });
        looked.await.map_err(|error| failed(&error))?
    }

    /// Reads data objects (several in order are one content) and hashes them again: their size and digests.
    pub async fn hash_artifact(
        &self,
        parts: &[DataRef],
        wanted: WantedDigests,
    ) -> Result<(u64, Digests), StorageError> {
        self.engine.hash_data(parts, wanted).await
    }

    /// [`Store::read_artifact`] for a client: a data object of at most 256 KiB stays in the bounded cache, so that what is
    /// fetched often costs no request of the store. For checking what is stored use [`Store::read_artifact`].
    pub async fn serve_artifact(
        &self,
        parts: &[DataRef],
        range: Option<Range<u64>>,
    ) -> Result<Body, StorageError> {
        self.engine.serve_data(parts, range).await
    }

    /// Whether a data object would be served from memory.
    #[cfg(test)]
    pub(crate) fn is_at_hand(&self, data: &DataRef) -> bool {
        self.engine.cache.data(&data.key).is_some()
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
        let found = self
            .engine
            .documents
            .list_with_delimiter(Some(&path(prefix)))
            .await
            .map_err(|error| storage_error(prefix, error))?;
        let folders = found.common_prefixes.iter().filter_map(|path| Some(format!("{}/", path.filename()?)));
        let objects = found.objects.iter().filter_map(|meta| meta.location.filename().map(str::to_owned));
        let mut names: Vec<String> = folders
            .chain(objects)
            .filter(|name| !is_data(name) && after.is_none_or(|after| name.as_str() > after))
            .collect();
        names.sort_unstable();
        names.truncate(limit);
        Ok(names)
    }

    /// All objects below a prefix, data objects included, sorted by key. For collecting, verifying and rebuilding.
    pub async fn list(&self, prefix: &Key) -> Result<Vec<ListEntry>, StorageError> {
        let entry = |ObjectMeta { location, size, last_modified, .. }| ListEntry {
            key: Key::from_encoded(String::from(location)),
            size,
            modified: last_modified.into(),
        };
        let mut entries: Vec<ListEntry> = self
            .engine
            .documents
            .list(Some(&path(prefix)))
            .map_ok(entry)
            .try_collect()
            .await
            .map_err(|error| storage_error(prefix, error))?;
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    /// Removes an object for good. Only garbage collection calls this, a grace after a tombstone.
    pub async fn remove(&self, key: &Key) -> Result<(), StorageError> {
        self.engine.cache.writing(key);
        let removed = self.engine.delete_data(key).await;
        self.engine.cache.forget(key);
        removed?;
        self.engine.told().map_err(|error| super::engine::unavailable(key, error))
    }

    // ----- rendered forms

    /// A form of a document that is expensive to make (a rendered, compressed representation), made once a revision
    /// and kept in the bounded cache. `variant` tells forms of one document apart; the second part of what `make` returns is
    /// about how many bytes the form takes in memory.
    pub fn derived<R: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: &Revision,
        variant: &str,
        make: impl FnOnce() -> (R, usize),
    ) -> Arc<R> {
        self.engine.cache.derived(key, revision, variant, make)
    }

    /// The form that [`Store::derived`] keeps, if it is there: for forms that are too much work to make in place.
    pub fn derived_cached<R: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: &Revision,
        variant: &str,
    ) -> Option<Arc<R>> {
        self.engine.cache.derived_cached(key, revision, variant)
    }
}

/// Whether a name is that of a data object: it ends in `~` and 32 digits. (A name that was cut ends in `~` and 64.)
fn is_data(name: &str) -> bool {
    name.rsplit_once('~')
        .is_some_and(|(_, random)| random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
