//! Package names and dist-tags as parsed types.
//!
//! Both come from clients and end in storage keys and JSON maps, so there is one way in, and it checks.

use std::{str::FromStr, sync::Arc};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest name in bytes, scope included.
const MAX_NAME: usize = 214;

/// The longest dist-tag in bytes.
const MAX_TAG: usize = 128;

/// Names that Node.js itself answers to, so that `require` would never find the package.
const CORE_MODULES: [&str; 41] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
];

/// Further names that are never packages.
const RESERVED: [&str; 3] = ["zlib", "node_modules", "favicon.ico"];

/// A package's name: `lib` or `@scope/lib`.
///
/// Parsing takes what may be *read*, which includes old names with uppercase letters; [`PackageName::publishable`] says
/// whether the name may be *published*.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(Arc<str>);

/// Why a text is no package name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid package name \"{name}\": {reason}")]
pub struct NameError {
    name: String,
    reason: &'static str,
}

impl NameError {
    fn new(name: &str, reason: &'static str) -> Self {
        Self { name: shown(name), reason }
    }
}

impl PackageName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scope without its `@`, if the name has one.
    pub fn scope(&self) -> Option<&str> {
        self.0.strip_prefix('@').and_then(|rest| rest.split_once('/')).map(|(scope, _)| scope)
    }

    /// The name without its scope.
    pub fn base(&self) -> &str {
        match self.0.split_once('/') {
            Some((_, base)) if self.0.starts_with('@') => base,
            _ => &self.0,
        }
    }

    /// The name of a version's tarball: `lib-1.0.0.tgz`, without the scope.
    pub fn tarball(&self, version: &str) -> String {
        format!("{}-{version}.tgz", self.base())
    }

    /// Whether a package of this name may be published.
    pub fn publishable(&self) -> Result<(), NameError> {
        let refuse = |reason| Err(NameError::new(&self.0, reason));
        for part in self.scope().into_iter().chain([self.base()]) {
            if part.starts_with('.') || part.starts_with('_') {
                return refuse("neither the name nor its scope begins with `.` or `_`");
            }
            if part.bytes().any(|b| b.is_ascii_uppercase()) {
                return refuse("names are lowercase");
            }
            let plain =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
            if !part.bytes().all(plain) {
                return refuse("names have only lowercase letters, digits, `-`, `.` and `_`");
            }
        }
        if self.base() == "-" || self.scope() == Some("-") {
            return refuse("`-` belongs to the registry's own paths");
        }
        if RESERVED.contains(&self.as_str()) || CORE_MODULES.contains(&self.as_str()) {
            return refuse("this name belongs to Node.js");
        }
        Ok(())
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| Err(NameError::new(text, reason));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_NAME {
            return refuse("a name has at most 214 characters, scope included");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it holds control characters or white space");
        }
        let parts = match text.strip_prefix('@') {
            Some(rest) => match rest.split_once('/') {
                Some((scope, base)) => [scope, base],
                None => return refuse("a scope is followed by `/` and a name"),
            },
            None => [text, text],
        };
        for part in parts {
            if part.is_empty() {
                return refuse("a part of it is empty");
            }
            if part.contains(['/', '\\']) {
                return refuse("there is one `/`, after the scope");
            }
            if matches!(part, "." | "..") {
                return refuse("`.` and `..` are no names");
            }
        }
        if text == "-" {
            return refuse("`-` belongs to the registry's own paths");
        }
        Ok(Self(text.into()))
    }
}

registry_core::parsed_text!(PackageName);

/// A dist-tag: a name for a version that can move, such as `latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

/// Why a text is no dist-tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid dist-tag \"{tag}\": {reason}")]
pub struct TagError {
    tag: String,
    reason: &'static str,
}

impl Tag {
    /// The tag that an install without a version takes.
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `latest`, which is always there while a version is.
    pub fn is_latest(&self) -> bool {
        &*self.0 == "latest"
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| {
            let tag = shown(text);
            Err(TagError { tag, reason })
        };
        if text.is_empty() || text.len() > MAX_TAG {
            return refuse("a tag has 1 to 128 characters");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/') {
            return refuse("a tag holds no `/`, white space or control characters");
        }
        // `npm install lib@1.x` could not tell a tag from a range.
        if nodejs_semver::Range::parse(text).is_ok() {
            return refuse("a tag must not be a version or a version range");
        }
        Ok(Self(text.into()))
    }
}

registry_core::parsed_text!(Tag);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_can_be_published() {
        for (text, scope, base) in [
            ("lib", None, "lib"),
            ("@acme/lib", Some("acme"), "lib"),
            ("a.b-c_d", None, "a.b-c_d"),
            ("@types/node", Some("types"), "node"),
            ("@types/events", Some("types"), "events"),
            ("constructor", None, "constructor"),
            ("hasownproperty", None, "hasownproperty"),
            ("1", None, "1"),
            ("-x", None, "-x"),
        ] {
            let name: PackageName = text.parse().unwrap();
            assert_eq!((name.scope(), name.base()), (scope, base));
            name.publishable().unwrap();
        }
    }

    #[test]
    fn checklist_37_names_that_cannot_be_published() {
        let long = "a".repeat(215);
        for text in [
            "", ".", "..", "-", "@s/", "@/n", "@s", "a/b", "@s/a/b", "a\0b", "a b", "\n", "@s/..", "@../x",
            &long,
        ] {
            assert!(text.parse::<PackageName>().is_err(), "{text:?}");
        }
        for text in [
            "Lib",
            ".lib",
            "_lib",
            "__proto__",
            "@_s/lib",
            "@s/_lib",
            "@s/.lib",
            "@S/lib",
            "fs",
            "zlib",
            "http",
            "node_modules",
            "favicon.ico",
            "a~b",
            "a!b",
            "a'b",
            "a(b)",
            "a*",
            "ümlaut",
            "a%2fb",
            "@s/-",
            "a:b",
            "a@b",
        ] {
            let name: PackageName = text.parse().unwrap();
            assert!(name.publishable().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_tarball_is_named_without_the_scope() {
        assert_eq!("@acme/lib".parse::<PackageName>().unwrap().tarball("1.0.0"), "lib-1.0.0.tgz");
    }

    #[test]
    fn tags() {
        for good in ["latest", "next", "beta-1", "__proto__", "v-next", "release.candidate", "a%b"] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        let long = "a".repeat(129);
        for bad in [
            "", "1", "x", "v1.0", ">=1", "1.x", "*", "1.0.0", "^1", "~2", "a/b", "a b", "a\nb", "1 - 2",
            &long,
        ] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn names_round_trip(text in "\\PC{0,220}") {
            if let Ok(name) = text.parse::<PackageName>() {
                prop_assert_eq!(name.as_str(), &text);
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<PackageName>(&json).unwrap(), name);
            }
        }

        #[test]
        fn tags_round_trip(text in "\\PC{0,140}") {
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert_eq!(tag.to_string(), text);
            }
        }
    }
}
