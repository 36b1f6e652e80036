//! Large blobs: their descriptors and data.

use std::{collections::HashSet, sync::atomic::Ordering};

use registry_core::storage::{Draft, Key, StorageError, Versioned};

use super::{Collector, Step, next_life};
use crate::{
    names::{Algorithm, Digest},
    store::{BlobDescriptor, BlobLink, bury_link, digest_of},
};

impl Collector<'_> {
    /// Walks the descriptors, one folder at a time.
    pub(super) async fn collect_blobs(&mut self) -> Result<(), StorageError> {
        let mut without_owner = self.linked.clone();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let root = self.store.blobs_key().child().fixed(algorithm.as_str()).build();
            for folder in self.store.store().children(&root, None, usize::MAX).await? {
                let folder = root.child().listed(&folder).build();
                self.collect_folder(algorithm, &folder, &mut without_owner).await?;
            }
        }
        self.bury_dangling_links(&without_owner).await
    }

    async fn collect_folder(
        &self,
        algorithm: Algorithm,
        folder: &Key,
        without_owner: &mut HashSet<Digest>,
    ) -> Result<(), StorageError> {
        let store = self.store.store();
        let entries = store.list(folder).await?;
        let mut named = HashSet::new();
        let mut documents = HashSet::new();
        for entry in &entries {
            let Some(hex) = entry.key.as_str().rsplit_once('/').map(|(_, file)| file) else { continue };
            let Ok(digest) = format!("{}:{hex}", algorithm.as_str()).parse::<Digest>() else { continue };
            documents.insert(entry.key.clone());
            let Some(descriptor) = store.read_fresh::<BlobDescriptor>(&entry.key).await? else { continue };
            self.examined();
            if !descriptor.life.is_dead() {
                without_owner.remove(&digest);
            }
            let step = self.step(descriptor.life, self.linked.contains(&digest), self.grace);
            if step != Step::Keep {
                self.move_descriptor(&entry.key, &descriptor, step).await?;
            }
            named.extend(descriptor.parts.iter().map(|part| part.key.clone()));
            self.remove_blob_data(&entry.key, &descriptor, step).await?;
        }
        for entry in entries.iter().filter(|entry| !documents.contains(&entry.key)) {
            if !named.contains(&entry.key)
                && self.is_abandoned(entry)
                && self.is_unnamed(algorithm, entry).await?
            {
                self.remove_entry(entry).await?;
            }
        }
        Ok(())
    }

    /// Whether data beside a descriptor is not its own, by what the store says now.
    async fn is_unnamed(
        &self,
        algorithm: Algorithm,
        entry: &registry_core::storage::ListEntry,
    ) -> Result<bool, StorageError> {
        let file = entry.key.as_str().rsplit_once('/').map_or("", |(_, file)| file);
        let hex = file.split('~').next().unwrap_or_default();
        let Ok(digest) = format!("{}:{hex}", algorithm.as_str()).parse::<Digest>() else { return Ok(false) };
        let descriptor =
            self.store.store().read_fresh::<BlobDescriptor>(&self.store.descriptor_key(&digest)).await?;
        Ok(descriptor.is_none_or(|descriptor| descriptor.parts.iter().all(|part| part.key != entry.key)))
    }

    async fn move_descriptor(
        &self,
        key: &Key,
        descriptor: &Versioned<BlobDescriptor>,
        step: Step,
    ) -> Result<(), StorageError> {
        if self.run.dry_run {
            return Ok(());
        }
        let (judged, now) = (descriptor.life, self.store.now());
        let change = move |draft: &mut Draft<BlobDescriptor>| {
            let life = draft.get().and_then(|known| next_life(step, judged, known.life, now));
            if let (Some(life), Some(known)) = (life, life.and_then(|_| draft.edit())) {
                known.life = life;
            }
            Ok::<_, StorageError>(life.is_some())
        };
        if self.store.store().update(key, change).await?.0 {
            self.moved.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A dead blob's data goes a grace later.
    async fn remove_blob_data(
        &self,
        key: &Key,
        descriptor: &Versioned<BlobDescriptor>,
        step: Step,
    ) -> Result<(), StorageError> {
        let life = descriptor.life;
        if descriptor.parts.is_empty() || !self.data_goes(life, step) {
            return Ok(());
        }
        if !self.run.dry_run {
            let forget = move |draft: &mut Draft<BlobDescriptor>| {
                let unchanged = draft.get().is_some_and(|known| known.life == life);
                if unchanged && let Some(known) = draft.edit() {
                    known.parts.clear();
                }
                Ok::<_, StorageError>(unchanged)
            };
            if !self.store.store().update(key, forget).await?.0 {
                return Ok(());
            }
        }
        self.remove_data(&descriptor.parts).await
    }

    /// Links whose blob has no owner: a mount or an upload died between its two writes and was never acknowledged.
    async fn bury_dangling_links(&self, without_owner: &HashSet<Digest>) -> Result<(), StorageError> {
        if without_owner.is_empty() {
            return Ok(());
        }
        let store = self.store.store();
        for repository in self.store.repositories().await? {
            let folder = repository.child().fixed("_blobs").build();
            for child in store.children(&folder, None, usize::MAX).await? {
                let Some(digest) = digest_of(&child).filter(|digest| without_owner.contains(digest)) else {
                    continue;
                };
                let key = folder.child().listed(&child).build();
                let Some(link) = store.read_fresh::<BlobLink>(&key).await? else { continue };
                let owner = store.read_fresh::<BlobDescriptor>(&self.store.descriptor_key(&digest)).await?;
                let owned = owner.is_some_and(|owner| !owner.life.is_dead());
                if owned
                    || link.inline.is_some()
                    || link.life.is_dead()
                    || !self.is_past(link.life.since, self.grace)
                {
                    continue;
                }
                self.removed(key.as_str(), 0);
                if !self.run.dry_run {
                    let (judged, now) = (link.life, self.store.now());
                    let change = move |draft: &mut Draft<BlobLink>| {
                        if draft.get().is_some_and(|link| link.life == judged) {
                            bury_link(draft, now);
                        }
                        Ok::<_, StorageError>(())
                    };
                    store.update(&key, change).await?;
                }
            }
        }
        Ok(())
    }
}
