//! Writing the catalog to the store.

use std::{sync::atomic::Ordering, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    keeper::{Keeper, Stored},
    shelves::Change,
    snapshot, stream,
};
use crate::storage::StorageError;

/// After how many segments a snapshot is made of them.
pub(super) const SEGMENTS_A_SNAPSHOT: usize = 200;
/// For how long a package that went away is remembered, and segments and snapshots that are not needed any more stay.
const GRACE: Duration = Duration::from_mins(15);

impl Keeper {
    /// Writes what changed here. What cannot be written stays pending.
    pub(super) async fn flush(&self) -> Result<(), StorageError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let _turn = stored.writing.lock().await;
        loop {
            let batch: Vec<Change> = {
                let mut state = self.state.write();
                // What a cancelled write left is written again: read twice it says the same.
                if state.writing.is_empty() {
                    while state.writing.len() < stream::SEGMENT_CHANGES
                        && let Some((_, change)) = state.pending.pop_first()
                    {
                        state.writing.push(change);
                    }
                }
                state.writing.clone()
            };
            if batch.is_empty() {
                return Ok(());
            }
            loop {
                let number = stored.next_segment.load(Ordering::Relaxed);
                let new = stream::append(&stored.store, &stored.node, number, batch.clone()).await?;
                stored.next_segment.store(number + 1, Ordering::Relaxed);
                if new {
                    break;
                }
            }
            stored.since_snapshot.fetch_add(1, Ordering::Relaxed);
            let mut state = self.state.write();
            state.writing.clear();
            let next = stored.next_segment.load(Ordering::Relaxed);
            if let Some(shelves) = &mut state.shelves {
                shelves.cursors.insert(stored.node.clone(), next);
            }
        }
    }

    /// Makes a snapshot of everything and removes what it makes superfluous.
    pub(super) async fn make_snapshot(&self, stored: &Stored) -> Result<(), StorageError> {
        let kept_before = self.state.read().shelves.is_some();
        // Fresh, so that nothing which others wrote long ago is still to be read after it.
        *stored.followed.lock() = None;
        self.refresh().await?;
        let now = self.clock.now();
        let gone_since = ago(now, GRACE);
        let (changes, covered) = {
            let mut state = self.state.write();
            let Some(shelves) = &mut state.shelves else { return Ok(()) };
            shelves.forget_gone(gone_since);
            (shelves.snapshot(gone_since), shelves.cursors.clone())
        };
        let replaces = stored.generation.lock().clone();
        let made = snapshot::write(&stored.store, changes, covered, replaces).await?;
        stored.since_snapshot.store(0, Ordering::Relaxed);
        if let Some(head) = made {
            *stored.generation.lock() = Some(head.generation.clone());
            self.clean(stored, &head, now).await?;
        }
        if !kept_before && !stored.asked.load(Ordering::Relaxed) {
            self.state.write().shelves = None;
        }
        Ok(())
    }

    async fn clean(
        &self,
        stored: &Stored,
        head: &snapshot::Head,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let old = |modified: std::time::SystemTime| {
            (now - DateTime::<Utc>::from(modified)).to_std().is_ok_and(|age| age >= GRACE)
        };
        for (node, segments) in stream::list(&stored.store).await? {
            let covered = head.covered.get(&node).copied().unwrap_or(0);
            for segment in segments.iter().filter(|segment| segment.number < covered && old(segment.modified))
            {
                stored.store.remove(&segment.key).await?;
            }
        }
        for entry in snapshot::outdated(&stored.store, head).await? {
            if old(entry.modified) {
                stored.store.remove(&entry.key).await?;
            }
        }
        Ok(())
    }
}

fn ago(now: DateTime<Utc>, by: Duration) -> i64 {
    now.timestamp_micros().saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}
