//! Conditional writes for a service that has none, under the operator's word that this process alone writes.

use async_trait::async_trait;
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use tokio::sync::Mutex;

use super::puts::PutRule;

/// Checks the condition itself before it writes; one conditional write at a time.
#[derive(Debug, Default)]
pub(crate) struct SingleWriter {
    turn: Mutex<()>,
}

#[async_trait]
impl PutRule for SingleWriter {
    const NAME: &'static str = "single writer";

    async fn put(
        &self,
        below: &dyn ObjectStore,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let _turn = self.turn.lock().await;
        check(below, location, &options.mode).await?;
        below.put_opts(location, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }
}

async fn check(below: &dyn ObjectStore, location: &Path, mode: &PutMode) -> Result<()> {
    let current = match below.head(location).await {
        Ok(meta) => Some(meta),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let path = location.to_string();
    match (mode, current) {
        (PutMode::Overwrite, _) | (PutMode::Create, None) => Ok(()),
        (PutMode::Create, Some(_)) => Err(Error::AlreadyExists { path, source: "it is there".into() }),
        (PutMode::Update(expected), Some(current))
            if expected.e_tag.is_some() && expected.e_tag == current.e_tag =>
        {
            Ok(())
        }
        (PutMode::Update(_), _) => Err(Error::Precondition { path, source: "it changed".into() }),
    }
}
