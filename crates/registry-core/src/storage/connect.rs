//! Opening a storage.

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory};
use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::{
    Cloud, Presigner, Storage, StorageError, StorageLocation, bucket,
    cache::{Cache, Rule},
    engine::{Engine, Place, Tasks, path},
    folder::FolderStore,
    layout,
    metered::Metered,
    probe,
    puts::PutsBy,
    single_writer::SingleWriter,
    update::Queues,
};
use crate::hooks::Hooks;

/// How many inspections of artefacts ([`super::Store::inspect`]) run at once in a storage. Each may hold 6 MiB of blocks from a
/// bucket and keep a processor busy.
const INSPECTIONS: usize = 4;
const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// How a storage behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StorageOptions {
    /// Asked and told around every operation.
    pub hooks: Hooks,
    /// About how many bytes documents and their rendered forms may take in memory (64 MiB by default).
    pub cache_bytes: u64,
    /// How long a document from a bucket is read without asking whether it changed. The default of zero asks each time;
    /// a folder needs no asking.
    pub max_staleness: Duration,
    /// Makes the addresses at which clients read data objects directly, in place of the bucket's own. A folder and memory have
    /// none of their own.
    pub presigner: Option<Arc<dyn Presigner>>,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            hooks: Hooks::default(),
            cache_bytes: DEFAULT_CACHE_BYTES,
            max_staleness: Duration::ZERO,
            presigner: None,
        }
    }
}

/// What this process is to a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessRole {
    /// A long-lived server. A folder has only one, a bucket any number.
    Server,
    /// A command that works beside the servers, if there are any, and ends soon.
    Command,
}

/// How a bucket is reached. What is not given is taken from where the cloud's own tools take it: environment, profile,
/// the machine's identity.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Connection {
    /// The address of a service of one's own.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// The key's id (the account's name on Azure).
    pub access_key_id: Option<SecretString>,
    /// The key (on Google, the JSON of a service account).
    pub secret_access_key: Option<SecretString>,
    /// Whether `http://` is allowed.
    pub allow_http: bool,
    /// Whether the bucket's name is part of the host's name.
    pub virtual_hosted: bool,
    /// The operator's word that this process is the only one that writes, for a service without conditional writes.
    pub single_writer: bool,
}

impl Storage {
    /// Opens what `location` names. A bucket is tried first: unless it lets one of many racing writers win, and
    /// `connection.single_writer` is not set, it is refused.
    pub async fn connect(
        location: &StorageLocation,
        role: ProcessRole,
        connection: &Connection,
        options: StorageOptions,
    ) -> Result<Self, StorageError> {
        match location {
            StorageLocation::Memory => Ok(Self::memory(options)),
            StorageLocation::Folder(path) => Self::folder(path, role, options).await,
            StorageLocation::Bucket { cloud, bucket, prefix } => {
                Self::bucket((*cloud, bucket, prefix), connection, role, options).await
            }
        }
    }

    /// An empty storage in memory.
    pub fn memory(options: StorageOptions) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(Metered::new(InMemory::new()));
        // Nobody else can write: what was cached stays true.
        Self::assemble(Arc::clone(&store), store, Place::Memory, Rule::Epoch, options)
    }

    /// A storage in a local folder, which is created where it is missing.
    pub async fn folder(
        path: impl AsRef<FilePath>,
        role: ProcessRole,
        options: StorageOptions,
    ) -> Result<Self, StorageError> {
        let path = path.as_ref().to_owned();
        let shown = path.display().to_string();
        let opened = tokio::task::spawn_blocking(move || {
            let folder = FolderStore::open(&path)?;
            let alone = role == ProcessRole::Command || folder.try_serve()?;
            Ok::<_, std::io::Error>((folder, alone))
        });
        let failed = |error: &dyn std::fmt::Display| {
            StorageError::Setup(format!("the folder {shown} cannot be opened: {error}"))
        };
        let (folder, alone) =
            opened.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        if !alone {
            return Err(StorageError::Setup(format!(
                "another server runs on the folder {shown}, or `gc` with a short grace does; stop it, or give this one a \
                 storage of its own"
            )));
        }
        let server = role == ProcessRole::Server;
        // The server is told of what others write; others are not told of what it writes.
        let rule = if server { Rule::Epoch } else { Rule::Staleness(Duration::ZERO) };
        let store: Arc<dyn ObjectStore> = Arc::new(Metered::new(folder.clone()));
        let storage =
            Self::assemble(Arc::clone(&store), store, Place::Folder { folder, server }, rule, options);
        layout::claim(&storage).await?;
        Ok(storage)
    }

    async fn bucket(
        (cloud, bucket, prefix): (Cloud, &str, &str),
        connection: &Connection,
        role: ProcessRole,
        mut options: StorageOptions,
    ) -> Result<Self, StorageError> {
        let bucket::Clients { documents, artifacts, presigner } =
            bucket::open(cloud, bucket, prefix, connection)?;
        options.presigner.get_or_insert(presigner);
        let documents: Arc<dyn ObjectStore> = if connection.single_writer {
            Arc::new(Metered::new(PutsBy::new(SingleWriter::default(), documents)))
        } else {
            Arc::new(Metered::new(documents))
        };
        // A service may take seconds to decide a race. A command need not have one where whoever made the layout did, and every
        // server that starts does.
        let was_tried = role == ProcessRole::Command && documents.head(&path(&layout::key())).await.is_ok();
        if !was_tried {
            probe::conditional_writes(&documents).await?;
        }
        let rule = Rule::Staleness(options.max_staleness);
        let artifacts = Arc::new(Metered::new(artifacts));
        let storage = Self::assemble(documents, artifacts, Place::Bucket, rule, options);
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
        let StorageOptions { hooks, cache_bytes, max_staleness: _, presigner } = options;
        Self {
            engine: Arc::new(Engine {
                documents,
                artifacts,
                presigner,
                place,
                cache: Cache::new(cache_bytes),
                rule,
                queues: Queues::default(),
                hooks,
                tasks: Tasks::default(),
                inspections: Arc::new(Semaphore::new(INSPECTIONS)),
            }),
        }
    }
}
