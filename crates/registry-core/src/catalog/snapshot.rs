//! Snapshots: everything that some of the streams said, in one data object named by `_system/catalog/head`.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::shelves::{Change, Shelves};
use crate::storage::{
    ArtifactSpec, DataRef, Document, Draft, Key, StorageError, Store, UnknownFields, UpdateError,
};

/// The most bytes that a snapshot may unpack to, and its longest line.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// The newest snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// Changes with each snapshot.
    pub(super) generation: String,
    /// Changes as JSON, one a line, packed by zstd.
    pub(super) entries: DataRef,
    /// By node, the number of its first segment that is not in it.
    pub(super) covered: BTreeMap<String, u64>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Head {
    const SCHEMA: u32 = 1;
}

fn head_key(store: &Store) -> Key {
    store.key().fixed("catalog").fixed("head").build()
}

/// The newest snapshot, if there is one.
pub(super) async fn head(store: &Store) -> Result<Option<Head>, StorageError> {
    Ok(store.read_fresh::<Head>(&head_key(store)).await?.map(|head| head.value.clone()))
}

/// What the snapshot holds.
pub(super) async fn read(store: &Store, head: &Head) -> Result<Shelves, StorageError> {
    let mut body = store.read_artifact(std::slice::from_ref(&head.entries), None).await?.into_data_stream();
    let mut packed = Vec::with_capacity(usize::try_from(head.entries.size).unwrap_or(0));
    while let Some(piece) = body.try_next().await.map_err(StorageError::Body)? {
        packed.extend_from_slice(&piece);
    }
    let damaged = |what: String| StorageError::Damaged { key: head.entries.key.to_string(), what };
    let unpacked = tokio::task::spawn_blocking(move || unpack(&packed)).await;
    let mut shelves = unpacked.map_err(|error| damaged(error.to_string()))?.map_err(damaged)?;
    shelves.cursors.clone_from(&head.covered);
    Ok(shelves)
}

/// Writes a snapshot and makes it the newest; `None` where another node made one meanwhile.
pub(super) async fn write(
    store: &Store,
    changes: Vec<Change>,
    covered: BTreeMap<String, u64>,
    replaces: Option<String>,
) -> Result<Option<Head>, StorageError> {
    let head_key = head_key(store);
    let failed = |what: String| StorageError::Damaged { key: head_key.to_string(), what };
    let packed = tokio::task::spawn_blocking(move || pack(&changes)).await;
    let packed = packed.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    let key = store.key().fixed("catalog").fixed("entries").build();
    let pending = store.write_artifact_bytes(&key, Bytes::from(packed), ArtifactSpec::default()).await?;
    let head = Head {
        generation: uuid::Uuid::now_v7().simple().to_string(),
        entries: pending.keep(),
        covered,
        unknown: UnknownFields::default(),
    };
    let new = head.clone();
    let change = move |draft: &mut Draft<Head>| {
        if draft.get().map(|head| &head.generation) != replaces.as_ref() {
            return Err(UpdateError::Refused(()));
        }
        draft.set(new.clone());
        Ok(())
    };
    match store.update(&head_key, change).await {
        Ok(_) => Ok(Some(head)),
        Err(UpdateError::Refused(())) => {
            store.remove(&head.entries.key).await?;
            Ok(None)
        }
        Err(UpdateError::Storage(error)) => Err(error),
    }
}

/// The data of snapshots that are not the newest any more.
pub(super) async fn outdated(
    store: &Store,
    head: &Head,
) -> Result<Vec<crate::storage::ListEntry>, StorageError> {
    let folder = store.key().fixed("catalog").build();
    let head_key = head_key(store);
    let mut all = store.list(&folder).await?;
    all.retain(|entry| entry.key != head_key && entry.key != head.entries.key);
    Ok(all)
}

fn pack(changes: &[Change]) -> Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).map_err(|error| told(&error))?;
    for change in changes {
        serde_json::to_writer(&mut encoder, change).map_err(|error| told(&error))?;
        encoder.write_all(b"\n").map_err(|error| told(&error))?;
    }
    encoder.finish().map_err(|error| told(&error))
}

fn unpack(packed: &[u8]) -> Result<Shelves, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(|error| told(&error))?;
    let mut lines = BufReader::with_capacity(64 * 1024, decoder.take(MAX_BYTES));
    let mut shelves = Shelves::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| told(&error))?;
        if read == 0 {
            return Ok(shelves);
        }
        let change = serde_json::from_slice(&line).map_err(|error| told(&error))?;
        shelves.apply(&change, false);
    }
}
