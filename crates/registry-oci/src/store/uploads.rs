//! Upload sessions: bytes that come in chunks, on any node.
//!
//! A session has no document before it holds bytes: its id proves itself. Bytes are kept in the document while they are
//! few, else in data objects beside it. Every change is conditional on the number of bytes received, so of two chunks for
//! one place one wins.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use registry_core::{
    Actor, Body, BodyError,
    http::ReadBodyError,
    storage::{DataRef, Draft, Key, PendingArtifact, StorageError, UnknownFields},
};

use super::{INLINE_BYTES, OciStore, SessionState, UploadSession, blobs::keep_all};
use crate::{
    error::Error,
    hash::{HashState, Hasher},
    names::{Algorithm, Digest, RepositoryName},
    session::SessionId,
    wire::range::ChunkRange,
};

/// Bytes at the end of an upload that are kept in its document, so that tiny chunks do not become tiny objects.
const TAIL_BYTES: usize = 256 * 1024;
/// The most data objects of one upload.
const MAX_PARTS: usize = 10_000;

/// An open session as it was when it was looked up.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    repository: RepositoryName,
    /// How many bytes are durably here.
    pub(crate) received: u64,
    parts: Vec<DataRef>,
    tail: Bytes,
    hasher: Hasher,
    /// Whether there is a document.
    stored: bool,
}

/// Where a request says that its session is, and who says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionAddress<'a> {
    pub(crate) repository: &'a RepositoryName,
    pub(crate) principal: &'a str,
    pub(crate) id: &'a str,
    /// The address as clients are given it.
    pub(crate) location: &'a str,
}

/// What a session turns out to be.
enum Found {
    Open(Box<Session>),
    /// It ended as this blob, or without a trace but in memory.
    Finished(Option<Box<UploadSession>>),
}

/// A request's bytes and what it says about them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) body: Body,
    /// `Content-Range`, where it was sent; `Err` where it cannot be read.
    pub(crate) range: Option<Result<ChunkRange, ()>>,
    /// `Content-Length`, where it was sent.
    pub(crate) length: Option<u64>,
}

/// What came in.
struct Received {
    hasher: Hasher,
    /// How many bytes came.
    count: u64,
    /// What was not worth a data object, the session's tail included.
    rest: Bytes,
    written: Vec<PendingArtifact>,
    broken: Option<BodyError>,
}

impl OciStore {
    /// Opens a session. Nothing is written.
    pub(crate) async fn open_session(
        &self,
        repository: &RepositoryName,
        principal: &str,
        algorithm: Algorithm,
    ) -> Result<SessionId, Error> {
        Ok(self.session_key().await?.issue(repository, principal, self.now(), algorithm))
    }

    /// The open session of an id.
    pub(crate) async fn session(&self, address: SessionAddress<'_>) -> Result<Session, Error> {
        match self.find_session(address).await? {
            Found::Open(session) => Ok(*session),
            Found::Finished(_) => Err(Error::UploadUnknown),
        }
    }

    async fn find_session(&self, address: SessionAddress<'_>) -> Result<Found, Error> {
        let SessionAddress { repository, principal, id, .. } = address;
        let id = self.session_key().await?.check(id, repository, principal).ok_or(Error::UploadUnknown)?;
        let Some(known) = self.store.read_fresh::<UploadSession>(&self.upload_key(&id)).await? else {
            if self.ended.get(id.as_str()).is_some() {
                return Ok(Found::Finished(None));
            }
            if self.is_expired(id.opened) {
                return Err(Error::UploadUnknown);
            }
            let hasher = Hasher::new(id.algorithm);
            let repository = repository.clone();
            let (parts, tail) = (Vec::new(), Bytes::new());
            let session = Session { id, repository, received: 0, parts, tail, hasher, stored: false };
            return Ok(Found::Open(Box::new(session)));
        };
        if self.is_expired(known.updated) {
            return Err(Error::UploadUnknown);
        }
        match &known.state {
            SessionState::Cancelled => Err(Error::UploadUnknown),
            SessionState::Finished(_) => Ok(Found::Finished(Some(Box::new(known.value.clone())))),
            SessionState::Open => {
                let damaged = || StorageError::Damaged {
                    key: self.upload_key(&id).to_string(),
                    what: "its hash cannot be continued".to_owned(),
                };
                let hasher = known.hash.as_ref().and_then(HashState::restore).ok_or_else(damaged)?;
                Ok(Found::Open(Box::new(Session {
                    repository: repository.clone(),
                    received: known.received,
                    parts: known.parts.clone(),
                    tail: known.tail.clone().unwrap_or_default(),
                    hasher,
                    stored: true,
                    id,
                })))
            }
        }
    }

