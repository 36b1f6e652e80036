//! `cargo xtask ci`: everything that must pass before a change is taken.

mod features;

use std::process::Command;

use anyhow::Result;

use crate::setup::Tools;
use crate::suites::{self, timed};
use crate::tally::Tally;
use crate::tidy;
use crate::workspace::{cargo, must, root};

/// Runs all checks, then all suites. A failed check stops it: what follows would only repeat the news.
pub(crate) fn run(jobs: usize) -> Result<Tally> {
    let mut checks = Tally::default();
    let mut check = |name: &str, part: &mut dyn FnMut() -> Result<()>| {
        timed(name, part)?;
        checks += Tally::one(true);
        anyhow::Ok(())
    };
    check("format", &mut || must(cargo().args(["fmt", "--all", "--check"])))?;
    check("tidy", &mut tidy::run)?;
    check("clippy", &mut || {
        must(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    check("documentation", &mut || {
        must(
            cargo()
                .args(["doc", "--no-deps", "--workspace", "--locked", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    check("features", &mut features::run)?;
    check("dependencies", &mut deny)?;
    let suites = suites::run(false, jobs)?;
    checks += suites;
    Ok(checks)
}

/// Licences, duplicate versions, banned crates and sources; security advisories where their database can be had.
fn deny() -> Result<()> {
    let tools = Tools::ensure(["cargo-deny"])?;
    let program = tools.program("cargo-deny", "cargo-deny")?;
    let deny = |checks: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(root()).args(["--locked", "--log-level", "error", "check"]).args(checks);
        command
    };
    must(&mut deny(&["licenses", "bans", "sources"]))?;
    let fetched = Command::new(&program)
        .current_dir(root())
        .args(["--log-level", "off", "fetch", "db"])
        .stderr(std::process::Stdio::null())
        .status()?;
    if fetched.success() {
        must(&mut deny(&["advisories"]))
    } else {
        println!("advisories: not checked, because their database cannot be fetched here");
        Ok(())
    }
}
