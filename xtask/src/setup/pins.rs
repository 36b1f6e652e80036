//! The pinned tools, as `suites/tools.toml` lists them.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

/// Everything that can be installed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    debian: BTreeMap<String, Vec<String>>,
    pub(crate) python: BTreeMap<String, PythonPin>,
    pub(crate) npm: BTreeMap<String, NpmPin>,
    pub(crate) go: BTreeMap<String, GoPin>,
    pub(crate) cargo: BTreeMap<String, CargoPin>,
    pub(crate) maven: BTreeMap<String, MavenPin>,
}

/// A package of PyPI, in a virtual environment of its own, with what it needs and does not ask for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PythonPin {
    pub(crate) requirement: String,
}

/// A package of the npm registry, in a folder of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NpmPin {
    /// `name@version`.
    pub(crate) package: String,
    /// Versions of what it depends on, where the one it asks for cannot be had everywhere: mirrors may lack dist-tags.
    #[serde(default)]
    pub(crate) overrides: BTreeMap<String, String>,
}

/// A program in a Go module.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoPin {
    /// The package's import path.
    pub(crate) module: String,
    pub(crate) version: String,
}

/// A program that Cargo installs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CargoPin {
    pub(crate) package: String,
    pub(crate) version: String,
}

/// A program that is an artifact of a Maven repository: a distribution (an archive with a folder `bin`), or a JAR with what it
/// depends on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MavenPin {
    /// `group:artifact:version[:packaging[:classifier]]`.
    pub(crate) artifact: String,
    /// The digest of what is fetched: of what `sha256sum *` prints of it.
    pub(crate) sha256: String,
    /// The class that a JAR begins with; the program has the name of the tool. A distribution has none.
    #[serde(default)]
    pub(crate) main: Option<String>,
}

impl Pins {
    /// Reads the list that was compiled in.
    pub(crate) fn load() -> Result<Self> {
        toml::from_str(include_str!("../../suites/tools.toml")).context("suites/tools.toml")
    }

    /// The packages of one group of Debian's.
    pub(crate) fn debian_group(&self, name: &str) -> Result<&[String]> {
        self.debian
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| anyhow!("suites/tools.toml has no group `{name}` of Debian's packages"))
    }

    /// All tools and groups but those that only the benchmarks need.
    pub(crate) fn all(&self) -> Vec<String> {
        let tools = self.npm.keys().chain(self.go.keys()).chain(self.cargo.keys()).chain(self.maven.keys());
        let tools = tools.filter(|name| *name != "verdaccio").cloned();
        let python = self.python.keys().filter(|name| *name != "go" && *name != "pypiserver").cloned();
        let groups = self.debian.keys().filter(|name| *name != "bench").map(|name| format!("debian:{name}"));
        tools.chain(python).chain(groups).collect()
    }

    /// What only the benchmarks need.
    pub(crate) fn bench() -> [String; 3] {
        ["debian:bench", "verdaccio", "pypiserver"].map(str::to_owned)
    }
}

impl fmt::Display for GoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.module, self.version)
    }
}

impl fmt::Display for CargoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.package, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_pinned() {
        let pins = Pins::load().unwrap();
        assert!(pins.python.values().all(|pin| pin.requirement.contains("==")));
        assert!(pins.npm.values().all(|pin| pin.package.rfind('@').is_some_and(|at| at > 0)));
        let digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(pins.maven.values().all(|pin| digest(&pin.sha256)));
        assert!(pins.go.values().all(|pin| pin.version.starts_with('v')));
        assert!(pins.all().contains(&"debian:oci".to_owned()));
        for name in Pins::bench() {
            assert!(!pins.all().contains(&name));
        }
    }
}