    fn is_expired(&self, since: DateTime<Utc>) -> bool {
        (self.now() - since).to_std().is_ok_and(|age| age > self.config.upload_expiry())
    }

    /// Appends a chunk; gives the number of bytes that are durably here then. Of a body that breaks off, what came is kept.
    pub(crate) async fn append(&self, session: Session, chunk: Chunk, location: &str) -> Result<u64, Error> {
        check_range(&session, &chunk, location)?;
        self.check_size(session.received.saturating_add(chunk.length.unwrap_or(0)))?;
        let key = self.upload_key(&session.id);
        let from = session.received;
        let received = self.receive(&session, &key, chunk.body, TAIL_BYTES, session.hasher.clone()).await?;
        if let (Some(Ok(range)), None) = (chunk.range, &received.broken)
            && range.len() != Some(received.count)
        {
            return Err(Error::Size { expected: range.len().unwrap_or(0), actual: received.count });
        }
        let broken = received.broken.map(|error| Error::Body(ReadBodyError::Body(error)));
        if received.count > 0 {
            let written = keep_all(received.written);
            let mut parts = session.parts.clone();
            parts.extend(written.iter().cloned());
            if parts.len() > MAX_PARTS {
                self.delete_data(&written).await;
                return Err(Error::UploadInvalid("the upload has too many small chunks: send larger ones"));
            }
            let next = UploadSession {
                repository: session.repository.clone(),
                state: SessionState::Open,
                received: from.saturating_add(received.count),
                parts,
                tail: (!received.rest.is_empty()).then_some(received.rest),
                hash: Some(received.hasher.save()),
                updated: self.now(),
                unknown: UnknownFields::default(),
            };
            if let Err(error) = self.advance(&key, from, next, location).await {
                if error.is_refusal() {
                    self.delete_data(&written).await;
                }
                return Err(error);
            }
        }
        match broken {
            Some(error) => Err(error),
            None => Ok(from.saturating_add(received.count)),
        }
    }

    /// Writes a session's next state, if nobody else moved it.
    async fn advance(&self, key: &Key, from: u64, next: UploadSession, location: &str) -> Result<(), Error> {
        let location = location.to_owned();
        let change = move |draft: &mut Draft<UploadSession>| {
            match draft.get() {
                Some(known) if known.state != SessionState::Open => return Err(Error::UploadUnknown),
                Some(known) if known.received != from => {
                    return Err(out_of_order("another request was faster", known.received, &location));
                }
                None if from != 0 => return Err(Error::UploadUnknown),
                _ => draft.set(next.clone()),
            }
            Ok(())
        };
        self.store.update(key, change).await?;
        Ok(())
    }

    /// Finishes an upload, with its last bytes or none: the blob is in the repository then.
    pub(crate) async fn finish_session(
        &self,
        address: SessionAddress<'_>,
        digest: &Digest,
        chunk: Chunk,
        actor: &Actor,
    ) -> Result<(), Error> {
        match self.find_session(address).await? {
            Found::Open(session) if !session.stored => {
                let id = session.id.clone();
                self.finish_fresh(*session, digest, chunk, actor, address.location).await?;
                self.ended.insert(id.as_str().to_owned(), ());
                Ok(())
            }
            Found::Open(session) => {
                self.finish_stored(*session, digest, chunk, actor, address.location).await
            }
            Found::Finished(known) => {
                self.finish_again(address.repository, digest, known.as_deref(), actor).await
            }
        }
    }

    /// A blob in one request: to a new session, or none.
    pub(crate) async fn put_whole(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        chunk: Chunk,
        actor: &Actor,
    ) -> Result<(), Error> {
        let key = self.session_key().await?;
        let session = Session {
            id: key.issue(repository, "", self.now(), digest.algorithm()),
            repository: repository.clone(),
            received: 0,
            parts: Vec::new(),
            tail: Bytes::new(),
            hasher: Hasher::new(digest.algorithm()),
            stored: false,
        };
        self.finish_fresh(session, digest, chunk, actor, "").await
    }

