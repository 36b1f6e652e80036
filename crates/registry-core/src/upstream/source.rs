//! One upstream of one instance while the process runs: its configuration, its connections, and what is known of its health.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use url::Url;

use super::{
    Failure, FailureKind, Location, UpstreamConfig, UpstreamId,
    address::Reach,
    breaker::BreakerState,
    call::Content,
    gate::Gate,
    token::Tokens,
    transport::{Connector, ConnectorError, Transport},
};
use crate::{InstanceName, Protocol, clock::Clock};

/// One upstream while the process runs. It outlives reloads that leave its configuration as it is.
pub(crate) struct Upstream {
    pub(crate) config: Arc<UpstreamConfig>,
    pub(crate) instance: InstanceName,
    pub(crate) protocol: Protocol,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) reach: Reach,
    pub(crate) origin: String,
    pub(crate) identity: String,
    pub(crate) gate: Gate,
    pub(crate) tokens: Tokens,
    documents: Arc<Semaphore>,
    artifacts: Arc<Semaphore>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("instance", &self.instance)
            .field("id", &self.config.id)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    pub(crate) fn new(
        (instance, protocol): (InstanceName, Protocol),
        config: Arc<UpstreamConfig>,
        clock: Arc<dyn Clock>,
        connector: &dyn Connector,
    ) -> Result<Self, ConnectorError> {
        let slots = || Arc::new(Semaphore::new(usize::try_from(config.max_concurrency.max(1)).unwrap_or(32)));
        Ok(Self {
            transport: connector.connect(&config)?,
            reach: Reach::of(&config),
            origin: config.origin(),
            identity: config.identity(),
            gate: Gate::new(),
            tokens: Tokens::new(),
            documents: slots(),
            artifacts: slots(),
            clock,
            instance,
            protocol,
            config,
        })
    }

    pub(crate) fn id(&self) -> &UpstreamId {
        &self.config.id
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Whose turn it is among requests for one kind of content.
    pub(crate) fn turns(&self, content: Content) -> &Arc<Semaphore> {
        match content {
            Content::Document => &self.documents,
            Content::Artifact => &self.artifacts,
        }
    }

    /// The breaker of the configured origin.
    pub(crate) fn state(&self) -> BreakerState {
        self.gate.state(&self.origin, self.now())
    }

    pub(crate) fn failure(&self, kind: FailureKind) -> Failure {
        Failure::new(self.id(), kind)
    }

    /// The URL of a place. One that stands in a document is weighed when it is asked.
    pub(crate) fn locate(&self, location: &Location) -> Result<Url, Failure> {
        match location {
            Location::Path(path) => self.url(path),
            Location::Url(url) => Ok(url.clone()),
        }
    }

    /// The URL of a path below the configured one. The path is percent-encoded and may have a query; it cannot leave the configured
    /// path.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Failure> {
        let path = path.trim_start_matches('/');
        // `./` keeps a first segment with a colon from being read as a scheme.
        let joined = self.config.url.join(&format!("./{path}")).ok();
        joined
            .filter(|url| {
                url.origin() == self.config.url.origin() && url.path().starts_with(self.config.url.path())
            })
            .ok_or_else(|| self.failure(FailureKind::Forbidden))
    }
}
