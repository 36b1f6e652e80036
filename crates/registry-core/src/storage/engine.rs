//! Reading and writing single documents, and what all stores of a storage share.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::{GetOptions, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion, path::Path};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    Document, Key, Presigner, StorageError,
    cache::{Cache, Fresh, Rule, State},
    envelope::{self, OperationId},
    folder::FolderStore,
    update::Queues,
};
use crate::hooks::Hooks;

/// The largest stored document that is read.
const MAX_DOCUMENT_BYTES: u64 = 512 * 1024 * 1024;

/// Everything behind a [`super::Storage`].
#[derive(Debug)]
pub(crate) struct Engine {
    /// For documents: answers come soon or not at all.
    pub(crate) documents: Arc<dyn ObjectStore>,
    /// For artefacts: no limit on the whole of a transfer.
    pub(crate) artifacts: Arc<dyn ObjectStore>,
    /// Makes addresses of data objects, where the place or the host can.
    pub(crate) presigner: Option<Arc<dyn Presigner>>,
    pub(crate) place: Place,
    pub(crate) cache: Cache,
    pub(crate) rule: Rule,
    pub(crate) queues: Queues,
    pub(crate) hooks: Hooks,
    pub(crate) tasks: Tasks,
    /// Who may look into artefacts now.
    pub(crate) inspections: Arc<Semaphore>,
}

/// Where the storage lies, as far as it matters to documents.
#[derive(Debug)]
pub(crate) enum Place {
    /// In this process' memory.
    Memory,
    /// In a folder, of which this process is the server or not.
    Folder { folder: FolderStore, server: bool },
    /// In a bucket.
    Bucket,
}

/// Which state of a document will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A cached one that the cache's rule lets pass.
    Rule,
    /// A cached one only where nobody else can have written: what a change starts from.
    Newest,
    /// Only what the store says now.
    Nothing,
}

impl Engine {
    pub(crate) async fn load<D: Document>(
        &self,
        key: &Key,
        trust: Trust,
    ) -> Result<Option<Arc<State<D>>>, StorageError> {
        let epoch = self.epoch(key)?;
        let mark = self.cache.mark(key);
        let validated = Instant::now();
        let cached = self.cache.document::<D>(key);
        let current = cached.as_ref().is_some_and(|fresh| self.is_current(fresh, epoch, trust));
        self.cache.documents.looked_up(current);
        if current {
            return Ok(cached.map(|fresh| fresh.state));
        }
        let known = cached.as_ref().and_then(|fresh| fresh.state.version.e_tag.clone());
        match self.fetch(key, known).await {
            Ok((bytes, version)) => {
                let decoded = envelope::decode(key, &bytes)?;
                let state = Arc::new(State { decoded, version });
                self.cache.read(key, Fresh { state: Arc::clone(&state), validated, epoch }, mark);
                Ok(Some(state))
            }
            Err(object_store::Error::NotFound { .. }) => {
                if cached.is_some() {
                    self.cache.forget(key);
                }
                Ok(None)
            }
            Err(object_store::Error::NotModified { .. }) if let Some(Fresh { state, .. }) = cached => {
                self.cache.read(key, Fresh { state: Arc::clone(&state), validated, epoch }, mark);
                Ok(Some(state))
            }
            Err(error) => Err(storage_error(key, error)),
        }
    }

    /// Writes the next state of a document over `base`, or a new document where there is none.
    pub(crate) async fn write<D: Document>(
        &self,
        key: &Key,
        value: D,
        operation: OperationId,
        base: Option<&State<D>>,
    ) -> Result<Arc<State<D>>, WriteError> {
        let (mode, previous) = match base {
            Some(State { decoded, version }) => {
                (PutMode::Update(version.clone()), decoded.operations.as_slice())
            }
            None => (PutMode::Create, Default::default()),
        };
        let (stored, decoded) =
            envelope::encode(key, value, operation, previous).map_err(WriteError::Final)?;
        let epoch = self.epoch(key).map_err(WriteError::Final)?;
        let validated = Instant::now();
        self.cache.writing(key);
        let options = PutOptions { mode, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(Bytes::from(stored));
        match self.documents.put_opts(&path(key), payload, options).await {
            Ok(result) => {
                self.told().map_err(|error| WriteError::Failed(unavailable(key, error)))?;
                let version = UpdateVersion { e_tag: result.e_tag, version: result.version };
                let state = Arc::new(State { decoded, version });
                self.cache.wrote(key, Fresh { state: Arc::clone(&state), validated, epoch });
                Ok(state)
            }
            Err(error) => {
                self.cache.forget(key);
                Err(match error {
                    object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                        WriteError::Contended
                    }
                    error => match storage_error(key, error) {
                        full @ StorageError::Full { .. } => WriteError::Final(full),
                        error => WriteError::Failed(error),
                    },
                })
            }
        }
    }