    /// All of the blob comes with this request: no session is written.
    async fn finish_fresh(
        &self,
        session: Session,
        digest: &Digest,
        chunk: Chunk,
        actor: &Actor,
        location: &str,
    ) -> Result<(), Error> {
        check_range(&session, &chunk, location)?;
        self.check_size(chunk.length.unwrap_or(0))?;
        let repository = &session.repository;
        // What the client claims decides how it is hashed and where its data lies.
        let key = self.descriptor_key(digest);
        let hasher = Hasher::new(digest.algorithm());
        let received = self.receive(&session, &key, chunk.body, INLINE_BYTES, hasher).await?.whole()?;
        let actual = received.hasher.finish();
        if actual != *digest {
            // A repeated request after a lost answer has no body.
            if received.count == 0 && self.blob(repository, digest).await?.is_some() {
                return Ok(());
            }
            return Err(Error::DigestMismatch { expected: digest.clone(), actual });
        }
        let permit = self.permit_blob(repository, digest, received.count, actor).await?;
        if received.written.is_empty() {
            self.put_small(repository, digest, received.rest, permit).await
        } else {
            self.put_large(repository, digest, keep_all(received.written), permit).await
        }
    }

    async fn finish_stored(
        &self,
        session: Session,
        digest: &Digest,
        chunk: Chunk,
        actor: &Actor,
        location: &str,
    ) -> Result<(), Error> {
        check_range(&session, &chunk, location)?;
        self.check_size(session.received.saturating_add(chunk.length.unwrap_or(0)))?;
        let (key, from) = (self.upload_key(&session.id), session.received);
        let keep = if session.parts.is_empty() { INLINE_BYTES } else { 0 };
        let received =
            self.receive(&session, &key, chunk.body, keep, session.hasher.clone()).await?.whole()?;
        let size = from.saturating_add(received.count);
        let written: Vec<DataRef> = keep_all(received.written);
        let mut parts = session.parts.clone();
        parts.extend(written.iter().cloned());
        let verified = async {
            let actual = if received.hasher.algorithm() == digest.algorithm() {
                received.hasher.finish()
            } else {
                self.hash_again(digest.algorithm(), &parts, &received.rest).await?
            };
            if actual != *digest {
                return Err(Error::DigestMismatch { expected: digest.clone(), actual });
            }
            self.permit_blob(&session.repository, digest, size, actor).await
        };
        let permit = match verified.await {
            Ok(permit) => permit,
            Err(error) => {
                self.delete_data(&written).await;
                return Err(error);
            }
        };
        let finished = UploadSession {
            repository: session.repository.clone(),
            state: SessionState::Finished(digest.clone()),
            received: size,
            parts: parts.clone(),
            tail: None,
            hash: None,
            updated: self.now(),
            unknown: UnknownFields::default(),
        };
        let repository = &session.repository;
        if parts.is_empty() {
            // The bytes are in memory: the order does not matter, and the request waits once.
            let put = self.put_small(repository, digest, received.rest, permit);
            tokio::try_join!(put, self.advance(&key, from, finished, location))?;
            return Ok(());
        }
        // First the session says what it became, so that its data can be told from an abandoned upload's.
        if let Err(error) = self.advance(&key, from, finished, location).await {
            if error.is_refusal() {
                self.delete_data(&written).await;
            }
            return Err(error);
        }
        self.put_large(repository, digest, parts, permit).await
    }

    /// A finishing request that is repeated, because its answer was lost or the server died on the way.
    async fn finish_again(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        known: Option<&UploadSession>,
        actor: &Actor,
    ) -> Result<(), Error> {
        if known.is_some_and(|known| known.state != SessionState::Finished(digest.clone())) {
            return Err(Error::UploadUnknown);
        }
        if self.blob(repository, digest).await?.is_some() {
            return Ok(());
        }
        let known = known.filter(|known| {
            !known.parts.is_empty()
                && (self.now() - known.updated) < chrono::TimeDelta::seconds(FINISHED_AGAIN_SECONDS)
        });
        let Some(known) = known else { return Err(Error::UploadUnknown) };
        let permit = self.permit_blob(repository, digest, known.received, actor).await?;
        self.put_large(repository, digest, known.parts.clone(), permit).await
    }

