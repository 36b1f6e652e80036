//! Artefacts: bytes of an upstream that are passed on while they are stored, and kept for ever.

use std::{collections::HashMap, fmt, ops::Range, sync::Arc, time::SystemTime};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use parking_lot::Mutex;
use tokio::sync::watch;
use url::Url;

use super::{
    Failure, FailureKind, Lookup, Route, Source,
    call::Content,
    observe,
    spool::{self, Spool},
    status::{CacheState, Provenance},
    stored::{Resource, StoredArtifact},
};
use crate::{
    Body, Response,
    http::{ArtifactResponse, respond_artifact},
    storage::{Digests, Key, StorageError, Store, WantedDigests},
};

/// Where an artefact lies.
#[derive(Clone, Debug)]
pub enum Location {
    /// A path below the upstream's URL, percent-encoded.
    Path(String),
    /// A URL that stands in one of the upstream's documents. It is weighed before it is asked.
    Url(Url),
}

/// What is known of an artefact's bytes before they come. What is known is enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// SHA-256 in hex.
    pub sha256: Option<String>,
    /// SHA-512 in hex.
    pub sha512: Option<String>,
    /// SHA-1 in hex.
    pub sha1: Option<String>,
    /// MD5 in hex.
    pub md5: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
}

impl Expected {
    /// Whether anything is known by which wrong bytes can be told.
    pub(crate) fn has_digest(&self) -> bool {
        self.sha256.is_some() || self.sha512.is_some() || self.sha1.is_some() || self.md5.is_some()
    }

    /// The digests that have to be computed.
    pub(crate) fn wanted(&self, more: WantedDigests) -> WantedDigests {
        WantedDigests {
            sha512: more.sha512 || self.sha512.is_some(),
            sha1: more.sha1 || self.sha1.is_some(),
            md5: more.md5 || self.md5.is_some(),
            blake2b_256: more.blake2b_256,
        }
    }

    /// Which of the digests the bytes do not have, if one. One that was not computed contradicts nothing.
    pub(crate) fn contradicted(&self, size: u64, digests: &Digests) -> Option<&'static str> {
        let differs = |expected: &Option<String>, got: Option<&String>| {
            expected.as_ref().zip(got).is_some_and(|(expected, got)| !expected.eq_ignore_ascii_case(got))
        };
        if self.size.is_some_and(|expected| expected != size) {
            return Some("size");
        }
        [
            ("sha256", differs(&self.sha256, Some(&digests.sha256))),
            ("sha512", differs(&self.sha512, digests.sha512.as_ref())),
            ("sha1", differs(&self.sha1, digests.sha1.as_ref())),
            ("md5", differs(&self.md5, digests.md5.as_ref())),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }
}

/// An artefact to be had from an upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ArtifactRequest {
    /// What it is called.
    pub resource: Resource,
    /// Where it lies.
    pub location: Location,
    /// What is known of its bytes.
    pub expected: Expected,
    /// Digests to compute beside those, for the record.
    pub digests: WantedDigests,
    /// `Accept`, where it matters.
    pub accept: Option<&'static str>,
    /// The version or tag that hooks are told.
    pub version: Option<String>,
    /// The scope that a token endpoint is asked for (OCI).
    pub scope: Option<Arc<str>>,
    /// Whether only what is known of it is wanted, and no bytes.
    pub head: bool,
    /// Whether a page (HTML) is no answer: what some servers send with status 200 in place of what is not there.
    pub no_page: bool,
}

impl ArtifactRequest {
    /// An artefact of which these digests are known.
    pub fn new(resource: Resource, location: Location, expected: Expected) -> Self {
        Self {
            resource,
            location,
            expected,
            digests: WantedDigests::default(),
            accept: None,
            version: None,
            scope: None,
            head: false,
            no_page: false,
        }
    }

    /// A page in its place is a failure.
    pub fn no_page(mut self) -> Self {
        self.no_page = true;
        self
    }

