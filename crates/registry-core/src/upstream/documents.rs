//! Documents: text of an upstream that is read whole, kept as it came, and asked for anew when it is old.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use tokio::time::timeout;
use url::Url;

use super::{
    FailureKind, Location, Lookup, Route, Source,
    call::Content,
    engine::History,
    flight::Watcher,
    freshness::{Freshness, Lifetimes, age, time_to_live},
    observe,
    status::{CacheState, Provenance},
    stored::{Resource, StoredDocument},
};
use crate::storage::{Key, Revision};

/// How long a request waits for a document that is not here.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A document is asked for anew on a client's behalf at most so often.
const ON_DEMAND: Duration = Duration::from_secs(10);
/// Who asks so soon after a failure is told the same.
const SHARED_FAILURE: Duration = Duration::from_secs(1);

/// A document to be had from an upstream.
#[derive(Clone)]
#[non_exhaustive]
pub struct DocumentRequest {
    /// What it is called.
    pub resource: Resource,
    /// Where it lies.
    pub location: Location,
    /// `Accept`.
    pub accept: &'static str,
    /// How long it is fresh, where the configuration does not say.
    pub ttl: Duration,
    /// Says what is wrong with an answer that is no such document; it is a failure then, and the old copy stays.
    pub check: Check,
    /// The scope that a token endpoint is asked for (OCI).
    pub scope: Option<Arc<str>>,
    /// The header of a HEAD that says the SHA-256 of the document as `sha256:…`: an old copy is confirmed by it, without a GET.
    pub confirmed_by: Option<&'static str>,
    /// Whether it only grows at its end: what is new is asked for by range.
    pub grows: bool,
    /// Whether it never changes: its time is neither the configuration's nor the upstream's to shorten.
    pub immutable: bool,
}

/// Says what is wrong with an answer: its body (decoded) and headers. The text is shown to clients.
pub type Check = Arc<dyn Fn(&HeaderMap, &Bytes) -> Result<(), String> + Send + Sync>;

impl fmt::Debug for DocumentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentRequest")
            .field("resource", &self.resource)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl DocumentRequest {
    /// A document at a path below the upstream's URL, percent-encoded, that is fresh for so long.
    pub fn new(
        resource: Resource,
        path: impl Into<String>,
        accept: &'static str,
        ttl: Duration,
        check: impl Fn(&HeaderMap, &Bytes) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let location = Location::Path(path.into());
        Self {
            resource,
            location,
            accept,
            ttl,
            check: Arc::new(check),
            scope: None,
            confirmed_by: None,
            grows: false,
            immutable: false,
        }
    }

    /// At a URL that stands in another document of the upstream. It is weighed before it is asked.
    pub fn at(mut self, url: Url) -> Self {
        self.location = Location::Url(url);
        self
    }

    /// It only grows at its end: of an old copy only what is new is asked for.
    pub fn grows(mut self) -> Self {
        self.grows = true;
        self
    }

    /// It never changes (its name is its digest): no setting and no `max-age` shortens its time.
    pub fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }

    /// An old copy is confirmed by this header of a HEAD, without a GET.
    pub fn confirmed_by(mut self, header: &'static str) -> Self {
        self.confirmed_by = Some(header);
        self
    }

    /// With the scope that a token endpoint is asked for.
    pub fn scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

/// A document in hand, with when the upstream last confirmed it.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) key: Key,
    pub(crate) stored: Arc<StoredDocument>,
    pub(crate) confirmed: DateTime<Utc>,
    /// Whether the upstream was asked and said that nothing changed.
    pub(crate) unchanged: bool,
}

/// An upstream's document.
#[derive(Clone, Debug)]
pub struct UpstreamDocument {
    source: Source,
    copy: Arc<Copy>,
    provenance: Provenance,
}

impl UpstreamDocument {
    /// The document as it came, with no encoding.
    pub fn raw(&self) -> &Bytes {
        &self.copy.stored.body.0
    }

    /// Its media type, as the upstream said.
    pub fn media_type(&self) -> Option<&str> {
        self.copy.stored.media_type.as_deref()
    }

    /// When the upstream says that it was last changed.
    pub fn modified(&self) -> Option<DateTime<Utc>> {
        let time = httpdate::parse_http_date(self.copy.stored.last_modified.as_deref()?).ok()?;
        Some(time.into())
    }

    /// The SHA-256 of its raw bytes, in hex.
    pub fn sha256(&self) -> &str {
        &self.copy.stored.sha256
    }

    /// Where its next page is, as the upstream said (`Link`).
    pub fn link(&self) -> Option<&str> {
        self.copy.stored.link.as_deref()
    }

