//! The commands that do not serve.

pub(crate) mod check_config;
pub(crate) mod completions;
pub(crate) mod gc;
mod output;
mod progress;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod verify;

use smartregistry::core::storage::StorageLocation;

use crate::{
    assemble::{self, Opened},
    config::{self, Overrides},
    exit::Failure,
};

/// Runs a command on the configured store, with a server running on it or not.
pub(crate) fn on_store(
    overrides: &Overrides,
    command: impl AsyncFnOnce(&Opened) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = config::load(overrides)?;
    if config.storage.location == StorageLocation::Memory {
        return Err(Failure::usage(
            "with storage memory: there is nothing to work on; what a server keeps there is in that process alone",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::while_doing("cannot start", &e))?;
    runtime.block_on(async {
        let opened = assemble::open_for_command(&config).await?;
        let result = command(&opened).await;
        opened.close().await;
        result
    })
}
