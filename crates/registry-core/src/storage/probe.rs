//! Trying whether a bucket keeps its word: of racing conditional writes one wins.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};

use super::{
    Key, StorageError,
    engine::{path, storage_error},
};

/// How many writers race.
const RACERS: usize = 20;

/// Races creations and updates of a scratch key, which is removed again.
pub(crate) async fn conditional_writes(store: &Arc<dyn ObjectStore>) -> Result<(), StorageError> {
    let key = Key::from_encoded("_system/probe").with_random_suffix();
    let outcome = race_twice(store, &key).await;
    let location = path(&key);
    let mut removed = store.delete_stream(stream::once(async move { Ok(location) }).boxed());
    if let Some(Err(error)) = removed.next().await {
        tracing::warn!(key = %key, error = %error, "a scratch object could not be removed");
    }
    outcome
}

async fn race_twice(store: &Arc<dyn ObjectStore>, key: &Key) -> Result<(), StorageError> {
    let created = race(store, key, &PutMode::Create).await?;
    judge("creations", created)?;
    let meta = store.head(&path(key)).await.map_err(|error| storage_error(key, error))?;
    let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
    let updated = race(store, key, &PutMode::Update(version)).await?;
    judge("updates", updated)
}

/// The number of winners.
async fn race(store: &Arc<dyn ObjectStore>, key: &Key, mode: &PutMode) -> Result<usize, StorageError> {
    let location = path(key);
    let results: Vec<_> = stream::iter(0..RACERS)
        .map(|racer| {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            let payload = PutPayload::from(format!("{mode:?} {racer}").into_bytes());
            store.put_opts(&location, payload, options)
        })
        .buffer_unordered(RACERS)
        .collect()
        .await;
    let mut winners = 0_usize;
    for result in results {
        match result {
            Ok(_) => winners = winners.saturating_add(1),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
            Err(
                error @ (object_store::Error::NotImplemented { .. }
                | object_store::Error::NotSupported { .. }),
            ) => {
                return Err(refuse(&error.to_string()));
            }
            Err(error) => return Err(storage_error(key, error)),
        }
    }
    Ok(winners)
}

fn judge(what: &str, winners: usize) -> Result<(), StorageError> {
    if winners == 1 {
        return Ok(());
    }
    Err(refuse(&format!("of {RACERS} racing {what} of one object {winners} succeeded instead of one")))
}

fn refuse(what: &str) -> StorageError {
    StorageError::Setup(format!(
        "this bucket's service does not honour conditional writes, and concurrent publishes would be lost: {what}. Use a \
         service that does, or set storage.single_writer if only one process ever writes to it"
    ))
}
