//! The commands that do not serve.

pub(crate) mod cache;
pub(crate) mod check_config;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod gc;
mod output;
pub(crate) mod package;
mod progress;
pub(crate) mod setup;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod verify;

use std::sync::Arc;

use smartregistry::core::{PackageRegistry, storage::StorageLocation};

use crate::{
    assemble::{self, Opened},
    config::{self, Config, Overrides},
    exit::Failure,
};

/// Runs a command on the configured store, with a server running on it or not.
pub(crate) fn on_store(
    overrides: &Overrides,
    command: impl AsyncFnOnce(&Opened, &Config) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = config::load(overrides)?;
    if config.storage.location == StorageLocation::Memory {
        return Err(Failure::usage(
            "with storage memory: there is nothing to work on; what a server keeps there is in that process alone",
        ));
    }
    run(async {
        let opened = assemble::open_for_command(&config).await?;
        let result = command(&opened, &config).await;
        opened.close().await;
        result
    })
}

/// Runs a future on a runtime of its own, to its end.
fn run<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::while_doing("cannot start", &e))?;
    runtime.block_on(future)
}

/// The registry of a name. A protocol's name means its only registry, too, where that has another name.
fn registry_named<'r>(
    registries: &'r [Arc<dyn PackageRegistry>],
    name: &str,
) -> Result<&'r dyn PackageRegistry, Failure> {
    let named = registries.iter().find(|registry| registry.instance().name.as_str() == name);
    let mut of_protocol = registries.iter().filter(|registry| registry.instance().protocol.as_str() == name);
    let found = named.or_else(|| of_protocol.next().filter(|_| of_protocol.next().is_none()));
    found.map(AsRef::as_ref).ok_or_else(|| {
        let known: Vec<&str> = registries.iter().map(|registry| registry.instance().name.as_str()).collect();
        Failure::usage(format!("there is no registry `{name}` here; there are {}", known.join(", ")))
    })
}
