//! One repository: its manifests, tags and links.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry_core::{
    hooks::Operation,
    storage::{Document, Draft, Key, StorageError, Versioned},
};

use super::{Collector, READS_AT_ONCE, Step, next_life, storage_error};
use crate::{
    error::Error,
    names::Digest,
    store::{BlobLink, Life, ManifestRecord, StoredManifest, bury_link, bury_manifest, digest_of},
    wire::manifest::Manifest,
};

/// What a repository's manifests say.
#[derive(Default)]
struct Graph {
    /// The manifests that are not dead, and what they name; `None` where one cannot be read.
    manifests: HashMap<Digest, (Life, Option<Manifest>)>,
    /// Whether all could be read. If not, nothing is collected that any might name.
    complete: bool,
}

impl Collector<'_> {
    pub(super) async fn collect_repository(&mut self, repository: &Key) -> Result<(), StorageError> {
        let records =
            self.documents::<ManifestRecord>(&repository.child().fixed("_manifests").build()).await?;
        let mut graph = self.read_manifests(&records).await?;
        let tags = self.store.tag_records_below(&repository.child().fixed("_tags").build()).await;
        let tags = tags.map_err(storage_error)?;
        let tagged: HashSet<&Digest> = tags.iter().map(|(_, digest)| digest).collect();
        let live = self.live_manifests(&graph, &tagged);
        let mut buried = Vec::new();
        for (key, record) in &records {
            self.examined();
            let old =
                self.untagged.filter(|_| !Self::is_orphan(&graph, &record.digest)).unwrap_or(self.grace);
            let step = self.step(record.life, live.contains(&record.digest) || !graph.complete, old);
            if step != Step::Keep {
                self.move_manifest(key, record, step).await?;
            }
            if step == Step::Bury && self.looks_ahead() {
                buried.push(&record.digest);
            }
            self.remove_manifest_data(key, record, step).await?;
        }
        for digest in buried {
            graph.manifests.remove(digest);
        }
        self.remove_unnamed_manifest_data(repository, &records).await?;
        self.collect_links(repository, &graph).await
    }

    async fn documents<D: Document>(
        &self,
        folder: &Key,
    ) -> Result<Vec<(Key, Arc<Versioned<D>>)>, StorageError> {
        let children = self.store.store().children(folder, None, usize::MAX).await?;
        stream::iter(children)
            .map(|child| async move {
                let key = folder.child().listed(&child).build();
                Ok(self.store.store().read_fresh::<D>(&key).await?.map(|document| (key, document)))
            })
            .buffered(READS_AT_ONCE)
            .try_filter_map(|found| async { Ok(found) })
            .try_collect()
            .await
    }

    async fn read_manifests(
        &self,
        records: &[(Key, Arc<Versioned<ManifestRecord>>)],
    ) -> Result<Graph, StorageError> {
        let mut graph = Graph { complete: true, ..Graph::default() };
        for (key, record) in records.iter().filter(|(_, record)| !record.life.is_dead()) {
            let stored = StoredManifest::new(key.clone(), Arc::clone(record));
            let manifest = match self.store.manifest_bytes(&stored).await {
                Ok(bytes) => Manifest::parse_stored(&bytes, &record.media_type).ok(),
                Err(error) if matches!(error, Error::Storage(StorageError::Unavailable { .. })) => {
                    return Err(storage_error(error));
                }
                Err(_) => None,
            };
            if manifest.is_none() {
                tracing::warn!(key = %key, "a stored manifest cannot be read: nothing of its repository is collected");
                graph.complete = false;
            }
            graph.manifests.insert(record.digest.clone(), (record.life, manifest));
        }
        Ok(graph)
    }

    /// Whether a manifest names a subject that is not there.
    fn is_orphan(graph: &Graph, digest: &Digest) -> bool {
        let manifest = graph.manifests.get(digest).and_then(|(_, manifest)| manifest.as_ref());
        manifest
            .and_then(|manifest| manifest.subject.as_ref())
            .is_some_and(|of| !graph.manifests.contains_key(of))
    }

    /// Tagged manifests, by policy untagged ones, all that they reach, and the referrers of these.
    fn live_manifests(&self, graph: &Graph, tagged: &HashSet<&Digest>) -> HashSet<Digest> {
        let mut referrers = HashMap::<&Digest, Vec<&Digest>>::new();
        let mut open = Vec::new();
        for (digest, (_, manifest)) in &graph.manifests {
            let subject = manifest.as_ref().and_then(|manifest| manifest.subject.as_ref());
            if let Some(subject) = subject {
                referrers.entry(subject).or_default().push(digest);
            }
            if tagged.contains(digest) || (subject.is_none() && self.untagged.is_none()) {
                open.push(digest);
            }
        }
        let mut live = HashSet::new();
        while let Some(digest) = open.pop() {
            let Some((_, manifest)) = graph.manifests.get(digest) else { continue };
            if live.insert(digest.clone()) {
                let children =
                    manifest.iter().flat_map(|manifest| &manifest.named).filter(|named| named.child);
                open.extend(children.map(|named| &named.digest));
                open.extend(referrers.get(digest).into_iter().flatten().copied());
            }
        }
        live
    }

    async fn move_manifest(
        &self,
        key: &Key,
        record: &Versioned<ManifestRecord>,
        step: Step,
    ) -> Result<(), StorageError> {
        let inline = record.inline.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if self.run.dry_run {
            self.tell(key, step, inline);
            return Ok(());
        }
        let (judged, now) = (record.life, self.store.now());
        let change = move |draft: &mut Draft<ManifestRecord>| {
            let life = draft.get().and_then(|record| next_life(step, judged, record.life, now));
            match life {
                Some(life) if life.is_dead() => {
                    bury_manifest(draft, now);
                }
                Some(life) => {
                    if let Some(record) = draft.edit() {
                        record.life = life;
                    }
                }
                None => {}
            }
            Ok::<_, Error>(life.is_some())
        };
        let event = || {
            self.store
                .store()
                .event(Operation::Delete, key, &self.actor)
                .package(record.repository.as_str())
                .digest(record.digest.as_str())
                .size(record.size)
                .content_type(&record.media_type)
        };
        if self.change(key, step, event, change).await? {
            self.tell(key, step, inline);
        }
        Ok(())
    }

    /// Tells of a step that was (or would be) taken.
    fn tell(&self, key: &Key, step: Step, bytes: u64) {
        if step == Step::Bury {
            self.removed(key.as_str(), bytes);
        }
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Writes a step, and says whether it was taken; burying is an operation that the hooks see and may refuse.
    async fn change<D: Document>(
        &self,
        key: &Key,
        step: Step,
        event: impl FnOnce() -> registry_core::hooks::HookEvent + Send,
        change: impl FnMut(&mut Draft<D>) -> Result<bool, Error> + Send + 'static,
    ) -> Result<bool, StorageError> {
        let store = self.store.store();
        let changed = if step == Step::Bury {
            match store.permit_with(event).await {
                Ok(permit) => store.commit(key, permit, change).await.map(|(moved, _)| moved),
                Err(StorageError::Denied(denied)) => {
                    tracing::info!(key = %key, reason = %denied, "a hook keeps what could be collected");
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        } else {
            store.update(key, change).await.map(|(moved, _)| moved)
        };
        changed.map_err(storage_error)
    }

    /// A dead manifest's data goes a grace later.
    async fn remove_manifest_data(
        &self,
        key: &Key,
        record: &Versioned<ManifestRecord>,
        step: Step,
    ) -> Result<(), StorageError> {
        let Some(data) = record.data.clone() else { return Ok(()) };
        if !self.data_goes(record.life, step) {
            return Ok(());
        }
        if !self.run.dry_run {
            let judged = record.life;
            let forget = move |draft: &mut Draft<ManifestRecord>| {
                let unchanged = draft.get().is_some_and(|record| record.life == judged);
                if unchanged && let Some(record) = draft.edit() {
                    record.data = None;
                }
                Ok::<_, StorageError>(unchanged)
            };
            if !self.store.store().update(key, forget).await?.0 {
                return Ok(());
            }
        }
        self.remove_data(&[data]).await
    }

    async fn remove_unnamed_manifest_data(
        &self,
        repository: &Key,
        records: &[(Key, Arc<Versioned<ManifestRecord>>)],
    ) -> Result<(), StorageError> {
        let folder = repository.child().fixed("_manifests").build();
        let documents: HashSet<&Key> = records.iter().map(|(key, _)| key).collect();
        let named: HashSet<&Key> =
            records.iter().filter_map(|(_, record)| Some(&record.data.as_ref()?.key)).collect();
        for entry in self.store.store().list(&folder).await? {
            if !documents.contains(&entry.key) && !named.contains(&entry.key) && self.is_abandoned(&entry) {
                self.remove_entry(&entry).await?;
            }
        }
        Ok(())
    }

    async fn collect_links(&mut self, repository: &Key, graph: &Graph) -> Result<(), StorageError> {
        // A condemned manifest may live again: what it names stays.
        let named: HashSet<&Digest> = graph
            .manifests
            .values()
            .filter_map(|(_, manifest)| manifest.as_ref())
            .flat_map(|manifest| manifest.named.iter().map(|named| &named.digest))
            .collect();
        let folder = repository.child().fixed("_blobs").build();
        let name = self.store.repository_name(repository);
        let store = self.store.store();
        for child in store.children(&folder, None, usize::MAX).await? {
            let Some(digest) = digest_of(&child) else { continue };
            let key = folder.child().listed(&child).build();
            let Some(link) = store.read_fresh::<BlobLink>(&key).await? else { continue };
            self.examined();
            let mut dies = false;
            match self.step(link.life, named.contains(&digest) || !graph.complete, self.grace) {
                Step::Keep => {}
                // One that lives again meanwhile still needs its blob.
                step => dies = self.move_link(&name, &key, &link, step).await? && step == Step::Bury,
            }
            if link.inline.is_none() && !link.life.is_dead() && !dies {
                self.linked.insert(digest);
            }
        }
        Ok(())
    }

    /// Takes a link's step; says whether it was (or would be) taken.
    async fn move_link(
        &self,
        name: &str,
        key: &Key,
        link: &Versioned<BlobLink>,
        step: Step,
    ) -> Result<bool, StorageError> {
        let inline = link.inline.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if self.run.dry_run {
            self.tell(key, step, inline);
            return Ok(true);
        }
        let (judged, now) = (link.life, self.store.now());
        let change = move |draft: &mut Draft<BlobLink>| {
            let life = draft.get().and_then(|link| next_life(step, judged, link.life, now));
            match life {
                Some(life) if life.is_dead() => {
                    bury_link(draft, now);
                }
                Some(life) => {
                    if let Some(link) = draft.edit() {
                        link.life = life;
                    }
                }
                None => {}
            }
            Ok::<_, Error>(life.is_some())
        };
        let event = || {
            self.store
                .store()
                .event(Operation::Delete, key, &self.actor)
                .package(name)
                .digest(link.digest.as_str())
                .size(link.size)
        };
        let moved = self.change(key, step, event, change).await?;
        if moved {
            self.tell(key, step, inline);
        }
        Ok(moved)
    }
}
