//! Programs that come as Python packages: each in a virtual environment of its own.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::pins::PythonPin;
use crate::workspace::must;

/// Makes a virtual environment at `dir` with the packages in it.
pub(super) fn install(pin: &PythonPin, dir: &Path) -> Result<()> {
    must(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(dir))?;
    must(
        Command::new(dir.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"])
            .args(pin.requirement.split_whitespace())
            .stdout(std::io::stderr()),
    )
}
