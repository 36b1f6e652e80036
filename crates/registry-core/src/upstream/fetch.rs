//! Fetching one document: a conditional request, its answer checked and stored.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{
    DocumentRequest, Failure, FailureKind, Lookup, Source,
    body::{decode, read_limited},
    call::{Answer, Call, Content},
    documents::Copy,
    flight::Watcher,
    freshness::max_age,
    observe,
    stored::{StoredBytes, StoredDocument},
};
use crate::storage::{Key, StorageError};

/// A document must be missed twice, so long apart, to be gone.
const SECOND_LOOK: TimeDelta = TimeDelta::seconds(30);
/// The record of an unchanged document is written again only so seldom: its time is kept in memory.
const WRITTEN_AGAIN: TimeDelta = TimeDelta::hours(6);
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(5);

impl Source {
    /// The copy of a document, if there is one from this very upstream.
    pub(crate) async fn copy(&self, key: &Key) -> Result<Option<Arc<Copy>>, Failure> {
        let stored = self.upstreams.store().read::<StoredDocument>(key).await.map_err(|error| {
            tracing::error!(error = %crate::Chain(&error), "a cached document could not be read");
            self.upstream.failure(FailureKind::Store)
        })?;
        let Some(stored) =
            stored.filter(|stored| !stored.gone && stored.upstream == self.upstream.config.url.as_str())
        else {
            return Ok(None);
        };
        let confirmed = self.shared().histories.get(key).and_then(|history| history.confirmed);
        let confirmed = confirmed.map_or(stored.fetched, |confirmed| confirmed.max(stored.fetched));
        let copy =
            Copy { key: key.clone(), stored: Arc::new(stored.value.clone()), confirmed, unchanged: false };
        Ok(Some(Arc::new(copy)))
    }

    /// Begins to fetch a document, or joins who does. It goes on when everybody leaves.
    pub(crate) fn fetch(
        &self,
        request: &DocumentRequest,
        key: &Key,
        copy: Option<Arc<Copy>>,
    ) -> Watcher<Lookup<Arc<Copy>>> {
        let flights = Arc::clone(&self.shared().documents);
        flights.join(key, || {
            let (source, request, key) = (self.clone(), request.clone(), key.clone());
            async move { source.fetch_now(&request, &key, copy).await }
        })
    }

    async fn fetch_now(
        &self,
        request: &DocumentRequest,
        key: &Key,
        copy: Option<Arc<Copy>>,
    ) -> Lookup<Arc<Copy>> {
        let total = self.upstream.config.total_timeout;
        let asked = timeout(total, self.ask(request, copy.as_deref())).await;
        let asked = asked.unwrap_or_else(|_| Lookup::Failed(self.upstream.failure(FailureKind::Timeout)));
        let now = self.upstream.now();
        match asked {
            Lookup::Found(Asked::Unchanged(headers)) => match copy {
                Some(copy) => Lookup::Found(self.confirm(key, &copy, &headers, now).await),
                None => self.failed(key, self.upstream.failure(FailureKind::Status(304)), now),
            },
            Lookup::Found(Asked::Changed(headers, body)) => {
                let stored = self.record(&headers, body, now);
                self.history(key, |history| *history = super::engine::History::default());
                self.shared().negative.remove(key);
                let stored = Arc::new(stored);
                self.write(key, &stored).await;
                let confirmed = stored.fetched;
                Lookup::Found(Arc::new(Copy { key: key.clone(), stored, confirmed, unchanged: false }))
            }
            Lookup::Absent => self.absent(key, copy.as_deref(), now).await,
            Lookup::Denied(denial) => {
                if copy.is_some() {
                    tracing::warn!(upstream = %self.id(), "an upstream does not give out any more what it gave before");
                }
                Lookup::Denied(denial)
            }
            Lookup::Failed(failure) => self.failed(key, failure, now),
        }
    }

