//! The registry as its host sees it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method};
use registry_core::{
    Body, Instance, Maintenance, PackageRegistry, Request, Response, Services,
    http::without_body,
    maintenance::{GcRun, VerifyRun},
    registry::InitError,
    storage::StorageError,
    upstream::Upstreams,
};
use tokio_util::task::TaskTracker;

use crate::{config::OciConfig, error::Error, handler, store::OciStore};

/// What old docker clients look for when they discover how to authenticate.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An OCI registry.
pub struct OciRegistry {
    pub(crate) inner: Arc<Inner>,
    /// Requests that change something: they end although their client went away.
    tasks: TaskTracker,
}

/// What requests need.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) instance: Instance,
    pub(crate) services: Services,
    pub(crate) config: Arc<OciConfig>,
    pub(crate) store: OciStore,
    pub(crate) upstreams: Upstreams,
    /// The service that tokens are for.
    pub(crate) service: String,
}

impl OciRegistry {
    /// A registry of an instance. Nothing is read or written yet.
    pub fn new(instance: Instance, services: Services, config: OciConfig) -> Self {
        let config = Arc::new(config);
        let service = config.service.clone().unwrap_or_else(|| format!("smartregistry-{}", instance.name));
        let store = OciStore::new(
            services.storage.store(&instance),
            Arc::clone(&services.clock),
            Arc::clone(&config),
        );
        let upstreams = Upstreams::new(&instance, &services);
        let inner = Inner { instance, services, config, store, upstreams, service };
        Self { inner: Arc::new(inner), tasks: TaskTracker::new() }
    }
}

impl fmt::Debug for OciRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OciRegistry").field("instance", &self.inner.instance.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl PackageRegistry for OciRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn init(&self) -> Result<(), InitError> {
        if self.inner.config.redirect && !self.inner.store.store().can_presign() {
            let instance = self.inner.instance.name.as_str();
            tracing::warn!(
                instance,
                "`redirect` is set, but this storage has no addresses for clients: blobs are streamed"
            );
        }
        match self.inner.store.session_key().await {
            Ok(_) => Ok(()),
            Err(Error::Storage(source)) => {
                Err(InitError::Storage { instance: self.inner.instance.name.to_string(), source })
            }
            // Reading a key fails in no other way.
            Err(_) => Ok(()),
        }
    }

    async fn handle(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let changes = !matches!(parts.method, Method::GET | Method::HEAD);
        if !changes {
            return self.inner.answer(parts, body).await;
        }
        let inner = Arc::clone(&self.inner);
        let answered = self.tasks.spawn(async move { inner.answer(parts, body).await }).await;
        answered.unwrap_or_else(|_| Error::Interrupted.render(false))
    }

    async fn shutdown(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn client_settings(&self, base_url: &str) -> String {
        let host = base_url.split_once("://").map_or(base_url, |(_, host)| host);
        let host = host.split('/').next().unwrap_or(host);
        format!(
            "echo TOKEN | docker login -u NAME --password-stdin {host}\n\
             docker tag IMAGE {host}/NAMESPACE/IMAGE:TAG\n\
             docker push {host}/NAMESPACE/IMAGE:TAG\n\
             docker pull {host}/NAMESPACE/IMAGE:TAG\n\n\
             echo TOKEN | helm registry login -u NAME --password-stdin {host}\n\
             helm push CHART.tgz oci://{host}/NAMESPACE\n"
        )
    }
}

#[async_trait]
impl Maintenance for OciRegistry {
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        self.inner.collect_garbage(run).await
    }

    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        self.inner.verify(run).await
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        self.inner.rebuild_catalog().await
    }
}

impl Inner {
    async fn answer(&self, parts: http::request::Parts, body: Body) -> Response {
        let head = parts.method == Method::HEAD;
        let result = match self.instance.strip(parts.uri.path()) {
            Some((base, rest)) => {
                let call = handler::Call { registry: self, parts: &parts, base: base.as_str() };
                handler::dispatch(&call, rest, body).await
            }
            None => Err(Error::NoRoute),
        };
        let mut response = match result {
            Ok(response) => without_body(&parts, response),
            Err(error) => error.render(head),
        };
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        response
    }
}
