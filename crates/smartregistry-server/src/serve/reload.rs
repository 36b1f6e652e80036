//! SIGHUP: the configuration is read again. A bad one is refused as a whole, and the old one stays.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio::task::JoinSet;

use super::refuse;
use crate::{
    assemble::{self, Opened},
    config::{self, Config, Overrides},
    exit::Failure,
    front::{Front, Live},
    log::{Log, Target},
    net::tls,
};

/// How often it is looked whether the requests in flight have left the old registries.
const LOOK: Duration = Duration::from_millis(200);

/// What a reload changes.
#[derive(Debug)]
pub(super) struct Reloader {
    overrides: Overrides,
    config: Config,
    opened: Opened,
    front: Front,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    /// Ends registries that a reload replaced, once their last request has left them.
    leaving: JoinSet<()>,
}

impl Reloader {
    pub(super) fn new(
        overrides: &Overrides,
        config: Config,
        opened: Opened,
        front: Front,
        tls: Arc<ArcSwapOption<ServerConfig>>,
    ) -> Self {
        Reloader { overrides: overrides.clone(), config, opened, front, tls, leaving: JoinSet::new() }
    }

    /// Reads the configuration again and puts it in force. Returns the grace for requests in flight at a stop.
    pub(super) async fn reload(&mut self, log: &Log) -> Duration {
        if let Err(error) = self.try_reload(log).await {
            refuse("the new configuration is refused and the old one stays", &*error);
        }
        while self.leaving.try_join_next().is_some() {}
        self.config.shutdown_timeout
    }

    async fn try_reload(&mut self, log: &Log) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let config = config::load(&self.overrides)?;
        let certificate = config.tls.as_ref().map(tls::load).transpose()?;
        let lines = Target::open(config.log.file.as_deref())?;
        let opened = assemble::reopen(&self.opened, &config).await.map_err(Failure::into_message)?;
        // From here on nothing can fail.
        log.reload(&config.log, lines);
        if self.config.tls.is_some()
            && let Some(certificate) = certificate
        {
            self.tls.store(Some(certificate));
        }
        let waiting = needs_restart(&self.config, &config);
        let old = self.front.swap(assemble::live(&opened, &config, log));
        let opened = std::mem::replace(&mut self.opened, opened);
        self.leaving.spawn(leave(old, opened));
        self.config = config;
        if waiting.is_empty() {
            tracing::info!("the configuration was read again");
        } else {
            tracing::warn!(
                keys = waiting.join(", "),
                "the configuration was read again; some keys need a restart"
            );
        }
        Ok(())
    }

    /// Ends the registries.
    pub(super) async fn close(self) {
        self.leaving.join_all().await;
        self.opened.close().await;
    }
}

/// Waits until the last request has left the old registries, and ends them.
async fn leave(old: Arc<Live>, opened: Opened) {
    while Arc::strong_count(&old) > 1 {
        tokio::time::sleep(LOOK).await;
    }
    opened.end_registries().await;
}

/// The sections that changed and are looked at only at a start.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("listen", old.listen != new.listen),
        ("storage", old.storage.place() != new.storage.place()),
        ("cache", old.cache != new.cache),
        ("limits.connections and timeouts", old.limits.of_connections() != new.limits.of_connections()),
        ("tls", old.tls.is_some() != new.tls.is_some()),
        ("metrics", old.metrics != new.metrics),
        ("abort_on_panic", old.abort_on_panic != new.abort_on_panic),
        ("log.format", old.log.format != new.log.format),
    ];
    changed.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect()
}
