//! Versions: strict semver 2 with its build metadata, spelled as semver prints it.

use std::{cmp::Ordering, fmt, str::FromStr};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest version in bytes.
const MAX_VERSION: usize = 150;

/// A version, `1.2.3`, `1.2.3-beta.1` or `1.2.3+build`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

/// Why a text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid version \"{version}\": {reason}")]
pub struct VersionError {
    version: String,
    reason: &'static str,
}

impl Version {
    /// The version without its build metadata: of all that are equal in this, one may exist.
    pub(crate) fn without_build(&self) -> semver::Version {
        semver::Version { build: semver::BuildMetadata::EMPTY, ..self.0.clone() }
    }

    /// Whether it has a prerelease part.
    pub(crate) fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// Semver precedence.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| {
            let version = shown(text);
            Err(VersionError { version, reason })
        };
        if text.len() > MAX_VERSION {
            return refuse("a version has at most 150 characters");
        }
        match semver::Version::parse(text) {
            Ok(version) => Ok(Self(version)),
            Err(_) => refuse("it is not semver, such as 1.2.3 or 1.2.3-beta.1"),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions() {
        for good in ["1.0.0", "0.0.0", "1.2.3-rc.1", "1.0.0+build.5", "1.0.0-a+b", "18446744073709551615.0.0"]
        {
            assert_eq!(version(good).to_string(), good);
        }
        let long = format!("1.0.0-{}", "a".repeat(145));
        for bad in
            ["", "1", "1.0", "01.0.0", "v1.0.0", " 1.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "../1", &long]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn build_metadata_makes_no_other_version() {
        assert_eq!(version("1.0.0+a").without_build(), version("1.0.0").without_build());
        assert_ne!(version("1.0.0-a").without_build(), version("1.0.0").without_build());
        assert!(version("1.0.0-a").is_prerelease() && !version("1.0.0+a-b").is_prerelease());
    }

    proptest! {
        #[test]
        fn versions_round_trip(text in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[0-9A-Za-z.-]{1,10})?(\\+[a-z0-9.]{1,5})?") {
            if let Ok(parsed) = text.parse::<Version>() {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }
}
