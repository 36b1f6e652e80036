//! The server under test: the real binary, a folder of its own, a port that the system chose.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::process;

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(40);
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// The folder in which a server runs: its configuration, its log and, unless told otherwise, its store.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    binary: PathBuf,
    dir: PathBuf,
}

/// A running server; it is killed when this is dropped without [`Server::stop`].
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    addr: SocketAddr,
    log: PathBuf,
}

impl Site {
    /// Writes `smartregistry.toml` with this storage URL and these further lines into `dir`.
    ///
    /// `config` holds whole tables; keys that stand outside of one are not for it.
    pub(crate) fn new(binary: &Path, dir: &Path, storage: &Storage, config: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let text = format!("{}\n{config}\n", storage.section());
        fs::write(dir.join("smartregistry.toml"), text)?;
        Ok(Self { binary: binary.to_path_buf(), dir: dir.to_path_buf() })
    }

    /// Starts the server on a port that the system chooses, and waits until it says where it listens.
    pub(crate) fn start(&self, name: &str) -> Result<Server> {
        self.start_at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts the server at an address, and waits until it says that it listens.
    pub(crate) fn start_at(&self, name: &str, addr: SocketAddr) -> Result<Server> {
        let log = self.dir.join(format!("{name}.log"));
        let mut command = self.command();
        command.args(["serve", "--listen", &addr.to_string()]);
        let child = process::spawn(&mut command, &self.dir.join(format!("{name}.out")), &log)?;
        let mut server = Server { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        server.addr = server.bound()?;
        Ok(server)
    }

    /// Adds a user with this password and these scopes.
    pub(crate) fn add_user(&self, name: &str, password: &str, scopes: &[String]) -> Result<()> {
        let mut command = self.command();
        command.args(["user", "add", name, "--password-stdin"]);
        for scope in scopes {
            command.args(["--scope", scope]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        child
            .stdin
            .take()
            .ok_or_else(|| anyhow!("the child has no standard input"))?
            .write_all(format!("{password}\n").as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("`user add {name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Mints a token; the command prints it alone on a line.
    pub(crate) fn create_token(&self, user: &str, scopes: &[String]) -> Result<String> {
        let mut command = self.command();
        command.args(["token", "create", "--user", user]);
        for scope in scopes {
            command.args(["--scope", scope]);
        }
        let token = process::capture(&mut command, COMMAND_LIMIT)?;
        if token.len() < 16 || token.contains(char::is_whitespace) {
            bail!("`token create` printed no token alone on a line");
        }
        Ok(token)
    }

    /// Runs a command of the server's that takes no input, such as `verify`.
    pub(crate) fn run(&self, args: &[&str]) -> Result<process::Outcome> {
        process::output(self.command().args(args), COMMAND_LIMIT)
    }

    fn command(&self) -> Command {
        let mut command = process::clean(&self.binary, process::SYSTEM_PATH, &self.dir);
        command.current_dir(&self.dir).env("SMARTREGISTRY_ABORT_ON_PANIC", "true");
        command
    }
}

impl Server {
    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The file that holds its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The most memory that it has had resident so far, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Stops it with SIGTERM; an error when it does not leave with 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server was gone before it was stopped ({status}); its log is {}", self.log.display());
        }
        process::signal(self.child.id(), "TERM");
        let (status, killed) = process::wait(&mut self.child, STOP_LIMIT)?;
        if killed {
            bail!("the server did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs());
        }
        if !status.success() {
            bail!("the server answered SIGTERM with {status}; its log is {}", self.log.display());
        }
        Ok(())
    }

    fn bound(&mut self) -> Result<SocketAddr> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(addr) = listening_address(&text) {
                return addr.parse().with_context(|| format!("the server listens on `{addr}`"));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server did not start ({status}):\n{text}");
            }
            if Instant::now() >= deadline {
                bail!("the server said nothing of listening within {} s:\n{text}", START_LIMIT.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            process::signal_group(&self.child, "KILL");
            let _ = self.child.wait();
        }
    }
}

/// Where a server keeps its state.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// A folder beside the configuration.
    Folder,
    /// A prefix of a bucket on an S3 server of this machine.
    S3 { endpoint: String, bucket: String, prefix: String, key_id: String, secret: String },
}

impl Storage {
    /// The same bucket, one prefix deeper; a folder stays as it is, being beside its own configuration.
    pub(crate) fn under(&self, name: &str) -> Self {
        match self.clone() {
            Self::Folder => Self::Folder,
            Self::S3 { endpoint, bucket, prefix, key_id, secret } => {
                Self::S3 { endpoint, bucket, prefix: format!("{prefix}/{name}"), key_id, secret }
            }
        }
    }

    fn section(&self) -> String {
        match self {
            Self::Folder => "[storage]\nurl = \"file:./store\"\n".to_owned(),
            Self::S3 { endpoint, bucket, prefix, key_id, secret } => format!(
                "[storage]\nurl = \"s3://{bucket}/{prefix}\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\n\
                 access_key_id = \"{key_id}\"\nsecret_access_key = \"{secret}\"\nallow_http = true\n"
            ),
        }
    }
}

/// The address in the first complete line that says where the server listens.
fn listening_address(log: &str) -> Option<&str> {
    log.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .find_map(|line| line.split("listening on http://").nth(1))
        .map(|rest| rest.split(['"', ' ', '\n', '/']).next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_only_from_a_whole_line() {
        assert_eq!(listening_address("x\nlistening on http://127.0.0.1:80"), None);
        assert_eq!(listening_address("x\nlistening on http://127.0.0.1:80\n"), Some("127.0.0.1:80"));
        assert_eq!(
            listening_address("{\"message\":\"listening on http://127.0.0.1:81\",\"a\":1}\n"),
            Some("127.0.0.1:81")
        );
    }
}