    /// For an answer to a request of this method: HEAD fetches no bytes.
    pub fn method(mut self, method: &http::Method) -> Self {
        self.head = *method == http::Method::HEAD;
        self
    }

    /// With the version or tag that hooks are told.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// With `Accept`.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = Some(accept);
        self
    }

    /// With the scope that a token endpoint is asked for.
    pub fn scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// With more digests to compute.
    pub fn digests(mut self, wanted: WantedDigests) -> Self {
        self.digests = wanted;
        self
    }
}

/// What is known of an artefact once its headers are here.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// An artefact that is being fetched.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) spool: Arc<Spool>,
    /// Set once the upstream's headers are accepted; an end before that is the answer to all who wait.
    pub(crate) facts: watch::Sender<Option<Lookup<Facts>>>,
}

impl Fill {
    /// Whether nobody reads it or is about to. The map and the fetch's own task hold it, too.
    pub(crate) fn is_unwatched(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) <= 2 && Arc::strong_count(&self.spool) <= 1
    }
}

/// The artefacts under way.
pub(crate) type Fills = Arc<Mutex<HashMap<Key, Arc<Fill>>>>;

enum Origin {
    Stored(Box<StoredArtifact>, Store),
    Filling(Arc<Fill>, Facts),
    /// Only what is known of it.
    Told(Facts),
}

/// An upstream's artefact: stored, or on its way.
pub struct UpstreamArtifact {
    origin: Origin,
    source: Source,
    expected: Expected,
    provenance: Provenance,
}

impl fmt::Debug for UpstreamArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamArtifact").field("provenance", &self.provenance).finish_non_exhaustive()
    }
}

/// How an artefact is answered.
#[derive(Debug)]
pub struct ArtifactHead {
    /// Its media type; that which the upstream said where none is given.
    pub content_type: Option<HeaderValue>,
    /// Its strong ETag, quotes included; one of its digests where none is given.
    pub etag: Option<HeaderValue>,
    /// More headers.
    pub headers: HeaderMap,
}

impl Route {
    /// The artefact from the first upstream that has it. For what is named by no document of theirs.
    pub async fn artifact(&self, request: &ArtifactRequest) -> Lookup<UpstreamArtifact> {
        self.first(|source| source.artifact(request)).await
    }
}

impl Source {
    /// The artefact: from the cache, or as it comes.
    pub async fn artifact(&self, request: &ArtifactRequest) -> Lookup<UpstreamArtifact> {
        let lookup = self.look_up_artifact(request).await;
        let outcome = match &lookup {
            Lookup::Found(artifact) => artifact.provenance.state.as_str(),
            Lookup::Absent => "absent",
            Lookup::Denied(_) => "denied",
            Lookup::Failed(_) => "failed",
        };
        observe::lookup(&self.upstream, Content::Artifact, outcome);
        lookup
    }

    async fn look_up_artifact(&self, request: &ArtifactRequest) -> Lookup<UpstreamArtifact> {
        let key = request.resource.artifact_key(self.upstreams.store(), &self.upstream);
        match self.stored_artifact(&key, &request.expected).await {
            Ok(Some(stored)) => return Lookup::Found(self.present_stored(stored, &request.expected)),
            Ok(None) => {}
            Err(failure) => return Lookup::Failed(failure),
        }
        if self.upstream.config.offline {
            return Lookup::Failed(self.upstream.failure(FailureKind::Offline));
        }
        if self.is_known_absent(&key, self.upstream.now()) {
            return Lookup::Absent;
        }
        let under_way = self.shared().artifacts.lock().contains_key(&key);
        if request.head && !under_way {
            return self.ask_head(request, &key).await.map(|facts| UpstreamArtifact {
                origin: Origin::Told(facts),
                source: self.clone(),
                expected: request.expected.clone(),
                provenance: self.provenance_of_artifact(CacheState::Miss),
            });
        }
        let fill = self.fill(request, &key);
        let mut facts = fill.facts.subscribe();
        let facts = match facts.wait_for(Option::is_some).await {
            Ok(facts) => facts.clone(),
            Err(_) => None,
        };
        match facts.unwrap_or_else(|| Lookup::Failed(self.upstream.failure(FailureKind::Internal))) {
            Lookup::Found(facts) => {
                let provenance = self.provenance_of_artifact(CacheState::Miss);
                let origin = Origin::Filling(fill, facts);
                let (source, expected) = (self.clone(), request.expected.clone());
                Lookup::Found(UpstreamArtifact { origin, source, expected, provenance })
            }
            Lookup::Absent => Lookup::Absent,
            Lookup::Denied(denial) => Lookup::Denied(denial),
            Lookup::Failed(failure) => Lookup::Failed(failure),
        }
    }

