//! Artifacts and their versions, as paths and scopes name them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::version::is_snapshot;

/// A group and an artifact: what scopes name (`com.acme:lib`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ArtifactName {
    group: String,
    artifact: String,
}

/// A version of an artifact, as its folder names it: of snapshots the version without time and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionName {
    artifact: ArtifactName,
    version: String,
}

/// A text is no name of an artifact or version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of an artifact: groups and artifacts are made of ASCII letters, digits, `.`, `_` and `-`"
)]
pub(crate) struct CoordinatesError;

/// Whether a text can be an artifact's name, or with `more` a version's.
fn is_word(text: &str, more: &[u8]) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-') || more.contains(&b);
    text.bytes().all(plain)
        && text.bytes().any(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with('.')
        && !text.ends_with('.')
}

impl ArtifactName {
    /// The artifact of this name in the group of these folders.
    pub(crate) fn new(group: &[String], artifact: &str) -> Option<Self> {
        let ok = Self::is_group(group) && is_word(artifact, b"") && artifact != "maven-metadata.xml";
        ok.then(|| Self { group: group.join("."), artifact: artifact.to_owned() })
    }

    /// Whether these folders can be a group's: in the layout a dot of the group is a folder.
    pub(crate) fn is_group(folders: &[String]) -> bool {
        !folders.is_empty() && folders.iter().all(|folder| is_word(folder, b"") && !folder.contains('.'))
    }

    /// The artifact in whose folder a group lies: `com:acme` of `com.acme`. One that lies at the top has none.
    pub(crate) fn of_group(group: &str) -> Option<Self> {
        let (above, last) = group.rsplit_once('.')?;
        let above: Vec<String> = above.split('.').map(str::to_owned).collect();
        Self::new(&above, last)
    }

    /// The group: `com.acme`.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// The artifact: `lib`.
    pub(crate) fn artifact(&self) -> &str {
        &self.artifact
    }
}

impl VersionName {
    /// The version in the folder of this name.
    pub(crate) fn new(artifact: ArtifactName, version: &str) -> Option<Self> {
        is_word(version, b"+~$=@,").then(|| Self { artifact, version: version.to_owned() })
    }

    /// Of what it is a version.
    pub(crate) fn artifact(&self) -> &ArtifactName {
        &self.artifact
    }

    /// The version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it is a snapshot.
    pub(crate) fn is_snapshot(&self) -> bool {
        is_snapshot(&self.version)
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.group, self.artifact)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.artifact, self.version)
    }
}

impl std::str::FromStr for ArtifactName {
    type Err = CoordinatesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (group, artifact) = text.split_once(':').ok_or(CoordinatesError)?;
        let group: Vec<String> = group.split('.').map(str::to_owned).collect();
        Self::new(&group, artifact).ok_or(CoordinatesError)
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = CoordinatesError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_scopes_write_them() {
        let name: ArtifactName = "com.acme:lib.core".parse().unwrap();
        assert_eq!((name.group(), name.artifact()), ("com.acme", "lib.core"));
        for bad in [
            "", "a", ":a", "a:", "a..b:c", ".a:b", "a:b:c", "a:.b", "a:b.", "a b:c", "a:\u{e9}", "a/b:c",
            "a:-",
        ] {
            assert!(bad.parse::<ArtifactName>().is_err(), "{bad}");
        }
        assert!(VersionName::new(name.clone(), "1.0+build~1").is_some());
        for bad in ["", "1.", ".1", "1 0", "1/0", "-"] {
            assert!(VersionName::new(name.clone(), bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(text in "[a-z._-]{1,8}:[A-Za-z0-9._-]{1,8}", other in "\\PC{0,20}") {
            if let Ok(name) = text.parse::<ArtifactName>() {
                prop_assert_eq!(name.to_string(), text);
            }
            let _ = other.parse::<ArtifactName>();
        }
    }
}
