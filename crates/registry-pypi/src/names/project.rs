//! Project names: PEP 508 says which there are, PEP 503 which are the same.

use std::{str::FromStr, sync::Arc};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest name.
const MAX_NAME: usize = 128;

/// A project's name in its normal form: lower case, every run of `-`, `_` and `.` one `-`. It is what keys, scopes and caches go by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ProjectName(Arc<str>);

/// A text is no project's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a project name: use ASCII letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, at most 128 in all"
)]
pub(crate) struct ProjectNameError(String);

impl ProjectName {
    /// The normal form.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How the name stands in file names (PEP 427, PEP 625).
    pub(crate) fn in_files(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for ProjectName {
    type Err = ProjectNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let separates = |b: u8| matches!(b, b'-' | b'_' | b'.');
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let ok = text.len() <= MAX_NAME
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || separates(*b));
        if !ok {
            let shown = shown(text);
            return Err(ProjectNameError(shown));
        }
        let mut normal = String::with_capacity(text.len());
        for b in text.bytes() {
            if !separates(b) {
                normal.push(char::from(b.to_ascii_lowercase()));
            } else if !normal.ends_with('-') {
                normal.push('-');
            }
        }
        Ok(Self(normal.into()))
    }
}

registry_core::parsed_text!(ProjectName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checklist_9_spellings_of_one_name() {
        for text in ["Foo.Bar", "foo_bar", "FOO--bar", "foo-._bar", "foo-bar"] {
            assert_eq!(text.parse::<ProjectName>().unwrap().as_str(), "foo-bar", "{text}");
        }
        assert_eq!("A.b".parse::<ProjectName>().unwrap().in_files(), "a_b");
        assert_eq!("x".parse::<ProjectName>().unwrap().as_str(), "x");
    }

    #[test]
    fn what_is_no_name_is_refused_before_it_is_normalised() {
        let long = "a".repeat(129);
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a-",
            "_a",
            "a.",
            "\u{dc}n\u{ef}code",
            "a b",
            "a/b",
            "a%20b",
            "a\0",
            "a\n",
            &long,
        ] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_is_stable(text in "[A-Za-z0-9._-]{1,30}") {
            if let Ok(name) = text.parse::<ProjectName>() {
                prop_assert_eq!(name.as_str().parse::<ProjectName>().unwrap(), name.clone());
                prop_assert_eq!(name.in_files().parse::<ProjectName>().unwrap(), name);
            }
        }
    }
}
