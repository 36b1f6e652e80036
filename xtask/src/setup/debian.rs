//! Debian's packages: found with `dpkg-query`, installed with `apt-get`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use super::Privilege;
use crate::workspace::must;

/// Installs what is missing, as root or through sudo; with neither it names the one command to run.
pub(super) fn ensure(packages: &BTreeSet<String>, privilege: Privilege) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    if privilege == Privilege::None {
        bail!(
            "packages of the system are missing, and installing them needs root or a sudo without a password.\n\
             Run this once, then try again:\n\n    sudo apt-get update && sudo apt-get {} {}\n",
            install.join(" "),
            missing.join(" ")
        );
    }
    eprintln!("installing {}", missing.join(" "));
    let apt = || {
        let mut command = privilege.command("env");
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    };
    must(apt().args(["update", "-qq"]))?;
    must(apt().args(install).args(&missing).stdout(std::io::stderr()))
}

fn missing(packages: &BTreeSet<String>) -> Result<Vec<String>> {
    let listed = std::process::Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .context("the suites install Debian's packages, and this system has no dpkg-query")?;
    Ok(not_installed(packages, &String::from_utf8_lossy(&listed.stdout)))
}

/// Those of `packages` that the listing (`name status` a line) does not call installed.
fn not_installed(packages: &BTreeSet<String>, listing: &str) -> Vec<String> {
    let installed: BTreeSet<&str> =
        listing.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::trim).collect();
    packages.iter().filter(|name| !installed.contains(name.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_is_not_missing() {
        let packages = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(not_installed(&packages, "a installed\nb config-files\n"), ["b", "c"]);
    }
}
