//! Programs that Cargo installs.

use std::path::Path;

use anyhow::Result;

use super::pins::CargoPin;
use crate::workspace::{cargo, must};

/// Builds a program into `dir/bin`, without optimisation: it runs for a second, and its build is what costs.
pub(super) fn install(pin: &CargoPin, dir: &Path) -> Result<()> {
    must(
        cargo()
            .args(["install", "--quiet", "--locked", "--debug", "--version", &pin.version, &pin.package])
            .arg("--root")
            .arg(dir)
            .arg("--target-dir")
            .arg(dir.join("build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "false"),
    )?;
    std::fs::remove_dir_all(dir.join("build"))?;
    Ok(())
}
