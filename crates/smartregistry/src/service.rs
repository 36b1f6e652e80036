//! The registries of a process as one service.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{StatusCode, header};
use registry_core::{
    Body, Instance, PackageRegistry, Request, Response, Services,
    auth::AuthProvider,
    catalog::Catalog,
    http::ExternalOrigin,
    storage::Storage,
    upstream::{UpstreamEngine, Upstreams},
};
use tower_service::Service;

use crate::{Builder, router::Router};

/// All registries of a process behind one door. Cloning is cheap; all clones are the same registries.
#[derive(Clone)]
pub struct SmartRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    router: Router,
    registries: Vec<Arc<dyn PackageRegistry>>,
    services: Services,
    /// Whether nobody else uses the catalog, so that it ends with the registries.
    own_catalog: bool,
}

impl SmartRegistry {
    /// Begins to put one together.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        router: Router,
        registries: Vec<Arc<dyn PackageRegistry>>,
        services: Services,
        own_catalog: bool,
    ) -> Self {
        Self { inner: Arc::new(Inner { router, registries, services, own_catalog }) }
    }

    /// Answers a request. The request's path decides which registry does (the longest base path wins, and a registry with
    /// a host name of its own before others); where none is meant, the answer is a short 404.
    ///
    /// An [`Actor`](crate::Actor) in the request's extensions reaches the auth provider and the hooks.
    pub async fn handle_request(&self, request: Request) -> Response {
        match self.route(&request) {
            Some(registry) => registry.handle(request).await,
            None => not_found(),
        }
    }

    /// The registry that would answer a request. The host name that counts is the one that the client used: that of an
    /// [`ExternalOrigin`] in the request's extensions, where a server put one there for a proxy, else the request's own.
    pub fn route<B>(&self, request: &http::Request<B>) -> Option<&Arc<dyn PackageRegistry>> {
        let external = request.extensions().get::<ExternalOrigin>();
        let external = external.and_then(|ExternalOrigin(origin)| Some(origin.split_once("://")?.1));
        let own = || match request.uri().authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers().get(header::HOST).and_then(|h| h.to_str().ok()),
        };
        let host = external.or_else(own);
        self.inner.router.find(host, request.uri().path())
    }

    /// What manages users, tokens and decisions.
    pub fn auth(&self) -> &Arc<dyn AuthProvider> {
        &self.inner.services.auth
    }

    /// Where everything is kept.
    pub fn storage(&self) -> &Storage {
        &self.inner.services.storage
    }

    /// What exists.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.services.catalog
    }

    /// Other registries that are asked for what is not here.
    pub fn upstreams(&self) -> &UpstreamEngine {
        &self.inner.services.upstreams
    }

    /// Those of one registry, and what is kept of them.
    pub fn upstreams_of(&self, instance: &Instance) -> Upstreams {
        Upstreams::new(instance, &self.inner.services)
    }

    /// The registry of a name: `npm`, `oci`, or what the host called it.
    pub fn registry(&self, name: &str) -> Option<&Arc<dyn PackageRegistry>> {
        self.inner.registries.iter().find(|r| r.instance().name.as_str() == name)
    }

    /// All registries in the order in which they were added.
    pub fn registries(&self) -> &[Arc<dyn PackageRegistry>] {
        &self.inner.registries
    }

    /// Ends what the registries do in the background, and the catalog unless [`Builder::catalog`] gave it. Call it once, after the last request was answered.
    pub async fn shutdown(&self) {
        for registry in &self.inner.registries {
            registry.shutdown().await;
        }
        if self.inner.own_catalog {
            self.inner.services.catalog.shutdown().await;
        }
    }
}

impl fmt::Debug for SmartRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmartRegistry").field("routes", &self.inner.router).finish_non_exhaustive()
    }
}

impl<B> Service<http::Request<B>> for SmartRegistry
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let this = self.clone();
        let request = request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        Box::pin(async move { Ok(this.handle_request(request).await) })
    }
}

fn not_found() -> Response {
    let mut response = Response::new(Body::from("no registry here\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
