//! Where everything lies.

use registry_core::storage::{Key, decode_segment};

use super::OciStore;
use crate::{
    names::{Digest, RepositoryName, Tag},
    session::SessionId,
};

impl OciStore {
    pub(super) fn secret_key(&self) -> Key {
        self.store.key().fixed("_session-key").build()
    }

    /// The prefix of all large blobs.
    pub(crate) fn blobs_key(&self) -> Key {
        self.store.key().fixed("blobs").build()
    }

    /// A large blob's descriptor; its data may lie beside it.
    pub(crate) fn descriptor_key(&self, digest: &Digest) -> Key {
        let folder = digest.hex().get(..2).unwrap_or_default();
        let key = self.store.key().fixed("blobs").fixed(digest.algorithm().as_str());
        key.segment(folder).segment(digest.hex()).build()
    }

    /// The prefix of all repositories.
    pub(crate) fn repositories_key(&self) -> Key {
        self.store.key().fixed("repositories").build()
    }

    pub(crate) fn repository_key(&self, repository: &RepositoryName) -> Key {
        self.store.key().fixed("repositories").segments(repository.as_str()).build()
    }

    /// The name of the repository at a key; for a name with very long parts, the parts as they are in the key.
    pub(crate) fn repository_name(&self, repository: &Key) -> String {
        let root = self.repositories_key();
        let below = repository.as_str().strip_prefix(root.as_str()).unwrap_or(repository.as_str());
        let part = |part: &str| decode_segment(part).unwrap_or_else(|| part.to_owned());
        below.trim_start_matches('/').split('/').map(part).collect::<Vec<_>>().join("/")
    }

    pub(crate) fn link_key(&self, repository: &RepositoryName, digest: &Digest) -> Key {
        self.repository_key(repository).child().fixed("_blobs").segment(&file_name(digest)).build()
    }

    pub(crate) fn manifest_key(&self, repository: &RepositoryName, digest: &Digest) -> Key {
        self.repository_key(repository).child().fixed("_manifests").segment(&file_name(digest)).build()
    }

    pub(crate) fn tags_key(&self, repository: &RepositoryName) -> Key {
        self.repository_key(repository).child().fixed("_tags").build()
    }

    pub(crate) fn tag_key(&self, repository: &RepositoryName, tag: &Tag) -> Key {
        self.tags_key(repository).child().segment(tag.as_str()).build()
    }

    pub(super) fn untagged_key(&self, repository: &RepositoryName) -> Key {
        self.repository_key(repository).child().fixed("_untagged").build()
    }

    pub(super) fn referrers_key(&self, repository: &RepositoryName, subject: &Digest) -> Key {
        self.repository_key(repository).child().fixed("_referrers").segment(&file_name(subject)).build()
    }

    pub(super) fn referrer_key(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Key {
        self.referrers_key(repository, subject).child().segment(&file_name(referrer)).build()
    }

    /// The prefix of all upload sessions.
    pub(crate) fn uploads_key(&self) -> Key {
        self.store.key().fixed("_uploads").build()
    }

    /// A session's document; its data lies beside it.
    pub(crate) fn upload_key(&self, id: &SessionId) -> Key {
        let day = id.opened.format("%Y-%m-%d").to_string();
        self.uploads_key().child().segment(&day).segment(id.as_str()).build()
    }
}

/// `sha256-<hex>`: a digest as one segment without characters that need escaping.
fn file_name(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}

/// The digest of a key's last segment.
pub(crate) fn digest_of(file_name: &str) -> Option<Digest> {
    file_name.replacen('-', ":", 1).parse().ok()
}
