//! [`RubygemsRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use registry_core::{
    Actor, Chain, Instance, PackageRegistry, Request, Response, Services,
    auth::{Action, Scope},
    hooks::Operation,
    http::Refusal,
    registry::InitError,
    storage::{Draft, Permit, StorageError, UpdateError, Versioned},
    upstream::Upstreams,
};
use tokio_util::task::TaskTracker;

use crate::{
    config::RubygemsConfig,
    error::Error,
    handler::{self, specs::SpecsCache},
    names::GemName,
    store::{Gems, gem::Gem},
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
    upstreams: Upstreams,
    tasks: TaskTracker,
    everything: Option<Scope>,
}

impl RubygemsRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: RubygemsConfig) -> Self {
        let (specs, tasks) = (SpecsCache::default(), TaskTracker::new());
        let store = services.storage.store(&instance);
        let gems = Gems::new(store, Arc::clone(&services.clock), tasks.clone(), LOG_BYTES);
        let everything =
            format!("{}:{}:*:{}", instance.name, instance.protocol.resource_type(), Action::Read.as_str())
                .parse()
                .ok();
        let upstreams = Upstreams::new(&instance, &services);
        Self {
            inner: Arc::new(Inner { instance, services, config, gems, specs, upstreams, tasks, everything }),
        }
    }

    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.inner.upstreams
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

    /// For how long the bytes of yanked versions are kept.
    pub(crate) fn keep_yanked(&self) -> TimeDelta {
        TimeDelta::days(self.config().yanked_days.into())
    }

    /// Changes a gem: asks the hooks, commits, announces, tells the catalog.
    pub(crate) async fn change<E>(
        &self,
        actor: &Actor,
        operation: Operation,
        (name, slug): (&GemName, Option<&str>),
        change: impl FnMut(&mut Draft<Gem>) -> Result<(), E> + Send + 'static,
    ) -> Result<(), E>
    where
        E: From<Error> + From<StorageError> + Send + 'static,
    {
        let (store, key) = (self.gems().store(), self.gems().key(name));
        let event = || store.event(operation, &key, actor).package(name.as_str()).version_if_any(slug);
        let permit = store.permit_with(event).await?;
        self.commit(name, permit, change).await
    }

    /// Changes a gem and what is announced of it, and tells the catalog. It goes on to its end when the client goes away; where the
    /// process dies, the marker tells the next one that the log may lack it.
    pub(crate) async fn commit<T, E>(
        &self,
        name: &GemName,
        permit: Permit,
        mut change: impl FnMut(&mut Draft<Gem>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + From<StorageError> + Send + 'static,
    {
        let (gems, name) = (self.gems().clone(), name.clone());
        let work = async move {
            let announcer = gems.announcer();
            let marker = announcer.mark(&name).await?;
            let change = move |draft: &mut _| change(draft).map_err(UpdateError::Refused);
            let (value, gem) = match gems.store().commit(&gems.key(&name), permit, change).await {
                Ok((value, Some(gem))) => (value, gem),
                Ok((_, None)) => return Err(Error::no_gem().into()),
                Err(UpdateError::Refused(error)) => return Err(error),
                Err(UpdateError::Storage(error)) => {
                    if matches!(error, StorageError::Unavailable { .. }) {
                        // It may have been done.
                        marker.keep();
                    }
                    return Err(error.into());
                }
            };
            // Also where nothing was changed: the operation that was repeated may have ended before this.
            if let Err(error) = announcer.announce(&name).await {
                marker.keep();
                return Err(error.into());
            }
            drop(marker);
            Ok((value, gem))
        };
        // The change must end although its client goes away.
        let done: Result<(T, Arc<Versioned<Gem>>), E> = self
            .inner
            .tasks
            .spawn(work)
            .await
            .map_err(|error| E::from(Error::from(Refusal::internal(error))))?;
        let (value, gem) = done?;
        self.tell_catalog(&gem);
        Ok(value)
    }

    /// Tells the catalog what became of a gem.
    pub(crate) fn tell_catalog(&self, gem: &Gem) {
        let instance = &self.inner.instance.name;
        self.services().catalog.changed(instance, gem.name.as_str(), gem.catalog_entry());
    }
}

#[async_trait]
impl PackageRegistry for RubygemsRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    /// Completes what a crash interrupted. Where that cannot be done now, the registry starts all the same: what is missing in the log
    /// is then completed when lists are read.
    async fn init(&self) -> Result<(), InitError> {
        if let Err(error) = self.gems().announcer().recover(self.services().clock.now()).await {
            let instance = self.instance().name.as_str();
            tracing::error!(instance, error = %Chain(&error), "what a crash interrupted could not be completed");
        }
        Ok(())
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    async fn shutdown(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
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