    /// Keeps it under another name as well, if nothing is kept there: it is the same thing, and need not be asked for again.
    pub async fn keep_as(&self, resource: &Resource) {
        let store = self.source.upstreams.store();
        let key = resource.document_key(store, &self.source.upstream);
        if let Err(error) = store.create(&key, (*self.copy.stored).clone()).await {
            tracing::warn!(error = %crate::Chain(&error), "a document of an upstream could not be kept under its other name");
        }
    }

    /// When its bytes came.
    pub fn fetched(&self) -> DateTime<Utc> {
        self.copy.stored.fetched
    }

    /// The upstream it is from: what it names is fetched there.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it came from, for the headers of an answer that is made of it.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// A form of it that is expensive to make (parsed, rendered), made once for these bytes and kept in bounded memory. `variant` tells
    /// forms apart; the second part of what `make` returns is about how many bytes the form takes.
    pub fn derived<R: Send + Sync + 'static>(
        &self,
        variant: &str,
        make: impl FnOnce() -> (R, usize),
    ) -> Arc<R> {
        let revision = Revision(self.copy.stored.sha256.as_str().into());
        self.source.upstreams.store().derived(&self.copy.key, &revision, variant, make)
    }

    /// The form that [`UpstreamDocument::derived`] keeps, if it is there.
    pub fn derived_cached<R: Send + Sync + 'static>(&self, variant: &str) -> Option<Arc<R>> {
        let revision = Revision(self.copy.stored.sha256.as_str().into());
        self.source.upstreams.store().derived_cached(&self.copy.key, &revision, variant)
    }
}

impl Route {
    /// The document from the first upstream that has it.
    pub async fn document(&self, request: &DocumentRequest) -> Lookup<UpstreamDocument> {
        self.first(|source| source.document(request)).await
    }
}

impl Source {
    /// The document: from the cache while it is fresh, and else as the freshness rules say.
    pub async fn document(&self, request: &DocumentRequest) -> Lookup<UpstreamDocument> {
        let lookup = self.look_up(request).await;
        let outcome = match &lookup {
            Lookup::Found(document) => document.provenance.state.as_str(),
            Lookup::Absent => "absent",
            Lookup::Denied(_) => "denied",
            Lookup::Failed(_) => "failed",
        };
        observe::lookup(&self.upstream, Content::Document, outcome);
        lookup
    }

    /// A newer state of a document, if there is one: for a client that asks for a version which the copy does not have. The upstream is
    /// asked at most once in 10 seconds; without a newer state the document itself comes back.
    pub async fn newer(
        &self,
        request: &DocumentRequest,
        document: UpstreamDocument,
    ) -> Lookup<UpstreamDocument> {
        let now = self.upstream.now();
        if self.upstream.config.offline || age(document.copy.confirmed, now) < ON_DEMAND {
            return Lookup::Found(document);
        }
        let key = document.copy.key.clone();
        if self.backs_off(&key, now) {
            return Lookup::Found(document);
        }
        let copy = Arc::clone(&document.copy);
        match self.wait(&mut self.fetch(request, &key, Some(copy)), LONGEST_WAIT).await {
            Lookup::Found(copy) => Lookup::Found(self.present(request, copy, CacheState::Miss)),
            Lookup::Absent => Lookup::Absent,
            Lookup::Denied(_) | Lookup::Failed(_) => Lookup::Found(document),
        }
    }

