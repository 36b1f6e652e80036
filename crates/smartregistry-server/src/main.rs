//! The server `smartregistry`: configuration, command line, listener, log and metrics around the library of the same
//! name. docs/configuration.md and docs/operations.md say how it is used.

mod assemble;
mod cli;
mod commands;
mod config;
mod exit;
mod forwarded;
mod front;
mod log;
mod metrics;
mod net;
mod pages;
mod request_id;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    exit::Failure,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    if let Some(flag) = cli.misplaced() {
        return Err(Failure::usage(format!("{flag} is for serving; this command does not serve")));
    }
    let overrides = cli.overrides();
    match cli.command {
        None | Some(Command::Serve(_)) => serve::run(&overrides),
        Some(Command::Completions { shell }) => commands::completions::print(shell),
        Some(Command::CheckConfig(_)) => commands::check_config::run(&overrides),
        Some(Command::Setup(setup)) => commands::setup::run(&overrides, setup.registry.as_deref()),
        Some(Command::Token(token)) => {
            commands::on_store(&overrides, async |store, _| commands::token::run(store, token).await)
        }
        Some(Command::User(user)) => {
            commands::on_store(&overrides, async |store, _| commands::user::run(store, user).await)
        }
        Some(Command::Package(package)) => commands::on_store(&overrides, async |store, config| {
            commands::package::run(store, config, package).await
        }),
        Some(Command::Cache(cache)) => {
            commands::on_store(&overrides, async |store, _| commands::cache::run(store, cache).await)
        }
        Some(Command::Explain(explain)) => {
            commands::on_store(&overrides, async |store, _| commands::explain::run(store, explain).await)
        }
        Some(Command::Gc(gc)) => {
            commands::on_store(&overrides, async |store, _| commands::gc::run(store, gc).await)
        }
        Some(Command::Verify) => {
            commands::on_store(&overrides, async |store, _| commands::verify::run(store).await)
        }
    }
}
