//! Manifests.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use registry_core::{
    Actor,
    hooks::Operation,
    storage::{ArtifactSpec, Draft, Key, PendingArtifact, Permit, StorageError, UnknownFields, Versioned},
};

use super::{Life, ManifestRecord, OciStore, tags::READS_AT_ONCE};
use crate::{
    error::Error,
    names::{Digest, Reference, RepositoryName, Tag},
    wire::manifest::{Manifest, Named},
};

/// Manifests up to this many bytes lie in their records.
const INLINE_BYTES: usize = 64 * 1024;
/// How often a push begins again because the manifest was deleted meanwhile.
const ATTEMPTS: usize = 4;

/// A manifest that is stored and lives.
#[derive(Clone, Debug)]
pub(crate) struct StoredManifest {
    key: Key,
    record: Arc<Versioned<ManifestRecord>>,
}

impl StoredManifest {
    pub(crate) fn new(key: Key, record: Arc<Versioned<ManifestRecord>>) -> Self {
        Self { key, record }
    }

    pub(crate) fn media_type(&self) -> &str {
        &self.record.media_type
    }

    pub(crate) fn record(&self) -> &Versioned<ManifestRecord> {
        &self.record
    }

    /// The record's key.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
}

/// A manifest that is being pushed.
#[derive(Debug)]
pub(crate) struct NewManifest {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
    pub(crate) manifest: Manifest,
    pub(crate) tags: Vec<Tag>,
    /// What the tag must point to now, where the client says so.
    pub(crate) expected: Option<Digest>,
}

impl OciStore {
    /// A manifest by digest. One that garbage collection had condemned lives again.
    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, Error> {
        let key = self.manifest_key(repository, digest);
        let Some(record) = self.store.read::<ManifestRecord>(&key).await? else { return Ok(None) };
        if record.life.is_dead()
            || (!record.life.is_live() && !self.revive_manifest(repository, digest).await?)
        {
            return Ok(None);
        }
        Ok(Some(StoredManifest { key, record }))
    }

    /// A manifest by tag or digest.
    pub(crate) async fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>, Error> {
        match reference {
            Reference::Digest(digest) => self.manifest(repository, digest).await,
            Reference::Tag(tag) => match self.tag(repository, tag).await? {
                Some(digest) => self.manifest(repository, &digest).await,
                None => Ok(None),
            },
        }
    }

