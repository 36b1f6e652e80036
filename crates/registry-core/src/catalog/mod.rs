//! What exists: names, latest versions, summaries. Derived from the store; it can be rebuilt from it.

mod keeper;
mod life;
mod listing;
mod marker;
mod reading;
mod shelves;
mod snapshot;
mod stream;
mod writing;

#[cfg(test)]
mod suite;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::{keeper::Keeper, shelves::Shelves};
use crate::{
    InstanceName, PackageRegistry,
    clock::Clock,
    storage::{Storage, StorageError},
};

/// Whether a server that works on the store has said so lately.
pub(crate) async fn servers_live(storage: &Storage, now: DateTime<Utc>) -> Result<bool, StorageError> {
    marker::any_live(&storage.system(), now).await
}

/// One package as lists and searches show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// The package's name.
    pub name: String,
    /// Its latest version, where the protocol has one.
    #[serde(default)]
    pub latest: Option<String>,
    /// A line about it.
    #[serde(default)]
    pub summary: Option<String>,
    /// Its keywords.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// When it last changed.
    pub changed: DateTime<Utc>,
    /// What else the protocol's search shows, in the protocol's own form.
    #[serde(default)]
    pub details: serde_json::Value,
}

impl CatalogEntry {
    /// An entry with only a name and a time.
    pub fn new(name: impl Into<String>, changed: DateTime<Utc>) -> Self {
        Self {
            name: name.into(),
            latest: None,
            summary: None,
            keywords: Vec::new(),
            changed,
            details: serde_json::Value::Null,
        }
    }

    /// The entry, without what makes it too large to be kept beside others.
    fn bounded(self) -> Self {
        if !is_deeper(&self.details, MAX_DETAILS_DEPTH) && json_bytes(&self) <= MAX_ENTRY_BYTES {
            return self;
        }
        tracing::warn!(package = self.name, "an entry is too large for the catalog: only its name is kept");
        Self { latest: self.latest, ..Self::new(self.name, self.changed) }
    }
}

/// The most bytes that an entry may take as JSON.
const MAX_ENTRY_BYTES: usize = 1 << 20;

/// The deepest nesting of an entry's details.
const MAX_DETAILS_DEPTH: usize = 32;

/// Whether a value is nested more than `limit` levels deep.
fn is_deeper(value: &serde_json::Value, limit: usize) -> bool {
    let Some(below) = limit.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        serde_json::Value::Array(list) => list.iter().any(|item| is_deeper(item, below)),
        serde_json::Value::Object(map) => map.values().any(|item| is_deeper(item, below)),
        _ => false,
    }
}

/// How many bytes an entry takes as JSON.
fn json_bytes(entry: &CatalogEntry) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
            self.0 += piece.len();
            Ok(piece.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, entry) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// The catalog of all instances. Cloning is cheap.
///
/// It is derived from the store: each server appends the changes that its registries tell of to a stream of its own
/// (`_system/changes/<node>/<number>`, together what came within 1.5 s, so that no publish waits for it) and reads the others'
/// streams when somebody asks and its own knowledge is older than 2.5 s. From time to time the streams are summed up in a
/// snapshot (`_system/catalog/…`). It is loaded when it is first asked for.
///
/// A server that works on a store leaves a marker (`_system/servers/<node>`) which it removes when it ends in order. Where
/// one is left behind, changes may be missing, and every registry tells anew what exists.
#[derive(Clone, Debug)]
pub struct Catalog {
    keeper: Arc<Keeper>,
}

impl Catalog {
    /// An empty catalog in memory only.
    pub fn memory() -> Self {
        Self { keeper: Arc::new(Keeper::memory()) }
    }

    /// The catalog of a storage. Reads and writes nothing yet.
    pub fn stored(storage: &Storage, clock: Arc<dyn Clock>) -> Self {
        Self { keeper: Arc::new(Keeper::stored(storage, clock)) }
    }

    /// For a server, before its first request: leaves its marker and, where an earlier server did not end in order or there is no
    /// catalog yet, has these registries tell anew what exists, in the background. A second call names other registries.
    pub async fn start(&self, registries: &[Arc<dyn PackageRegistry>]) -> Result<(), StorageError> {
        self.keeper.start(registries).await
    }

    /// Has these registries tell now what exists, and takes out what they did not tell of.
    pub async fn rescan(&self, registries: &[Arc<dyn PackageRegistry>]) -> Result<(), StorageError> {
        self.keeper.rescan(registries).await
    }

    /// Whether a server has made it yet: before, it knows of the changes since then alone.
    pub async fn was_made(&self) -> Result<bool, StorageError> {
        self.keeper.was_made().await
    }

    /// Says that a package changed (`Some`) or went away (`None`). Visible here at once, on other nodes within 5 s. Never
    /// fails the operation that it tells of.
    ///
    /// An entry that takes more than 1 MiB of JSON, or whose details are nested more than 32 levels deep, is listed by its name and
    /// latest version alone: it could not be read back with the others.
    ///
    /// [`CatalogEntry::changed`] must grow with each change of a package: where two calls for one come within 10 s, the entry
    /// with the older time is taken as overtaken by the other.
    pub fn changed(&self, instance: &InstanceName, name: &str, entry: Option<CatalogEntry>) {
        self.keeper.changed(instance, name, entry.map(CatalogEntry::bounded));
    }

    /// At most `limit` entries in byte order of their names, beginning after `after` (exclusive), that `filter` lets through.
    pub async fn page(
        &self,
        instance: &InstanceName,
        after: Option<&str>,
        limit: usize,
        filter: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Arc<CatalogEntry>>, StorageError> {
        let page = |shelves: &Shelves| {
            let entries = shelves.entries(instance, after).filter(|entry| filter(&entry.name));
            entries.take(limit).cloned().collect()
        };
        self.keeper.ask(page).await
    }

    /// All entries, for a search that ranks them itself.
    pub async fn all(&self, instance: &InstanceName) -> Result<Vec<Arc<CatalogEntry>>, StorageError> {
        self.keeper.ask(|shelves| shelves.entries(instance, None).cloned().collect()).await
    }

    /// What tells this state of an instance's entries from all others that this process has seen.
    pub(super) async fn edition(&self, instance: &InstanceName) -> Result<u64, StorageError> {
        self.keeper.ask(|shelves| shelves.edition(instance)).await
    }

    /// All entries, with their state's edition.
    pub(super) async fn edited(
        &self,
        instance: &InstanceName,
    ) -> Result<(u64, Vec<Arc<CatalogEntry>>), StorageError> {
        let whole = |shelves: &Shelves| {
            (shelves.edition(instance), shelves.entries(instance, None).cloned().collect())
        };
        self.keeper.ask(whole).await
    }

    /// Writes now what would be written soon.
    pub async fn flush(&self) -> Result<(), StorageError> {
        self.keeper.flush().await
    }

    /// Ends background work, writes what is left and takes the marker away. A change after it is not written.
    pub async fn shutdown(&self) {
        self.keeper.shutdown().await;
    }
}
