//! Tags.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use registry_core::{
    Actor,
    hooks::Operation,
    storage::{Created, Draft, Key, Permit, UnknownFields, Versioned, decode_segment},
};

use super::{OciStore, TagRecord, documents::UntaggedMark};
use crate::{
    error::Error,
    names::{Digest, RepositoryName, Tag},
};

/// Documents that are read at the same time.
pub(super) const READS_AT_ONCE: usize = 16;

impl OciStore {
    /// Where a tag points.
    pub(crate) async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>, Error> {
        let record = self.store.read::<TagRecord>(&self.tag_key(repository, tag)).await?;
        Ok(record.and_then(|record| record.digest.clone()))
    }

    /// Asks the hooks whether a tag may be put.
    pub(super) async fn permit_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
        media_type: &str,
        size: u64,
        actor: &Actor,
    ) -> Result<Permit, Error> {
        let event = || {
            self.store
                .event(Operation::Put, &self.tag_key(repository, tag), actor)
                .package(repository.as_str())
                .version(tag.as_str())
                .digest(digest.as_str())
                .size(size)
                .content_type(media_type)
        };
        Ok(self.store.permit_with(event).await?)
    }

    /// Lets a tag point to a manifest. The last writer wins, unless the tag is immutable or `expected` (where given) is
    /// not what it points to.
    pub(super) async fn put_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
        expected: Option<Digest>,
        permit: Permit,
    ) -> Result<(), Error> {
        let now = self.now();
        let immutable = self.config.immutable_tags.iter().any(|pattern| pattern.matches(tag.as_str()));
        let record = TagRecord {
            repository: repository.clone(),
            tag: tag.clone(),
            digest: Some(digest.clone()),
            updated: now,
            unknown: UnknownFields::default(),
        };
        let change = move |draft: &mut Draft<TagRecord>| {
            let known = draft.get().and_then(|known| known.digest.as_ref());
            if expected.is_some() && known != expected.as_ref() {
                return Err(Error::Precondition);
            }
            match known {
                Some(known) if Some(known) == record.digest.as_ref() => {}
                Some(_) if immutable => return Err(Error::TagImmutable(record.tag.to_string())),
                _ => draft.set(record.clone()),
            }
            Ok(())
        };
        self.store.commit(&self.tag_key(repository, tag), permit, change).await?;
        Ok(())
    }

    /// All tags in the order of their bytes.
    pub(crate) async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let (tags, untagged) = (self.tags_key(repository), self.untagged_key(repository));
        let (listed, deleted) = tokio::try_join!(self.store.list(&tags), self.store.list(&untagged))?;
        let file = |key: &Key| key.as_str().rsplit_once('/').map(|(_, file)| file.to_owned());
        let doubtful: HashSet<String> = deleted.iter().filter_map(|entry| file(&entry.key)).collect();
        let mut tags: Vec<Tag> = stream::iter(listed)
            .map(|entry| {
                // What was deleted once may be a tombstone; the name of a long tag is cut in its key.
                let name = file(&entry.key).unwrap_or_default();
                let plain = if doubtful.contains(&name) { None } else { decode_segment(&name) };
                async move {
                    if let Some(tag) = plain.and_then(|plain| plain.parse().ok()) {
                        return Ok(Some(tag));
                    }
                    let record = self.store.read::<TagRecord>(&entry.key).await?;
                    Ok::<_, Error>(
                        record.filter(|record| record.digest.is_some()).map(|record| record.tag.clone()),
                    )
                }
            })
            .buffered(READS_AT_ONCE)
            .try_filter_map(|tag| async { Ok(tag) })
            .try_collect()
            .await?;
        tags.sort_unstable();
        Ok(tags)
    }

    /// All tags with what they point to, in no order.
    pub(crate) async fn tag_records(&self, repository: &RepositoryName) -> Result<Vec<(Tag, Digest)>, Error> {
        self.tag_records_below(&self.tags_key(repository)).await
    }

    /// [`OciStore::tag_records`] by the key of the tags.
    pub(crate) async fn tag_records_below(&self, tags: &Key) -> Result<Vec<(Tag, Digest)>, Error> {
        let found = self.tag_documents(tags).await?;
        Ok(found.iter().filter_map(|record| Some((record.tag.clone(), record.digest.clone()?))).collect())
    }

    /// The records of all tags that point to something, by the key of the tags, in no order.
    pub(crate) async fn tag_documents(&self, tags: &Key) -> Result<Vec<Arc<Versioned<TagRecord>>>, Error> {
        let listed = self.store.list(tags).await?;
        stream::iter(listed)
            .map(|entry| async move { Ok(self.store.read::<TagRecord>(&entry.key).await?) })
            .buffer_unordered(READS_AT_ONCE)
            .try_filter_map(|record| async { Ok(record.filter(|record| record.digest.is_some())) })
            .try_collect()
            .await
    }

    /// Deletes a tag, its manifest stays; `false` where it was not there.
    pub(crate) async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let Some(digest) = self.tag(repository, tag).await? else { return Ok(false) };
        let key = self.tag_key(repository, tag);
        let event = || {
            self.store
                .event(Operation::Delete, &key, actor)
                .package(repository.as_str())
                .version(tag.as_str())
                .digest(digest.as_str())
        };
        let permit = self.store.permit_with(event).await?;
        self.mark_untagged(repository, tag).await?;
        let now = self.now();
        let (was_there, _) =
            self.store.commit(&key, permit, move |draft| Ok::<_, Error>(untag(draft, None, now))).await?;
        Ok(was_there)
    }

    /// Deletes every tag that points to one of these manifests.
    pub(super) async fn delete_tags_of(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
    ) -> Result<(), Error> {
        let digests: HashSet<&Digest> = digests.iter().collect();
        for (tag, of) in self.tag_records(repository).await? {
            if digests.contains(&of) {
                self.mark_untagged(repository, &tag).await?;
                let now = self.now();
                let change = move |draft: &mut Draft<TagRecord>| Ok::<_, Error>(untag(draft, Some(&of), now));
                self.store.update(&self.tag_key(repository, &tag), change).await?;
            }
        }
        Ok(())
    }

    async fn mark_untagged(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), Error> {
        let key = self.untagged_key(repository).child().segment(tag.as_str()).build();
        if self.store.read::<UntaggedMark>(&key).await?.is_none() {
            let mark = UntaggedMark { tag: tag.clone(), unknown: UnknownFields::default() };
            match self.store.create(&key, mark).await? {
                Created::Now(_) | Created::Exists(_) => {}
            }
        }
        Ok(())
    }
}

/// Makes a tag a tombstone, where it points to `only` (or anywhere).
fn untag(draft: &mut Draft<TagRecord>, only: Option<&Digest>, now: chrono::DateTime<chrono::Utc>) -> bool {
    let points = draft.get().and_then(|record| record.digest.as_ref());
    if points.is_none_or(|points| only.is_some_and(|only| only != points)) {
        return false;
    }
    if let Some(record) = draft.edit() {
        record.digest = None;
        record.updated = now;
    }
    true
}
