//! Filling the cache with one artefact: a task of its own, which clients only watch.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Denial, Failure, FailureKind, Lookup, Source,
    artifact::{ArtifactRequest, Facts, Fill, Fills},
    ask::{content_length, facts, strong_etag},
    call::Answer,
    observe,
    outcome::DeniedBy,
    spool::Spool,
    stored::StoredArtifact,
};
use crate::{
    BodyError,
    hooks::Operation,
    storage::{Hashes, Key, PendingArtifact, Permit, StorageError},
};

/// Pieces that wait for the store.
const WAITING: usize = 8;
/// A fetch that nobody waits for goes on anyway where no more than this is left.
const LITTLE: u64 = 64 << 20;
/// How often a body that broke off is continued.
const RESUMES: u32 = 2;

impl Source {
    /// Begins to fetch an artefact, or joins who does. It goes on when everybody leaves.
    pub(crate) fn fill(&self, request: &ArtifactRequest, key: &Key) -> Arc<Fill> {
        let fills = &self.shared().artifacts;
        let mut under_way = fills.lock();
        if let Some(fill) = under_way.get(key) {
            observe::coalesced(&self.upstream);
            return Arc::clone(fill);
        }
        let spool = Arc::new(Spool::new(self.shared().spool_folder()));
        let fill = Arc::new(Fill { spool, facts: tokio::sync::watch::Sender::new(None) });
        under_way.insert(key.clone(), Arc::clone(&fill));
        drop(under_way);
        let landing = Landing {
            under_way: Arc::clone(fills),
            key: key.clone(),
            fill: Arc::clone(&fill),
            upstream: Arc::clone(&self.upstream),
        };
        let (source, request, key) = (self.clone(), request.clone(), key.clone());
        tokio::spawn(async move {
            // Dropped last, also after a panic: who waits is told, and the place is free.
            let landing = landing;
            source.fill_now(&request, &key, &landing.fill).await;
        });
        fill
    }

    async fn fill_now(&self, request: &ArtifactRequest, key: &Key, fill: &Arc<Fill>) {
        let (answer, permit) = match self.begin(request, key).await {
            Lookup::Found(begun) => begun,
            Lookup::Absent => {
                self.note_absent(key, self.upstream.now());
                return self.end(fill, Lookup::Absent);
            }
            Lookup::Denied(denial) => return self.end(fill, Lookup::Denied(denial)),
            Lookup::Failed(failure) => return self.end(fill, Lookup::Failed(failure)),
        };
        let length = content_length(&answer.headers);
        let facts = facts(&answer, request);
        let spool = &fill.spool;
        fill.facts.send_replace(Some(Lookup::Found(facts.clone())));
        match self.receive(request, fill, answer, length).await {
            Ok(Received { hashes, writer, keep }) => {
                let size = spool.received();
                let digests = hashes.finish();
                if let Some(what) = request.expected.contradicted(size, &digests) {
                    observe::integrity(&self.upstream);
                    tracing::error!(upstream = %self.id(), what, "an upstream sent bytes that are not those its metadata promises");
                    return spool.fail(self.upstream.failure(FailureKind::Integrity(what)));
                }
                spool.finish();
                if !keep {
                    return;
                }
                let record = StoredArtifact {
                    upstream: self.upstream.config.url.to_string(),
                    fetched: self.upstream.now(),
                    media_type: facts.media_type,
                    last_modified: facts.last_modified,
                    size,
                    digests,
                    data: Vec::new(),
                    gone: false,
                };
                self.commit(key, permit, record, writer).await;
            }
            Err(kind) => {
                if kind == FailureKind::Truncated {
                    observe::truncated(&self.upstream);
                }
                tracing::warn!(upstream = %self.id(), failure = %kind, "an artefact of an upstream was not received whole");
                spool.fail(self.upstream.failure(kind));
            }
        }
    }

