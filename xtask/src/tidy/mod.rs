//! `cargo xtask tidy`: the house rules that the compiler and clippy cannot know.

mod checklists;
mod files;
mod graph;
mod hosts;
mod layout;

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{self, cargo};

/// Checks all rules and names every place that breaks one.
pub(crate) fn run() -> Result<()> {
    let metadata = metadata()?;
    let files = files::tracked()?;
    let mut faults = graph::check(&metadata).context("cargo metadata is not as expected")?;
    faults.extend(layout::check(&workspace::root())?);
    faults.extend(files::check(&files));
    faults.extend(checklists::check(&files));
    faults.extend(hosts::check(&files, &hosts::of_this_machine()));
    if faults.is_empty() {
        println!("tidy: {} files, no fault", files.len());
        return Ok(());
    }
    bail!("tidy found {} faults:\n  {}", faults.len(), faults.join("\n  "))
}

/// `cargo metadata` of the workspace's own packages.
pub(crate) fn metadata() -> Result<Value> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1", "--locked"]).output()?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
}

/// Git, run in the workspace's root.
fn git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(workspace::root());
    command
}
