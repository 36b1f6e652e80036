//! [`NpmRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Instance, PackageRegistry, Request, Response, Services,
    catalog::CatalogEntry,
    maintenance::{GcRun, VerifyRun},
    storage::StorageError,
};
use tokio::sync::Semaphore;

use crate::{config::NpmConfig, handler, maintenance, store::Packages, wire::search::Details};

/// Large packuments are rendered by so many threads at once.
pub(crate) const RENDERERS: usize = 2;

/// Paths at the host's root that npm's clients use although their registry has a base path.
const ROOT_ALIASES: [&str; 2] = ["/-/npm/v1/attestations/", "/-/npm/v1/oidc/"];

/// A package in the catalog with what npm's lists show of it.
pub(crate) type Entry = (Arc<CatalogEntry>, Arc<Details>);

/// An npm registry: one instance, under its base paths.
#[derive(Clone, Debug)]
pub struct NpmRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    services: Services,
    config: NpmConfig,
    packages: Packages,
    renderers: Semaphore,
}

impl NpmRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: NpmConfig) -> Self {
        let packages = Packages::new(services.storage.store(&instance));
        let renderers = Semaphore::new(RENDERERS);
        Self { inner: Arc::new(Inner { instance, services, config, packages, renderers }) }
    }

    /// The settings.
    pub fn config(&self) -> &NpmConfig {
        &self.inner.config
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn packages(&self) -> &Packages {
        &self.inner.packages
    }

    /// Held while a large packument is rendered.
    pub(crate) fn renderers(&self) -> &Semaphore {
        &self.inner.renderers
    }
}

#[async_trait]
impl PackageRegistry for NpmRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        maintenance::collect_garbage(self.packages(), run).await
    }

    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        maintenance::verify(self.packages(), run).await
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        maintenance::rebuild_catalog(self).await
    }

    fn client_settings(&self, base_url: &str) -> String {
        let base = base_url.trim_end_matches('/');
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        format!(
            "# npm, pnpm, yarn 1: .npmrc\n\
             registry={base}/\n\
             //{host}/:_authToken=TOKEN\n\
             # yarn 2 and later: .yarnrc.yml\n\
             npmRegistryServer: \"{base}\"\n\
             npmAuthToken: \"TOKEN\"\n\
             # bun: bunfig.toml\n\
             [install.registry]\n\
             url = \"{base}/\"\n\
             token = \"TOKEN\"\n"
        )
    }

    fn root_aliases(&self) -> &[&'static str] {
        &ROOT_ALIASES
    }
}
