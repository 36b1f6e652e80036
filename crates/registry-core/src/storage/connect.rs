//! Opening a storage.

use std::{path::PathBuf, sync::Arc, time::Duration};

use object_store::{ObjectStore, memory::InMemory};

use super::{
    Storage, StorageError,
    cache::{Cache, Rule},
    engine::{Engine, Place, Tasks},
    folder::FolderStore,
    layout,
    update::Queues,
};
use crate::hooks::Hooks;

const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// How a storage behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StorageOptions {
    /// Asked and told around every operation.
    pub hooks: Hooks,
    /// About how many bytes documents and their rendered forms may take in memory (64 MiB by default).
    pub cache_bytes: u64,
    /// How long a document from a bucket is used without asking whether it changed. The default of zero asks each time;
    /// a folder needs no asking.
    pub max_staleness: Duration,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self { hooks: Hooks::default(), cache_bytes: DEFAULT_CACHE_BYTES, max_staleness: Duration::ZERO }
    }
}

/// What this process is to a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderRole {
    /// Its one long-lived server. There can be only one.
    Server,
    /// A command that works beside the server, if there is one, and ends soon.
    Command,
}

impl Storage {
    /// An empty storage in memory.
    pub fn memory(options: StorageOptions) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        // Nobody else can write: what was cached stays true.
        Self::assemble(Arc::clone(&store), store, Place::Memory, Rule::Epoch, options)
    }

    /// A storage in a local folder, which is created where it is missing.
    pub async fn folder(
        path: impl Into<PathBuf>,
        role: FolderRole,
        options: StorageOptions,
    ) -> Result<Self, StorageError> {
        let path = path.into();
        let setup = |what: String| StorageError::Setup(what);
        let shown = path.display().to_string();
        let opened = tokio::task::spawn_blocking(move || {
            let folder = FolderStore::open(&path)?;
            let alone = role == FolderRole::Command || folder.try_serve()?;
            Ok::<_, std::io::Error>((folder, alone))
        });
        let (folder, alone) = opened
            .await
            .map_err(|error| setup(format!("the folder {shown} cannot be opened: {error}")))?
            .map_err(|error| setup(format!("the folder {shown} cannot be opened: {error}")))?;
        if !alone {
            return Err(setup(format!(
                "another server runs on the folder {shown}; stop it, or give this one a storage of its own"
            )));
        }
        let server = role == FolderRole::Server;
        // The server is told of what others write; others are not told of what it writes.
        let rule = if server { Rule::Epoch } else { Rule::Staleness(Duration::ZERO) };
        let store: Arc<dyn ObjectStore> = Arc::new(folder.clone());
        let storage =
            Self::assemble(Arc::clone(&store), store, Place::Folder { folder, server }, rule, options);
        layout::claim(&storage).await?;
        Ok(storage)
    }

    pub(super) fn assemble(
        documents: Arc<dyn ObjectStore>,
        artifacts: Arc<dyn ObjectStore>,
        place: Place,
        rule: Rule,
        options: StorageOptions,
    ) -> Self {
        let StorageOptions { hooks, cache_bytes, max_staleness: _ } = options;
        Self {
            engine: Arc::new(Engine {
                documents,
                artifacts,
                place,
                cache: Cache::new(cache_bytes),
                rule,
                queues: Queues::default(),
                hooks,
                tasks: Tasks::default(),
            }),
        }
    }
}
