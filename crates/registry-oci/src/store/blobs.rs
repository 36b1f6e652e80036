//! Blobs: links, descriptors, mounts.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use registry_core::{
    Actor, Body,
    hooks::Operation,
    storage::{DataRef, Draft, Key, PendingArtifact, Permit, StorageError, Store, UnknownFields},
};

use super::{BlobDescriptor, BlobLink, Life, OciStore};
use crate::{
    error::Error,
    names::{Digest, RepositoryName},
};

/// Blobs up to this many bytes lie in the link documents of the repositories that have them: one durable write instead of
/// three.
pub(crate) const INLINE_BYTES: usize = 64 * 1024;

/// A blob as a repository has it.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) size: u64,
    pub(crate) content: Content,
}

/// Where a blob's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Here.
    Inline(Bytes),
    /// In data objects.
    Parts(Vec<DataRef>),
}

impl Blob {
    /// The data object that is the whole blob, where there is one.
    pub(crate) fn whole_object(&self) -> Option<&DataRef> {
        match &self.content {
            Content::Parts(parts) => match parts.as_slice() {
                [data] => Some(data),
                _ => None,
            },
            Content::Inline(_) => None,
        }
    }

    /// The bytes, or a part of them, for a client.
    pub(crate) async fn open(self, store: Store, range: Option<Range<u64>>) -> Result<Body, StorageError> {
        match self.content {
            Content::Inline(bytes) => Ok(match range {
                None => bytes.into(),
                Some(range) => {
                    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                    let (start, end) = (at(range.start), at(range.end));
                    if start < end { bytes.slice(start..end).into() } else { Body::empty() }
                }
            }),
            Content::Parts(parts) => store.serve_artifact(&parts, range).await,
        }
    }
}

impl From<&BlobLink> for Blob {
    fn from(link: &BlobLink) -> Self {
        let content = match &link.inline {
            Some(bytes) => Content::Inline(bytes.clone()),
            None => Content::Parts(link.parts.clone()),
        };
        Self { size: link.size, content }
    }
}

impl OciStore {
    /// A repository's blob. One that garbage collection had condemned lives again.
    pub(crate) async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Blob>, Error> {
        let key = self.link_key(repository, digest);
        let Some(link) = self.store.read::<BlobLink>(&key).await? else { return Ok(None) };
        if link.life.is_live() {
            return Ok(Some(Blob::from(&link.value)));
        }
        if link.life.is_dead() || !self.revive_link(&key, digest).await? {
            return Ok(None);
        }
        Ok(Some(Blob::from(&link.value)))
    }

