//! Named instances of a protocol.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Protocol;

/// The name of a registry instance: `[a-z0-9][a-z0-9-]*`, at most 64 characters. It is the first segment of every
/// key that the instance writes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName(Arc<str>);

impl InstanceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Protocol> for InstanceName {
    /// The default instance of a protocol is named as the protocol.
    fn from(protocol: Protocol) -> Self {
        Self(protocol.as_str().into())
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no instance name or base path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// Not `[a-z0-9][a-z0-9-]*` or too long.
    #[error(
        "`{0}` is no instance name: use lowercase letters, digits and `-`, beginning with a letter or digit, at most 64 characters"
    )]
    Name(String),
    /// Not an absolute path of plain segments.
    #[error(
        "`{0}` is no base path: it begins with `/`, does not end with one, and has segments of letters, digits, `.`, `_`, `~` and `-`"
    )]
    BasePath(String),
}

impl FromStr for InstanceName {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.is_empty();
        if ok { Ok(Self(text.into())) } else { Err(InstanceError::Name(text.to_owned())) }
    }
}

impl TryFrom<String> for InstanceName {
    type Error = InstanceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Where an instance is mounted: `/npm`, `/v2`, or the empty path for the root. Never ends with `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// The path as text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows this base path in `path` (empty, or beginning with `/`), or `None` where `path` lies elsewhere.
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

impl From<BasePath> for String {
    fn from(path: BasePath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BasePath {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let segment_ok = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
        };
        let ok = match trimmed.strip_prefix('/') {
            Some(rest) => rest.split('/').all(segment_ok),
            None => trimmed.is_empty(),
        };
        if ok { Ok(Self(trimmed.into())) } else { Err(InstanceError::BasePath(text.to_owned())) }
    }
}

impl TryFrom<String> for BasePath {
    type Error = InstanceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A named instance of a protocol: its name, where it is mounted, and who may use it without credentials.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Instance {
    /// Its name, the first segment of its keys.
    pub name: InstanceName,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Where it is mounted; the longest that matches a request wins.
    pub base_paths: Vec<BasePath>,
    /// The host name (without port) that it answers alone, if any. Such an instance sees only requests for this host.
    pub host: Option<String>,
}

impl Instance {
    /// An instance with no host of its own.
    pub fn new(name: InstanceName, protocol: Protocol, base_paths: Vec<BasePath>) -> Self {
        Self { name, protocol, base_paths, host: None }
    }

    /// Binds the instance to a host name.
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Whether this is the protocol's default instance.
    pub fn is_default(&self) -> bool {
        self.name.as_str() == self.protocol.as_str()
    }

    /// The longest of the base paths that `path` lies under, with what follows it.
    pub fn strip<'s, 'p>(&'s self, path: &'p str) -> Option<(&'s BasePath, &'p str)> {
        self.base_paths
            .iter()
            .filter_map(|base| Some((base, base.strip(path)?)))
            .max_by_key(|(base, _)| base.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_names() {
        for good in ["npm", "npm-internal", "0a", "a"] {
            assert_eq!(good.parse::<InstanceName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a_b", "a/b", "..", &"a".repeat(65)] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn base_paths() {
        for (text, want) in [("/npm", "/npm"), ("/npm/", "/npm"), ("/", ""), ("", ""), ("/a/b", "/a/b")] {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), want);
        }
        for bad in ["npm", "//", "/a//b", "/../x", "/a b"] {
            assert!(bad.parse::<BasePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn longest_base_path_wins() {
        let bases = ["/v2", "/v2/x", ""].map(|b| b.parse().unwrap()).to_vec();
        let instance = Instance::new(Protocol::Oci.into(), Protocol::Oci, bases);
        assert_eq!(instance.strip("/v2/x/y").unwrap().1, "/y");
        assert_eq!(instance.strip("/v2").unwrap().1, "");
        assert_eq!(instance.strip("/v2x").unwrap().1, "/v2x");
    }
}
