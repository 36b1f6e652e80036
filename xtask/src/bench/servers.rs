//! The servers that are compared: ours, nginx as the limit, and registries that people run.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    client::{Connection, Request},
    machine::{Cores, Memory, Usage},
};
use crate::{process, workspace};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Nginx,
    /// Debian's docker-registry.
    Distribution,
    Verdaccio,
    /// The small index of Python packages of that name.
    Pypiserver,
}

impl Kind {
    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "smartregistry",
            Self::Nginx => "nginx",
            Self::Distribution => "docker-registry",
            Self::Verdaccio => "Verdaccio",
            Self::Pypiserver => "pypiserver",
        }
    }

    /// Its program, where it is installed.
    fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Ours => return ours().ok(),
            Self::Nginx => "nginx",
            Self::Distribution => "docker-registry",
            Self::Verdaccio => {
                let cached = workspace::cache().ok()?.join("npm/verdaccio/node_modules/.bin/verdaccio");
                return cached.is_file().then_some(cached).or_else(|| search("verdaccio"));
            }
            Self::Pypiserver => {
                let cached = workspace::cache().ok()?.join("python/pypiserver/bin/pypi-server");
                return cached.is_file().then_some(cached).or_else(|| search("pypi-server"));
            }
        };
        search(name)
    }

    /// What it says of its version, where it is installed.
    pub(crate) fn version(self) -> Option<String> {
        let mut command = Command::new(self.program()?);
        self.find_interpreter(&mut command);
        let output = command.arg(if self == Self::Nginx { "-v" } else { "--version" }).output().ok()?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
    }

    /// Verdaccio is a script that wants a newer Node.js than a machine may have: the one that the suites pin comes first.
    fn find_interpreter(self, command: &mut Command) {
        if self != Self::Verdaccio {
            return;
        }
        if let Ok(cache) = workspace::cache() {
            let node = cache.join("python/node/only-node");
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", node.display()));
        }
    }
}

/// The release build of the server.
pub(crate) fn ours() -> Result<PathBuf> {
    let binary = workspace::target().join("release").join("smartregistry");
    if !binary.is_file() {
        bail!("there is no {}", binary.display());
    }
    Ok(binary)
}

fn search(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = format!("{path}:{}", process::SYSTEM_PATH);
    places.split(':').map(|dir| Path::new(dir).join(name)).find(|file| file.is_file())
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    /// The folder that it runs in.
    pub(crate) dir: PathBuf,
    /// The `Authorization` header of requests to it.
    pub(crate) authorization: Option<String>,
    /// From the start of the process to the first answer.
    pub(crate) started_in: Duration,
    child: Child,
}

impl Server {
    /// Starts a server in a new folder under `scratch`; `None` where it is not installed.
    pub(crate) async fn start(kind: Kind, cores: Cores, scratch: &Path) -> Result<Option<Self>> {
        let Some(program) = kind.program() else { return Ok(None) };
        let dir = scratch.join(kind.name());
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Self::start_in(kind, &program, cores, dir).await.map(Some)
    }

    /// Starts ours again in the folder of an earlier run.
    pub(crate) async fn start_ours_in(cores: Cores, dir: PathBuf) -> Result<Self> {
        Self::start_in(Kind::Ours, &ours()?, cores, dir).await
    }

