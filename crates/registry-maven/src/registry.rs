//! [`MavenRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Instance, PackageRegistry, Request, Response, Services, hooks::Operation, http::Refusal,
    upstream::Upstreams,
};
use tokio::sync::Semaphore;

use crate::{
    config::MavenConfig,
    error::Error,
    handler,
    names::{ArtifactName, VersionName},
    store::{
        Artifacts,
        artifact::Artifact,
        changes::{self, Rules},
    },
};

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
    upstreams: Upstreams,
    renderers: Semaphore,
}

impl MavenRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: MavenConfig) -> Self {
        let artifacts = Artifacts::new(services.storage.store(&instance));
        let upstreams = Upstreams::new(&instance, &services);
        let renderers = Semaphore::new(RENDERERS);
        Self { inner: Arc::new(Inner { instance, services, config, artifacts, upstreams, renderers }) }
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

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.inner.upstreams
    }

    /// Held while a large document is rendered.
    pub(crate) fn renderers(&self) -> &Semaphore {
        &self.inner.renderers
    }

    /// Deletes a file of a version, or all of them: asks the hooks, commits, tells the artifact and the catalog.
    pub(crate) async fn remove(
        &self,
        actor: &Actor,
        version: &VersionName,
        file: Option<&str>,
    ) -> Result<(), Error> {
        let artifacts = self.artifacts();
        let store = artifacts.store();
        let key = artifacts.version_key(version);
        let permit = store
            .permit_with(|| {
                let at = file.map_or_else(|| key.clone(), |file| artifacts.file_key(version, file));
                store
                    .event(Operation::Delete, &at, actor)
                    .package(version.artifact().to_string())
                    .version(version.version())
            })
            .await?;
        let now = self.services().clock.now();
        let (name, file, rules) = (version.clone(), file.map(str::to_owned), Rules::from(self.config()));
        let ((), document) = store
            .commit(&key, permit, move |draft| changes::remove(draft, &name, file.as_deref(), rules, now))
            .await?;
        if let Some(artifact) = artifacts.tell(version, document, now).await? {
            self.tell_catalog(version.artifact(), &artifact);
        }
        Ok(())
    }

    /// Deletes all versions of an artifact.
    pub(crate) async fn remove_all(&self, actor: &Actor, artifact: &Artifact) -> Result<(), Error> {
        for version in artifact.versions.keys() {
            let Some(version) = VersionName::new(artifact.name.clone(), version) else { continue };
            match self.remove(actor, &version, None).await {
                // Somebody else was faster.
                Ok(()) | Err(Error::Common(Refusal::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the catalog what became of an artifact.
    pub(crate) fn tell_catalog(&self, name: &ArtifactName, artifact: &Artifact) {
        let catalog = &self.services().catalog;
        catalog.changed(&self.inner.instance.name, &name.to_string(), artifact.catalog_entry());
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
