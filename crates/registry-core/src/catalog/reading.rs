//! Reading the catalog from the store.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{
    keeper::{Keeper, State, Stored},
    shelves::Shelves,
    snapshot, stream,
};
use crate::{Chain, storage::StorageError};

/// How old what is known of the others' changes may be when somebody asks.
pub(super) const FOLLOW: Duration = Duration::from_millis(2500);
/// After how long without a question everything is read anew: others may have cleaned up behind our back meanwhile.
const ASLEEP: Duration = Duration::from_hours(1);

impl Keeper {
    /// Whether there is anything that all began with: memory, or a snapshot.
    pub(super) async fn was_made(&self) -> Result<bool, StorageError> {
        match &self.stored {
            Some(stored) => Ok(snapshot::head(&stored.store).await?.is_some()),
            None => Ok(true),
        }
    }

    pub(super) async fn refresh(&self) -> Result<(), StorageError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let _turn = stored.reading.lock().await;
        let loaded = self.state.read().shelves.is_some();
        if loaded && self.is_fresh() {
            return Ok(());
        }
        let asleep = stored.followed.lock().is_none_or(|followed| followed.elapsed() > ASLEEP);
        let began = Instant::now();
        if !loaded || asleep {
            self.load(stored).await?;
        } else if let Err(error) = self.follow(stored).await {
            // What is known is better than no answer, and the store's failure shows everywhere else.
            tracing::warn!(error = %Chain(&error), "the catalog could not follow other servers' changes");
        }
        *stored.followed.lock() = Some(began);
        Ok(())
    }

    /// Reads the newest snapshot and what the streams say after it.
    async fn load(&self, stored: &Stored) -> Result<(), StorageError> {
        {
            let mut state = self.state.write();
            let own = state.pending.values().chain(&state.writing).cloned().collect();
            state.since_load = Some(own);
        }
        let loaded = self.read_all(stored).await;
        let mut state = self.state.write();
        let own = state.since_load.take().unwrap_or_default();
        let mut shelves = loaded?;
        for change in &own {
            shelves.apply(change, true);
        }
        state.newest = state.newest.max(shelves.newest);
        state.shelves = Some(shelves);
        Ok(())
    }

    async fn read_all(&self, stored: &Stored) -> Result<Shelves, StorageError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let head = snapshot::head(&stored.store).await?;
            let mut shelves = match &head {
                None => {
                    stored.rescan_wanted.store(true, Ordering::Relaxed);
                    Shelves::default()
                }
                Some(head) => match snapshot::read(&stored.store, head).await {
                    Ok(shelves) => shelves,
                    // Another node replaced the snapshot meanwhile.
                    Err(StorageError::Missing { .. }) if attempts < 5 => continue,
                    Err(error @ (StorageError::Damaged { .. } | StorageError::Missing { .. })) => {
                        tracing::error!(error = %Chain(&error), "the catalog's snapshot cannot be read; the catalog is made anew");
                        stored.rescan_wanted.store(true, Ordering::Relaxed);
                        Shelves::after(head.covered.clone())
                    }
                    Err(error) => return Err(error),
                },
            };
            let read = stream::read_after(&stored.store, &shelves.cursors, None).await?;
            stream::apply(&mut shelves, &read);
            let now = snapshot::head(&stored.store).await?;
            let generation =
                |head: &Option<snapshot::Head>| head.as_ref().map(|head| head.generation.clone());
            if generation(&now) != generation(&head) && attempts < 5 {
                // Segments that it covers may have gone before they were read.
                continue;
            }
            *stored.generation.lock() = generation(&head);
            stored.since_snapshot.store(read.len(), Ordering::Relaxed);
            return Ok(shelves);
        }
    }

    /// Reads what other nodes' streams say since the last time.
    async fn follow(&self, stored: &Stored) -> Result<(), StorageError> {
        for again in [true, false] {
            let cursors = self.cursors();
            let read = stream::read_after(&stored.store, &cursors, Some(&stored.node)).await?;
            let head = snapshot::head(&stored.store).await?;
            stored.since_snapshot.fetch_add(read.len(), Ordering::Relaxed);
            if !self.is_behind(stored, &read, head.as_ref()) {
                *stored.generation.lock() = head.map(|head| head.generation);
                return Ok(());
            }
            if !again {
                return self.load(stored).await;
            }
        }
        Ok(())
    }

    /// Takes in what was read, and says whether the newest snapshot holds more.
    fn is_behind(&self, stored: &Stored, read: &stream::Read, head: Option<&snapshot::Head>) -> bool {
        let mut state = self.state.write();
        let State { shelves: Some(shelves), newest, .. } = &mut *state else { return false };
        stream::apply(shelves, read);
        *newest = shelves.newest.max(*newest);
        head.is_some_and(|head| {
            let unread = |(node, covered): (&String, &u64)| {
                *node != stored.node && shelves.cursors.get(node).copied().unwrap_or(0) < *covered
            };
            head.covered.iter().any(unread)
        })
    }

    fn cursors(&self) -> BTreeMap<String, u64> {
        self.state.read().shelves.as_ref().map(|shelves| shelves.cursors.clone()).unwrap_or_default()
    }
}
