//! What is kept of upstreams, as an operator sees it: how much, dropping it, collecting what crashes left.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};

use super::{
    UpstreamId, Upstreams,
    stored::{Resource, StoredArtifact},
};
use crate::{
    maintenance::GcRun,
    storage::{Key, ListEntry, StorageError},
};

/// How much is kept of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Documents.
    pub documents: u64,
    /// Artefacts.
    pub artifacts: u64,
    /// Bytes of both, as stored.
    pub bytes: u64,
}

/// What is kept of one name from one upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptOfName {
    /// The upstream's id.
    pub upstream: String,
    /// How much.
    pub kept: Kept,
    /// When the newest of it was stored.
    pub newest: DateTime<Utc>,
}

/// What is dropped of what is kept.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Purge {
    /// Of this upstream alone.
    pub upstream: Option<UpstreamId>,
    /// Of this name alone: all that is called by it, and by it with more behind it.
    pub name: Option<String>,
}

impl Kept {
    fn count(&mut self, entry: &ListEntry) {
        self.bytes = self.bytes.saturating_add(entry.size);
        match entry.key.as_str().rsplit('/').next() {
            Some("_document.json") => self.documents += 1,
            Some("_artifact.json") => self.artifacts += 1,
            _ => {}
        }
    }
}

/// Whether what follows the kind in a key is of a name, itself encoded.
fn is_of(rest: &str, name: &str) -> bool {
    rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
}

impl Purge {
    /// Everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Of this upstream alone.
    pub fn of(mut self, upstream: UpstreamId) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// Of this name alone.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Upstreams {
    /// How much is kept, by the upstream's id.
    pub async fn kept(&self) -> Result<BTreeMap<String, Kept>, StorageError> {
        let mut all: BTreeMap<String, Kept> = BTreeMap::new();
        for entry in self.cached().await? {
            if let Some((id, _)) = self.place(&entry.key) {
                all.entry(id.to_owned()).or_default().count(&entry);
            }
        }
        Ok(all)
    }

    /// What is kept of a name.
    pub async fn kept_of(&self, name: &str) -> Result<Vec<KeptOfName>, StorageError> {
        let name = Resource::encoded_name(name);
        let mut all: BTreeMap<String, KeptOfName> = BTreeMap::new();
        for entry in self.cached().await? {
            let Some((id, rest)) = self.place(&entry.key) else { continue };
            if is_of(rest, &name) {
                let modified = DateTime::<Utc>::from(entry.modified);
                let one = all.entry(id.to_owned()).or_insert_with(|| KeptOfName {
                    upstream: id.to_owned(),
                    kept: Kept::default(),
                    newest: modified,
                });
                one.kept.count(&entry);
                one.newest = one.newest.max(modified);
            }
        }
        Ok(all.into_values().collect())
    }

    /// Drops what is kept, and says how many objects and bytes went. What is hosted is not touched; what is being served ends well on a
    /// folder, and may break off on a bucket. A server forgets what it has in memory when it looks at the store next.
    pub async fn purge(&self, purge: &Purge) -> Result<(u64, u64), StorageError> {
        let name = purge.name.as_deref().map(Resource::encoded_name);
        let (mut count, mut bytes) = (0, 0_u64);
        let mut entries = self.cached().await?;
        // Records go before the bytes that they name.
        entries.sort_by_key(|entry| entry.key.as_str().contains("/_artifact~"));
        for entry in entries {
            let Some((id, rest)) = self.place(&entry.key) else { continue };
            let of_upstream = purge.upstream.as_ref().is_none_or(|wanted| wanted.as_str() == id);
            let of_name = name.as_deref().is_none_or(|name| is_of(rest, name));
            if of_upstream && of_name {
                self.store().remove(&entry.key).await?;
                (count, bytes) = (count + 1, bytes.saturating_add(entry.size));
                self.engine().shared.negative.remove(&entry.key);
                self.engine().shared.histories.remove(&entry.key);
            }
        }
        if purge.name.is_none() {
            self.engine().shared.negative.clear();
        }
        Ok((count, bytes))
    }

    /// Removes bytes that no record names: those of fetches whose process died.
    pub async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        // The listing comes first: what it holds and its record, read then, does not name, nobody is about to name once it is old.
        let entries = self.cached().await?;
        let is_data = |entry: &&ListEntry| entry.key.as_str().contains("/_artifact~");
        for entry in entries.iter().filter(is_data) {
            run.report.examined();
            let named = match self.record_of(&entry.key).await? {
                Some(record) => record.data.into_iter().map(|data| data.key).collect(),
                None => HashSet::new(),
            };
            if !named.contains(&entry.key) && entry.age(run.now) > run.minimum_age {
                run.remove(self.store(), entry).await?;
            }
        }
        Ok(())
    }

    async fn record_of(&self, data: &Key) -> Result<Option<StoredArtifact>, StorageError> {
        let Some((folder, _)) = data.as_str().rsplit_once('/') else { return Ok(None) };
        let key = Key::from_encoded(format!("{folder}/_artifact.json"));
        let record = self.store().read::<StoredArtifact>(&key).await?;
        Ok(record.filter(|record| !record.gone).map(|record| record.value.clone()))
    }

    async fn cached(&self) -> Result<Vec<ListEntry>, StorageError> {
        self.store().list(&self.store().key().fixed("_cache").build()).await
    }

    /// The upstream's id in a key of something that is kept, and what follows the kind.
    fn place<'k>(&self, key: &'k Key) -> Option<(&'k str, &'k str)> {
        let root = self.store().key().fixed("_cache").build();
        let rest = key.as_str().strip_prefix(root.as_str())?.strip_prefix('/')?;
        let mut parts = rest.splitn(4, '/');
        let (id, _identity, _kind) = (parts.next()?, parts.next()?, parts.next()?);
        Some((id, parts.next()?))
    }
}