    /// Asks the hooks, then the upstream.
    async fn begin(&self, request: &ArtifactRequest, key: &Key) -> Lookup<(Answer, Permit)> {
        let permit = match self.permit(request, key).await {
            Ok(permit) => permit,
            Err(StorageError::Denied(denied)) => {
                return Lookup::Denied(Denial::new(DeniedBy::Host, denied.reason));
            }
            Err(error) => {
                tracing::error!(error = %crate::Chain(&error), "the hooks of a cached artefact could not be asked");
                return Lookup::Failed(self.upstream.failure(FailureKind::Store));
            }
        };
        let answer = match self.ask_artifact(Method::GET, request, HeaderMap::new()).await {
            Lookup::Found(answer) if answer.status == StatusCode::OK => answer,
            Lookup::Found(answer) => {
                let kind = FailureKind::Status(answer.status.as_u16());
                return Lookup::Failed(self.upstream.failure(kind));
            }
            Lookup::Absent => return Lookup::Absent,
            Lookup::Denied(denial) => return Lookup::Denied(denial),
            Lookup::Failed(failure) => return Lookup::Failed(failure),
        };
        let length = content_length(&answer.headers);
        let most = self.upstream.config.max_artifact;
        if length.is_some_and(|length| length > most) {
            return Lookup::Failed(self.upstream.failure(FailureKind::TooLarge(most)));
        }
        if let Some((length, expected)) = length.zip(request.expected.size)
            && length != expected
        {
            observe::integrity(&self.upstream);
            return Lookup::Failed(self.upstream.failure(FailureKind::Integrity("size")));
        }
        let encoded = answer.headers.get(header::CONTENT_ENCODING);
        if encoded.is_some_and(|encoding| encoding != "identity") && !request.expected.has_digest() {
            let kind = FailureKind::BadBody("it has an encoding that was not asked for".to_owned());
            return Lookup::Failed(self.upstream.failure(kind));
        }
        Lookup::Found((answer, permit))
    }

    async fn permit(&self, request: &ArtifactRequest, key: &Key) -> Result<Permit, StorageError> {
        let store = self.upstreams.store();
        let event = || {
            let mut event = store.event(Operation::Put, key, &self.actor).package(self.name.as_ref());
            if let Some(version) = &request.version {
                event = event.version(version);
            }
            if let Some(size) = request.expected.size {
                event = event.size(size);
            }
            let digest = request.expected.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
            let digest = digest.or(request.expected.sha512.as_ref().map(|hex| format!("sha512:{hex}")));
            match digest {
                Some(digest) => event.digest(digest),
                None => event,
            }
        };
        store.permit_with(event).await
    }

    /// Reads the body into the spool and the store; continues it where it breaks off and can be continued.
    async fn receive(
        &self,
        request: &ArtifactRequest,
        fill: &Arc<Fill>,
        answer: Answer,
        length: Option<u64>,
    ) -> Result<Received, FailureKind> {
        let config = &self.upstream.config;
        let mut hashes = Hashes::new(request.expected.wanted(request.digests));
        let mut writer = self.writer(request);
        // Where the end cannot be told from a broken connection and nothing is known of the bytes, they are passed on and not kept.
        let keep = answer.delimited || request.expected.has_digest();
        let validator = strong_etag(&answer.headers);
        let (mut served, mut resumes) = (answer.served, 0);
        let mut body: BoxStream<'static, Result<Bytes, BodyError>> = answer.body.into_data_stream().boxed();
        let mut turn = answer.turn;
        let mut unwatched = None;
        loop {
            let broken = match timeout(config.idle_timeout, body.next()).await {
                Ok(Some(Ok(piece))) => {
                    let received = fill.spool.received().saturating_add(piece.len() as u64);
                    if received > config.max_artifact {
                        return Err(FailureKind::TooLarge(config.max_artifact));
                    }
                    if length.or(request.expected.size).is_some_and(|length| received > length) {
                        return Err(FailureKind::Integrity("size"));
                    }
                    observe::received(&self.upstream, piece.len() as u64);
                    if unwatched.is_none() && fill.is_unwatched() && is_much_left(received, length) {
                        let place = Arc::clone(&self.shared().unwatched).try_acquire_owned();
                        unwatched = Some(place.map_err(|_| FailureKind::Busy)?);
                    }
                    hashes.update(&piece);
                    writer.write(piece.clone()).await;
                    if let Err(error) = fill.spool.push(piece).await {
                        tracing::error!(error = %error, "bytes on their way could not be spooled");
                        return Err(FailureKind::Store);
                    }
                    continue;
                }
                Ok(None) if length.is_none_or(|length| length == fill.spool.received()) => {
                    drop(turn);
                    return Ok(Received { hashes, writer, keep });
                }
                Ok(None | Some(Err(_))) => FailureKind::Truncated,
                Err(_) => FailureKind::Timeout,
            };
            served.went_bad();
            let Some(validator) = validator.clone().filter(|_| resumes < RESUMES) else { return Err(broken) };
            resumes += 1;
            drop(turn);
            let Some(next) = self.resume(request, &served, &validator, fill.spool.received(), length).await
            else {
                return Err(broken);
            };
            observe::resumed(&self.upstream);
            served = next.served;
            body = next.body.into_data_stream().boxed();
            turn = next.turn;
        }
    }

