//! What a client talks to: one server on a folder, or two on one bucket behind a proxy that picks one at random.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::access_log::{self, Line};
use crate::proxy::Proxy;
use crate::server::{Server, Site, Storage};

/// How the servers of a run keep their state.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// One server on a folder of its own.
    Folder,
    /// Two servers on one prefix of this bucket, sharing the requests at random.
    Bucket(Storage),
}

/// The running servers, and how far their logs have been read.
#[derive(Debug)]
pub(crate) struct Deployment {
    site: Site,
    servers: Vec<Server>,
    proxy: Option<Proxy>,
    read: Vec<u64>,
}

impl Deployment {
    /// Starts what the backend says, in a folder of its own.
    pub(crate) fn start(binary: &Path, dir: &Path, backend: &Backend, config: &str) -> Result<Self> {
        let (storage, nodes) = match backend {
            Backend::Folder => (Storage::Folder, 1),
            Backend::Bucket(storage) => {
                let name = dir.file_name().unwrap_or_default().to_string_lossy();
                let parent = dir.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
                (storage.under(&format!("{parent}-{name}")), 2)
            }
        };
        let site = Site::new(binary, &dir.join("server"), &storage, config)?;
        let mut servers = Vec::new();
        for node in 0..nodes {
            servers.push(site.start(&format!("node{node}"))?);
        }
        let proxy = match servers.len() {
            1 => None,
            _ => Some(Proxy::start(servers.iter().map(Server::addr).collect())?),
        };
        let read = vec![0; servers.len()];
        Ok(Self { site, servers, proxy, read })
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(Proxy::addr).or_else(|| self.servers.first().map(Server::addr))
    }

    /// How many seconds what one server knows may be behind another's: ended tokens 2 s, lists and searches 5 s; one server is
    /// never behind itself.
    pub(crate) fn lag_seconds(&self) -> u32 {
        if self.servers.len() > 1 { 6 } else { 0 }
    }

    /// For the command line of the server.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The access lines since the last call, of all servers.
    pub(crate) fn new_lines(&mut self) -> Result<Vec<Line>> {
        let mut all = Vec::new();
        for (server, from) in self.servers.iter().zip(&mut self.read) {
            let (lines, to) = access_log::read_since(server.log(), *from)?;
            *from = to;
            all.extend(lines);
        }
        Ok(all)
    }

    /// The highest resident memory of any server so far, in MiB.
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        self.servers.iter().filter_map(Server::peak_memory_kib).max().unwrap_or(0) / 1024
    }

    /// Stops the servers, checks the store with `verify`, and looks for what must never be in a log.
    pub(crate) fn finish(self, secrets: &[String]) -> Result<()> {
        drop(self.proxy);
        let logs: Vec<PathBuf> = self.servers.iter().map(|server| server.log().to_path_buf()).collect();
        if logs.len() > 1 {
            for (log, read) in logs.iter().zip(&self.read) {
                if *read == 0 {
                    bail!("no request reached the server that logs to {}", log.display());
                }
            }
        }
        for server in self.servers {
            server.stop()?;
        }
        for log in &logs {
            let text = std::fs::read_to_string(log)?;
            if let Some(line) = text.lines().find(|line| line.contains("panicked")) {
                bail!("the server panicked: {line}");
            }
            // The position, not the text: this message is shown and kept.
            if let Some(at) = secrets.iter().position(|secret| text.contains(secret.as_str())) {
                bail!("the log {} holds the secret number {at} of this run", log.display());
            }
        }
        let verify = self.site.run(&["verify"])?;
        if !verify.ok() {
            bail!("`verify` {} after the run:\n{}", verify.ending(), verify.tail(20));
        }
        Ok(())
    }
}