    async fn look_up(&self, request: &DocumentRequest) -> Lookup<UpstreamDocument> {
        let (key, now) =
            (request.resource.document_key(self.upstreams.store(), &self.upstream), self.upstream.now());
        let copy = match self.copy(&key).await {
            Ok(copy) => copy,
            Err(failure) => return Lookup::Failed(failure),
        };
        let Some(copy) = copy else { return self.first_time(request, &key, now).await };
        if self.upstream.config.offline {
            return Lookup::Found(self.present(request, copy, CacheState::Offline));
        }
        let freshness = self.lifetimes(request, &copy.stored).freshness(age(copy.confirmed, now));
        let backs_off = self.backs_off(&key, now);
        match freshness {
            Freshness::Fresh => return Lookup::Found(self.present(request, copy, CacheState::Hit)),
            Freshness::Stale => {
                if !backs_off && let Ok(permit) = Arc::clone(&self.shared().refreshes).try_acquire_owned() {
                    let mut watcher = self.fetch(request, &key, Some(Arc::clone(&copy)));
                    tokio::spawn(async move {
                        let _ended = watcher.end().await;
                        drop(permit);
                    });
                }
                return Lookup::Found(self.present(request, copy, CacheState::StaleWhileRevalidate));
            }
            Freshness::Expired if backs_off => {
                return Lookup::Found(self.present(request, copy, CacheState::StaleIfError));
            }
            Freshness::Expired | Freshness::Useless => {}
        }
        let serveable = freshness == Freshness::Expired;
        let patience = if serveable { self.upstream.config.soft_timeout } else { LONGEST_WAIT };
        let mut watcher = self.fetch(request, &key, Some(Arc::clone(&copy)));
        match self.wait(&mut watcher, patience).await {
            Lookup::Found(new) => {
                let state = if new.unchanged { CacheState::Revalidated } else { CacheState::Miss };
                Lookup::Found(self.present(request, new, state))
            }
            Lookup::Absent => Lookup::Absent,
            Lookup::Denied(_) | Lookup::Failed(_) if serveable => {
                Lookup::Found(self.present(request, copy, CacheState::StaleIfError))
            }
            Lookup::Denied(denial) => Lookup::Denied(denial),
            Lookup::Failed(failure) => Lookup::Failed(failure),
        }
    }

    /// A document of which there is no copy.
    async fn first_time(
        &self,
        request: &DocumentRequest,
        key: &Key,
        now: DateTime<Utc>,
    ) -> Lookup<UpstreamDocument> {
        if self.upstream.config.offline {
            return Lookup::Failed(self.upstream.failure(FailureKind::Offline));
        }
        if self.is_known_absent(key, now) {
            return Lookup::Absent;
        }
        // A failure is told to all who ask within a second, and no longer.
        if let Some(history) = self.shared().histories.get(key)
            && let Some((failure, at)) = history.failed
            && age(at, now) < SHARED_FAILURE
        {
            return Lookup::Failed(failure);
        }
        let mut watcher = self.fetch(request, key, None);
        let fetched = self.wait(&mut watcher, LONGEST_WAIT).await;
        fetched.map(|copy| self.present(request, copy, CacheState::Miss))
    }

    /// Waits for a fetch that is under way.
    async fn wait(&self, watcher: &mut Watcher<Lookup<Arc<Copy>>>, patience: Duration) -> Lookup<Arc<Copy>> {
        if !watcher.first {
            observe::coalesced(&self.upstream);
        }
        match timeout(patience, watcher.end()).await {
            Ok(Some(end)) => end,
            Ok(None) => Lookup::Failed(self.upstream.failure(FailureKind::Internal)),
            Err(_) => Lookup::Failed(self.upstream.failure(FailureKind::Timeout)),
        }
    }

    fn present(&self, request: &DocumentRequest, copy: Arc<Copy>, state: CacheState) -> UpstreamDocument {
        let provenance = Provenance {
            upstream: self.id().clone(),
            state,
            age: Some(age(copy.confirmed, self.upstream.now())),
            ttl: Some(self.lifetimes(request, &copy.stored).ttl),
        };
        UpstreamDocument { source: self.clone(), copy, provenance }
    }

    fn lifetimes(&self, request: &DocumentRequest, stored: &StoredDocument) -> Lifetimes {
        let config = &self.upstream.config;
        let ttl = if request.immutable {
            request.ttl
        } else {
            config.ttl.unwrap_or_else(|| time_to_live(request.ttl, stored.max_age))
        };
        Lifetimes {
            ttl,
            stale_while_revalidate: config.stale_while_revalidate,
            stale_if_error: config.stale_if_error,
        }
    }

    /// Whether the upstream said a moment ago that something is not there.
    pub(crate) fn is_known_absent(&self, key: &Key, now: DateTime<Utc>) -> bool {
        self.shared().negative.get(key).is_some_and(|until| until > now)
    }

    /// Whether a document failed so lately that it is not tried again.
    fn backs_off(&self, key: &Key, now: DateTime<Utc>) -> bool {
        self.shared().histories.get(key).and_then(|history| history.again).is_some_and(|again| {
            // No pause is longer than five minutes: what is, comes from a clock that was set back.
            again > now && again.signed_duration_since(now) < TimeDelta::minutes(6)
        })
    }

    pub(crate) fn shared(&self) -> &super::engine::Shared {
        &self.upstreams.engine().shared
    }

    pub(crate) fn history(&self, key: &Key, change: impl FnOnce(&mut History)) {
        let mut history = self.shared().histories.get(key).unwrap_or_default();
        change(&mut history);
        self.shared().histories.insert(key.clone(), history);
    }
}
