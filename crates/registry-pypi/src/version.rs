//! Versions: PEP 440, compared by its rules and kept in its normal form.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use registry_core::parsed::shown;
use serde::{Deserialize, Serialize};

/// The longest version in bytes, as it is sent.
const MAX_VERSION: usize = 128;

/// A version. Two that compare equal (`1.0` and `1.0.0`) are one release; each keeps its own normal text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Version {
    text: Arc<str>,
    key: Arc<Order>,
}

/// What is compared, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    epoch: u64,
    /// Without zeros at its end.
    release: Vec<u64>,
    pre: Pre,
    /// No post-release comes before the first.
    post: Option<u64>,
    dev: Dev,
    local: Vec<Local>,
}

/// A pre-release; a development release of the final one comes before them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    BeforeAll,
    Alpha(u64),
    Beta(u64),
    Candidate(u64),
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Number(u64),
    None,
}

/// A segment of a local version: numbers come after texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Text(String),
    Number(u64),
}

/// A text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version such as 1.2.3, 1.0rc1 or 1.0.post1 (PEP 440)")]
pub(crate) struct VersionError(String);

impl Version {
    /// The normal form.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a pre-release or a development release.
    pub(crate) fn is_prerelease(&self) -> bool {
        self.key.pre != Pre::None || self.key.dev != Dev::None
    }

    /// Whether it has a local part (`+cu121`).
    pub(crate) fn is_local(&self) -> bool {
        !self.key.local.is_empty()
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || VersionError(shown(text));
        if text.len() > MAX_VERSION {
            return Err(wrong());
        }
        let lower = text.trim().to_ascii_lowercase();
        Parser { rest: &lower }.version().map_err(|Malformed| wrong())
    }
}

registry_core::parsed_text!(Version);

/// Reads a version in lower case from its front.
struct Parser<'a> {
    rest: &'a str,
}

/// What is read is no version.
struct Malformed;

impl<'a> Parser<'a> {
    fn version(mut self) -> Result<Version, Malformed> {
        self.eat("v");
        let mut first = self.number()?.ok_or(Malformed)?;
        let mut epoch = 0;
        if self.eat("!") {
            epoch = first;
            first = self.number()?.ok_or(Malformed)?;
        }
        let mut release = vec![first];
        loop {
            let before = self.rest;
            if !self.eat(".") {
                break;
            }
            let Some(number) = self.number()? else {
                self.rest = before;
                break;
            };
            release.push(number);
        }
        let pre = self.labelled(&[
            ("alpha", 'a'),
            ("beta", 'b'),
            ("preview", 'r'),
            ("pre", 'r'),
            ("rc", 'r'),
            ("a", 'a'),
            ("b", 'b'),
            ("c", 'r'),
        ])?;
        let post = self.post()?;
        let dev = self.labelled(&[("dev", 'd')])?.map(|(_, number)| number);
        let local = if self.eat("+") { self.local()? } else { Vec::new() };
        if !self.rest.is_empty() {
            return Err(Malformed);
        }
        Ok(build(epoch, release, pre, post, dev, local))
    }

    fn eat(&mut self, prefix: &str) -> bool {
        self.rest.strip_prefix(prefix).map(|rest| self.rest = rest).is_some()
    }

    /// Digits, if any are next.
    fn number(&mut self) -> Result<Option<u64>, Malformed> {
        let digits = self.take(|b| b.is_ascii_digit());
        if digits.is_empty() { Ok(None) } else { digits.parse().map(Some).map_err(|_| Malformed) }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest.bytes().take_while(|b| wanted(*b)).count();
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or(("", self.rest));
        self.rest = rest;
        taken
    }

    fn separator(&mut self) -> bool {
        self.eat(".") || self.eat("-") || self.eat("_")
    }

    /// One of these labels with its number (0 where there is none).
    fn labelled(&mut self, labels: &[(&str, char)]) -> Result<Option<(char, u64)>, Malformed> {
        let before = self.rest;
        self.separator();
        for (label, kind) in labels {
            if self.eat(label) {
                let after_label = self.rest;
                self.separator();
                let number = self.number()?;
                if number.is_none() {
                    // The separator belongs to what follows.
                    self.rest = after_label;
                }
                return Ok(Some((*kind, number.unwrap_or(0))));
            }
        }
        self.rest = before;
        Ok(None)
    }

    fn post(&mut self) -> Result<Option<u64>, Malformed> {
        let before = self.rest;
        if self.eat("-") {
            if let Some(number) = self.number()? {
                return Ok(Some(number));
            }
            self.rest = before;
        }
        let labelled = self.labelled(&[("post", 'p'), ("rev", 'p'), ("r", 'p')])?;
        Ok(labelled.map(|(_, number)| number))
    }

    fn local(&mut self) -> Result<Vec<Local>, Malformed> {
        let mut segments = Vec::new();
        loop {
            let segment = self.take(|b| b.is_ascii_alphanumeric());
            if segment.is_empty() {
                return Err(Malformed);
            }
            segments.push(if segment.bytes().all(|b| b.is_ascii_digit()) {
                Local::Number(segment.parse().map_err(|_| Malformed)?)
            } else {
                Local::Text(segment.to_owned())
            });
            if !self.separator() {
                return Ok(segments);
            }
        }
    }
}

