//! Versions: strict semver 2, stored cleaned.

use std::{cmp::Ordering, str::FromStr, sync::Arc};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest version in bytes, as it is sent.
const MAX_VERSION: usize = 256;

/// The largest number that JavaScript counts exactly, and so the largest in a version.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A version as it is stored: `1.2.3` or `1.2.3-beta.1`.
///
/// Parsing cleans: white space around it and a leading `v` or `=` go, and so does build metadata, because `1.0.0+a` and
/// `1.0.0` are the same version to every npm client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Arc<str>);

/// Why a text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid version \"{version}\": {reason}")]
pub struct VersionError {
    version: String,
    reason: &'static str,
}

impl Version {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has a prerelease part.
    pub fn is_prerelease(&self) -> bool {
        self.0.contains('-')
    }

    /// Semver precedence.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (semver::Version::parse(&self.0), semver::Version::parse(&other.0)) {
            (Ok(a), Ok(b)) => a.cmp_precedence(&b),
            // Cannot happen: both were parsed on their way in.
            _ => self.0.cmp(&other.0),
        }
    }

    /// The version that `latest` should name when nobody said which: the highest stable one, else the highest.
    pub fn default_latest<'v>(versions: impl Iterator<Item = &'v Self>) -> Option<&'v Self> {
        versions.max_by(|a, b| {
            let stable = |v: &Self| !v.is_prerelease();
            stable(a).cmp(&stable(b)).then_with(|| a.compare(b))
        })
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
            return refuse("a version has at most 256 characters");
        }
        let cleaned = text.trim().trim_start_matches(['v', '=', ' ']);
        let Ok(mut parsed) = semver::Version::parse(cleaned) else {
            return refuse("it is not semver, such as 1.2.3 or 1.2.3-beta.1");
        };
        if [parsed.major, parsed.minor, parsed.patch].into_iter().any(|n| n > MAX_NUMBER) {
            return refuse("a number in it is larger than 9007199254740991");
        }
        parsed.build = semver::BuildMetadata::EMPTY;
        Ok(Self(parsed.to_string().into()))
    }
}

registry_core::parsed_text!(Version);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn checklist_38_versions_are_cleaned() {
        for (text, want) in [
            ("1.0.0", "1.0.0"),
            ("v1.0.0", "1.0.0"),
            (" =v1.2.3 ", "1.2.3"),
            ("1.0.0+build.5", "1.0.0"),
            ("1.0.0-rc.1+b", "1.0.0-rc.1"),
            ("9007199254740991.0.0", "9007199254740991.0.0"),
        ] {
            assert_eq!(version(text).as_str(), want);
        }
    }

    #[test]
    fn checklist_38_what_is_not_semver_is_refused() {
        let long = format!("1.0.0-{}", "a".repeat(251));
        for bad in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "01.0.0",
            "1.0.0-",
            "1.0.0-01",
            "x",
            "9007199254740992.0.0",
            "../1",
            &long,
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn latest_prefers_stable() {
        let check = |versions: &[&str], want: &str| {
            let all: Vec<Version> = versions.iter().map(|v| version(v)).collect();
            assert_eq!(Version::default_latest(all.iter()).unwrap().as_str(), want);
        };
        check(&["1.0.0", "2.0.0-rc.1", "1.10.0", "1.9.0"], "1.10.0");
        check(&["1.0.0-a", "1.0.0-b"], "1.0.0-b");
        assert!(Version::default_latest([].iter()).is_none());
    }

    proptest! {
        #[test]
        fn versions_round_trip(text in "[v=]?[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[0-9A-Za-z.-]{1,10})?(\\+[a-z0-9.]{1,5})?") {
            if let Ok(parsed) = text.parse::<Version>() {
                prop_assert_eq!(version(parsed.as_str()), parsed);
            }
        }

        #[test]
        fn order_is_antisymmetric(a in "[0-9]\\.[0-9]\\.[0-9](-[a-z]{1,2}\\.[1-9])?", b in "[0-9]\\.[0-9]\\.[0-9](-[a-z]{1,2}\\.[1-9])?") {
            let (a, b) = (version(&a), version(&b));
            prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
        }
    }
}
