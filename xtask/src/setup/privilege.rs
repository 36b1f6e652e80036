//! Acting as an administrator: as root, through `sudo -n`, or not at all.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What this process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// It is root.
    Root,
    /// `sudo` works without a password.
    Sudo,
    /// Neither: what needs an administrator is shown to the user instead.
    None,
}

impl Privilege {
    /// Finds out which of the three it is.
    pub(crate) fn find() -> Self {
        if is_root() {
            return Self::Root;
        }
        let sudo =
            Command::new("sudo").args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if sudo.is_ok_and(|status| status.success()) { Self::Sudo } else { Self::None }
    }

    /// A command that runs `program` as an administrator.
    pub(crate) fn command(self, program: &str) -> Command {
        match self {
            Self::Root | Self::None => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", program]);
                command
            }
        }
    }

    /// Removes a tree in which clients may have left files of root's.
    pub(crate) fn remove_tree(self, dir: &Path) -> std::io::Result<()> {
        if !dir.exists() || fs::remove_dir_all(dir).is_ok() {
            return Ok(());
        }
        self.command("rm").args(["-rf", "--"]).arg(dir).status().map(|_| ())
    }
}

/// Whether the process runs with user id 0.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .is_some_and(|effective| effective == "0")
}
