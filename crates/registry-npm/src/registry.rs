//! [`NpmRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Instance, PackageRegistry, Protocol, Request, Response, Services,
    administration::{AdministrationError, PackageDetails, Yank},
    catalog::CatalogEntry,
    hooks::Operation,
    maintenance::{GcRun, VerifyRun},
    storage::{Draft, StorageError, UpdateError, Versioned},
};
use tokio::sync::Semaphore;

use crate::{
    administration,
    config::NpmConfig,
    handler, maintenance,
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
        let permit = store
            .permit_with(|| {
                let event = store.event(operation, &key, actor).package(name.as_str());
                match version {
                    Some(version) => event.version(version),
                    None => event,
                }
            })
            .await?;
        let ((), written) = store.commit(&key, permit, change).await.map_err(UpdateError::<E>::merge::<E>)?;
        self.tell_catalog(name, written.as_deref().map(|written| &written.value));
        Ok(written)
    }

    /// Tells the catalog what became of a package.
    pub(crate) fn tell_catalog(&self, name: &PackageName, document: Option<&Packument>) {
        let entry = document.and_then(catalog_entry);
        self.services().catalog.changed(&self.inner.instance.name, name.as_str(), entry);
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
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        administration::show(self, name).await
    }

    async fn yank_version(
        &self,
        _: &Actor,
        name: &str,
        version: &str,
        _: &Yank,
    ) -> Result<(), AdministrationError> {
        let instead = format!("deprecate it (npm deprecate {name}@{version} MESSAGE), or delete it");
        Err(AdministrationError::not_offered(Protocol::Npm, "yank", &instead))
    }

    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        administration::delete(self, actor, name, version).await
    }

    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        administration::forget(self, actor, name, version).await
    }
}
