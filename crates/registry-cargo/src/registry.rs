//! [`CargoRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Instance, PackageRegistry, Request, Response, Services,
    hooks::Operation,
    storage::{Draft, StorageError},
    upstream::Upstreams,
};

use crate::{
    config::CargoConfig,
    handler,
    names::CrateName,
    store::{Crates, document::CrateDocument},
    version::Version,
    wire::catalog::catalog_entry,
};

/// A Cargo registry: one instance, under its base paths.
#[derive(Clone, Debug)]
pub struct CargoRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    services: Services,
    config: CargoConfig,
    crates: Crates,
    upstreams: Upstreams,
}

impl CargoRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: CargoConfig) -> Self {
        let crates = Crates::new(services.storage.store(&instance));
        let upstreams = Upstreams::new(&instance, &services);
        Self { inner: Arc::new(Inner { instance, services, config, crates, upstreams }) }
    }

    /// The settings.
    pub fn config(&self) -> &CargoConfig {
        &self.inner.config
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn crates(&self) -> &Crates {
        &self.inner.crates
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.inner.upstreams
    }

    /// Changes a crate: asks the hooks, commits, tells the catalog.
    pub(crate) async fn change<E>(
        &self,
        actor: &Actor,
        operation: Operation,
        (name, version): (&CrateName, Option<&Version>),
        change: impl FnMut(&mut Draft<CrateDocument>) -> Result<(), E> + Send + 'static,
    ) -> Result<(), E>
    where
        E: From<StorageError> + Send + 'static,
    {
        let (store, key) = (self.crates().store(), self.crates().key(name));
        let event = || {
            store
                .event(operation, &key, actor)
                .package(name.as_str())
                .version_if_any(version.map(ToString::to_string))
        };
        if let Some(written) = store.change(&key, event, change).await? {
            self.tell_catalog(&written);
        }
        Ok(())
    }

    /// Tells the catalog what became of a crate.
    pub(crate) fn tell_catalog(&self, document: &CrateDocument) {
        let instance = &self.inner.instance.name;
        self.services().catalog.changed(instance, document.name.as_str(), catalog_entry(document));
    }
}

#[async_trait]
impl PackageRegistry for CargoRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    fn client_settings(&self, base_url: &str) -> String {
        let base = base_url.trim_end_matches('/');
        let name = &self.inner.instance.name;
        let name = if self.inner.instance.is_default() { "internal" } else { name.as_str() };
        let variable = name.to_ascii_uppercase().replace('-', "_");
        format!(
            "# .cargo/config.toml\n\
             [registries.{name}]\n\
             index = \"sparse+{base}/\"\n\
             [registry]\n\
             global-credential-providers = [\"cargo:token\"]\n\
             # then: cargo login --registry {name}, or CARGO_REGISTRIES_{variable}_TOKEN=TOKEN\n\
             # cargo publish --registry {name}; cargo add CRATE --registry {name}\n"
        )
    }
}
