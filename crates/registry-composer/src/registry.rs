//! [`ComposerRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Instance, PackageRegistry, Pattern, Request, Response, Services,
    hooks::Operation,
    storage::{Draft, StorageError},
    upstream::Upstreams,
};
use tokio::sync::Semaphore;

use crate::{
    config::ComposerConfig,
    handler,
    names::PackageName,
    store::{Packages, package::Package},
    wire::listing::catalog_entry,
};

/// Large documents are rendered by so many threads at once.
const RENDERERS: usize = 2;

/// A Composer repository: one instance, under its base paths.
#[derive(Clone, Debug)]
pub struct ComposerRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    services: Services,
    config: ComposerConfig,
    reserved: Vec<Pattern>,
    packages: Packages,
    upstreams: Upstreams,
    renderers: Semaphore,
}

impl ComposerRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: ComposerConfig) -> Self {
        let packages = Packages::new(services.storage.store(&instance));
        let reserved = config.reserved_names.iter().map(|pattern| Pattern::new(pattern)).collect();
        let renderers = Semaphore::new(RENDERERS);
        let upstreams = Upstreams::new(&instance, &services);
        Self {
            inner: Arc::new(Inner { instance, services, config, reserved, packages, upstreams, renderers }),
        }
    }

    /// The settings.
    pub fn config(&self) -> &ComposerConfig {
        &self.inner.config
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn packages(&self) -> &Packages {
        &self.inner.packages
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.inner.upstreams
    }

    /// Whether a name belongs to this registry even if it was never published.
    pub(crate) fn is_reserved(&self, name: &PackageName) -> bool {
        self.inner.reserved.iter().any(|pattern| pattern.matches(name.as_str()))
    }

    /// Held while a large document is rendered.
    pub(crate) fn renderers(&self) -> &Semaphore {
        &self.inner.renderers
    }

    /// Changes a package: asks the hooks, commits, tells the catalog.
    pub(crate) async fn change<E>(
        &self,
        actor: &Actor,
        operation: Operation,
        (name, version): (&PackageName, Option<&str>),
        change: impl FnMut(&mut Draft<Package>) -> Result<(), E> + Send + 'static,
    ) -> Result<(), E>
    where
        E: From<StorageError> + Send + 'static,
    {
        let (store, key) = (self.packages().store(), self.packages().key(name));
        let event = || store.event(operation, &key, actor).package(name.as_str()).version_if_any(version);
        if let Some(written) = store.change(&key, event, change).await? {
            self.tell_catalog(&written);
        }
        Ok(())
    }

    /// Tells the catalog what became of a package.
    pub(crate) fn tell_catalog(&self, package: &Package) {
        let instance = &self.inner.instance.name;
        self.services().catalog.changed(instance, package.name.as_str(), catalog_entry(package));
    }
}

#[async_trait]
impl PackageRegistry for ComposerRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    fn client_settings(&self, base_url: &str) -> String {
        let base = base_url.trim_end_matches('/');
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        let host = host.split('/').next().unwrap_or(host);
        format!(
            "# in the project's folder\n\
             composer config repositories.private composer {base}\n\
             # in auth.json, with the port if the URL has one\n\
             composer config --global http-basic.{host} token TOKEN\n\
             # publishing a ZIP\n\
             curl -u token:TOKEN -T lib.zip {base}/packages/upload/VENDOR/PACKAGE/VERSION\n"
        )
    }
}
