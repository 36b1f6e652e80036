//! Which manifests name a subject.

use std::collections::BTreeSet;

use registry_core::storage::{Created, StorageError, UnknownFields};

use super::{OciStore, ReferrerMark, keys::digest_of};
use crate::{
    error::Error,
    names::{Digest, RepositoryName, Tag},
    wire::{
        manifest::{Kind, Manifest},
        referrers::Referrer,
    },
};

impl OciStore {
    /// Marks a manifest as a referrer of a subject, before its record is written.
    pub(super) async fn mark_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<(), Error> {
        let key = self.referrer_key(repository, subject, referrer);
        if self.store.read::<ReferrerMark>(&key).await?.is_none() {
            let mark = ReferrerMark {
                subject: subject.clone(),
                referrer: referrer.clone(),
                unknown: UnknownFields::default(),
            };
            match self.store.create(&key, mark).await? {
                Created::Now(_) | Created::Exists(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a manifest is marked as a referrer of a subject.
    pub(crate) async fn is_marked(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<bool, StorageError> {
        let key = self.referrer_key(repository, subject, referrer);
        Ok(self.store.read_fresh::<ReferrerMark>(&key).await?.is_some())
    }

    /// The digests that may be referrers of a subject, in order: those marked, and those that an index at the fallback
    /// tag names.
    pub(crate) async fn referrer_candidates(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<BTreeSet<Digest>, Error> {
        let marked = self.store.children(&self.referrers_key(repository, subject), None, usize::MAX).await?;
        let mut candidates: BTreeSet<Digest> = marked.iter().filter_map(|name| digest_of(name)).collect();
        if let Ok(tag) = fallback_tag(subject).parse::<Tag>()
            && let Some(digest) = self.tag(repository, &tag).await?
            && let Some(stored) = self.manifest(repository, &digest).await?
            && Kind::of(stored.media_type()) == Kind::Index
            && let Ok(index) =
                Manifest::parse_stored(&self.manifest_bytes(&stored).await?, stored.media_type())
        {
            candidates.extend(index.named.into_iter().map(|named| named.digest));
        }
        Ok(candidates)
    }

    /// A manifest as a referrer of the subject; `None` where it is none, or gone.
    pub(crate) async fn referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Option<Referrer>, Error> {
        let Some(stored) = self.manifest(repository, digest).await? else { return Ok(None) };
        let bytes = self.manifest_bytes(&stored).await?;
        let Ok(manifest) = Manifest::parse_stored(&bytes, stored.media_type()) else { return Ok(None) };
        let names_it = manifest.subject.as_ref() == Some(subject);
        Ok(names_it.then(|| manifest.as_referrer(digest, bytes.len() as u64)))
    }
}

/// The tag at which clients keep an index of referrers where a registry has no referrers API: at most 32 characters of
/// the algorithm and 64 of the encoded digest.
pub(crate) fn fallback_tag(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm().as_str(), subject.hex().get(..64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fallback_tags_are_cut() {
        let digest: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        assert_eq!(fallback_tag(&digest), format!("sha512-{}", "ab".repeat(32)));
    }
}
