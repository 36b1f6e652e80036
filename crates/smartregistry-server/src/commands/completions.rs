//! `completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::output;
use crate::{cli::Cli, exit::Failure};

/// Prints the script that completes our command line in a shell.
pub(crate) fn print(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "smartregistry", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
