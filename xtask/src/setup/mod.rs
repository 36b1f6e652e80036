//! Installing what the suites need: `cargo xtask setup`, and the first thing that each suite does.
//!
//! What to install is data (`suites/tools.toml`), each thing at a fixed version. Debian's packages need an
//! administrator, so they come first and stop everything where there is none; the rest goes into the cache folder
//! and needs no rights. All of it is skipped in milliseconds when it is already there.

mod debian;
mod golang;
mod maven;
mod node;
mod pins;
mod privilege;
mod python;
mod rust;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use crate::process::SYSTEM_PATH;
use crate::workspace;
pub(crate) use pins::Pins;
pub(crate) use privilege::Privilege;

/// The Rust toolchain that builds this project: the one tool that is there already.
const TOOLCHAIN: &str = "toolchain";

/// The installed tools, by the names that `suites/tools.toml` gives them.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    cache: PathBuf,
    pins: Pins,
    privilege: Privilege,
    /// Programs that no Maven repository that this machine reaches has.
    out_of_reach: BTreeSet<String>,
}

impl Tools {
    /// Makes sure that the named tools and groups of Debian's packages are installed.
    ///
    /// A group is written `debian:NAME`. Fails when something cannot be had: no suite runs with less. Only programs from Maven
    /// repositories, which not every machine reaches, may be missing: see [`Tools::is_out_of_reach`].
    pub(crate) fn ensure<I, S>(names: I) -> Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let mut tools = Self {
            cache: workspace::cache()?,
            pins: Pins::load()?,
            privilege: Privilege::find(),
            out_of_reach: BTreeSet::new(),
        };
        // Two runs at once would build the same folders.
        let lock = File::create(tools.cache.join(".lock"))?;
        lock.lock()?;
        let mut wanted: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        wanted.insert("debian:base".to_owned());
        if wanted.iter().any(|name| tools.pins.maven.contains_key(name)) {
            wanted.insert("debian:maven".to_owned());
        }
        let mut packages = BTreeSet::new();
        for name in &wanted {
            if let Some(group) = name.strip_prefix("debian:") {
                packages.extend(tools.pins.debian_group(group)?.iter().cloned());
            }
        }
        debian::ensure(&packages, tools.privilege)?;
        // Go's builds take the processors, the others the network: together they take the time of the longer.
        tools.out_of_reach = thread::scope(|scope| {
            let go = scope.spawn(|| tools.ensure_go(&wanted));
            let rest = tools.ensure_rest(&wanted);
            go.join().map_err(|_| anyhow!("the Go builds panicked"))?.and(rest)
        })?;
        Ok(tools)
    }

    fn ensure_go(&self, wanted: &BTreeSet<String>) -> Result<()> {
        for (name, pin) in wanted.iter().filter_map(|name| Some((name, self.pins.go.get(name)?))) {
            self.install(&format!("go/{name}"), &pin.to_string(), |dir| {
                golang::install(pin, dir, || self.python("go").map(|venv| golang::packaged(&venv)))
            })
            .with_context(|| format!("{name} could not be installed"))?;
        }
        Ok(())
    }

    /// What no repository has that this machine reaches.
    fn ensure_rest(&self, wanted: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut out_of_reach = BTreeSet::new();
        for name in wanted {
            if name.starts_with("debian:") || self.pins.go.contains_key(name) {
                continue;
            }
            if name == TOOLCHAIN {
                rust::toolchain()?;
                continue;
            }
            let done = if let Some(pin) = self.pins.npm.get(name) {
                self.python("node").and_then(|venv| {
                    self.install(&format!("npm/{name}"), &pin.package, |dir| node::install(pin, &venv, dir))
                })
            } else if let Some(pin) = self.pins.cargo.get(name) {
                self.install(&format!("cargo/{name}"), &pin.to_string(), |dir| rust::install(pin, dir))
            } else if let Some(pin) = self.pins.maven.get(name) {
                let (place, stamp) = (format!("maven/{name}"), format!("{} {}", pin.artifact, pin.sha256));
                let done = self.install(&place, &stamp, |dir| maven::install(pin, dir));
                if let Err(error) = &done
                    && error.is::<maven::OutOfReach>()
                {
                    eprintln!("{name} is left out: {error:#}");
                    out_of_reach.insert(name.clone());
                    continue;
                }
                done
            } else if self.pins.python.contains_key(name) {
                self.python(name)
            } else {
                bail!("suites/tools.toml knows no tool `{name}`");
            };
            done.with_context(|| format!("{name} could not be installed"))?;
        }
        Ok(out_of_reach)
    }

    /// Whether a tool is not there because no Maven repository that has it can be reached.
    pub(crate) fn is_out_of_reach(&self, tool: &str) -> bool {
        self.out_of_reach.contains(tool)
    }

    /// The virtual environment of a Python package, made when it is not there.
    fn python(&self, name: &str) -> Result<PathBuf> {
        let pin =
            self.pins.python.get(name).ok_or_else(|| anyhow!("no Python package `{name}` is pinned"))?;
        self.install(&format!("python/{name}"), &pin.requirement, |dir| python::install(pin, dir))
    }

    /// Runs `make` in a new folder unless the folder's stamp says that just this was made before.
    ///
    /// The stamp is written last, so an interrupted installation is made again.
    fn install(&self, place: &str, stamp: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let dir = self.cache.join(place);
        let mark = dir.join(".installed");
        if fs::read_to_string(&mark).is_ok_and(|found| found == stamp) {
            return Ok(dir);
        }
        eprintln!("installing {stamp}");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        make(&dir)?;
        fs::write(&mark, stamp)?;
        Ok(dir)
    }

    /// The path of an installed program that is not a script: `crane`, `weed`, `cargo-deny` …
    pub(crate) fn program(&self, tool: &str, program: &str) -> Result<PathBuf> {
        let dirs = self.folders(tool)?;
        dirs.iter()
            .map(|dir| dir.join(program))
            .find(|file| file.is_file())
            .ok_or_else(|| anyhow!("{tool} is installed, but has no program `{program}`"))
    }

    /// A search path on which the named tools come first and the system's programs last.
    pub(crate) fn path<S: AsRef<str>>(&self, tools: &[S]) -> Result<String> {
        let mut parts = Vec::new();
        for tool in tools.iter().map(AsRef::as_ref).filter(|tool| !tool.starts_with("debian:")) {
            for dir in self.folders(tool)? {
                parts.push(dir.to_string_lossy().into_owned());
            }
        }
        parts.push(SYSTEM_PATH.to_owned());
        Ok(parts.join(":"))
    }

    /// How to become an administrator here.
    pub(crate) fn privilege(&self) -> Privilege {
        self.privilege
    }

    fn folders(&self, tool: &str) -> Result<Vec<PathBuf>> {
        let python = self.cache.join("python");
        Ok(if self.pins.npm.contains_key(tool) {
            vec![
                self.cache.join("npm").join(tool).join("node_modules/.bin"),
                node::folder(&python.join("node"))?,
            ]
        } else if tool == "node" {
            vec![node::folder(&python.join("node"))?]
        } else if tool == TOOLCHAIN {
            vec![rust::toolchain()?]
        } else if self.pins.go.contains_key(tool) {
            vec![self.cache.join("go").join(tool)]
        } else if self.pins.cargo.contains_key(tool) {
            vec![self.cache.join("cargo").join(tool).join("bin")]
        } else if self.pins.maven.contains_key(tool) {
            vec![self.cache.join("maven").join(tool).join("bin")]
        } else if self.pins.python.contains_key(tool) {
            vec![python.join(tool).join("bin")]
        } else {
            bail!("suites/tools.toml knows no tool `{tool}`")
        })
    }
}