    /// Gives a session up.
    pub(crate) async fn cancel_session(&self, session: Session) -> Result<(), Error> {
        let now = self.now();
        let repository = session.repository.clone();
        let (parts, _) = self
            .store
            .update(&self.upload_key(&session.id), move |draft: &mut Draft<UploadSession>| {
                let parts = match draft.get() {
                    Some(known) if known.state != SessionState::Open => return Err(Error::UploadUnknown),
                    Some(known) => known.parts.clone(),
                    None => Vec::new(),
                };
                draft.set(UploadSession {
                    repository: repository.clone(),
                    state: SessionState::Cancelled,
                    received: 0,
                    parts: Vec::new(),
                    tail: None,
                    hash: None,
                    updated: now,
                    unknown: UnknownFields::default(),
                });
                Ok(parts)
            })
            .await?;
        self.delete_data(&parts).await;
        Ok(())
    }

    fn check_size(&self, size: u64) -> Result<(), Error> {
        match self.config.max_blob_bytes {
            Some(limit) if size > limit => Err(Error::BlobTooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Takes a body in: up to `keep` bytes in memory (with the session's tail), more into data objects at `key`.
    async fn receive(
        &self,
        session: &Session,
        key: &Key,
        body: Body,
        keep: usize,
        mut hasher: Hasher,
    ) -> Result<Received, Error> {
        let mut rest = BytesMut::from(&*session.tail);
        let mut writer = None;
        let (mut count, mut broken) = (0u64, None);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            count = count.saturating_add(piece.len() as u64);
            self.check_size(session.received.saturating_add(count))?;
            hasher.update(&piece);
            match &mut writer {
                None if rest.len().saturating_add(piece.len()) <= keep => rest.extend_from_slice(&piece),
                none @ None => {
                    let writer = none.insert(self.store.segment_writer(key));
                    writer.write(rest.split().freeze()).await?;
                    writer.write(piece).await?;
                }
                Some(writer) => writer.write(piece).await?,
            }
        }
        if rest.len() > keep && writer.is_none() {
            let writer = writer.insert(self.store.segment_writer(key));
            writer.write(rest.split().freeze()).await?;
        }
        let written = match writer {
            Some(writer) => writer.finish().await?,
            None => Vec::new(),
        };
        Ok(Received { hasher, count, rest: rest.freeze(), written, broken })
    }

    /// The digest of what is stored, read once more: for an algorithm that was not known beforehand.
    async fn hash_again(
        &self,
        algorithm: Algorithm,
        parts: &[DataRef],
        rest: &Bytes,
    ) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(algorithm);
        let mut pieces = self.store.read_artifact(parts, None).await?;
        while let Some(frame) = pieces.frame().await {
            if let Some(piece) = frame.map_err(|error| super::read_failed(parts, error))?.data_ref() {
                hasher.update(piece);
            }
        }
        hasher.update(rest);
        Ok(hasher.finish())
    }
}

/// How long a finished session whose blob is not there can be finished again, in seconds.
const FINISHED_AGAIN_SECONDS: i64 = 3600;

impl Received {
    /// All of the body, or the error that ended it: what came is deleted.
    fn whole(mut self) -> Result<Self, Error> {
        match self.broken.take() {
            Some(error) => Err(Error::Body(ReadBodyError::Body(error))),
            None => Ok(self),
        }
    }
}

fn out_of_order(what: &'static str, received: u64, location: &str) -> Error {
    Error::OutOfOrder { what, received, location: location.to_owned() }
}

/// Whether a chunk says that it goes where the session stands, and is as long as it says.
fn check_range(session: &Session, chunk: &Chunk, location: &str) -> Result<(), Error> {
    let wrong = |what| Err(out_of_order(what, session.received, location));
    match chunk.range {
        None => Ok(()),
        Some(Err(())) => Err(Error::UploadInvalid("Content-Range must be `<first>-<last>`")),
        Some(Ok(range)) => match range.len() {
            // An empty last chunk has no last byte: some clients then send the position before.
            None if chunk.length == Some(0) && range.first == session.received => Ok(()),
            None => wrong("the range ends before it begins"),
            Some(_) if range.first != session.received => wrong("the chunk does not follow what is here"),
            Some(length) if chunk.length.is_some_and(|announced| announced != length) => {
                wrong("the range is not as long as the body")
            }
            Some(_) => Ok(()),
        },
    }
}