fn build(
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(char, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Vec<Local>,
) -> Version {
    use fmt::Write as _;
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    if epoch > 0 {
        let _ = write!(text, "{epoch}!");
    }
    for (at, number) in release.iter().enumerate() {
        let _ = write!(text, "{}{number}", if at == 0 { "" } else { "." });
    }
    if let Some((kind, number)) = pre {
        let label = if kind == 'r' { "rc".to_owned() } else { kind.to_string() };
        let _ = write!(text, "{label}{number}");
    }
    if let Some(number) = post {
        let _ = write!(text, ".post{number}");
    }
    if let Some(number) = dev {
        let _ = write!(text, ".dev{number}");
    }
    for (at, segment) in local.iter().enumerate() {
        text.push(if at == 0 { '+' } else { '.' });
        let _ = match segment {
            Local::Text(segment) => write!(text, "{segment}"),
            Local::Number(segment) => write!(text, "{segment}"),
        };
    }
    let mut trimmed = release;
    while trimmed.last() == Some(&0) {
        trimmed.pop();
    }
    let pre = match pre {
        Some(('a', number)) => Pre::Alpha(number),
        Some(('b', number)) => Pre::Beta(number),
        Some((_, number)) => Pre::Candidate(number),
        None if post.is_none() && dev.is_some() => Pre::BeforeAll,
        None => Pre::None,
    };
    let dev = dev.map_or(Dev::None, Dev::Number);
    Version { text: text.into(), key: Arc::new(Order { epoch, release: trimmed, pre, post, dev, local }) }
}

/// Whether a text is a list of version specifiers (`>=3.9,<4`), as `Requires-Python` holds one.
pub(crate) fn is_specifier_set(text: &str) -> bool {
    const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];
    text.split(',').map(str::trim).all(|clause| {
        if clause.is_empty() {
            // A comma at the end is widespread.
            return true;
        }
        let Some(operator) = OPERATORS.iter().find(|operator| clause.starts_with(**operator)) else {
            return false;
        };
        let version = clause.strip_prefix(operator).unwrap_or_default().trim();
        match *operator {
            "===" => !version.is_empty() && !version.contains(char::is_whitespace),
            "==" | "!=" => version.strip_suffix(".*").unwrap_or(version).parse::<Version>().is_ok(),
            // `>=3.6.*` is no PEP 440, but old packages have it and installers read it.
            _ => version.strip_suffix(".*").unwrap_or(version).parse::<Version>().is_ok(),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn versions_are_normalised() {
        for (text, want) in [
            ("1.0", "1.0"),
            (" v1.0\n", "1.0"),
            ("01.002", "1.2"),
            ("1.0-alpha1", "1.0a1"),
            ("1.0.ALPHA", "1.0a0"),
            ("1.0_beta.2", "1.0b2"),
            ("1.0c1", "1.0rc1"),
            ("1.0-preview-3", "1.0rc3"),
            ("1.0pre", "1.0rc0"),
            ("1.0-1", "1.0.post1"),
            ("1.0.rev2", "1.0.post2"),
            ("1.0-r4", "1.0.post4"),
            ("1.0post", "1.0.post0"),
            ("1.0dev", "1.0.dev0"),
            ("1.0a.dev3", "1.0a0.dev3"),
            ("1.0a1.post2.dev3", "1.0a1.post2.dev3"),
            ("1!2.0", "1!2.0"),
            ("1.0+Ubuntu-1_a", "1.0+ubuntu.1.a"),
            ("1.0+007", "1.0+7"),
            ("2024.1.1", "2024.1.1"),
        ] {
            assert_eq!(version(text).as_str(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = "1.".repeat(80) + "0";
        for bad in [
            "",
            "v",
            "x",
            "1.",
            "1..0",
            "1.0+",
            "1.0+a..b",
            "1.0-",
            "1.0a1b2",
            "french toast",
            "1.0+ä",
            "../1",
            "1 .0",
            "99999999999999999999",
            "1.0\r\n2",
            "1.0/2",
            &long,
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_order_is_that_of_pep_440() {
        let sorted = [
            "1.dev0",
            "1.0.dev456",
            "1.0a1.dev1",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0+5.1",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.0.15",
            "1.1.dev1",
            "1.9",
            "1.10",
            "1!0.1",
        ];
        for (at, low) in sorted.iter().enumerate() {
            for high in &sorted[at + 1..] {
                assert!(version(low) < version(high), "{low} < {high}");
            }
        }
        assert_eq!(version("1.0"), version("1.0.0.0"));
        assert_ne!(version("1.0").as_str(), version("1.0.0").as_str());
        assert!(version("1.0.dev1").is_prerelease() && version("1rc1").is_prerelease());
        assert!(!version("1.0.post1").is_prerelease() && version("1+x").is_local());
    }

    #[test]
    fn specifiers() {
        for good in
            ["", ">=3.9", ">=3.9,<4", "~=3.8", "==3.*", "!=3.0.*, >= 2.7", ">=3.6.*", "===weird", ">=3.9,"]
        {
            assert!(is_specifier_set(good), "{good}");
        }
        for bad in ["3.9", ">= ", "=>3", ">=3.9 <4", "<script>", "===", "~=x"] {
            assert!(!is_specifier_set(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_is_stable(text in "v?([0-9]!)?[0-9]{1,2}(\\.[0-9]{1,2}){0,3}([-_.]?(a|beta|rc|pre)[-_.]?[0-9]?)?(\\.?post[0-9])?([-_.]?dev[0-9]?)?(\\+[a-z0-9]{1,3}([._-][a-z0-9]{1,3})?)?") {
            if let Ok(parsed) = text.parse::<Version>() {
                let again = version(parsed.as_str());
                prop_assert_eq!(again.as_str(), parsed.as_str());
                prop_assert_eq!(again, parsed);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", odd in "[0-9va.rcdevpost!+_-]{0,20}") {
            let _ = (text.parse::<Version>(), odd.parse::<Version>(), is_specifier_set(&text));
        }
    }
}
