//! What a protocol crate holds: [`Upstreams`] of its instance, the [`Route`] of a name, each [`Source`] on it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Denial, Failure, FailureKind, NamePolicy, UpstreamEngine, UpstreamId, UpstreamRequest,
    config::OnError,
    outcome::{Lookup, Unanswered},
    provider::Resolution,
    source::Upstream,
};
use crate::{Actor, Instance, InstanceName, Protocol, Services, clock::Clock, storage::Store};

/// How long a provider may take.
const PROVIDER: Duration = Duration::from_secs(1);

/// The upstreams of one instance. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Upstreams {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: InstanceName,
    protocol: Protocol,
    store: Store,
    clock: Arc<dyn Clock>,
    engine: UpstreamEngine,
}

/// Whether a name is this registry's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosted {
    /// Something was published here under it, if only to be deleted: its claim or tombstone counts.
    Yes,
    /// The newest state of the store ([`Store::read_fresh`]) knows nothing of it.
    No,
}

impl Hosted {
    /// By whether there is a document that counts.
    pub fn by<D>(document: Option<&D>) -> Self {
        if document.is_some() { Self::Yes } else { Self::No }
    }
}

/// Where a name is looked up.
#[derive(Debug)]
#[must_use = "a route says whom to ask"]
pub enum Routing {
    /// Here alone.
    Local,
    /// Nowhere: nobody gets it.
    Denied(Denial),
    /// Upstream: instead of what is hosted, or beside it ([`Route::merges`]).
    Ask(Route),
}

/// The upstreams that are asked for a name, in their order.
#[derive(Clone, Debug)]
pub struct Route {
    sources: Vec<Source>,
    merge: bool,
    policy: Arc<NamePolicy>,
}

/// One upstream, asked for one name on behalf of one actor. What was found at a source is fetched from it, documents and artefacts.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) upstreams: Upstreams,
    pub(crate) name: Arc<str>,
    pub(crate) actor: Actor,
}

impl Upstreams {
    /// The upstreams of an instance. Does no I/O.
    pub fn new(instance: &Instance, services: &Services) -> Self {
        let inner = Inner {
            instance: instance.name.clone(),
            protocol: instance.protocol,
            store: services.storage.store(instance),
            clock: Arc::clone(&services.clock),
            engine: services.upstreams.clone(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether there is any upstream. Where not, every [`Routing`] is [`Routing::Local`].
    pub fn exist(&self) -> bool {
        self.inner.engine.provider().has_upstreams(&self.inner.instance)
    }

    /// Where a name is looked up. The actor may read it: that is decided before. The name is in the form in which the store knows it.
    pub async fn route(&self, actor: &Actor, name: &str, hosted: Hosted) -> Result<Routing, Unanswered> {
        self.routing(actor, (Some(name), None), hosted).await
    }

    /// [`Upstreams::route`] where the client says which registry it means (`?ns=` of OCI mirrors).
    pub async fn route_within(
        &self,
        actor: &Actor,
        (name, namespace): (&str, Option<&str>),
        hosted: Hosted,
    ) -> Result<Routing, Unanswered> {
        self.routing(actor, (Some(name), namespace), hosted).await
    }

    /// The upstreams that are asked what is about no single name: searches, lists of names, keys.
    pub async fn route_nameless(&self, actor: &Actor) -> Result<Routing, Unanswered> {
        self.routing(actor, (None, None), Hosted::No).await
    }

    /// What the provider says of a name, with its reasons: for people. [`Upstreams::route`] makes of it what can be asked.
    pub async fn resolve(
        &self,
        actor: &Actor,
        name: Option<&str>,
        hosted: Hosted,
    ) -> Result<Resolution, Unanswered> {
        self.resolve_within(actor, (name, None), hosted).await
    }

    async fn resolve_within(
        &self,
        actor: &Actor,
        (name, namespace): (Option<&str>, Option<&str>),
        hosted: Hosted,
    ) -> Result<Resolution, Unanswered> {
        let Inner { instance, protocol, engine, .. } = &*self.inner;
        if !self.exist() {
            return Ok(Resolution::Local { rule: None });
        }
        let (protocol, hosted) = (*protocol, hosted == Hosted::Yes);
        let request = UpstreamRequest { protocol, instance, name, namespace, hosted, actor };
        match timeout(PROVIDER, engine.provider().resolve(&request)).await {
            Ok(Ok(resolution)) => Ok(resolution),
            Ok(Err(error)) => {
                tracing::error!(error = %crate::Chain(&error), "the provider of upstreams failed");
                Err(provider_failed())
            }
            Err(_) => {
                tracing::error!("the provider of upstreams took too long");
                Err(provider_failed())
            }
        }
    }

    async fn routing(
        &self,
        actor: &Actor,
        (name, namespace): (Option<&str>, Option<&str>),
        hosted: Hosted,
    ) -> Result<Routing, Unanswered> {
        let plan = match self.resolve_within(actor, (name, namespace), hosted).await? {
            Resolution::Ask(plan) => plan,
            Resolution::Local { .. } => return Ok(Routing::Local),
            Resolution::Denied(denial) => return Ok(Routing::Denied(denial)),
        };
        let Inner { instance, protocol, clock, engine, .. } = &*self.inner;
        let name: Arc<str> = name.unwrap_or_default().into();
        let mut sources = Vec::with_capacity(plan.upstreams.len());
        for config in &plan.upstreams {
            let upstream = engine.shared.upstream((instance, *protocol), config, clock)?;
            let (upstreams, actor) = (self.clone(), actor.clone());
            sources.push(Source { upstream, upstreams, name: Arc::clone(&name), actor });
        }
        if sources.is_empty() {
            return Ok(Routing::Local);
        }
        Ok(Routing::Ask(Route { sources, merge: plan.merge, policy: Arc::new(plan.policy) }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn engine(&self) -> &UpstreamEngine {
        &self.inner.engine
    }
}

/// The provider is no upstream, but its failure is told like one's.
fn provider_failed() -> Unanswered {
    Failure::new(&UpstreamId::of_provider(), FailureKind::Internal).into()
}

impl Route {
    /// The upstreams in their order; there is at least one.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Whether what is hosted is shown beside what upstreams have. Hosted versions win.
    pub fn merges(&self) -> bool {
        self.merge
    }

    /// Which versions are shown: to be asked for documents and for direct requests of artefacts alike.
    pub fn policy(&self) -> &NamePolicy {
        &self.policy
    }

    /// Asks one source after the other until one has it. A failure ends the search, so that it does not make a name come from
    /// elsewhere, unless the configuration says `on_error = "next"`.
    pub async fn first<'s, T, F>(&'s self, ask: impl Fn(&'s Source) -> F) -> Lookup<T>
    where
        F: Future<Output = Lookup<T>>,
    {
        let mut failed = None;
        for source in &self.sources {
            match ask(source).await {
                Lookup::Absent => {}
                Lookup::Failed(failure) if source.upstream.config.on_error == OnError::Next => {
                    failed.get_or_insert(failure);
                }
                end => return end,
            }
        }
        failed.map_or(Lookup::Absent, Lookup::Failed)
    }
}

impl Source {
    /// Which upstream this is.
    pub fn id(&self) -> &UpstreamId {
        self.upstream.id()
    }

    /// How it is configured.
    pub fn config(&self) -> &super::UpstreamConfig {
        &self.upstream.config
    }

    /// Its configured URL, with a slash at its end.
    pub fn url(&self) -> &url::Url {
        &self.upstream.config.url
    }
}
