//! The built server as a process.

use std::{
    env, fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::Client;

/// How long anything may take that must happen.
const DEADLINE: Duration = Duration::from_mins(1);

/// A folder of its own with a configuration, in which servers and commands run.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    started: std::cell::Cell<u32>,
}

impl Place {
    /// A folder with a store of its own and these lines of configuration: whole tables.
    pub fn new(config: &str) -> Result<Self> {
        Self::with_storage("[storage]\nurl = \"file:./store\"\n", config)
    }

    /// A folder with this `[storage]` section and these lines of configuration.
    pub fn with_storage(storage: &str, config: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("smartregistry.toml"), format!("{storage}\n{config}\n"))?;
        Ok(Self { folder, started: std::cell::Cell::new(0) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a server on a free port.
    pub fn serve(&self) -> Result<Server> {
        let number = self.started.get() + 1;
        self.started.set(number);
        let log = self.path().join(format!("server-{number}.log"));
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"])?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("could not start the server")?;
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(&log)?;
            if let Some(addr) = listening(&text) {
                return Ok(Server { child, addr, log });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server did not start ({status}):\n{text}");
            }
            if begun.elapsed() > DEADLINE {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the server said nothing of listening:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Runs a command of the server's; an error shows what it said.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let output = self.try_run(args)?;
        if !output.status.success() {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("`{}` ended with {}:\n{out}\n{err}", args.join(" "), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command of the server's to whatever end.
    pub fn try_run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args)?.stdin(Stdio::null()).output()?)
    }

    /// Mints a token for a user of this name.
    pub fn token(&self, user: &str, scopes: &[&str]) -> Result<String> {
        let mut args = vec!["token", "create", "--user", user];
        args.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
        Ok(self.run(&args)?.trim().to_owned())
    }

    /// Adds a user with a password.
    pub fn add_user(&self, name: &str, password: &str, scopes: &[&str]) -> Result<()> {
        let mut args = vec!["user", "add", name, "--password-stdin"];
        args.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
        let mut child = self.command(&args)?.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        child.stdin.take().context("no standard input")?.write_all(format!("{password}\n").as_bytes())?;
        let status = child.wait()?;
        anyhow::ensure!(status.success(), "`user add {name}` ended with {status}");
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("SMARTREGISTRY_ABORT_ON_PANIC", "true");
        Ok(command)
    }
}

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    addr: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A client with a token.
    pub fn client(&self, token: &str) -> Client {
        Client::new(self.addr, token)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory and its peak, in KiB.
    pub fn memory(&self) -> Option<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        Some((line("VmRSS:")?, line("VmHWM:")?))
    }

    /// Kills it at once (SIGKILL), as a failing machine would. Nobody is told.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server had ended by itself ({status}):\n{}", self.log());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it by SIGTERM; it must leave with 0. Gives all that it logged: lines are written a moment after what they tell of.
    pub fn stop(mut self) -> Result<String> {
        let pid = self.child.id().to_string();
        anyhow::ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "no kill");
        let begun = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(self.log()),
                Some(status) => bail!("the server ended with {status}:\n{}", self.log()),
                None if begun.elapsed() > DEADLINE => bail!("the server does not stop:\n{}", self.log()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening(log: &str) -> Option<SocketAddr> {
    let line = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .find_map(|line| line.split("listening on http://").nth(1))?;
    line.trim_end().parse().ok()
}

/// The server's binary; built once where the environment names none.
fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(named) = env::var_os("TEST_SERVER_BINARY") {
        return Ok(named.into());
    }
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

fn build() -> Result<PathBuf> {
    // …/target/debug/deps/it-0123: the profile's folder is two above.
    let own = env::current_exe()?;
    let profile = own.parent().and_then(Path::parent).context("the tests have no target folder")?;
    let target = profile.parent().context("the tests have no target folder")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "smartregistry-server", "--bin", "smartregistry"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    if profile.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    let output = cargo.output().context("could not run cargo")?;
    if !output.status.success() {
        bail!("the server could not be built:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(profile.join("smartregistry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_stands_in_a_whole_line() {
        assert_eq!(listening("x\nlistening on http://127.0.0.1:80"), None);
        let addr = listening("x\nlistening on http://127.0.0.1:80\n{}\n").unwrap();
        assert_eq!(addr.port(), 80);
    }
}
