//! What a process leaves that dies between a gem's document and the log: a marker, by which any other completes the log.
//!
//! Markers are looked for at the start, by `gc`, and by whoever is served something that is made of the log, if nobody of this process
//! did in the last few seconds: one list of a folder that is nearly always empty.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use registry_core::{
    Chain,
    storage::{ArtifactSpec, DataRef, Key, ListEntry, PendingArtifact, StorageError},
};

use super::announce::{Announcer, READS};
use crate::names::GemName;

/// How long a line may be missing: markers are looked for so often, while somebody reads.
const INTERVAL: TimeDelta = TimeDelta::seconds(5);
/// So long a reader waits at most until the log is completed. That goes on without the reader.
const PATIENCE: Duration = Duration::from_secs(5);
/// A marker of this age is of no operation that still runs.
const DEAD: Duration = Duration::from_mins(10);
/// The largest marker.
const MAX_MARKER: u64 = 1024;

/// When markers were last looked for by this process.
#[derive(Debug, Default)]
pub(super) struct Looked {
    at: Mutex<Option<DateTime<Utc>>>,
    /// Held by who looks.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Looked {
    fn is_recent(&self, now: DateTime<Utc>) -> bool {
        // A clock that was set back makes no long pause.
        self.at.lock().is_some_and(|at| at <= now && now.signed_duration_since(at) < INTERVAL)
    }
}

impl Announcer {
    fn pending(&self) -> Key {
        self.store.key().fixed("pending").build()
    }

    /// Leaves a marker that this gem's document is about to change. It goes when it is dropped, once the log knows of the change.
    pub(crate) async fn mark(&self, name: &GemName) -> Result<PendingArtifact, StorageError> {
        let key = self.pending().child().segment(&name.folded()).build();
        let bytes = bytes::Bytes::copy_from_slice(name.as_str().as_bytes());
        self.store.write_artifact_bytes(&key, bytes, ArtifactSpec::default()).await
    }

    /// Completes the log where that was not tried lately. Says whether there may be more in it now than before. Fails never: who reads
    /// gets what there is.
    pub(super) async fn look_for_markers(self: &Arc<Self>) -> bool {
        if self.looked.is_recent(self.clock.now()) {
            return false;
        }
        let look = async {
            let turn = Arc::clone(&self.looked.turn).lock_owned().await;
            let now = self.clock.now();
            if self.looked.is_recent(now) {
                // Somebody else did it meanwhile.
                return true;
            }
            let this = Arc::clone(self);
            // Others may wait for the same append: it must end although this reader goes away.
            let work = async move {
                let result = this.recover(now).await;
                drop(turn);
                result
            };
            match self.tasks.spawn(work).await {
                Ok(Ok(found)) => found > 0,
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the log of versions may lack lines");
                    true
                }
                Err(_) => true,
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or(true)
    }

    /// Completes the log where a process died between a gem's document and the log, and takes away what such a process left. Says how
    /// many markers there were; most are of operations that go on.
    pub(crate) async fn recover(&self, now: DateTime<Utc>) -> Result<usize, StorageError> {
        *self.looked.at.lock() = Some(self.clock.now());
        let entries = self.store.list(&self.pending()).await?;
        let found = entries.len();
        // All at once, so that they share an append; what fails for one gem keeps no other from being completed.
        let settled: Vec<Result<(), StorageError>> =
            stream::iter(entries.into_iter().map(|entry| self.settle(entry, now)))
                .buffer_unordered(READS)
                .collect()
                .await;
        settled.into_iter().collect::<Result<(), _>>().map(|()| found)
    }

    async fn settle(&self, entry: ListEntry, now: DateTime<Utc>) -> Result<(), StorageError> {
        if entry.size > MAX_MARKER {
            return Ok(());
        }
        let data = DataRef { key: entry.key.clone(), size: entry.size, sha256: None };
        let text = match self.store.read_artifact(&[data], None).await {
            Ok(body) => super::log::collect_text(body).await?,
            // Its operation ended meanwhile.
            Err(StorageError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Ok(name) = text.parse::<GemName>() {
            self.announce(&name).await?;
        }
        let age = SystemTime::from(now).duration_since(entry.modified).unwrap_or_default();
        if age > DEAD {
            self.store.remove(&entry.key).await?;
        }
        Ok(())
    }
}
