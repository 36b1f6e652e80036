//! [`RubygemsRegistry`]: the registry as its host sees it.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use registry_core::{
    Instance, PackageRegistry, Request, Response, Services,
    auth::{Action, Scope},
    maintenance::{GcRun, VerifyRun},
    registry::InitError,
    storage::StorageError,
};
use tokio_util::task::TaskTracker;

use crate::{
    config::RubygemsConfig,
    error::Error,
    handler::{self, specs::SpecsCache},
    maintenance,
    store::Gems,
};

/// The least growth in bytes after which `/versions` is written anew.
const LOG_BYTES: u64 = 1 << 20;

/// A RubyGems registry: one instance, under its base paths.
#[derive(Clone, Debug)]
pub struct RubygemsRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    services: Services,
    config: RubygemsConfig,
    gems: Gems,
    specs: SpecsCache,
    tasks: TaskTracker,
    everything: Option<Scope>,
}

impl RubygemsRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: RubygemsConfig) -> Self {
        let gems = Gems::new(services.storage.store(&instance), Arc::clone(&services.clock), LOG_BYTES);
        let everything =
            format!("{}:{}:*:{}", instance.name, instance.protocol.resource_type(), Action::Read.as_str())
                .parse()
                .ok();
        let (specs, tasks) = (SpecsCache::default(), TaskTracker::new());
        Self { inner: Arc::new(Inner { instance, services, config, gems, specs, tasks, everything }) }
    }

    /// The settings.
    pub fn config(&self) -> &RubygemsConfig {
        &self.inner.config
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn gems(&self) -> &Gems {
        &self.inner.gems
    }

    pub(crate) fn specs(&self) -> &SpecsCache {
        &self.inner.specs
    }

    /// What reading every gem takes.
    pub(crate) fn everything(&self) -> Option<&Scope> {
        self.inner.everything.as_ref()
    }

    /// Does work that must end although its client goes away.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.tasks.spawn(work).await.map_err(Error::internal)?
    }
}

#[async_trait]
impl PackageRegistry for RubygemsRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    /// Completes what a crash interrupted.
    async fn init(&self) -> Result<(), InitError> {
        self.gems()
            .announcer()
            .recover(self.services().clock.now())
            .await
            .map_err(|source| InitError::Storage { instance: self.instance().name.to_string(), source })
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    async fn shutdown(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        maintenance::collect_garbage(self.gems(), run).await
    }

    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        maintenance::verify(self.gems(), run).await
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        maintenance::rebuild_catalog(self).await
    }

    fn client_settings(&self, base_url: &str) -> String {
        let base = base_url.trim_end_matches('/');
        format!(
            "# Bundler: Gemfile\n\
             source \"{base}\"\n\
             # its credentials\n\
             bundle config set --global {base}/ TOKEN\n\
             # gem: to publish\n\
             GEM_HOST_API_KEY=TOKEN gem push NAME-VERSION.gem --host {base}\n\
             # gem: to install (TOKEN as the user, and no password)\n\
             gem sources --add {}\n",
            match base.split_once("://") {
                Some((scheme, rest)) => format!("{scheme}://TOKEN:@{rest}/"),
                None => format!("{base}/"),
            }
        )
    }
}
