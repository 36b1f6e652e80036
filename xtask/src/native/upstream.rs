//! The server that the server under test asks: on a folder of its own, and stopped and started again between commands.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};

use super::suite::Power;
use crate::access_log::{self, Line};
use crate::server::{Server, Site, Storage};

/// A server that comes and goes, always at the same address.
#[derive(Debug)]
pub(crate) struct Upstream {
    site: Site,
    addr: SocketAddr,
    running: Option<Server>,
    starts: usize,
    read: u64,
}

impl Upstream {
    /// Starts it in a folder of its own.
    pub(crate) fn start(binary: &Path, dir: &Path, config: &str) -> Result<Self> {
        let site = Site::new(binary, dir, &Storage::Folder, config)?;
        let server = site.start("start0")?;
        Ok(Self { site, addr: server.addr(), running: Some(server), starts: 1, read: 0 })
    }

    /// Where it listens while it runs.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// For the command line of the server.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Stops or starts it, where that is not so already.
    pub(crate) fn switch(&mut self, power: Power) -> Result<()> {
        match (power, self.running.take()) {
            (Power::Up, Some(server)) => self.running = Some(server),
            (Power::Up, None) => {
                let name = format!("start{}", self.starts);
                self.running = Some(self.site.start_at(&name, self.addr)?);
                (self.starts, self.read) = (self.starts + 1, 0);
            }
            (Power::Down, Some(server)) => server.stop()?,
            (Power::Down, None) => {}
        }
        Ok(())
    }

    /// The access lines since the last call; none while it is stopped.
    pub(crate) fn new_lines(&mut self) -> Result<Vec<Line>> {
        let Some(server) = &self.running else { return Ok(Vec::new()) };
        let (lines, to) = access_log::read_since(server.log(), self.read)?;
        self.read = to;
        Ok(lines)
    }

    /// Stops it, if it runs, and checks its store.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.switch(Power::Down)?;
        let verify = self.site.run(&["verify"])?;
        if !verify.ok() {
            bail!("the upstream's `verify` {} after the run:\n{}", verify.ending(), verify.tail(20));
        }
        Ok(())
    }
}
