//! Programs that Cargo installs, and where Cargo itself is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::pins::CargoPin;
use crate::workspace::{self, cargo, must};

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

/// The folder of the toolchain's programs. Those on the search path may be rustup's, which want its home.
pub(super) fn toolchain() -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(workspace::root())
        .output()
        .context("could not start rustc")?;
    let dir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("bin");
    if !output.status.success() || !dir.join("cargo").is_file() {
        bail!("rustc's toolchain has no cargo in {}", dir.display());
    }
    Ok(dir)
}
