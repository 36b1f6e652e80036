//! What exists: names, latest versions, summaries. Derived from the store; it can be rebuilt from it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
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
    _placeholder: Arc<()>,
}

impl Catalog {
    /// Says that a package changed (`Some`) or went away (`None`). Visible here at once, on other nodes within 5 s. Never
    /// fails the operation that it tells of.
    pub fn changed(&self, instance: &InstanceName, name: &str, entry: Option<CatalogEntry>) {
        unimplemented!()
    }

    /// At most `limit` entries in byte order of their names, beginning after `after` (exclusive), that `filter` lets through.
    pub async fn page(
        &self,
        instance: &InstanceName,
        after: Option<&str>,
        limit: usize,
        filter: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Arc<CatalogEntry>>, StorageError> {
        unimplemented!()
    }

    /// All entries, for a search that ranks them itself.
    pub async fn all(&self, instance: &InstanceName) -> Result<Vec<Arc<CatalogEntry>>, StorageError> {
        unimplemented!()
    }
}
