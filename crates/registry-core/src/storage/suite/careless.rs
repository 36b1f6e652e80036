//! A store that takes every conditional write for a plain one.

use async_trait::async_trait;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload, PutResult, Result, path::Path};

use crate::storage::puts::PutRule;

#[derive(Debug)]
pub(super) struct Careless;

#[async_trait]
impl PutRule for Careless {
    const NAME: &'static str = "careless writer";

    async fn put(
        &self,
        below: &dyn ObjectStore,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        below.put_opts(location, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }
}
