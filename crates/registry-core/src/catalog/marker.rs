//! Which servers work on a store: `_system/servers/<node>`. One that is found although its server is gone tells that
//! the server crashed, so that its last changes may be missing from the catalog.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::storage::{Document, Draft, Key, KeyBuilder, StorageError, Store, UnknownFields};

/// How often a server of a bucket says that it lives. (A folder has one server: it need not.)
pub(super) const EVERY: Duration = Duration::from_mins(1);
/// After how long without a word a bucket's server counts as crashed.
const DEAD_AFTER: Duration = Duration::from_mins(5);

/// A server's word.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Marker {
    beat: DateTime<Utc>,
    /// Whether the server ended in order, though not everything that it knew could be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Marker {
    const SCHEMA: u32 = 1;
}

fn folder(store: &Store) -> KeyBuilder {
    store.key().fixed("servers")
}

fn key(store: &Store, node: &str) -> Key {
    folder(store).segment(node).build()
}

/// Says that the server lives.
pub(super) async fn write(store: &Store, node: &str, now: DateTime<Utc>) -> Result<(), StorageError> {
    let change = move |draft: &mut Draft<Marker>| {
        let new = || Marker { beat: now, ended: false, unknown: UnknownFields::default() };
        let marker = draft.edit_or_insert_with(new);
        (marker.beat, marker.ended) = (now, false);
        Ok::<_, StorageError>(())
    };
    store.update(&key(store, node), change).await.map(|_| ())
}

/// Says that the server ended with everything written.
pub(super) async fn remove(store: &Store, node: &str) -> Result<(), StorageError> {
    store.remove(&key(store, node)).await
}

/// Says that the server ended, but that its changes may be missing from the catalog.
pub(super) async fn end(store: &Store, node: &str) -> Result<(), StorageError> {
    let change = |draft: &mut Draft<Marker>| {
        if let Some(marker) = draft.edit() {
            marker.ended = true;
        }
        Ok::<_, StorageError>(())
    };
    store.update(&key(store, node), change).await.map(|_| ())
}

/// The markers of other servers that crashed, or ended without having written everything.
pub(super) async fn dead(
    store: &Store,
    node: &str,
    now: DateTime<Utc>,
    shared: bool,
) -> Result<Vec<Key>, StorageError> {
    let own = key(store, node);
    let mut dead = Vec::new();
    for entry in store.list(&folder(store).build()).await? {
        if entry.key == own {
            continue;
        }
        let Some(marker) = store.read_fresh::<Marker>(&entry.key).await? else { continue };
        if is_silent(&marker, now) || !shared {
            dead.push(entry.key);
        }
    }
    Ok(dead)
}

/// Whether any server of a bucket counts as alive.
pub(super) async fn any_live(store: &Store, now: DateTime<Utc>) -> Result<bool, StorageError> {
    for entry in store.list(&folder(store).build()).await? {
        if let Some(marker) = store.read_fresh::<Marker>(&entry.key).await?
            && !is_silent(&marker, now)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a server ended, or said nothing for so long that it counts as crashed.
fn is_silent(marker: &Marker, now: DateTime<Utc>) -> bool {
    marker.ended || (now - marker.beat).to_std().is_ok_and(|silent| silent >= DEAD_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Storage, StorageOptions};

    #[tokio::test]
    async fn a_server_lives_until_it_says_so_or_is_silent_for_long() {
        let store = Storage::memory(StorageOptions::default()).system();
        let now = Utc::now();
        let later = |minutes| now + chrono::TimeDelta::minutes(minutes);
        assert!(!any_live(&store, now).await.unwrap());
        write(&store, "one", now).await.unwrap();
        write(&store, "two", later(3)).await.unwrap();
        assert!(any_live(&store, now).await.unwrap());
        assert!(any_live(&store, later(7)).await.unwrap());
        assert!(!any_live(&store, later(8)).await.unwrap());
        // The clock of somebody else may be ahead.
        assert!(any_live(&store, later(-30)).await.unwrap());
        remove(&store, "two").await.unwrap();
        assert!(any_live(&store, later(4)).await.unwrap());
        assert!(!any_live(&store, later(5)).await.unwrap());
        // One that ended before its catalog was whole is not at work, and leaves the catalog to others at once.
        assert!(dead(&store, "two", now, true).await.unwrap().is_empty());
        end(&store, "one").await.unwrap();
        assert!(!any_live(&store, now).await.unwrap());
        assert_eq!(dead(&store, "two", now, true).await.unwrap(), [key(&store, "one")]);
        write(&store, "one", now).await.unwrap();
        assert!(any_live(&store, now).await.unwrap());
    }
}
