//! Package names, parsed.

use std::{str::FromStr, sync::Arc};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest name.
const MAX_NAME: usize = 191;

/// Names that Windows gives to devices: the client refuses packages that are called so.
const DEVICES: [&str; 4] = ["nul", "con", "prn", "aux"];

/// A package's name, `vendor/package`, in lowercase.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PackageName(Arc<str>);

/// Why a text is no package name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{shown}\" is not a package name: it is vendor/package in lowercase letters and digits, with single `.`, `_` or `-` between them"
)]
pub(crate) struct NameError {
    shown: String,
}

impl PackageName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub(crate) fn vendor(&self) -> &str {
        self.0.split_once('/').map_or("", |(vendor, _)| vendor)
    }

    /// The part after the slash.
    pub(crate) fn package(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, package)| package)
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = text.len() <= MAX_NAME
            && text.strip_suffix(".json").is_none()
            && text.split_once('/').is_some_and(|(vendor, package)| {
                is_part(vendor, 1) && is_part(package, 2) && !is_device(vendor) && !is_device(package)
            });
        if ok { Ok(Self(text.into())) } else { Err(NameError { shown: shown(text) }) }
    }
}

registry_core::parsed_text!(PackageName);

/// Letters and digits with one separator between them, or so many hyphens.
fn is_part(text: &str, hyphens: usize) -> bool {
    let mut run = 0_usize;
    let mut last = b'.';
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'0'..=b'9' => run = 0,
            b'-' if last == b'-' && run < hyphens => run += 1,
            b'.' | b'_' | b'-' if last.is_ascii_alphanumeric() => run = 1,
            _ => return false,
        }
        last = b;
    }
    last.is_ascii_alphanumeric()
}

fn is_device(part: &str) -> bool {
    let numbered = part.strip_prefix("com").or_else(|| part.strip_prefix("lpt"));
    DEVICES.contains(&part) || numbered.is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        for good in ["acme/lib", "a/b", "acme/lib--x", "a-b.c_d/e.f_g-h", "0/1", "acme/console", "com10/x"] {
            assert_eq!(good.parse::<PackageName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "acme",
            "acme/",
            "/lib",
            "Acme/lib",
            "acme/Lib",
            "a/b/c",
            "a--b/c",
            "acme/lib---x",
            "acme/a..b",
            "acme/a_-b",
            "acme/-a",
            "acme/a-",
            "acme/..",
            "../x",
            "acme/lib.json",
            "acme/a b",
            "acme/a%2e",
            "a\\b/c",
            "acme/nul",
            "con/lib",
            "acme/com1",
            "acme/ä",
            "acme/a\0",
            "ext-json",
            "acme/lib~dev",
        ] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad}");
        }
        assert!(format!("a/{}", "b".repeat(189)).parse::<PackageName>().is_ok());
        assert!(format!("a/{}", "b".repeat(190)).parse::<PackageName>().is_err());
    }

    #[test]
    fn parts() {
        let name: PackageName = "acme/lib".parse().unwrap();
        assert_eq!((name.vendor(), name.package()), ("acme", "lib"));
    }

    proptest! {
        #[test]
        fn a_name_is_safe_in_a_path(text in "[a-zA-Z0-9._/%\\\\-]{0,12}") {
            if let Ok(name) = text.parse::<PackageName>() {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert_eq!(text.matches('/').count(), 1);
                prop_assert!(!text.contains("..") && !text.contains(['%', '\\']));
            }
        }
    }
}