    /// Asks the upstream and reads its answer.
    async fn ask(&self, request: &DocumentRequest, copy: Option<&Copy>) -> Lookup<Asked> {
        let url = match self.upstream.locate(&request.location) {
            Ok(url) => url,
            Err(failure) => return Lookup::Failed(failure),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(request.accept));
        if let Some(copy) = copy {
            let mut put = |name, text: &Option<String>| {
                if let Some(value) = text.as_deref().and_then(|text| HeaderValue::try_from(text).ok()) {
                    headers.insert(name, value);
                }
            };
            put(header::IF_NONE_MATCH, &copy.stored.etag);
            put(header::IF_MODIFIED_SINCE, &copy.stored.last_modified);
        }
        // The last byte is asked for again: it tells whether what is there still begins with the copy.
        let known = copy.filter(|_| request.grows).map(|copy| copy.stored.body.0.clone());
        let known = known.filter(|known| known.len() > 1);
        if let Some(known) = &known
            && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", known.len() - 1))
        {
            headers.insert(header::RANGE, range);
        }
        let mut call = Call {
            method: Method::GET,
            url,
            content: Content::Document,
            headers,
            body: Bytes::new(),
            scope: request.scope.clone(),
        };
        if let Some((copy, name)) = copy.zip(request.confirmed_by) {
            call.method = Method::HEAD;
            match self.upstream.exchange(&call).await {
                Lookup::Found(answer) => {
                    let digest = answer.headers.get(name).map(HeaderValue::as_bytes);
                    let ours = format!("sha256:{}", copy.stored.sha256);
                    if answer.status == StatusCode::NOT_MODIFIED || digest == Some(ours.as_bytes()) {
                        return Lookup::Found(Asked::Unchanged(answer.headers));
                    }
                }
                Lookup::Absent => return Lookup::Absent,
                Lookup::Denied(denial) => return Lookup::Denied(denial),
                Lookup::Failed(failure) => return Lookup::Failed(failure),
            }
            // It has changed, or does not say: it is asked for whole.
            call.method = Method::GET;
            call.headers.remove(header::IF_NONE_MATCH);
            call.headers.remove(header::IF_MODIFIED_SINCE);
        }
        let answer = match self.upstream.exchange(&call).await {
            Lookup::Found(answer) => answer,
            Lookup::Absent => return Lookup::Absent,
            Lookup::Denied(denial) => return Lookup::Denied(denial),
            // It has become shorter.
            Lookup::Failed(failure) if known.is_some() && failure.kind == FailureKind::Status(416) => {
                return Box::pin(self.ask(request, None)).await;
            }
            Lookup::Failed(failure) => return Lookup::Failed(failure),
        };
        let is_rest = known.is_some() && answer.status == StatusCode::PARTIAL_CONTENT;
        if known.is_some() && answer.status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Box::pin(self.ask(request, None)).await;
        }
        match self.read_answer(request, copy.is_some(), known.filter(|_| is_rest), answer).await {
            Ok(asked) => Lookup::Found(asked),
            // What came is no end of the copy: it is asked for whole.
            Err(FailureKind::BadBody(_)) if is_rest => Box::pin(self.ask(request, None)).await,
            Err(kind) => Lookup::Failed(self.upstream.failure(kind)),
        }
    }

    async fn read_answer(
        &self,
        request: &DocumentRequest,
        conditional: bool,
        known: Option<Bytes>,
        answer: Answer,
    ) -> Result<Asked, FailureKind> {
        let Answer { status, headers, body, served, turn: _turn, .. } = answer;
        match status {
            StatusCode::NOT_MODIFIED if conditional => return Ok(Asked::Unchanged(headers)),
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if known.is_some() => {}
            other => return Err(FailureKind::Status(other.as_u16())),
        }
        let config = &self.upstream.config;
        let read = async {
            let body = read_limited(body, config.max_document, config.idle_timeout).await?;
            observe::received(&self.upstream, body.len() as u64);
            let mut body = decode(&headers, body, config.max_document).await?;
            if let Some(known) = known {
                body = continued(&known, &headers, &body).ok_or_else(|| {
                    FailureKind::BadBody("what it sent is not the rest of what it had".to_owned())
                })?;
                if body.len() as u64 > config.max_document {
                    return Err(FailureKind::TooLarge(config.max_document));
                }
            }
            (request.check)(&headers, &body).map_err(FailureKind::BadBody)?;
            Ok(body)
        };
        let read = read.await;
        match &read {
            Err(FailureKind::Truncated) => {
                observe::truncated(&self.upstream);
                served.went_bad();
            }
            Err(FailureKind::BadBody(_) | FailureKind::Timeout) => served.went_bad(),
            Err(_) | Ok(_) => {}
        }
        read.map(|body| Asked::Changed(headers, body))
    }

    fn record(&self, headers: &HeaderMap, body: Bytes, now: DateTime<Utc>) -> StoredDocument {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        StoredDocument {
            upstream: self.upstream.config.url.to_string(),
            fetched: now,
            etag: text(header::ETAG),
            last_modified: text(header::LAST_MODIFIED),
            media_type: text(header::CONTENT_TYPE),
            max_age: max_age(headers),
            link: text(header::LINK),
            sha256: hex::encode(Sha256::digest(&body)),
            gone: false,
            body: StoredBytes(body),
        }
    }

    /// The upstream says that the copy is what it has.
    async fn confirm(&self, key: &Key, copy: &Copy, headers: &HeaderMap, now: DateTime<Utc>) -> Arc<Copy> {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let mut stored = Arc::clone(&copy.stored);
        let (etag, age) = (text(header::ETAG), max_age(headers));
        let news = (etag.is_some() && etag != stored.etag) || (age.is_some() && age != stored.max_age);
        if news || now.signed_duration_since(stored.fetched) > WRITTEN_AGAIN {
            let mut new = (*stored).clone();
            new.fetched = now;
            new.etag = etag.or(new.etag);
            new.last_modified = text(header::LAST_MODIFIED).or(new.last_modified);
            new.max_age = age.or(new.max_age);
            stored = Arc::new(new);
            self.write(key, &stored).await;
        }
        self.history(key, |history| {
            *history = super::engine::History { confirmed: Some(now), ..Default::default() };
        });
        Arc::new(Copy { key: key.clone(), stored, confirmed: now, unchanged: true })
    }

    /// The upstream says that there is no such document.
    async fn absent(&self, key: &Key, copy: Option<&Copy>, now: DateTime<Utc>) -> Lookup<Arc<Copy>> {
        if let Some(copy) = copy {
            let first = self.shared().histories.get(key).and_then(|history| history.gone);
            let sure = first.is_some_and(|first| now.signed_duration_since(first) >= SECOND_LOOK);
            if !sure {
                self.history(key, |history| {
                    history.gone = history.gone.or(Some(now));
                    history.again = Some(now + FIRST_PAUSE);
                });
                return Lookup::Failed(self.upstream.failure(FailureKind::Status(404)));
            }
            tracing::warn!(upstream = %self.id(), "a document is gone from an upstream");
            let gone = StoredDocument {
                gone: true,
                fetched: now,
                body: StoredBytes::default(),
                ..(*copy.stored).clone()
            };
            self.write(key, &Arc::new(gone)).await;
            self.history(key, |history| *history = super::engine::History::default());
        }
        self.note_absent(key, now);
        Lookup::Absent
    }

    /// Remembers for a while that something is not there.
    pub(crate) fn note_absent(&self, key: &Key, now: DateTime<Utc>) {
        if let Ok(ttl) = TimeDelta::from_std(self.upstream.config.negative_ttl)
            && ttl > TimeDelta::zero()
        {
            self.shared().negative.insert(key.clone(), now + ttl);
        }
    }

    /// The document could not be had. Who asks again within a second is told the same; a copy is not refreshed for longer and longer.
    fn failed(&self, key: &Key, failure: Failure, now: DateTime<Utc>) -> Lookup<Arc<Copy>> {
        self.history(key, |history| {
            history.failures = history.failures.saturating_add(1);
            history.failed = Some((failure.clone(), now));
            let doubled = FIRST_PAUSE * (1 << history.failures.saturating_sub(1).min(6));
            history.again = Some(now + doubled.min(LONGEST_PAUSE));
        });
        Lookup::Failed(failure)
    }

    /// Stores a document; a newer one stays. When the store fails the document is served all the same.
    async fn write(&self, key: &Key, stored: &Arc<StoredDocument>) {
        let new = Arc::clone(stored);
        let change = move |draft: &mut crate::storage::Draft<StoredDocument>| {
            if draft.get().is_none_or(|old| old.fetched <= new.fetched || old.upstream != new.upstream) {
                draft.set((*new).clone());
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = self.upstreams.store().update(key, change).await {
            tracing::error!(error = %crate::Chain(&error), "a document of an upstream could not be stored");
        }
    }
}

/// A copy with what follows it, whose first byte is the copy's last. Where the upstream says the digest of the whole, it has to be
/// that.
fn continued(known: &Bytes, headers: &HeaderMap, rest: &Bytes) -> Option<Bytes> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let start = range.strip_prefix("bytes ")?.split_once('-')?.0;
    let last = known.len().checked_sub(1)?;
    if start.parse::<usize>().ok()? != last || rest.first() != known.last() {
        return None;
    }
    let whole = [known.get(..last)?, rest].concat();
    if let Some(told) = headers.get("repr-digest").and_then(|told| told.to_str().ok())
        && let Some(digest) = told.split(',').find_map(|one| one.trim().strip_prefix("sha-256=:"))
    {
        let ours = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&whole));
        if digest.trim_end_matches(':') != ours {
            return None;
        }
    }
    Some(whole.into())
}

/// What an upstream answered.
enum Asked {
    Changed(HeaderMap, Bytes),
    Unchanged(HeaderMap),
}
