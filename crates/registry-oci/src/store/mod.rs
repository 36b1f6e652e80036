//! What an OCI registry keeps: its documents, their keys, and the order in which they are written.
//!
//! - `blobs/sha256/<2>/<hex>`: a large blob's *descriptor*, which owns its data objects (`…~<random>` beside it, or beside
//!   the session that brought them). Small blobs have none.
//! - `repositories/<name>/_blobs/<algorithm>-<hex>`: the *link* that lets a repository read a blob. It carries a small
//!   blob's bytes, or names a large one's data.
//! - `repositories/<name>/_manifests/<algorithm>-<hex>`: a manifest's *record* with its exact bytes.
//! - `repositories/<name>/_tags/<tag>`: where a tag points. `…/_untagged/<tag>` marks tags that were ever deleted.
//! - `repositories/<name>/_referrers/<subject>/<referrer>`: that a manifest names a subject.
//! - `_uploads/<day>/<id>`: an upload session that holds bytes, or ended.
//!
//! # Order of writes
//!
//! *Large blob*: data, then the descriptor, then the link; where the descriptor was there before, it is looked at
//! again after the link is written. Data without a descriptor, and a descriptor without a link, are harmless and collected.
//! *Small blob*: the link alone. *Manifest*: the referrer's mark, then the record, then a second look at all it names,
//! then its tags. A mark without a record, and a record without a tag, are harmless.
//! *Deleting a manifest*: its record first, then the tags that point to it; a tag that points to nothing reads as absent.

mod blobs;
mod documents;
mod keys;
mod manifests;
mod referrers;
mod tags;
mod uploads;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use registry_core::{
    BodyError,
    clock::Clock,
    storage::{Created, DataRef, Key, StorageError, Store},
};
use tokio::sync::OnceCell;

use self::documents::SessionSecret;
pub(crate) use self::{
    blobs::{Blob, INLINE_BYTES, bury as bury_link},
    documents::{
        BlobDescriptor, BlobLink, Life, ManifestRecord, Phase, ReferrerMark, SessionState, TagRecord,
        UploadSession,
    },
    keys::digest_of,
    manifests::{NewManifest, StoredManifest, bury as bury_manifest},
    uploads::{Chunk, SessionAddress},
};
use crate::{
    config::OciConfig,
    error::Error,
    names::{Digest, RepositoryName},
    session::SessionKey,
};

/// How many digests are remembered with a repository that has them.
const DISCOVERIES: usize = 8192;
/// How many ended sessions without a document are remembered.
const ENDED_SESSIONS: usize = 8192;

/// An instance's documents and artefacts.
#[derive(Debug)]
pub(crate) struct OciStore {
    store: Store,
    clock: Arc<dyn Clock>,
    config: Arc<OciConfig>,
    session_key: OnceCell<SessionKey>,
    /// Where a digest was seen last, for mounts that name no source. Only a hint.
    discoveries: Cache<Digest, RepositoryName>,
    /// Sessions that were finished in one request and so have no document.
    ended: Cache<String, ()>,
}

impl OciStore {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, config: Arc<OciConfig>) -> Self {
        Self {
            store,
            clock,
            config,
            session_key: OnceCell::new(),
            discoveries: Cache::new(DISCOVERIES),
            ended: Cache::new(ENDED_SESSIONS),
        }
    }

    /// The documents and artefacts themselves.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The key that proves session ids, made by the first node that needs one.
    pub(crate) async fn session_key(&self) -> Result<&SessionKey, Error> {
        self.session_key
            .get_or_try_init(|| async {
                let key = self.secret_key();
                let secret = match self.store.read::<SessionSecret>(&key).await? {
                    Some(secret) => secret,
                    None => match self.store.create(&key, SessionSecret::random()).await? {
                        Created::Now(secret) | Created::Exists(secret) => secret,
                    },
                };
                secret.session_key().ok_or_else(|| {
                    StorageError::Damaged {
                        key: key.to_string(),
                        what: "it holds no key of 32 bytes".to_owned(),
                    }
                    .into()
                })
            })
            .await
    }

    /// The keys of all repositories, in order.
    pub(crate) async fn repositories(&self) -> Result<Vec<Key>, StorageError> {
        let (mut found, mut open) = (Vec::new(), vec![self.repositories_key()]);
        while let Some(folder) = open.pop() {
            let mut own = false;
            for child in self.store.children(&folder, None, usize::MAX).await? {
                if child.starts_with('_') {
                    own = true;
                } else if child.ends_with('/') {
                    open.push(folder.child().listed(&child).build());
                }
            }
            if own {
                found.push(folder);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether anything was ever stored in the repository. Asks the store: for the answer to what was not found.
    pub(crate) async fn repository_exists(&self, repository: &RepositoryName) -> Result<bool, Error> {
        let children = self.store.children(&self.repository_key(repository), None, usize::MAX).await?;
        Ok(children.iter().any(|name| matches!(name.as_str(), "_blobs/" | "_manifests/" | "_tags/")))
    }
}

/// Stored bytes that cannot be read.
fn read_failed(parts: &[DataRef], error: BodyError) -> Error {
    let key = parts.first().map(|part| part.key.to_string()).unwrap_or_default();
    StorageError::Unavailable { key, source: error.into() }.into()
}
