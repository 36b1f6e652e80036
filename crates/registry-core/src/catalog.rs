//! What exists: names, latest versions, summaries. Derived from the store; it can be rebuilt from it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::{InstanceName, storage::StorageError};

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
}

/// The catalog of all instances. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Catalog {
    shelves: Arc<RwLock<HashMap<InstanceName, Shelf>>>,
}

/// One instance's entries in byte order of their names.
type Shelf = BTreeMap<Arc<str>, Arc<CatalogEntry>>;

impl Catalog {
    /// An empty catalog in memory only.
    pub fn memory() -> Self {
        Self { shelves: Arc::default() }
    }

    /// Says that a package changed (`Some`) or went away (`None`). Visible here at once, on other nodes within 5 s. Never
    /// fails the operation that it tells of.
    pub fn changed(&self, instance: &InstanceName, name: &str, entry: Option<CatalogEntry>) {
        let mut shelves = self.shelves.write();
        let shelf = shelves.entry(instance.clone()).or_default();
        match entry {
            Some(entry) => {
                shelf.insert(name.into(), Arc::new(entry));
            }
            None => {
                shelf.remove(name);
            }
        }
    }

    /// At most `limit` entries in byte order of their names, beginning after `after` (exclusive), that `filter` lets through.
    pub async fn page(
        &self,
        instance: &InstanceName,
        after: Option<&str>,
        limit: usize,
        filter: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Arc<CatalogEntry>>, StorageError> {
        let shelves = self.shelves.read();
        let Some(shelf) = shelves.get(instance) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = shelf.range::<str, _>((from, Bound::Unbounded));
        Ok(entries.filter(|(name, _)| filter(name)).map(|(_, entry)| Arc::clone(entry)).take(limit).collect())
    }

    /// All entries, for a search that ranks them itself.
    pub async fn all(&self, instance: &InstanceName) -> Result<Vec<Arc<CatalogEntry>>, StorageError> {
        let shelves = self.shelves.read();
        Ok(shelves.get(instance).map(|shelf| shelf.values().cloned().collect()).unwrap_or_default())
    }
}