    /// Lets the server know that this process, which is not the server, wrote something.
    pub(crate) fn told(&self) -> io::Result<()> {
        match &self.place {
            Place::Folder { folder, server: false } => folder.bump_epoch(),
            Place::Folder { server: true, .. } | Place::Memory | Place::Bucket => Ok(()),
        }
    }

    async fn fetch(
        &self,
        key: &Key,
        known: Option<String>,
    ) -> Result<(Bytes, UpdateVersion), object_store::Error> {
        let options = GetOptions { if_none_match: known, ..GetOptions::default() };
        let result = self.documents.get_opts(&path(key), options).await?;
        if result.meta.size > MAX_DOCUMENT_BYTES {
            return Err(object_store::Error::Generic {
                store: "documents",
                source: "it is too large".into(),
            });
        }
        let version =
            UpdateVersion { e_tag: result.meta.e_tag.clone(), version: result.meta.version.clone() };
        let size = usize::try_from(result.meta.size).unwrap_or(0);
        let mut pieces = result.into_stream();
        let Some(first) = pieces.try_next().await? else { return Ok((Bytes::new(), version)) };
        if first.len() >= size {
            return Ok((first, version));
        }
        let mut whole = BytesMut::with_capacity(size);
        whole.extend_from_slice(&first);
        while let Some(piece) = pieces.try_next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok((whole.freeze(), version))
    }

    fn is_current<D>(&self, fresh: &Fresh<D>, epoch: u64, trust: Trust) -> bool {
        match (self.rule, trust) {
            (_, Trust::Nothing) | (Rule::Staleness(_), Trust::Newest) => false,
            (Rule::Epoch, Trust::Rule | Trust::Newest) => fresh.epoch == epoch,
            (Rule::Staleness(most), Trust::Rule) => {
                most > Duration::ZERO && fresh.validated.elapsed() <= most
            }
        }
    }

    fn epoch(&self, key: &Key) -> Result<u64, StorageError> {
        match &self.place {
            Place::Folder { folder, .. } => folder.epoch().map_err(|error| unavailable(key, error)),
            Place::Memory | Place::Bucket => Ok(0),
        }
    }
}

/// Why a document was not written, or not surely.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The condition did not hold, or an earlier try of the same request arrived.
    Contended,
    /// The store failed; the write may have arrived.
    Failed(StorageError),
    /// It was not written, and trying again is no use.
    Final(StorageError),
}

/// Work that goes on when its caller went away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<TaskCount>);

#[derive(Debug, Default)]
struct TaskCount {
    running: AtomicUsize,
    ended: Notify,
}

impl Tasks {
    /// Runs `task` to its end. Without a runtime (a drop after it ended) it does not run.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.0.running.fetch_add(1, Ordering::AcqRel);
        let ended = Ended(Arc::clone(&self.0));
        runtime.spawn(async move {
            let _ended = ended;
            task.await;
        });
    }

    /// Waits until nothing runs.
    pub(crate) async fn drained(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

#[derive(Debug)]
struct Ended(Arc<TaskCount>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

/// The key as the object store takes it.
pub(crate) fn path(key: &Key) -> Path {
    // Keys are made of segments that `Path` takes as they are.
    Path::parse(key.as_str()).unwrap_or_else(|_| Path::from(key.as_str()))
}

pub(crate) fn unavailable(
    key: &Key,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StorageError {
    StorageError::Unavailable { key: key.to_string(), source: source.into() }
}

/// Tells a full store from one that does not answer.
pub(crate) fn storage_error(key: &Key, error: object_store::Error) -> StorageError {
    if is_full(&error) { StorageError::Full { key: key.to_string() } } else { unavailable(key, error) }
}

fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            )
        {
            return true;
        }
        cause = error.source();
    }
    // What services say has no type.
    let text = error.to_string();
    ["507 Insufficient Storage", "QuotaExceeded", "StorageFull", "EntityTooLarge"]
        .iter()
        .any(|sign| text.contains(sign))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Folder { folder, .. } => fmt::Display::fmt(folder, f),
            Self::Bucket => f.write_str("bucket"),
        }
    }
}