    fn writer(&self, request: &ArtifactRequest) -> Writer {
        let store = self.upstreams.store();
        let mut segments = store.segment_writer(&request.resource.data_key(store, &self.upstream));
        let (pieces, mut taken) = mpsc::channel::<Bytes>(WAITING);
        let task = tokio::spawn(async move {
            while let Some(piece) = taken.recv().await {
                segments.write(piece).await?;
            }
            segments.finish().await
        });
        Writer { pieces: Some(pieces), task: Some(task) }
    }

    /// Makes the artefact part of the cache. The clients have their bytes whether this succeeds or not.
    async fn commit(&self, key: &Key, mut permit: Permit, record: StoredArtifact, writer: Writer) {
        let written = match writer.finish().await {
            Ok(written) => written,
            Err(error) => {
                tracing::error!(error = %crate::Chain(&error), "an artefact of an upstream could not be stored");
                return;
            }
        };
        let data = permit.attach_all(written);
        let record = StoredArtifact { data, ..record };
        let change = move |draft: &mut crate::storage::Draft<StoredArtifact>| {
            let same = |old: &StoredArtifact| {
                !old.gone && old.upstream == record.upstream && old.digests.sha256 == record.digests.sha256
            };
            // Another node may have been first: its bytes are as good, and ours go.
            if !draft.get().is_some_and(same) {
                draft.set(record.clone());
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = self.upstreams.store().commit(key, permit, change).await {
            tracing::error!(error = %crate::Chain(&error), "an artefact of an upstream could not be recorded");
        }
    }

    /// An end before any byte: it is the answer to all who wait.
    fn end(&self, fill: &Fill, end: Lookup<Facts>) {
        fill.facts.send_replace(Some(end));
        fill.spool.fail(self.upstream.failure(FailureKind::Truncated));
    }
}

/// Whether so much of a body is left that it is not fetched for nobody while others wait for their turn.
fn is_much_left(received: u64, length: Option<u64>) -> bool {
    length.is_some_and(|length| {
        let left = length.saturating_sub(received);
        left > LITTLE && left > received
    })
}

struct Received {
    hashes: Hashes,
    writer: Writer,
    keep: bool,
}

/// The way to the store. When the store fails it takes no more, and the clients are served all the same.
struct Writer {
    pieces: Option<mpsc::Sender<Bytes>>,
    task: Option<tokio::task::JoinHandle<Result<Vec<PendingArtifact>, StorageError>>>,
}

impl Writer {
    async fn write(&mut self, piece: Bytes) {
        if let Some(pieces) = &self.pieces
            && pieces.send(piece).await.is_err()
        {
            self.pieces = None;
        }
    }

    async fn finish(mut self) -> Result<Vec<PendingArtifact>, StorageError> {
        self.pieces = None;
        match self.task.take() {
            Some(task) => task.await.unwrap_or_else(|error| {
                Err(StorageError::Unavailable { key: String::new(), source: error.into() })
            }),
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for Writer {
    /// What is not finished is thrown away, bytes and all.
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

struct Landing {
    under_way: Fills,
    key: Key,
    fill: Arc<Fill>,
    upstream: Arc<super::source::Upstream>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let internal = || Failure::new(self.upstream.id(), FailureKind::Internal);
        self.fill.facts.send_if_modified(|facts| {
            let open = facts.is_none();
            if open {
                *facts = Some(Lookup::Failed(internal()));
            }
            open
        });
        let ended = self.fill.spool.watch().borrow().end.is_some();
        if !ended {
            self.fill.spool.fail(internal());
        }
        self.under_way.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_goes_on_when_little_or_half_is_left() {
        for (received, length, want) in [
            (0, None, false),
            (0, Some(LITTLE), false),
            (1, Some(LITTLE + 2), true),
            (LITTLE, Some(3 * LITTLE), true),
            (2 * LITTLE, Some(4 * LITTLE), false),
        ] {
            assert_eq!(is_much_left(received, length), want, "{received} of {length:?}");
        }
    }
}
