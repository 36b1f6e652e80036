//! [`CargoRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Instance, PackageRegistry, Request, Response, Services,
    maintenance::{GcRun, VerifyRun},
    storage::StorageError,
};

use crate::{config::CargoConfig, handler, maintenance, store::Crates};

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
}

impl CargoRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: CargoConfig) -> Self {
        let crates = Crates::new(services.storage.store(&instance));
        Self { inner: Arc::new(Inner { instance, services, config, crates }) }
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
}

#[async_trait]
impl PackageRegistry for CargoRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        maintenance::collect_garbage(self.crates(), run).await
    }

    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        maintenance::verify(self.crates(), run).await
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        maintenance::rebuild_catalog(self).await
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
