//! Which servers work on a store: `_system/servers/<node>`. One that is found although its server is gone tells that
//! the server crashed, so that its last changes may be missing from the catalog.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::storage::{Document, Draft, Key, KeyBuilder, StorageError, Store, UnknownFields, UpdateError};

/// How often a server of a bucket says that it lives. (A folder has one server: it need not.)
pub(super) const EVERY: Duration = Duration::from_mins(1);
/// After how long without a word a bucket's server counts as crashed.
const DEAD_AFTER: Duration = Duration::from_mins(5);

/// A server's word.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Marker {
    beat: DateTime<Utc>,
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
        draft.edit_or_insert_with(|| Marker { beat: now, unknown: UnknownFields::default() }).beat = now;
        Ok::<_, StorageError>(())
    };
    store.update(&key(store, node), change).await.map(|_| ()).map_err(UpdateError::merge::<StorageError>)
}

/// Says that the server ended with everything written.
pub(super) async fn remove(store: &Store, node: &str) -> Result<(), StorageError> {
    store.remove(&key(store, node)).await
}

/// The markers of other servers that crashed.
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
        let silent = (now - marker.beat).to_std().is_ok_and(|silent| silent >= DEAD_AFTER);
        if silent || !shared {
            dead.push(entry.key);
        }
    }
    Ok(dead)
}