    /// A manifest's exact bytes.
    pub(crate) async fn manifest_bytes(&self, stored: &StoredManifest) -> Result<Bytes, Error> {
        let record = stored.record();
        match (&record.inline, &record.data) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(data)) => {
                let body = self.store.read_artifact(std::slice::from_ref(data), None).await?;
                Ok(body
                    .collect()
                    .await
                    .map_err(|error| super::read_failed(std::slice::from_ref(data), error))?
                    .to_bytes())
            }
            (None, None) => Err(StorageError::Damaged {
                key: stored.key.to_string(),
                what: "it has neither bytes nor data".to_owned(),
            }
            .into()),
        }
    }

    /// Whether the repository has the manifest, by what the store says now.
    async fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let key = self.manifest_key(repository, digest);
        match self.store.read_fresh::<ManifestRecord>(&key).await? {
            None => Ok(false),
            Some(record) if record.life.is_live() => Ok(true),
            Some(record) if record.life.is_dead() => Ok(false),
            Some(_) => self.revive_manifest(repository, digest).await,
        }
    }

    async fn revive_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let now = self.now();
        let revive = move |draft: &mut Draft<ManifestRecord>| {
            let alive = draft.get().map(|record| record.life);
            if alive.is_some_and(|life| !life.is_dead() && !life.is_live())
                && let Some(record) = draft.edit()
            {
                record.life = Life::live(now);
            }
            Ok::<_, Error>(alive.is_some_and(|life| !life.is_dead()))
        };
        Ok(self.store.update(&self.manifest_key(repository, digest), revive).await?.0)
    }

    /// What of the named content is not in the repository. What garbage collection had condemned lives again.
    async fn missing(&self, repository: &RepositoryName, named: &[Named]) -> Result<Vec<Digest>, Error> {
        stream::iter(named.to_vec())
            .map(|named| async move {
                let there = (named.child && self.has_manifest(repository, &named.digest).await?)
                    // A child may be a blob: build caches are written so.
                    || self.has_blob(repository, &named.digest).await?;
                Ok((!there && !named.optional).then(|| named.digest.clone()))
            })
            .buffered(READS_AT_ONCE)
            .try_filter_map(|digest| async { Ok(digest) })
            .try_collect()
            .await
    }

    /// Stores a manifest and points its tags to it. The arbiters are the tags, each for itself; without tags the record.
    pub(crate) async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: &NewManifest,
        actor: &Actor,
    ) -> Result<(), Error> {
        self.check_named(repository, new).await?;
        let size = new.bytes.len() as u64;
        let media_type = &new.manifest.media_type;
        let mut tag_permits = Vec::with_capacity(new.tags.len());
        for tag in &new.tags {
            tag_permits.push(self.permit_tag(repository, tag, &new.digest, media_type, size, actor).await?);
        }
        let record_permit = if new.tags.is_empty() {
            Some(self.permit_record(repository, new, actor).await?)
        } else {
            self.check_tags(repository, new).await?;
            None
        };
        if let Some(subject) = &new.manifest.subject {
            self.mark_referrer(repository, subject, &new.digest).await?;
        }
        let was_there = self.put_record(repository, new, record_permit).await?;
        // Garbage collection may have condemned what is named between the first look and the record.
        if let Err(error) = self.check_named(repository, new).await {
            if !was_there {
                self.bury_manifest(repository, &new.digest).await?;
            }
            return Err(error);
        }
        for (tag, permit) in new.tags.iter().zip(tag_permits) {
            self.put_tag(repository, tag, &new.digest, new.expected.clone(), permit).await?;
        }
        // A delete of the same manifest may have come between: then the push comes after it.
        for _ in 0..ATTEMPTS {
            if self.has_manifest(repository, &new.digest).await? {
                break;
            }
            self.put_record(repository, new, None).await?;
        }
        Ok(())
    }

    async fn check_named(&self, repository: &RepositoryName, new: &NewManifest) -> Result<(), Error> {
        let digests = self.missing(repository, &new.manifest.named).await?;
        if digests.is_empty() || self.config.allow_sparse {
            Ok(())
        } else {
            Err(Error::ManifestBlobUnknown { digests })
        }
    }

    /// Refuses early what the tags' commits would refuse, so that no record is written for nothing.
    async fn check_tags(&self, repository: &RepositoryName, new: &NewManifest) -> Result<(), Error> {
        if new.expected.is_none() && self.config.immutable_tags.is_empty() {
            return Ok(());
        }
        for tag in &new.tags {
            let known = self.tag(repository, tag).await?;
            if new.expected.is_some() && known != new.expected {
                return Err(Error::Precondition);
            }
            let immutable = || self.config.immutable_tags.iter().any(|pattern| pattern.matches(tag.as_str()));
            if known.is_some_and(|known| known != new.digest) && immutable() {
                return Err(Error::TagImmutable(tag.to_string()));
            }
        }
        Ok(())
    }

    async fn permit_record(
        &self,
        repository: &RepositoryName,
        new: &NewManifest,
        actor: &Actor,
    ) -> Result<Permit, Error> {
        let event = || {
            self.store
                .event(Operation::Put, &self.manifest_key(repository, &new.digest), actor)
                .package(repository.as_str())
                .digest(new.digest.as_str())
                .size(new.bytes.len() as u64)
                .content_type(&new.manifest.media_type)
        };
        Ok(self.store.permit_with(event).await?)
    }

    /// Writes the record where it is not there or not alive; says whether it was.
    async fn put_record(
        &self,
        repository: &RepositoryName,
        new: &NewManifest,
        permit: Option<Permit>,
    ) -> Result<bool, Error> {
        let key = self.manifest_key(repository, &new.digest);
        let known = self.store.read::<ManifestRecord>(&key).await?;
        let (inline, pending) = if new.bytes.len() <= INLINE_BYTES {
            (Some(new.bytes.clone()), None)
        } else if known.is_some_and(|known| !known.life.is_dead()) {
            (None, None)
        } else {
            let written =
                self.store.write_artifact_bytes(&key, new.bytes.clone(), ArtifactSpec::default()).await?;
            (None, Some(written))
        };
        // Named by the record, or found by garbage collection.
        let data = pending.map(PendingArtifact::keep);
        let record = ManifestRecord {
            repository: repository.clone(),
            digest: new.digest.clone(),
            media_type: new.manifest.media_type.clone(),
            size: new.bytes.len() as u64,
            life: Life::live(self.now()),
            inline,
            data: data.clone(),
            unknown: UnknownFields::default(),
        };
        let change = move |draft: &mut Draft<ManifestRecord>| {
            let Some(known) = draft.get().filter(|known| !known.life.is_dead()) else {
                if record.inline.is_none() && record.data.is_none() {
                    // It died since it was looked at.
                    return Ok(None);
                }
                draft.set(record.clone());
                return Ok::<_, Error>(Some(false));
            };
            let same = known.life.is_live() && known.media_type == record.media_type;
            if !same && let Some(known) = draft.edit() {
                known.life = record.life;
                known.media_type.clone_from(&record.media_type);
            }
            Ok(Some(true))
        };
        let (was_there, _) = match permit {
            Some(permit) => self.store.commit(&key, permit, change).await?,
            None => self.store.update(&key, change).await?,
        };
        match was_there {
            Some(was_there) => {
                if was_there && let Some(data) = data {
                    self.delete_data(&[data]).await;
                }
                Ok(was_there)
            }
            None => Box::pin(self.put_record(repository, new, None)).await,
        }
    }

    /// Deletes a manifest and every tag that points to it; `false` where it was not there. The record is the arbiter.
    pub(crate) async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let Some(stored) = self.manifest(repository, digest).await? else { return Ok(false) };
        let permit = self.permit_deletion(stored.record(), actor).await?;
        let was_there = self.commit_deletion(stored.record(), permit).await?;
        self.delete_tags_of(repository, std::slice::from_ref(digest)).await?;
        Ok(was_there)
    }

    /// Deletes all manifests that there are, and every tag that points to one; `false` where there was none. Nothing is deleted
    /// where the hooks refuse one of them. What is pushed meanwhile may stay.
    pub(crate) async fn delete_repository(
        &self,
        repository: &RepositoryName,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let mut permitted = Vec::new();
        for record in self.manifest_records(repository).await? {
            let permit = self.permit_deletion(&record, actor).await?;
            permitted.push((record, permit));
        }
        let mut deleted = Vec::with_capacity(permitted.len());
        for (record, permit) in permitted {
            self.commit_deletion(&record, permit).await?;
            deleted.push(record.digest.clone());
        }
        self.delete_tags_of(repository, &deleted).await?;
        Ok(!deleted.is_empty())
    }

    /// The records of all manifests that are there, in no order. None that was condemned lives again by that.
    pub(crate) async fn manifest_records(
        &self,
        repository: &RepositoryName,
    ) -> Result<Vec<Arc<Versioned<ManifestRecord>>>, Error> {
        let folder = self.repository_key(repository).child().fixed("_manifests").build();
        let children = self.store.children(&folder, None, usize::MAX).await?;
        stream::iter(children)
            .map(|child| {
                let key = folder.child().listed(&child).build();
                async move { Ok(self.store.read::<ManifestRecord>(&key).await?) }
            })
            .buffer_unordered(READS_AT_ONCE)
            .try_filter_map(|record| async { Ok(record.filter(|record| !record.life.is_dead())) })
            .try_collect()
            .await
    }

    async fn permit_deletion(&self, record: &ManifestRecord, actor: &Actor) -> Result<Permit, Error> {
        let event = || {
            self.store
                .event(Operation::Delete, &self.manifest_key(&record.repository, &record.digest), actor)
                .package(record.repository.as_str())
                .digest(record.digest.as_str())
                .size(record.size)
                .content_type(&record.media_type)
        };
        Ok(self.store.permit_with(event).await?)
    }

    async fn commit_deletion(&self, record: &ManifestRecord, permit: Permit) -> Result<bool, Error> {
        let (key, now) = (self.manifest_key(&record.repository, &record.digest), self.now());
        let bury = move |draft: &mut Draft<ManifestRecord>| Ok::<_, Error>(bury(draft, now));
        Ok(self.store.commit(&key, permit, bury).await?.0)
    }

    async fn bury_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let now = self.now();
        let key = self.manifest_key(repository, digest);
        self.store.update(&key, move |draft| Ok::<_, Error>(bury(draft, now))).await?;
        Ok(())
    }
}

/// Makes a record a tombstone; `false` where it was none or is one. Its data stays for garbage collection.
pub(crate) fn bury(draft: &mut Draft<ManifestRecord>, now: chrono::DateTime<chrono::Utc>) -> bool {
    if draft.get().is_none_or(|record| record.life.is_dead()) {
        return false;
    }
    if let Some(record) = draft.edit() {
        record.life = Life::dead(now);
        record.inline = None;
    }
    true
}
