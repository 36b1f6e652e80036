//! [`MavenRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Instance, PackageRegistry, Request, Response, Services,
    administration::{AdministrationError, PackageDetails, Yank},
    maintenance::{GcRun, VerifyRun},
    storage::StorageError,
};
use tokio::sync::Semaphore;

use crate::{administration, config::MavenConfig, handler, maintenance, store::Artifacts};

/// Large documents are rendered by so many threads at once.
const RENDERERS: usize = 2;

/// A Maven repository: one instance, under its base paths.
#[derive(Clone, Debug)]
pub struct MavenRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    services: Services,
    config: MavenConfig,
    artifacts: Artifacts,
    renderers: Semaphore,
}

impl MavenRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: MavenConfig) -> Self {
        let artifacts = Artifacts::new(services.storage.store(&instance));
        let renderers = Semaphore::new(RENDERERS);
        Self { inner: Arc::new(Inner { instance, services, config, artifacts, renderers }) }
    }

    /// The settings.
    pub fn config(&self) -> &MavenConfig {
        &self.inner.config
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn artifacts(&self) -> &Artifacts {
        &self.inner.artifacts
    }

    /// Held while a large document is rendered.
    pub(crate) fn renderers(&self) -> &Semaphore {
        &self.inner.renderers
    }
}

#[async_trait]
impl PackageRegistry for MavenRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        maintenance::collect_garbage(self, run).await
    }

    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        maintenance::verify(self.artifacts(), run).await
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        maintenance::rebuild_catalog(self).await
    }

    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        administration::show(self, name).await
    }

    async fn yank_version(&self, _: &Actor, _: &str, _: &str, _: &Yank) -> Result<(), AdministrationError> {
        let instead = "deploy a newer version, or delete this one";
        Err(AdministrationError::not_offered(self.instance().protocol, "yank", instead))
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

    fn client_settings(&self, base_url: &str) -> String {
        let base = base_url.trim_end_matches('/');
        format!(
            "<!-- Maven: ~/.m2/settings.xml -->\n\
             <settings>\n  \
               <servers><server><id>private</id><username>token</username><password>TOKEN</password></server></servers>\n  \
               <profiles><profile><id>private</id><repositories><repository>\n    \
                 <id>private</id><url>{base}/</url>\n    \
                 <releases><checksumPolicy>fail</checksumPolicy></releases>\n  \
               </repository></repositories></profile></profiles>\n  \
               <activeProfiles><activeProfile>private</activeProfile></activeProfiles>\n\
             </settings>\n\
             <!-- pom.xml of what is deployed -->\n\
             <distributionManagement>\n  \
               <repository><id>private</id><url>{base}/</url></repository>\n  \
               <snapshotRepository><id>private</id><url>{base}/</url></snapshotRepository>\n\
             </distributionManagement>\n\
             // Gradle: build.gradle\n\
             repositories {{ maven {{ url '{base}/'; credentials {{ username 'token'; password 'TOKEN' }} }} }}\n"
        )
    }
}