    /// What is stored of an artefact, and nothing else: nobody is asked.
    pub async fn kept_artifact(&self, resource: &Resource) -> Lookup<UpstreamArtifact> {
        let key = resource.artifact_key(self.upstreams.store(), &self.upstream);
        let expected = Expected::default();
        match self.stored_artifact(&key, &expected).await {
            Ok(Some(stored)) => Lookup::Found(self.present_stored(stored, &expected)),
            Ok(None) => Lookup::Absent,
            Err(failure) => Lookup::Failed(failure),
        }
    }

    /// What is stored of an artefact, if it is what is expected.
    pub(crate) async fn stored_artifact(
        &self,
        key: &Key,
        expected: &Expected,
    ) -> Result<Option<StoredArtifact>, Failure> {
        let stored = self.upstreams.store().read::<StoredArtifact>(key).await.map_err(|error| {
            tracing::error!(error = %crate::Chain(&error), "the record of a cached artefact could not be read");
            self.upstream.failure(FailureKind::Store)
        })?;
        let url = self.upstream.config.url.as_str();
        let Some(stored) = stored.filter(|stored| !stored.gone && stored.upstream == url) else {
            return Ok(None);
        };
        if let Some(what) = expected.contradicted(stored.size, &stored.digests) {
            // The metadata changed under bytes that never should: neither is overwritten, and somebody must look.
            observe::digest_changed(&self.upstream);
            tracing::error!(upstream = %self.id(), what, "an upstream promises other bytes for an artefact than it had before");
            return Err(self.upstream.failure(FailureKind::Integrity(what)));
        }
        Ok(Some(stored.value.clone()))
    }

    fn present_stored(&self, stored: StoredArtifact, expected: &Expected) -> UpstreamArtifact {
        let state = if self.upstream.config.offline { CacheState::Offline } else { CacheState::Hit };
        UpstreamArtifact {
            origin: Origin::Stored(Box::new(stored), self.upstreams.store().clone()),
            source: self.clone(),
            expected: expected.clone(),
            provenance: self.provenance_of_artifact(state),
        }
    }

    fn provenance_of_artifact(&self, state: CacheState) -> Provenance {
        Provenance { upstream: self.id().clone(), state, age: None, ttl: None }
    }
}

impl UpstreamArtifact {
    /// The size in bytes, where it is known already.
    pub fn size(&self) -> Option<u64> {
        match &self.origin {
            Origin::Stored(stored, _) => Some(stored.size),
            Origin::Filling(_, facts) | Origin::Told(facts) => facts.size,
        }
    }

    /// The digests of the stored bytes; `None` while they are on their way.
    pub fn digests(&self) -> Option<&Digests> {
        match &self.origin {
            Origin::Stored(stored, _) => Some(&stored.digests),
            Origin::Filling(..) | Origin::Told(_) => None,
        }
    }

    /// The media type, as the upstream said.
    pub fn media_type(&self) -> Option<&str> {
        match &self.origin {
            Origin::Stored(stored, _) => stored.media_type.as_deref(),
            Origin::Filling(_, facts) | Origin::Told(facts) => facts.media_type.as_deref(),
        }
    }

