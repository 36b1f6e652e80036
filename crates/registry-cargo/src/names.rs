//! Crate names as a parsed type.
//!
//! They come from clients and end in storage keys and URLs, so there is one way in, and it checks.

use std::{str::FromStr, sync::Arc};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest name in bytes.
const MAX_NAME: usize = 64;

/// Names that a compiler or a file system has taken.
const RESERVED: [&str; 30] = [
    "alloc",
    "aux",
    "cargo-test",
    "clippy-driver",
    "compiler-builtins",
    "con",
    "core",
    "crate",
    "me",
    "new",
    "nul",
    "panic-abort",
    "panic-unwind",
    "prn",
    "proc-macro",
    "profiler-builtins",
    "rustc",
    "rustc-std-workspace-alloc",
    "rustc-std-workspace-core",
    "rustc-std-workspace-std",
    "rustdoc",
    "rustdoc-types-internal",
    "self",
    "std",
    "std-detect",
    "super",
    "sysroot",
    "test",
    "unwind",
    "versions",
];

/// A crate's name: an ASCII letter, then letters, digits, `-` and `_`, 64 at most. Its spelling is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CrateName(Arc<str>);

/// Why a text is no crate name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid crate name \"{name}\": {reason}")]
pub struct NameError {
    name: String,
    reason: &'static str,
}

impl NameError {
    fn new(name: &str, reason: &'static str) -> Self {
        Self { name: shown(name), reason }
    }
}

impl CrateName {
    /// The name as it was published.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names have in common that cannot both be taken: lowercase, `-` as `_`.
    pub(crate) fn collision_key(&self) -> String {
        self.0.to_ascii_lowercase().replace('-', "_")
    }

    /// Whether the names differ in case alone.
    pub(crate) fn is_spelled_as(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// How another registry may spell a name that cannot exist beside this one: as it is, and with one kind of separator.
    pub(crate) fn spellings(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        for (from, to) in [("_", "-"), ("-", "_")] {
            let other = Self(self.0.replace(from, to).into());
            if !all.contains(&other) {
                all.push(other);
            }
        }
        all
    }

    /// The path of the crate's index file: `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcde`, always in lowercase.
    pub(crate) fn index_path(&self) -> String {
        self.index_path_as_spelled().to_ascii_lowercase()
    }

    /// [`CrateName::index_path`] with upper and lower case as they are: what a `{prefix}` of other registries is cut from.
    pub(crate) fn index_path_as_spelled(&self) -> String {
        let name = self.as_str();
        let part = |range: std::ops::Range<usize>| name.get(range).unwrap_or_default();
        match name.len() {
            1 => format!("1/{name}"),
            2 => format!("2/{name}"),
            3 => format!("3/{}/{name}", part(0..1)),
            _ => format!("{}/{}/{name}", part(0..2), part(2..4)),
        }
    }

    /// Whether a crate of this name may be published.
    pub(crate) fn publishable(&self) -> Result<(), NameError> {
        let plain = self.0.to_ascii_lowercase().replace('_', "-");
        let device = ["com", "lpt"].iter().any(|device| {
            plain.strip_prefix(device).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']))
        });
        if device || RESERVED.contains(&plain.as_str()) || plain.starts_with("rustc-std-workspace") {
            return Err(NameError::new(&self.0, "this name is reserved: choose another one"));
        }
        Ok(())
    }
}

impl FromStr for CrateName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| Err(NameError::new(text, reason));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_NAME {
            return refuse("a name has at most 64 characters");
        }
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return refuse("a name begins with an ASCII letter");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return refuse("a name has only ASCII letters, digits, `-` and `_`");
        }
        Ok(Self(text.into()))
    }
}

registry_core::parsed_text!(CrateName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> CrateName {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_are_those_of_other_registries() {
        for (text, all) in
            [("Foo", &["Foo"][..]), ("a_b", &["a_b", "a-b"]), ("a_b-c", &["a_b-c", "a-b-c", "a_b_c"])]
        {
            let spellings = name(text).spellings();
            assert_eq!(spellings.iter().map(CrateName::as_str).collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn checklist_6_paths_by_length() {
        let longest = "a".repeat(64);
        for (text, path) in [
            ("a", "1/a"),
            ("Ab", "2/ab"),
            ("abC", "3/a/abc"),
            ("abcd", "ab/cd/abcd"),
            ("Bar_b", "ba/r_/bar_b"),
            ("foo-x", "fo/o-/foo-x"),
            (&longest, &format!("aa/aa/{longest}")),
        ] {
            assert_eq!(name(text).index_path(), path);
        }
        assert!("a".repeat(65).parse::<CrateName>().is_err());
    }

    #[test]
    fn checklist_24_bad_names() {
        for bad in ["", "1a", "_a", "-a", "a.b", "a/b", "ä", "a b", "a\0", "a\n", "a+b", "../x"] {
            assert!(bad.parse::<CrateName>().is_err(), "{bad:?}");
        }
        for reserved in ["std", "Core", "proc_macro", "proc-macro", "con", "COM1", "lpt9", "new", "me"] {
            assert!(name(reserved).publishable().is_err(), "{reserved}");
        }
        for good in ["com", "com10", "stdx", "rustc-x", "newt", "a"] {
            name(good).publishable().unwrap();
        }
    }

    #[test]
    fn checklist_7_what_collides() {
        assert_eq!(name("Foo-Bar_x").collision_key(), name("foo_bar-X").collision_key());
        assert_ne!(name("foobar").collision_key(), name("foo-bar").collision_key());
        assert!(name("Foo").is_spelled_as(&name("foo")) && !name("a-b").is_spelled_as(&name("a_b")));
    }

    proptest! {
        #[test]
        fn names_round_trip(text in "\\PC{0,70}") {
            if let Ok(parsed) = text.parse::<CrateName>() {
                prop_assert_eq!(parsed.as_str(), &text);
                let json = serde_json::to_string(&parsed).unwrap();
                prop_assert_eq!(serde_json::from_str::<CrateName>(&json).unwrap(), parsed);
            }
        }

        #[test]
        fn a_path_ends_in_its_name(text in "[A-Za-z][A-Za-z0-9_-]{0,63}") {
            let name = name(&text);
            let path = name.index_path();
            let end = format!("/{}", text.to_ascii_lowercase());
            prop_assert!(path.ends_with(&end));
            prop_assert!(!path.bytes().any(|b| b.is_ascii_uppercase()));
        }
    }
}
