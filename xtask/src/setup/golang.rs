//! Programs that come as Go modules, built once with the machine's Go or with the one that PyPI packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::pins::GoPin;
use crate::workspace::must;

/// Builds a program into `dir`; `packaged` is asked for a Go when the machine has none.
pub(super) fn install(pin: &GoPin, dir: &Path, packaged: impl FnOnce() -> Result<PathBuf>) -> Result<()> {
    let go = match on_machine() {
        Some(go) => go,
        None => packaged()?,
    };
    must(
        Command::new(go)
            .args(["install", "-trimpath", "-ldflags=-s -w"])
            .arg(pin.to_string())
            .env("GOBIN", dir)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-buildvcs=false")
            .current_dir(dir),
    )
}

/// The Go program in the virtual environment of PyPI's package.
pub(super) fn packaged(venv: &Path) -> PathBuf {
    venv.join("bin/go")
}

fn on_machine() -> Option<PathBuf> {
    ["go", "/usr/local/go/bin/go"].into_iter().map(PathBuf::from).find(|go| {
        let version = Command::new(go).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}
