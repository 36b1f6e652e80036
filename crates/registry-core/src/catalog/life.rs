//! The catalog's work in the background, and what begins and ends it.

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle};

use super::{
    keeper::{Keeper, RESCAN, Stored},
    marker, snapshot,
    writing::SEGMENTS_A_SNAPSHOT,
};
use crate::{Chain, PackageRegistry, storage::StorageError};

/// How long changes are collected before they are written together.
const COLLECT: Duration = Duration::from_millis(1500);
/// How long to wait after the store failed.
const RETRY: Duration = Duration::from_secs(5);

impl Keeper {
    /// Says that this server works on the store, and has the catalog made anew in the background where an earlier one did
    /// not come to its end.
    pub(super) async fn start(
        self: &Arc<Self>,
        registries: &[Arc<dyn PackageRegistry>],
    ) -> Result<(), StorageError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        *stored.registries.lock() = registries.iter().map(Arc::downgrade).collect();
        let now = self.clock.now();
        marker::write(&stored.store, &stored.node, now).await?;
        let crashed =
            !marker::dead(&stored.store, &stored.node, now, stored.storage.is_shared()).await?.is_empty();
        if crashed || snapshot::head(&stored.store).await?.is_none() {
            stored.rescan_wanted.store(true, Ordering::Relaxed);
            stored.news.notify_one();
        }
        self.tend(stored);
        Ok(())
    }

    /// Has every registry tell what exists, and takes out what none told of.
    pub(super) async fn rescan(
        self: &Arc<Self>,
        registries: &[Arc<dyn PackageRegistry>],
    ) -> Result<(), StorageError> {
        let Some(stored) = &self.stored else {
            return self.tell_anew(registries).await;
        };
        let _turn = stored.tending.lock().await;
        self.rescan_in_turn(stored, registries).await
    }

    async fn rescan_in_turn(
        self: &Arc<Self>,
        stored: &Stored,
        registries: &[Arc<dyn PackageRegistry>],
    ) -> Result<(), StorageError> {
        let dead =
            marker::dead(&stored.store, &stored.node, self.clock.now(), stored.storage.is_shared()).await?;
        stored.rescan_wanted.store(false, Ordering::Relaxed);
        *stored.followed.lock() = None;
        self.refresh().await?;
        self.tell_anew(registries).await?;
        self.flush().await?;
        self.make_snapshot(stored).await?;
        for key in dead {
            stored.store.remove(&key).await?;
        }
        Ok(())
    }

    async fn tell_anew(
        self: &Arc<Self>,
        registries: &[Arc<dyn PackageRegistry>],
    ) -> Result<(), StorageError> {
        let since = {
            let mut state = self.state.write();
            state.seen = Some(HashMap::new());
            let now = self.clock.now().timestamp_micros();
            state.next_stamp(now)
        };
        let mut outcome = Ok(());
        let mut told = Vec::new();
        for registry in registries {
            match RESCAN.scope(since, registry.rebuild_catalog()).await {
                Ok(()) => told.push(registry.instance().name.clone()),
                Err(error) => outcome = Err(error),
            }
        }
        let seen = self.state.write().seen.take().unwrap_or_default();
        for instance in told {
            let known = {
                let state = self.state.read();
                state
                    .shelves
                    .as_ref()
                    .map(|shelves| shelves.names_before(&instance, since))
                    .unwrap_or_default()
            };
            let seen = seen.get(&instance);
            for name in known.iter().filter(|name| !seen.is_some_and(|seen| seen.contains(*name))) {
                self.changed(&instance, name, None);
            }
        }
        outcome
    }

    /// Ends background work and writes what is left.
    pub(super) async fn shutdown(&self) {
        let Some(stored) = &self.stored else { return };
        let task = stored.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // Only when it ended does nobody else write.
            let _aborted = task.await;
        }
        let written = self.flush().await;
        let told = match written {
            // A command that never started has no marker.
            Ok(()) if stored.registries.lock().is_empty() => Ok(()),
            Ok(()) if !stored.rescan_wanted.load(Ordering::Relaxed) => {
                marker::remove(&stored.store, &stored.node).await
            }
            // The marker stays: the next start, or another server, makes the catalog anew.
            other => other.and(marker::end(&stored.store, &stored.node).await),
        };
        if let Err(error) = told {
            tracing::warn!(error = %Chain(&error), "the catalog could not be written; the next start makes it anew");
        }
    }

    /// Begins background work, unless it runs or there is no async runtime.
    pub(super) fn tend(self: &Arc<Self>, stored: &Stored) {
        let mut task = stored.task.lock();
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (keeper, news) = (Arc::downgrade(self), Arc::clone(&stored.news));
            let shared = stored.storage.is_shared();
            *task = Some(runtime.spawn(tend(keeper, news, shared)));
        }
    }

    /// Writes what is pending, and what follows from it.
    async fn work(self: &Arc<Self>, stored: &Stored) -> Result<(), StorageError> {
        self.flush().await?;
        let _turn = stored.tending.lock().await;
        let registries: Vec<_> = stored.registries.lock().iter().filter_map(Weak::upgrade).collect();
        if stored.rescan_wanted.load(Ordering::Relaxed) && !registries.is_empty() {
            let outcome = self.rescan_in_turn(stored, &registries).await;
            if outcome.is_err() {
                stored.rescan_wanted.store(true, Ordering::Relaxed);
            }
            return outcome;
        }
        if stored.since_snapshot.load(Ordering::Relaxed) >= SEGMENTS_A_SNAPSHOT {
            self.make_snapshot(stored).await?;
        }
        Ok(())
    }

    /// Says that this server still lives, and looks whether another ended without its last words.
    async fn beat(&self, stored: &Stored) -> Result<(), StorageError> {
        let now = self.clock.now();
        if stored.registries.lock().is_empty() {
            return Ok(());
        }
        marker::write(&stored.store, &stored.node, now).await?;
        if !marker::dead(&stored.store, &stored.node, now, true).await?.is_empty() {
            stored.rescan_wanted.store(true, Ordering::Relaxed);
            stored.news.notify_one();
        }
        Ok(())
    }
}

/// The background work of a catalog: nothing while nothing happens, but for the beat of a bucket's server.
async fn tend(keeper: Weak<Keeper>, news: Arc<Notify>, shared: bool) {
    loop {
        let beat = async {
            if shared {
                tokio::time::sleep(marker::EVERY).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let told = tokio::select! {
            () = news.notified() => true,
            () = beat => false,
        };
        if told {
            tokio::time::sleep(COLLECT).await;
        }
        let Some(keeper) = keeper.upgrade() else { return };
        let Some(stored) = &keeper.stored else { return };
        let outcome = if told { keeper.work(stored).await } else { keeper.beat(stored).await };
        if let Err(error) = outcome {
            tracing::warn!(error = %Chain(&error), "the catalog could not be written; it is tried again");
            drop(keeper);
            tokio::time::sleep(RETRY).await;
            news.notify_one();
        }
    }
}
