//! What all instances of a process share of upstreams.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::{
    Failure, FailureKind, StaticUpstreamProvider, UpstreamConfig, UpstreamId, UpstreamProvider,
    artifact::Fills,
    breaker::BreakerState,
    documents::Copy,
    flight::Flights,
    outcome::Lookup,
    source::Upstream,
    transport::{Connector, ConnectorError, Transport},
};
use crate::{InstanceName, Protocol, clock::Clock, storage::Key};

/// So many "not there" are remembered, and so many keys have a history.
const REMEMBERED: usize = 100_000;
/// So many refreshes run in the background at a time.
const REFRESHES: usize = 64;
/// So many large artefacts are fetched at a time although nobody waits for them any more.
const UNWATCHED: usize = 16;

/// All upstreams of a process: who decides which are asked, how they are reached, and what is known of their health. Cloning is
/// cheap, and clones share it all.
#[derive(Clone, Debug)]
pub struct UpstreamEngine {
    provider: Arc<dyn UpstreamProvider>,
    pub(crate) shared: Arc<Shared>,
}

/// What outlives a reload of the configuration.
pub(crate) struct Shared {
    connector: Arc<dyn Connector>,
    upstreams: Mutex<HashMap<(InstanceName, UpstreamId), Arc<Upstream>>>,
    pub(crate) documents: Arc<Flights<Key, Lookup<Arc<Copy>>>>,
    pub(crate) artifacts: Fills,
    /// What is not there, and until when that is believed.
    pub(crate) negative: Cache<Key, DateTime<Utc>>,
    pub(crate) histories: Cache<Key, History>,
    pub(crate) refreshes: Arc<Semaphore>,
    /// Artefacts that nobody waits for any more and that are fetched all the same.
    pub(crate) unwatched: Arc<Semaphore>,
    pub(crate) spool: Option<PathBuf>,
}

/// What happened lately to one document of an upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// When the upstream last confirmed it, where that is later than what is stored.
    pub(crate) confirmed: Option<DateTime<Utc>>,
    /// How often in a row it could not be had, why and when last, and when a refresh may be tried again.
    pub(crate) failures: u32,
    pub(crate) failed: Option<(Failure, DateTime<Utc>)>,
    pub(crate) again: Option<DateTime<Utc>>,
    /// When it was first seen to be gone.
    pub(crate) gone: Option<DateTime<Utc>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("connector", &self.connector)
            .field("upstreams", &self.upstreams.lock().len())
            .finish_non_exhaustive()
    }
}

/// The state of one upstream, for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamHealth {
    /// The instance that it belongs to.
    pub instance: InstanceName,
    /// The upstream.
    pub id: UpstreamId,
    /// Where its breaker stands.
    pub breaker: BreakerState,
    /// For how many seconds it asked to be left alone yet.
    pub cooling_seconds: u64,
    /// Whether it refuses the credentials that are configured.
    pub credentials_refused: bool,
}

impl UpstreamEngine {
    /// An engine that asks nobody.
    pub fn none() -> Self {
        Self::new(Arc::new(StaticUpstreamProvider::new()), Arc::new(NoConnector))
    }

    /// An engine that asks whom the provider says, over what the connector makes ([`super::HttpConnector`]).
    pub fn new(provider: Arc<dyn UpstreamProvider>, connector: Arc<dyn Connector>) -> Self {
        Self::with_spool(provider, connector, None)
    }

    /// [`UpstreamEngine::new`] with a folder for what is passing through; without one it is the system's for temporary files.
    pub fn with_spool(
        provider: Arc<dyn UpstreamProvider>,
        connector: Arc<dyn Connector>,
        spool: Option<PathBuf>,
    ) -> Self {
        let shared = Shared {
            connector,
            upstreams: Mutex::default(),
            documents: Arc::default(),
            artifacts: Fills::default(),
            negative: Cache::new(REMEMBERED),
            histories: Cache::new(REMEMBERED),
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
            unwatched: Arc::new(Semaphore::new(UNWATCHED)),
            spool,
        };
        Self { provider, shared: Arc::new(shared) }
    }

    /// The same engine with another provider: what is known of upstreams whose configuration is the same stays known.
    pub fn with_provider(&self, provider: Arc<dyn UpstreamProvider>) -> Self {
        Self { provider, shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn provider(&self) -> &Arc<dyn UpstreamProvider> {
        &self.provider
    }

    /// The state of all upstreams that are known beforehand.
    pub fn health(&self) -> Vec<UpstreamHealth> {
        let upstreams = self.shared.upstreams.lock();
        let of = |(instance, config): (InstanceName, Arc<UpstreamConfig>)| {
            let found = upstreams.get(&(instance.clone(), config.id.clone()));
            let now = found.map(|upstream| upstream.now());
            UpstreamHealth {
                breaker: found.map_or(BreakerState::Closed, |upstream| upstream.state()),
                cooling_seconds: found
                    .zip(now)
                    .and_then(|(upstream, now)| upstream.gate.cooling(now))
                    .map_or(0, |wait| wait.as_secs().max(1)),
                credentials_refused: found.is_some_and(|upstream| upstream.gate.credentials_refused()),
                id: config.id.clone(),
                instance,
            }
        };
        self.provider.known().into_iter().map(of).collect()
    }

    /// Forgets all that speaks against asking an upstream: an open breaker, a wish to be left alone.
    pub fn reset(&self, instance: &InstanceName, id: &UpstreamId) {
        if let Some(upstream) = self.shared.upstreams.lock().get(&(instance.clone(), id.clone())) {
            upstream.gate.reset();
        }
    }

    /// Checks that every upstream can be asked as it is configured. Opens no connection.
    pub fn check(&self) -> Result<(), ConnectorError> {
        for (_, config) in self.provider.known() {
            self.shared.connector.connect(&config)?;
        }
        Ok(())
    }
}

impl Shared {
    /// The running state of an upstream; begun anew where its configuration changed.
    pub(crate) fn upstream(
        &self,
        (instance, protocol): (&InstanceName, Protocol),
        config: &Arc<UpstreamConfig>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Upstream>, Failure> {
        let key = (instance.clone(), config.id.clone());
        let mut upstreams = self.upstreams.lock();
        if let Some(found) = upstreams.get(&key)
            && (Arc::ptr_eq(&found.config, config) || found.config == *config)
        {
            return Ok(Arc::clone(found));
        }
        let of = (instance.clone(), protocol);
        match Upstream::new(of, Arc::clone(config), Arc::clone(clock), &*self.connector) {
            Ok(upstream) => {
                let upstream = Arc::new(upstream);
                upstreams.insert(key, Arc::clone(&upstream));
                Ok(upstream)
            }
            Err(error) => {
                tracing::error!(upstream = %config.id, error = %crate::Chain(&error), "an upstream cannot be asked");
                Err(Failure::new(&config.id, FailureKind::Internal))
            }
        }
    }

    /// Where bytes wait for slow readers.
    pub(crate) fn spool_folder(&self) -> &Path {
        self.spool.as_deref().unwrap_or(Path::new(""))
    }
}

/// Reaches nobody.
#[derive(Debug)]
struct NoConnector;

impl Connector for NoConnector {
    fn connect(&self, upstream: &UpstreamConfig) -> Result<Arc<dyn Transport>, ConnectorError> {
        let source = "this program was built without an HTTP client".into();
        Err(ConnectorError { upstream: upstream.id.to_string(), source })
    }
}
