//! Names of gems and platforms, and full names.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::version::Version;

/// The longest name or platform in bytes.
const MAX_NAME: usize = 255;

/// Endings that a name may not have: the paths of files and documents end in them.
const RESERVED_ENDINGS: [&str; 4] = [".gem", ".gemspec", ".html", ".json"];

/// A gem's name. Upper and lower case are told apart, but no two names differ in that alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct GemName(Box<str>);

/// A text is no gem's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a gem's name is letters (one at least), numbers, dots, dashes and underscores, begins and ends with a letter or number, does not \
     end in .gem, .gemspec, .html or .json, and has at most {MAX_NAME} characters"
)]
pub(crate) struct GemNameError;

/// The platform that a gem is built for: `ruby` for all, or `x86_64-linux`, `java` and the like.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Platform(Box<str>);

/// A text is no platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a platform is letters, numbers, dots, dashes and underscores, begins with a letter, and has at most {MAX_NAME} characters"
)]
pub(crate) struct PlatformError;

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

impl GemName {
    /// As it was first published.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What names that differ only in case have in common.
    pub(crate) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for GemName {
    type Err = GemNameError;

    fn from_str(text: &str) -> Result<Self, GemNameError> {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let folded = text.to_ascii_lowercase();
        let ok = bytes.len() <= MAX_NAME
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|byte| is_word(*byte))
            && bytes.iter().any(u8::is_ascii_alphabetic)
            && !RESERVED_ENDINGS.iter().any(|ending| folded.ends_with(ending));
        if ok { Ok(Self(text.into())) } else { Err(GemNameError) }
    }
}

impl Platform {
    /// As the gem's specification has it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For every platform.
    pub(crate) fn ruby() -> Self {
        Self("ruby".into())
    }

    /// Whether it is that for every platform.
    pub(crate) fn is_ruby(&self) -> bool {
        &*self.0 == "ruby"
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let bytes = text.as_bytes();
        let ok = bytes.len() <= MAX_NAME
            && bytes.first().is_some_and(u8::is_ascii_alphabetic)
            && bytes.iter().all(|byte| is_word(*byte));
        if ok { Ok(Self(text.into())) } else { Err(PlatformError) }
    }
}

registry_core::parsed_text!(GemName);
registry_core::parsed_text!(Platform);

/// A version with its platform, as indexes write them: `1.2.0`, `1.2.0-java`.
pub(crate) fn slug(version: &Version, platform: &Platform) -> String {
    if platform.is_ruby() { version.to_string() } else { format!("{version}-{platform}") }
}

/// Reads what [`slug`] wrote: a version has no dash.
pub(crate) fn parse_slug(text: &str) -> Option<(Version, Platform)> {
    let (version, platform) = match text.split_once('-') {
        // What is for every platform is written without one.
        Some((_, "ruby")) => return None,
        Some((version, platform)) => (version, platform.parse().ok()?),
        None => (text, Platform::ruby()),
    };
    Some((version.parse().ok()?, platform))
}

/// The name of a gem's file without its ending: `rack-3.0.0`, `nokogiri-1.18.0-x86_64-linux-gnu`.
pub(crate) fn full_name(name: &GemName, version: &Version, platform: &Platform) -> String {
    format!("{name}-{}", slug(version, platform))
}

/// All ways to read a full name. Usually there is one; only what is published can tell which of several is meant.
pub(crate) fn split_full_name(text: &str) -> Vec<(GemName, Version, Platform)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('-') {
        let (name, rest) = text.split_at(at);
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        if let (Ok(name), Some((version, platform))) = (name.parse::<GemName>(), parse_slug(rest)) {
            found.push((name, version, platform));
        }
        if found.len() == MAX_SPLITS {
            break;
        }
    }
    found
}

/// The most readings of a full name that are looked at.
const MAX_SPLITS: usize = 8;

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::version::tests::any_version;

    pub(crate) fn name(text: &str) -> GemName {
        text.parse().unwrap()
    }

    pub(crate) fn any_name() -> impl Strategy<Value = GemName> {
        "[a-zA-Z][a-zA-Z0-9._-]{0,8}[a-z]".prop_filter_map("a name", |text| text.parse().ok())
    }

    pub(crate) fn any_platform() -> impl Strategy<Value = Platform> {
        prop_oneof![
            Just(Platform::ruby()),
            "[a-z][a-z0-9_]{0,6}(-[a-z0-9]{1,6}){0,2}".prop_map(|text| text.parse().unwrap())
        ]
    }

    #[test]
    fn checklist_39_names() {
        for good in ["rack", "RedCloth", "google-cloud_1.0-x", "a", "x1", "1a", "foo.json-x"] {
            assert_eq!(name(good).as_str(), good);
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "",
            "..",
            ".",
            "a/b",
            "-a",
            "a-",
            "_a",
            "a_",
            ".a",
            "a.",
            "a.gem",
            "foo.json",
            "foo.JSON",
            "x.html",
            "x.gemspec",
            "123",
            "1-2",
            "Ünï",
            "a b",
            "a\n",
            "a,b",
            "a|b",
            "a:b",
            "a&b",
            "a%2f",
            "a\0",
            "a\\b",
            &long,
        ] {
            assert!(bad.parse::<GemName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn platforms() {
        for good in [
            "ruby",
            "java",
            "x86_64-linux",
            "x86_64-linux-musl",
            "universal-darwin",
            "x64-mingw-ucrt",
            "arm64-darwin-22",
        ] {
            assert_eq!(good.parse::<Platform>().unwrap().as_str(), good);
        }
        for bad in ["", "-java", "8086", "a b", "a/b", "a,b", "java\n", "a|b", &"a".repeat(256)] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn full_names_are_split_in_every_way_that_can_be_meant() {
        let split = |text: &str| -> Vec<String> {
            split_full_name(text)
                .iter()
                .map(|(name, version, platform)| format!("{name} {version} {platform}"))
                .collect()
        };
        assert_eq!(split("rack-3.0.0"), ["rack 3.0.0 ruby"]);
        assert_eq!(split("nokogiri-1.18.0-x86_64-linux"), ["nokogiri 1.18.0 x86_64-linux"]);
        assert_eq!(split("a-1-2"), ["a-1 2 ruby"]);
        assert_eq!(split("a-1-java-2"), ["a 1 java-2", "a-1-java 2 ruby"]);
        assert_eq!(split("a"), [""; 0]);
        assert_eq!(split("../x-1"), [""; 0]);
        assert!(split_full_name(&"a-1".repeat(300)).len() <= MAX_SPLITS);
    }

    proptest! {
        #[test]
        fn full_names_round_trip(name in any_name(), version in any_version(), platform in any_platform()) {
            let text = full_name(&name, &version, &platform);
            let found = split_full_name(&text);
            prop_assert!(found.len() == MAX_SPLITS || found.contains(&(name, version.clone(), platform.clone())));
            prop_assert_eq!(parse_slug(&slug(&version, &platform)), Some((version, platform)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", odd in "[a-z0-9.-]{0,30}") {
            for text in [text, odd] {
                for (name, version, platform) in split_full_name(&text) {
                    prop_assert_eq!(full_name(&name, &version, &platform), text.clone());
                }
            }
        }
    }
}
