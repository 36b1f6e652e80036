//! The way of every request through the server: id, origin, own page or registry, panic net, access log, metrics.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body as _, Frame, SizeHint};
use smartregistry::{
    SmartRegistry,
    core::{
        Actor, ActorSlot, Body, BodyError, Protocol,
        http::{ExternalOrigin, PublicUrl, ReasonPhrase},
        upstream::BreakerState,
    },
};
use tokio::time::timeout;

use crate::{
    config::TrustedProxies,
    forwarded,
    log::{Access, AccessLog},
    metrics::{self, RequestMetrics},
    net::{Handler, InFlight},
    pages::{self, Page},
    request_id::{self, RequestId, RequestIds},
};

/// How long the store may take to answer `/readyz`.
const READY_PATIENCE: Duration = Duration::from_secs(5);

/// Answers all requests. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Front(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    live: ArcSwap<Live>,
    ids: RequestIds,
    counts: RequestMetrics,
    metrics: Option<metrics::Handle>,
}

/// What a reload replaces.
#[derive(Debug)]
pub(crate) struct Live {
    /// The registries.
    pub(crate) registry: SmartRegistry,
    /// Whose `X-Forwarded-*` headers are believed.
    pub(crate) trusted_proxies: TrustedProxies,
    /// How clients reach a registry, for the page at `/`: the server's own rule, and those of registries that have one.
    pub(crate) public_url: PublicUrl,
    /// The origins of registries that have one of their own, by name.
    pub(crate) origins: Vec<(String, PublicUrl)>,
    /// Where requests are told, if they are.
    pub(crate) access: Option<AccessLog>,
    /// Whether `/metrics` is here, and not on an address of its own.
    pub(crate) metrics_here: bool,
}

impl Front {
    /// A front before some registries. Without `metrics` nothing is counted.
    pub(crate) fn new(live: Live, metrics: Option<metrics::Handle>) -> Self {
        Front(Arc::new(Shared {
            live: ArcSwap::from_pointee(live),
            ids: RequestIds::new(),
            counts: RequestMetrics::default(),
            metrics,
        }))
    }

    /// Puts other registries behind the front. Requests in flight end with the old ones, which are returned.
    pub(crate) fn swap(&self, live: Live) -> Arc<Live> {
        self.0.live.swap(Arc::new(live))
    }
}

impl Handler for Front {
    type Body = Tracked;

    fn handle(
        self,
        peer: SocketAddr,
        tls: bool,
        guard: InFlight,
        mut request: Request<Body>,
    ) -> impl Future<Output = Response<Tracked>> + Send + 'static {
        let shared = self.0;
        async move {
            let live = shared.live.load_full();
            let origin = forwarded::resolve(peer.ip(), tls, request.headers_mut(), &live.trusted_proxies);
            let slot = ActorSlot::default();
            let mut record = Record {
                id: shared.ids.of(request.headers()),
                began: Instant::now(),
                client: origin.client,
                slot: slot.clone(),
                protocol: None,
                method: request.method().clone(),
                uri: request.uri().clone(),
                status: client_closed(),
                sent: 0,
                received: request.body().size_hint().lower(),
                live: Arc::clone(&live),
                shared: Arc::clone(&shared),
                _guard: guard,
            };
            let external =
                origin.external.map(ExternalOrigin).or_else(|| tls.then(|| https_origin(&request))?);
            let extensions = request.extensions_mut();
            if let Some(external) = external {
                extensions.insert(external);
            }
            extensions.insert(Actor::anonymous().with_address(origin.client));
            extensions.insert(slot);

            let answer = async {
                if let Some(page) = Page::at(request.uri().path()) {
                    return Box::pin(own_page(page, &shared, &live, request)).await;
                }
                match live.registry.route(&request) {
                    Some(registry) => {
                        record.protocol = Some(registry.instance().protocol);
                        registry.handle(request).await
                    }
                    None => Box::pin(live.registry.handle_request(request)).await,
                }
            };
            let mut response = match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(response) => response,
                Err(_) => panicked(&record.id),
            };
            response.headers_mut().insert(request_id::HEADER, record.id.header());
            record.status = response.status();
            if let Some(reason) = response.extensions_mut().remove::<ReasonPhrase>()
                && let Ok(reason) = hyper::ext::ReasonPhrase::try_from(reason.as_str().as_bytes())
            {
                response.extensions_mut().insert(reason);
            }
            response.map(|body| Tracked { body, record })
        }
    }
}

