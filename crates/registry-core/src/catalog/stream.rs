//! The nodes' streams of changes: `_system/changes/<node>/<number>`.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::shelves::{Change, Shelves};
use crate::storage::{Created, Document, Key, KeyBuilder, StorageError, Store, UnknownFields, Versioned};

/// How many changes a segment holds at most.
pub(super) const SEGMENT_CHANGES: usize = 500;
/// How many segments are read at once.
const READS_AT_ONCE: usize = 16;

/// Some changes, in one immutable document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) changes: Vec<Change>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Segment {
    const SCHEMA: u32 = 1;
}

/// A segment that is there.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) key: Key,
    pub(super) number: u64,
    pub(super) modified: SystemTime,
}

fn folder(store: &Store) -> KeyBuilder {
    store.key().fixed("changes")
}

/// Writes a segment; `false` where one of this number is there.
pub(super) async fn append(
    store: &Store,
    node: &str,
    number: u64,
    changes: Vec<Change>,
) -> Result<bool, StorageError> {
    let key = folder(store).segment(node).segment(&format!("{number:012}")).build();
    let segment = Segment { changes, unknown: UnknownFields::default() };
    Ok(matches!(store.create(&key, segment).await?, Created::Now(_)))
}

/// All segments by node, in the order of their numbers.
pub(super) async fn list(store: &Store) -> Result<BTreeMap<String, Vec<Listed>>, StorageError> {
    let mut nodes: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for entry in store.list(&folder(store).build()).await? {
        let mut parts = entry.key.as_str().rsplit('/');
        let (Some(number), Some(node)) = (parts.next(), parts.next()) else { continue };
        let (Ok(number), node) = (number.parse(), node.to_owned()) else { continue };
        nodes.entry(node).or_default().push(Listed { key: entry.key, number, modified: entry.modified });
    }
    for segments in nodes.values_mut() {
        segments.sort_by_key(|segment| segment.number);
    }
    Ok(nodes)
}

/// Segments that were read: of which node, which number, and what is in them.
pub(super) type Read = Vec<(String, u64, Arc<Versioned<Segment>>)>;

/// Reads the segments that lie after the cursors, but not those of `except`. One that is gone meanwhile is left out:
/// a snapshot holds it.
pub(super) async fn read_after(
    store: &Store,
    cursors: &BTreeMap<String, u64>,
    except: Option<&str>,
) -> Result<Read, StorageError> {
    let listed = list(store).await?;
    let wanted = listed.into_iter().filter(|(node, _)| except != Some(node)).flat_map(|(node, segments)| {
        let from = cursors.get(&node).copied().unwrap_or(0);
        segments
            .into_iter()
            .filter(move |segment| segment.number >= from)
            .map(move |segment| (node.clone(), segment))
    });
    let read = |(node, segment): (String, Listed)| async move {
        let document = store.read::<Segment>(&segment.key).await?;
        Ok::<_, StorageError>(document.map(|document| (node, segment.number, document)))
    };
    let found: Vec<_> = stream::iter(wanted).map(read).buffered(READS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Takes read segments in and moves the cursors.
pub(super) fn apply(shelves: &mut Shelves, read: &Read) {
    for (node, number, segment) in read {
        for change in &segment.changes {
            shelves.apply(change, false);
        }
        let cursor = shelves.cursors.entry(node.clone()).or_default();
        *cursor = (*cursor).max(number.saturating_add(1));
    }
}
