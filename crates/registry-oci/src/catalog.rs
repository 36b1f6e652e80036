//! Telling the catalog what exists.

use registry_core::{
    catalog::CatalogEntry,
    storage::{Key, StorageError},
};

use crate::{
    error::Error,
    names::{RepositoryName, Tag},
    registry::Inner,
    store::{ManifestRecord, TagRecord},
};

impl Inner {
    /// A manifest was pushed.
    pub(crate) fn note_push(&self, name: &RepositoryName, tag: Option<&Tag>) {
        let mut entry = CatalogEntry::new(name.as_str(), self.store.now());
        entry.latest = tag.map(ToString::to_string);
        self.services.catalog.changed(&self.instance.name, name.as_str(), Some(entry));
    }

    /// A tag or manifest was deleted: the repository vanishes from lists with its last manifest.
    pub(crate) async fn note_delete(&self, name: &RepositoryName) -> Result<(), Error> {
        let key = self.store.repository_key(name);
        let entry = self.entry(&key).await?;
        self.services.catalog.changed(&self.instance.name, name.as_str(), entry);
        Ok(())
    }

    /// What the catalog should know of the repository at a key; `None` where it has no manifest.
    async fn entry(&self, repository: &Key) -> Result<Option<CatalogEntry>, StorageError> {
        let store = self.store.store();
        let manifests = repository.child().fixed("_manifests").build();
        let mut name = None;
        for child in store.children(&manifests, None, usize::MAX).await? {
            let record = store.read::<ManifestRecord>(&manifests.child().listed(&child).build()).await?;
            if let Some(record) = record.filter(|record| !record.life.is_dead()) {
                name = Some((record.repository.clone(), record.life.since));
                break;
            }
        }
        let Some((name, mut changed)) = name else { return Ok(None) };
        let tags = repository.child().fixed("_tags").build();
        let mut latest = None;
        for child in store.children(&tags, None, usize::MAX).await? {
            let record = store.read::<TagRecord>(&tags.child().listed(&child).build()).await?;
            if let Some(record) = record.filter(|record| record.digest.is_some())
                && (latest.is_none() || record.updated > changed)
            {
                changed = record.updated;
                latest = Some(record.tag.to_string());
            }
        }
        let mut entry = CatalogEntry::new(name.as_str(), changed);
        entry.latest = latest;
        Ok(Some(entry))
    }

    /// Tells the catalog of every repository.
    pub(crate) async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        for repository in self.store.repositories().await? {
            if let Some(entry) = self.entry(&repository).await? {
                let name = entry.name.clone();
                self.services.catalog.changed(&self.instance.name, &name, Some(entry));
            }
        }
        Ok(())
    }
}
