//! Repository names.

use std::{str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a repository: components of lowercase letters and digits joined inside by `.`, `_`, `__` or dashes,
/// joined together by `/`; at most 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Arc<str>);

/// The text is no repository name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A component breaks the grammar.
    #[error(
        "a repository name is made of lowercase letters and digits, joined by one of `.`, `_`, `__` or dashes, in parts joined by `/`"
    )]
    Grammar,
    /// It is too long.
    #[error("a repository name has at most {} characters", RepositoryName::MAX)]
    TooLong,
}

impl RepositoryName {
    /// The longest name, in characters. Many clients refuse more.
    pub const MAX: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX {
            return Err(NameError::TooLong);
        }
        if text.split('/').all(is_component) { Ok(Self(text.into())) } else { Err(NameError::Grammar) }
    }
}

registry_core::parsed_text!(RepositoryName);

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_well = |b: Option<&u8>| b.is_some_and(alphanumeric);
    if !ends_well(bytes.first()) || !ends_well(bytes.last()) {
        return false;
    }
    bytes.split(alphanumeric).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_names() {
        for name in [
            "a",
            "library/nginx",
            "a/b/c/d/e",
            "a--b",
            "a__b",
            "a_b.c-d",
            "a-----b",
            "0",
            "blobs/uploads",
            "tags/list",
            &"a".repeat(255),
        ] {
            assert_eq!(name.parse::<RepositoryName>().map(String::from).as_deref(), Ok(name));
        }
    }

    /// Checklist 30.
    #[test]
    fn bad_names() {
        for name in [
            "", "/", "a/", "/a", "a//b", "A/b", "-a", "a-", "a..b", "a___b", "a._b", "a/../b", "_a", "a_",
            ".", "..", "a b", "a%2fb", "a\0b", "ä", "a/_b", "a/B",
        ] {
            assert_eq!(name.parse::<RepositoryName>(), Err(NameError::Grammar), "{name:?}");
        }
        assert_eq!("a".repeat(256).parse::<RepositoryName>(), Err(NameError::TooLong));
    }

    proptest! {
        #[test]
        fn grammar_agrees_with_its_regex(name in "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}){0,3}") {
            prop_assert_eq!(name.parse::<RepositoryName>().unwrap().to_string(), name);
        }

        #[test]
        fn any_text_is_refused_or_kept(text in "\\PC{0,300}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(!text.contains("..") && !text.contains("//"));
            }
        }
    }
}