/// The status in the log of a request whose client went away before there was an answer.
fn client_closed() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// The origin of a request that came by our own TLS.
fn https_origin<B>(request: &Request<B>) -> Option<ExternalOrigin> {
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    let authority: http::uri::Authority = host.parse().ok()?;
    (!authority.as_str().contains('@')).then(|| ExternalOrigin(format!("https://{authority}")))
}

/// The answer to a request whose handling panicked. The panic itself was told by the panic hook.
fn panicked(id: &RequestId) -> Response<Body> {
    ::metrics::counter!("http_panics_total").increment(1);
    tracing::error!(request_id = id.as_str(), "a request's handling panicked");
    pages::text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal error; request id {}\n", id.as_str()))
}

async fn own_page(page: Page, shared: &Shared, live: &Live, request: Request<Body>) -> Response<Body> {
    if let Some(refusal) = pages::refuse_method(request.method()) {
        return refusal;
    }
    match page {
        Page::Health => pages::text(StatusCode::OK, "ok\n"),
        Page::Ready => ready(live).await,
        Page::Metrics => match &shared.metrics {
            Some(metrics) if live.metrics_here => pages::metrics(metrics.render()),
            _ => pages::text(StatusCode::NOT_FOUND, "metrics are not served here\n"),
        },
        Page::Index => {
            let (parts, _) = request.into_parts();
            let registries = live.registry.registries().iter().map(|registry| {
                let name = registry.instance().name.as_str();
                let own = live.origins.iter().find(|(n, _)| n == name).map(|(_, url)| url);
                (&**registry, own.unwrap_or(&live.public_url).origin(&parts))
            });
            pages::index(&parts.headers, registries)
        }
    }
}

async fn ready(live: &Live) -> Response<Body> {
    match timeout(READY_PATIENCE, live.registry.storage().ready()).await {
        Ok(Ok(())) => pages::text(StatusCode::OK, format!("ready\n{}", troubled_upstreams(live))),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store is not ready");
            pages::text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
        Err(_) => pages::text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer in time\n"),
    }
}

/// A line for each upstream that is not asked now, or not in vain. What is hosted is served without them.
fn troubled_upstreams(live: &Live) -> String {
    let mut lines = String::new();
    for health in live.registry.upstreams().health() {
        let trouble = if health.credentials_refused {
            "refuses its credentials".to_owned()
        } else if health.cooling_seconds > 0 {
            format!("asked to be left alone for {} s", health.cooling_seconds)
        } else if health.breaker != BreakerState::Closed {
            format!("breaker {}", health.breaker.as_str())
        } else {
            continue;
        };
        lines = format!("{lines}upstream {}/{}: {trouble}\n", health.instance, health.id);
    }
    lines
}

/// What is told of a request once its answer is sent, or its client is gone.
#[derive(Debug)]
struct Record {
    id: RequestId,
    began: Instant,
    client: IpAddr,
    slot: ActorSlot,
    protocol: Option<Protocol>,
    method: Method,
    uri: Uri,
    status: StatusCode,
    sent: u64,
    received: u64,
    live: Arc<Live>,
    shared: Arc<Shared>,
    _guard: InFlight,
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        if self.shared.metrics.is_some() {
            let Self { protocol, status, sent, received, .. } = *self;
            self.shared.counts.record(protocol, &self.method, status, duration, sent, received);
        }
        if let Some(log) = &self.live.access {
            log.write(&Access {
                request_id: self.id.as_str(),
                client: self.client,
                actor: self.slot.actor().map_or("anonymous", Actor::name),
                protocol: metrics::protocol_name(self.protocol),
                method: &self.method,
                path: self.uri.path(),
                status: self.status,
                bytes: self.sent,
                duration,
            });
        }
    }
}

/// An answer's body with the record of its request, which is told when both are dropped.
#[derive(Debug)]
pub(crate) struct Tracked {
    body: Body,
    record: Record,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.record.sent = self.record.sent.saturating_add(bytes as u64);
            }
            Poll::Ready(Some(Err(error))) => {
                let request_id = self.record.id.as_str();
                tracing::warn!(request_id, error = error as &dyn std::error::Error, "an answer ended early");
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
