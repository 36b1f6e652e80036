//! The seven protocols.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A package protocol. Its name is the first part of a scope and the name of its default instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Cargo: sparse index and crates.
    Cargo,
    /// Composer: PHP packages.
    Composer,
    /// Maven: layout 2.
    Maven,
    /// npm: packuments and tarballs.
    Npm,
    /// OCI distribution: images and artifacts.
    Oci,
    /// PyPI: simple index and files.
    Pypi,
    /// RubyGems: compact index and gems.
    Rubygems,
}

impl Protocol {
    /// All protocols, in the order of their names.
    pub const ALL: [Self; 7] =
        [Self::Cargo, Self::Composer, Self::Maven, Self::Npm, Self::Oci, Self::Pypi, Self::Rubygems];

    /// The name used in scopes, configuration, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Oci => "oci",
            Self::Pypi => "pypi",
            Self::Rubygems => "rubygems",
        }
    }

    /// The resource type that this protocol's scopes use (`oci:repository:…`, `npm:package:…`).
    pub const fn resource_type(self) -> &'static str {
        match self {
            Self::Cargo => "crate",
            Self::Maven => "artifact",
            Self::Oci => "repository",
            Self::Rubygems => "gem",
            Self::Composer | Self::Npm | Self::Pypi => "package",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no protocol.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no protocol; known are cargo, composer, maven, npm, oci, pypi and rubygems")]
pub struct UnknownProtocol(String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| UnknownProtocol(text.to_owned()))
    }
}