    /// Whether the repository has the blob, by what the store says now.
    pub(super) async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let key = self.link_key(repository, digest);
        match self.store.read_fresh::<BlobLink>(&key).await? {
            None => Ok(false),
            Some(link) if link.life.is_live() => Ok(true),
            Some(link) if link.life.is_dead() => Ok(false),
            Some(_) => self.revive_link(&key, digest).await,
        }
    }

    /// Makes a condemned link live; `false` where it is dead.
    async fn revive_link(&self, key: &Key, digest: &Digest) -> Result<bool, Error> {
        let now = self.now();
        let revive = move |draft: &mut Draft<BlobLink>| {
            let Some(link) = draft.get().filter(|link| !link.life.is_dead()) else {
                return Ok::<_, Error>(None);
            };
            let large = link.inline.is_none();
            if !link.life.is_live()
                && let Some(link) = draft.edit()
            {
                link.life = Life::live(now);
            }
            Ok(Some(large))
        };
        match self.store.update(key, revive).await?.0 {
            None => Ok(false),
            Some(false) => Ok(true),
            Some(true) => self.keep_descriptor(digest).await,
        }
    }

    /// Sees to it that a descriptor whose link was just written lives; `false` where it is dead or missing.
    async fn keep_descriptor(&self, digest: &Digest) -> Result<bool, Error> {
        let key = self.descriptor_key(digest);
        match self.store.read_fresh::<BlobDescriptor>(&key).await? {
            None => return Ok(false),
            Some(descriptor) if descriptor.life.is_live() => return Ok(true),
            Some(descriptor) if descriptor.life.is_dead() => return Ok(false),
            Some(_) => {}
        }
        let now = self.now();
        let (alive, _) = self
            .store
            .update(&key, move |draft| {
                let alive = draft.get().map(|descriptor: &BlobDescriptor| descriptor.life);
                if alive.is_some_and(|life| !life.is_dead() && !life.is_live())
                    && let Some(descriptor) = draft.edit()
                {
                    descriptor.life = Life::live(now);
                }
                Ok::<_, Error>(alive.is_some_and(|life| !life.is_dead()))
            })
            .await?;
        Ok(alive)
    }

    /// Asks the hooks whether a blob may be put.
    pub(crate) async fn permit_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        actor: &Actor,
    ) -> Result<Permit, Error> {
        let event = || {
            self.store
                .event(Operation::Put, &self.link_key(repository, digest), actor)
                .package(repository.as_str())
                .digest(digest.as_str())
                .size(size)
                .content_type("application/octet-stream")
        };
        Ok(self.store.permit_with(event).await?)
    }

    /// Stores a small blob: its link is the arbiter and all there is.
    pub(crate) async fn put_small(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        bytes: Bytes,
        permit: Permit,
    ) -> Result<(), Error> {
        let size = bytes.len() as u64;
        self.put_link(repository, digest, Blob { size, content: Content::Inline(bytes) }, permit).await
    }

    /// Stores a large blob whose data is durable: the descriptor, then the link, which is the arbiter. Data that is not
    /// needed because the blob was there is deleted.
    pub(crate) async fn put_large(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        parts: Vec<DataRef>,
        permit: Permit,
    ) -> Result<(), Error> {
        let size = parts.iter().map(|part| part.size).sum();
        let mut named = self.own(repository, digest, size, parts.clone()).await?;
        let blob = Blob { size, content: Content::Parts(named.clone()) };
        self.put_link(repository, digest, blob, permit).await?;
        // A descriptor that was there may be on its way out: now that the link is written, it must be found alive.
        while named != parts && !self.keep_descriptor(digest).await? {
            named = self.own(repository, digest, size, parts.clone()).await?;
            self.point_link(repository, digest, named.clone()).await?;
        }
        if named != parts {
            self.delete_data(&parts).await;
        }
        Ok(())
    }

    /// Writes the descriptor, unless one lives. Gives the data that it names then.
    async fn own(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        parts: Vec<DataRef>,
    ) -> Result<Vec<DataRef>, Error> {
        let now = self.now();
        let descriptor = BlobDescriptor {
            digest: digest.clone(),
            size,
            life: Life::live(now),
            parts,
            repository: repository.clone(),
            unknown: UnknownFields::default(),
        };
        let write = move |draft: &mut Draft<BlobDescriptor>| {
            let Some(known) = draft.get().filter(|known| !known.life.is_dead()) else {
                draft.set(descriptor.clone());
                return Ok::<_, Error>(descriptor.parts.clone());
            };
            let (parts, live) = (known.parts.clone(), known.life.is_live());
            if !live && let Some(known) = draft.edit() {
                known.life = Life::live(now);
            }
            Ok(parts)
        };
        Ok(self.store.update(&self.descriptor_key(digest), write).await?.0)
    }

    async fn put_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        blob: Blob,
        permit: Permit,
    ) -> Result<(), Error> {
        let now = self.now();
        let (inline, parts) = match blob.content {
            Content::Inline(bytes) => (Some(bytes), Vec::new()),
            Content::Parts(parts) => (None, parts),
        };
        let link = BlobLink {
            digest: digest.clone(),
            size: blob.size,
            life: Life::live(now),
            inline,
            parts,
            unknown: UnknownFields::default(),
        };
        self.store
            .commit(&self.link_key(repository, digest), permit, move |draft| {
                let there = draft.get().is_some_and(|known: &BlobLink| {
                    known.life.is_live() && (known.inline.is_some() || known.parts == link.parts)
                });
                if !there {
                    draft.set(link.clone());
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.discoveries.insert(digest.clone(), repository.clone());
        Ok(())
    }

    /// Makes a link name the data that its blob's descriptor names.
    async fn point_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        parts: Vec<DataRef>,
    ) -> Result<(), Error> {
        self.store
            .update(&self.link_key(repository, digest), move |draft| {
                if let Some(link) = draft.edit() {
                    let link: &mut BlobLink = link;
                    link.parts.clone_from(&parts);
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(())
    }

    /// Makes a blob of one repository one of another, too. `false` where it is gone meanwhile.
    pub(crate) async fn mount(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        digest: &Digest,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let Some(blob) = self.blob(from, digest).await? else { return Ok(false) };
        let large = matches!(blob.content, Content::Parts(_));
        let permit = self.permit_blob(to, digest, blob.size, actor).await?;
        self.put_link(to, digest, blob, permit).await?;
        if large && !self.keep_descriptor(digest).await? {
            self.bury_link(to, digest).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// A repository that may have the blob, for mounts that name none.
    pub(crate) async fn discover(&self, digest: &Digest) -> Result<Vec<RepositoryName>, Error> {
        let mut found: Vec<_> = self.discoveries.get(digest).into_iter().collect();
        if let Some(descriptor) = self.store.read::<BlobDescriptor>(&self.descriptor_key(digest)).await?
            && !descriptor.life.is_dead()
            && !found.contains(&descriptor.repository)
        {
            found.push(descriptor.repository.clone());
        }
        Ok(found)
    }

    /// Takes a blob out of a repository; `false` where it was not there.
    pub(crate) async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let key = self.link_key(repository, digest);
        let Some(link) = self.store.read::<BlobLink>(&key).await?.filter(|link| !link.life.is_dead()) else {
            return Ok(false);
        };
        let event = || {
            self.store
                .event(Operation::Delete, &key, actor)
                .package(repository.as_str())
                .digest(digest.as_str())
                .size(link.size)
        };
        let permit = self.store.permit_with(event).await?;
        let now = self.now();
        let (was_there, _) =
            self.store.commit(&key, permit, move |draft| Ok::<_, Error>(bury(draft, now))).await?;
        Ok(was_there)
    }

    async fn bury_link(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let now = self.now();
        let key = self.link_key(repository, digest);
        self.store.update(&key, move |draft| Ok::<_, Error>(bury(draft, now))).await?;
        Ok(())
    }

    /// Deletes data that no document names. What cannot be deleted now is left to garbage collection.
    pub(super) async fn delete_data(&self, parts: &[DataRef]) {
        for part in parts {
            if let Err(error) = self.store.remove(&part.key).await {
                tracing::debug!(key = %part.key, error = %error, "unneeded data is left to gc");
            }
        }
    }
}

/// Makes a link a tombstone without bytes; `false` where it was none or is one.
pub(crate) fn bury(draft: &mut Draft<BlobLink>, now: DateTime<Utc>) -> bool {
    if draft.get().is_none_or(|link| link.life.is_dead()) {
        return false;
    }
    if let Some(link) = draft.edit() {
        link.life = Life::dead(now);
        link.inline = None;
        link.parts.clear();
    }
    true
}

/// Takes over pending data: from now on a document names it, or garbage collection finds it.
pub(super) fn keep_all(pending: Vec<PendingArtifact>) -> Vec<DataRef> {
    pending.into_iter().map(PendingArtifact::keep).collect()
}
