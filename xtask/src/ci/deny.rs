//! `cargo xtask deny`: licences, duplicate versions, banned crates and sources.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::setup::Tools;
use crate::workspace::{must, root};

/// Runs cargo-deny; security advisories are checked where their database can be fetched.
pub(crate) fn run() -> Result<()> {
    let program = Tools::ensure(["cargo-deny"])?.program("cargo-deny", "cargo-deny")?;
    let deny = |checks: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(root()).args(["--locked", "--log-level", "error", "check"]).args(checks);
        command
    };
    must(&mut deny(&["licenses", "bans", "sources"]))?;
    let mut fetch = Command::new(&program);
    fetch.current_dir(root()).args(["--log-level", "off", "fetch", "db"]).stderr(Stdio::null());
    if fetch.status()?.success() {
        must(&mut deny(&["advisories"]))
    } else {
        println!("advisories: not checked, because their database cannot be fetched here");
        Ok(())
    }
}
