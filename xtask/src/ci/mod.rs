//! `cargo xtask ci`: everything that must pass before a change is taken.

mod deny;
mod features;

pub(crate) use self::deny::run as deny;

use anyhow::Result;

use crate::suites::{self, timed};
use crate::tally::Tally;
use crate::tidy;
use crate::workspace::{cargo, must};

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