    /// When the upstream says that it was last changed.
    pub fn modified(&self) -> Option<SystemTime> {
        let text = match &self.origin {
            Origin::Stored(stored, _) => stored.last_modified.as_deref(),
            Origin::Filling(_, facts) | Origin::Told(facts) => facts.last_modified.as_deref(),
        };
        httpdate::parse_http_date(text?).ok()
    }

    /// When its bytes came; `None` while they are on their way.
    pub fn fetched(&self) -> Option<DateTime<Utc>> {
        match &self.origin {
            Origin::Stored(stored, _) => Some(stored.fetched),
            Origin::Filling(..) | Origin::Told(_) => None,
        }
    }

    /// The upstream it is from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Its bytes or a range of them, as they come.
    pub async fn open(&self, range: Option<Range<u64>>) -> Result<Body, StorageError> {
        self.opener()(range).await
    }

    fn opener(
        &self,
    ) -> impl Fn(Option<Range<u64>>) -> futures_util::future::BoxFuture<'static, Result<Body, StorageError>>
    + Send
    + Sync
    + 'static {
        enum From {
            Store(Store, Arc<[crate::storage::DataRef]>),
            Spool(Arc<Spool>, Option<u64>),
            Nowhere,
        }
        let from = match &self.origin {
            Origin::Stored(stored, store) => From::Store(store.clone(), stored.data.clone().into()),
            Origin::Filling(fill, facts) => From::Spool(Arc::clone(&fill.spool), facts.size),
            Origin::Told(_) => From::Nowhere,
        };
        move |range| match &from {
            From::Store(store, data) => {
                let (store, data) = (store.clone(), Arc::clone(data));
                Box::pin(async move { store.serve_artifact(&data, range).await })
            }
            From::Spool(spool, size) => {
                let length = range.as_ref().map(|range| range.end.saturating_sub(range.start)).or(*size);
                let pieces = spool::read(Arc::clone(spool), range);
                let body = match length {
                    Some(length) => Body::from_sized_stream(length, pieces),
                    None => Body::from_stream(pieces),
                };
                Box::pin(async move { Ok(body) })
            }
            From::Nowhere => Box::pin(async { Ok(Body::empty()) }),
        }
    }

    /// Answers GET and HEAD, with conditions and ranges; `Cache-Status` says where it came from.
    pub async fn respond(&self, request: &Parts, head: ArtifactHead) -> Result<Response, StorageError> {
        let ArtifactHead { content_type, etag, mut headers } = head;
        self.provenance.put_on(&mut headers);
        let said = self.media_type().and_then(|text| HeaderValue::try_from(text).ok());
        let content_type =
            content_type.or(said).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let etag = etag.or_else(|| self.etag());
        if let Some((size, etag)) = self.size().zip(etag.clone()) {
            let artifact = ArtifactResponse { size, etag, content_type, modified: self.modified(), headers };
            return respond_artifact(request, artifact, self.opener()).await;
        }
        // Nothing is known of its size: it is sent as it comes, and ranges are left for later.
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Some(etag) = etag {
            headers.insert(header::ETAG, etag);
        }
        let head = request.method == http::Method::HEAD;
        if let Some(size) = self.size().filter(|_| head) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        }
        let body = if head { Body::empty() } else { self.open(None).await? };
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// A digest as an ETag. What is expected comes first, so that it is the same before and after the bytes are stored.
    fn etag(&self) -> Option<HeaderValue> {
        let expected = &self.expected;
        let known = [&expected.sha256, &expected.sha512, &expected.sha1, &expected.md5];
        let known = known.into_iter().flatten().next().cloned();
        let digest = known.or_else(|| self.digests().map(|digests| digests.sha256.clone()))?;
        HeaderValue::try_from(format!("\"{}\"", digest.to_ascii_lowercase())).ok()
    }
}
