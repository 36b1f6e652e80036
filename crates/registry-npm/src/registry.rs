//! [`NpmRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Instance, PackageRegistry, Request, Response, Services,
    catalog::CatalogEntry,
    hooks::Operation,
    storage::{Draft, StorageError, Versioned},
    upstream::Upstreams,
};
use tokio::sync::Semaphore;

use crate::{
    config::NpmConfig,
    handler,
    names::PackageName,
    store::{
        Packages,
        packument::{Change, Packument},
    },
    wire::search::{Details, catalog_entry},
};

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
    upstreams: Upstreams,
    renderers: Semaphore,
}

impl NpmRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: NpmConfig) -> Self {
        let packages = Packages::new(services.storage.store(&instance));
        let upstreams = Upstreams::new(&instance, &services);
        let renderers = Semaphore::new(RENDERERS);
        Self { inner: Arc::new(Inner { instance, services, config, packages, upstreams, renderers }) }
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

    /// Other registries that are asked for what is not here.
    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.inner.upstreams
    }

    /// Held while a large packument is rendered.
    pub(crate) fn renderers(&self) -> &Semaphore {
        &self.inner.renderers
    }

    /// The time and revision of a change that happens now.
    pub(crate) fn new_change(&self) -> Change {
        Change::at(self.services().clock.now())
    }

    /// Changes a package: asks the hooks, which are told of the version or tag where there is one; commits; tells the catalog.
    pub(crate) async fn change<E>(
        &self,
        actor: &Actor,
        operation: Operation,
        (name, version): (&PackageName, Option<&str>),
        change: impl FnMut(&mut Draft<Packument>) -> Result<(), E> + Send + 'static,
    ) -> Result<Option<Arc<Versioned<Packument>>>, E>
    where
        E: From<StorageError> + Send + 'static,
    {
        let (store, key) = (self.packages().store(), self.packages().key(name));
        let event = || store.event(operation, &key, actor).package(name.as_str()).version_if_any(version);
        let written = store.change(&key, event, change).await?;
        if let Some(written) = &written {
            self.tell_catalog(written);
        }
        Ok(written)
    }

    /// Tells the catalog what became of a package.
    pub(crate) fn tell_catalog(&self, document: &Packument) {
        let instance = &self.inner.instance.name;
        self.services().catalog.changed(instance, document.name.as_str(), catalog_entry(document));
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