    async fn start_in(kind: Kind, program: &Path, cores: Cores, dir: PathBuf) -> Result<Self> {
        let addr = free_address()?;
        let mut command = cores.server(program);
        let authorization = kind.configure(&mut command, program, addr, &dir)?;
        kind.find_interpreter(&mut command);
        command
            .current_dir(&dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("server.out"))?)
            .stderr(File::create(dir.join("server.log"))?);
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let mut server = Self { kind, addr, dir, authorization, started_in: Duration::ZERO, child };
        server.wait_for_answer(begun).await?;
        Ok(server)
    }

    async fn wait_for_answer(&mut self, begun: Instant) -> Result<()> {
        let probe = match self.kind {
            Kind::Ours => Request::new("GET", "/healthz", &[]),
            Kind::Distribution => Request::new("GET", "/v2/", &[]),
            Kind::Nginx | Kind::Verdaccio | Kind::Pypiserver => Request::new("GET", "/", &[]),
        };
        loop {
            if let Ok(mut connection) = Connection::open(self.addr).await
                && connection.exchange(&probe).await.is_ok()
            {
                self.started_in = begun.elapsed();
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
                bail!("{} did not start ({status}):\n{log}", self.kind.name());
            }
            if begun.elapsed() > START_LIMIT {
                bail!("{} did not answer within {} s", self.kind.name(), START_LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.id())
    }

    /// Lets its memory's peak begin anew.
    pub(crate) fn reset_peak(&self) {
        Memory::reset_peak(self.child.id());
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.addr).await
    }

    /// The headers that every request to it carries, with more.
    pub(crate) fn headers<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let authorization = self.authorization.as_deref().map(|value| ("authorization", value));
        authorization.into_iter().chain(more.iter().copied()).collect()
    }

    /// A request to it with its credentials.
    pub(crate) fn get(&self, target: &str, more: &[(&str, &str)]) -> Request {
        Request::new("GET", target, &self.headers(more))
    }

    /// How many requests ours has sent to its store so far.
    pub(crate) async fn store_requests(&self) -> Result<StoreRequests> {
        let answer = self.connect().await?.fetch(&self.get("/metrics", &[])).await?.expect(200)?;
        Ok(StoreRequests::read(&String::from_utf8_lossy(&answer.body)))
    }

    /// Stops it and waits.
    pub(crate) fn stop(mut self) -> Result<()> {
        process::signal(self.child.id(), "TERM");
        process::wait(&mut self.child, STOP_LIMIT)?;
        Ok(())
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

impl Kind {
    /// Writes the configuration and adds arguments; returns the `Authorization` header for requests.
    fn configure(
        self,
        command: &mut Command,
        program: &Path,
        addr: SocketAddr,
        dir: &Path,
    ) -> Result<Option<String>> {
        match self {
            Self::Ours => {
                let file = dir.join("smartregistry.toml");
                fs::write(&file, format!("listen = \"{addr}\"\n[storage]\nurl = \"file:./store\"\n"))?;
                // A minted token, checked as everybody's is.
                let mut mint = Command::new(program);
                mint.current_dir(dir).args(["token", "create", "--user", "bench"]);
                mint.args(["--scope", "*:*:*:*"]);
                let output = mint.output().context("could not mint a token")?;
                if !output.status.success() {
                    bail!("could not mint a token: {}", String::from_utf8_lossy(&output.stderr).trim());
                }
                let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                command.arg("serve");
                Ok(Some(format!("Bearer {token}")))
            }
            Self::Nginx => {
                fs::create_dir_all(dir.join("www"))?;
                fs::write(dir.join("nginx.conf"), nginx_configuration(addr))?;
                command.arg("-p").arg(dir).args(["-c", "nginx.conf"]);
                Ok(None)
            }
            Self::Distribution => {
                let text = format!(
                    "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
                     rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {addr}\n",
                    dir.join("store").display()
                );
                fs::write(dir.join("config.yml"), text)?;
                command.args(["serve", "config.yml"]);
                Ok(None)
            }
            Self::Verdaccio => {
                let text = "storage: ./store\nauth:\n  htpasswd:\n    file: ./htpasswd\nuplinks: {}\npackages:\n  '**':\n    \
                            access: $all\n    publish: $all\nmax_body_size: 100mb\nserver:\n  keepAliveTimeout: 600\nlog:\n  \
                            type: stdout\n  level: error\n";
                fs::write(dir.join("config.yaml"), text)?;
                command.args(["--config", "config.yaml", "--listen", &addr.to_string()]);
                Ok(None)
            }
            Self::Pypiserver => {
                fs::create_dir_all(dir.join("packages"))?;
                let (host, port) = (addr.ip().to_string(), addr.port().to_string());
                command.args(["run", "--interface", &host, "--port", &port, "--backend", "cached-dir"]);
                // Its own server answers one connection at a time.
                command.args(["--server", "gevent"]);
                // Anybody may do anything, as at the other peers.
                command.args(["--passwords", ".", "--authenticate", ".", "--disable-fallback", "packages"]);
                Ok(None)
            }
        }
    }
}

fn nginx_configuration(addr: SocketAddr) -> String {
    // Started by root it would hand its worker to another user, who cannot read the folder.
    let user = if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user} daemon off; worker_processes 1; pid nginx.pid; error_log nginx.err;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; sendfile on; tcp_nopush on; gzip_static on;\n  \
         keepalive_requests 1000000000; keepalive_timeout 600;\n  \
         open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s;\n  \
         client_body_temp_path tmp-body; proxy_temp_path tmp-proxy; fastcgi_temp_path tmp-fastcgi;\n  \
         uwsgi_temp_path tmp-uwsgi; scgi_temp_path tmp-scgi;\n  \
         types {{ application/json json; }} default_type application/octet-stream;\n  \
         server {{ listen {addr}; root www; }}\n}}\n"
    )
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?)
}

/// Counts of requests to the store by operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StoreRequests(Vec<(String, f64)>);

impl StoreRequests {
    /// Reads `storage_operations_total` from Prometheus text.
    fn read(text: &str) -> Self {
        let mut counts: Vec<(String, f64)> = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("storage_operations_total{")) {
            let Some((labels, value)) = line.rsplit_once("} ") else { continue };
            let Some(operation) = labels.split("operation=\"").nth(1).and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            let value: f64 = value.trim().parse().unwrap_or_default();
            match counts.iter_mut().find(|(name, _)| name == operation) {
                Some((_, sum)) => *sum += value,
                None => counts.push((operation.to_owned(), value)),
            }
        }
        Self(counts)
    }

    /// All of them.
    pub(crate) fn total(&self) -> f64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Those that write.
    pub(crate) fn writes(&self) -> f64 {
        self.0
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "put" | "upload_complete"))
            .map(|(_, c)| c)
            .sum()
    }

    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &str| earlier.0.iter().find(|(n, _)| n == name).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|(name, count)| (name.clone(), count - before(name))).collect())
    }
}

/// All servers of a scenario that are installed; ours must be.
pub(crate) async fn start_all(kinds: &[Kind], cores: Cores, scratch: &Path) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for kind in kinds {
        match Server::start(*kind, cores, scratch).await? {
            Some(server) => servers.push(server),
            None if *kind == Kind::Ours => return Err(anyhow!("the server is not built")),
            None => eprintln!("{} is not installed and is left out", kind.name()),
        }
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_requests_are_summed_over_outcomes() {
        let text = "# HELP storage_operations_total x\n\
                    storage_operations_total{operation=\"get\",outcome=\"ok\"} 5\n\
                    storage_operations_total{operation=\"get\",outcome=\"absent\"} 2\n\
                    storage_operations_total{outcome=\"ok\",operation=\"put\"} 4\n\
                    http_requests_total{method=\"GET\"} 9\n";
        let counts = StoreRequests::read(text);
        assert_eq!((counts.total(), counts.writes()), (11.0, 4.0));
        let later = StoreRequests::read("storage_operations_total{operation=\"get\",outcome=\"ok\"} 10\n");
        assert_eq!(later.since(&counts).total(), 3.0);
    }
}
