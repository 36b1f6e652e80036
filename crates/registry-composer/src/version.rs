//! Versions as composer/semver normalises and orders them.

use std::{cmp::Ordering, str::FromStr};

use registry_core::parsed::shown;

/// The longest version, as written and normalised.
const MAX_VERSION: usize = 191;

/// What stands for a missing or wildcard part of a branch.
const WILDCARD: &str = "9999999";

/// A version: as its author wrote it, and in the one form that clients compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pretty: String,
    normalized: String,
}

/// Why a text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{shown}\" is not a version that Composer understands: releases are like 1.2.3, v1.2.3-beta1 or 2024.01.02, branches like dev-main or 1.x-dev"
)]
pub(crate) struct VersionError {
    shown: String,
}

/// How finished a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stability {
    Dev,
    Alpha,
    Beta,
    Rc,
    Stable,
    /// A stable version after a stable version.
    Patch,
}

impl Version {
    /// As its author wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.pretty
    }

    /// As clients compare it.
    pub(crate) fn normalized(&self) -> &str {
        &self.normalized
    }

    /// What two versions that are the same to clients have in common: the normalised form without leading zeros.
    pub(crate) fn identity(&self) -> String {
        identity(&self.normalized)
    }

    /// Whether it is a branch: it may be replaced.
    pub(crate) fn is_dev(&self) -> bool {
        is_dev(&self.normalized)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pretty = text.trim();
        let plain = pretty.len() <= MAX_VERSION
            && !pretty.contains("..")
            && !pretty.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, ',' | '|' | '\\'));
        match normalize(pretty) {
            Some(normalized) if plain && normalized != "dev-" && normalized.len() <= MAX_VERSION => {
                Ok(Self { pretty: pretty.to_owned(), normalized })
            }
            _ => Err(VersionError { shown: shown(text) }),
        }
    }
}

/// Whether a normalised version is a branch.
pub(crate) fn is_dev(normalized: &str) -> bool {
    normalized.starts_with("dev-") || normalized.ends_with("-dev")
}

pub(crate) fn identity(normalized: &str) -> String {
    if normalized.starts_with("dev-") {
        return normalized.to_owned();
    }
    let (numbers, rest) = normalized.split_once('-').map_or((normalized, None), |(n, r)| (n, Some(r)));
    let numbers: Vec<&str> = numbers.split('.').map(without_zeros).collect();
    let numbers = numbers.join(".");
    rest.map_or(numbers.clone(), |rest| format!("{numbers}-{rest}"))
}

fn without_zeros(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    }
}

/// The normalised form, or `None` where Composer would refuse the text.
pub(crate) fn normalize(text: &str) -> Option<String> {
    let mut text = text.trim();
    text = without_alias(text);
    text = without_stability_flag(text);
    if matches!(text, "master" | "trunk" | "default") {
        return Some(format!("dev-{text}"));
    }
    if let Some(rest) = strip_prefix_any_case(text, "dev-") {
        return Some(format!("dev-{rest}"));
    }
    text = without_build(text);
    let unprefixed = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if let Some(found) = classical(unprefixed).or_else(|| date(unprefixed)) {
        return Some(found);
    }
    let branch = strip_suffix_any_case(text, "dev")?;
    numeric_branch(branch.strip_suffix(['.', '-']).unwrap_or(branch))
}

/// `X as Y` is X.
fn without_alias(text: &str) -> &str {
    let Some((version, alias)) = text.split_once(' ') else { return text };
    let Some(alias) = alias.trim_start_matches(' ').strip_prefix("as ") else { return text };
    let word = |text: &str| !text.is_empty() && !text.contains(|c: char| c == ',' || c.is_whitespace());
    if word(version) && word(alias.trim_start_matches(' ')) { version } else { text }
}

fn without_stability_flag(text: &str) -> &str {
    match text.rsplit_once('@') {
        Some((version, flag))
            if ["stable", "rc", "beta", "alpha", "dev"]
                .iter()
                .any(|known| flag.eq_ignore_ascii_case(known)) =>
        {
            version
        }
        _ => text,
    }
}

fn without_build(text: &str) -> &str {
    match text.split_once('+') {
        Some((version, build))
            if !version.is_empty()
                && !build.is_empty()
                && !version.contains(|c: char| c == ',' || c.is_whitespace())
                && !build.contains(char::is_whitespace) =>
        {
            version
        }
        _ => text,
    }
}

fn strip_prefix_any_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn strip_suffix_any_case<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// One to four numbers, the first of at most five digits, and a modifier.
fn classical(text: &str) -> Option<String> {
    let first = digits(text).min(5);
    let (number, mut rest) = text.split_at_checked(first).filter(|_| first > 0)?;
    let mut version = number.to_owned();
    let mut parts = 1;
    while parts < 4
        && let Some(after) = rest.strip_prefix('.')
        && digits(after) > 0
    {
        let (number, after) = after.split_at_checked(digits(after))?;
        version.push('.');
        version.push_str(number);
        rest = after;
        parts += 1;
    }
    let modifier = modifier(rest)?;
    version.push_str(match parts {
        1 => ".0.0.0",
        2 => ".0.0",
        3 => ".0",
        _ => "",
    });
    version.push_str(&modifier);
    Some(version)
}

/// A date: a year, one to six numbers of two digits, up to two of one to three, and a modifier.
fn date(text: &str) -> Option<String> {
    let after_year = 4;
    if digits(text) < after_year {
        return None;
    }
    let mut ends = Vec::new();
    pairs(text, after_year, 0, &mut ends);
    ends.into_iter().find_map(|end| {
        let (date, rest) = text.split_at_checked(end)?;
        let modifier = modifier(rest)?;
        let date: String = date.chars().map(|c| if c.is_ascii_digit() { c } else { '.' }).collect();
        Some(date + &modifier)
    })
}

/// All ends of a date that has `count` pairs up to `at`, the longest first.
fn pairs(text: &str, at: usize, count: usize, ends: &mut Vec<usize>) {
    if count < 6
        && let Some(next) = number_after(text, at, 2)
    {
        pairs(text, next, count + 1, ends);
    }
    if count > 0 {
        triples(text, at, 0, ends);
    }
}

fn triples(text: &str, at: usize, count: usize, ends: &mut Vec<usize>) {
    if count < 2 {
        for length in [3, 2, 1] {
            if let Some(next) = number_after(text, at, length) {
                triples(text, next, count + 1, ends);
            }
        }
    }
    ends.push(at);
}

/// Where a number of so many digits ends that follows at `at`, after a separator or none.
fn number_after(text: &str, at: usize, length: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let separator = usize::from(rest.starts_with(['.', ':', '-']));
    let rest = rest.get(separator..)?;
    (digits(rest) >= length).then_some(at + separator + length)
}

/// What follows the numbers, normalised: `-beta1`, `-dev`, nothing. `None` where it is no modifier.
fn modifier(text: &str) -> Option<String> {
    const NAMES: [(&str, &str); 9] = [
        ("stable", "stable"),
        ("beta", "beta"),
        ("b", "beta"),
        ("rc", "RC"),
        ("alpha", "alpha"),
        ("a", "alpha"),
        ("patch", "patch"),
        ("pl", "patch"),
        ("p", "patch"),
    ];
    let dev = |rest: &str| -> Option<&'static str> {
        let unseparated = rest.strip_prefix(['.', '-']).unwrap_or(rest);
        if rest.is_empty() {
            Some("")
        } else if unseparated.eq_ignore_ascii_case("dev") {
            Some("-dev")
        } else {
            None
        }
    };
    if let Some(found) = dev(text) {
        return Some(found.to_owned());
    }
    let rest = text.strip_prefix(['.', '_', '-']).unwrap_or(text);
    for (name, full) in NAMES {
        let Some(mut after) = strip_prefix_any_case(rest, name) else { continue };
        let whole = after;
        loop {
            let number = after.strip_prefix(['.', '-']).unwrap_or(after);
            match digits(number) {
                0 => break,
                length => after = number.get(length..)?,
            }
        }
        let Some(dev) = dev(after) else { continue };
        if full == "stable" {
            return Some(String::new());
        }
        let number = whole.get(..whole.len() - after.len())?.trim_start_matches(['.', '-']);
        return Some(format!("-{full}{number}{dev}"));
    }
    dev(rest).map(str::to_owned)
}

/// `1.x` and the like, the name of a branch of releases.
fn numeric_branch(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let mut parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &str| !part.is_empty() && digits(part) == part.len();
    let (first, others) = parts.split_first()?;
    if parts.len() > 4
        || !is_number(first)
        || !others.iter().all(|p| is_number(p) || matches!(*p, "x" | "X" | "*"))
    {
        return None;
    }
    parts.resize(4, "x");
    let parts: Vec<&str> = parts.iter().map(|part| if is_number(part) { part } else { WILDCARD }).collect();
    Some(format!("{}-dev", parts.join(".")))
}

/// The order of normalised versions: numbers, stability, its number; branches by name come before everything.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    match (a.strip_prefix("dev-"), b.strip_prefix("dev-")) {
        // A listing is newest first and branches are to stand there in the order of their names.
        (Some(a), Some(b)) => b.cmp(a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Parts::of(a).compare(&Parts::of(b)),
    }
}

/// A numeric version taken apart.
struct Parts<'v> {
    numbers: Vec<&'v str>,
    stability: Stability,
    stability_number: Vec<&'v str>,
    finished: bool,
}

impl<'v> Parts<'v> {
    fn of(normalized: &'v str) -> Self {
        let (numbers, rest) = normalized.split_once('-').unwrap_or((normalized, ""));
        let (rest, finished) = match rest.strip_suffix("dev") {
            Some(rest) => (rest.strip_suffix('-').unwrap_or(rest), false),
            None => (rest, true),
        };
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, number) = rest.split_at_checked(letters).unwrap_or((rest, ""));
        let stability = match name {
            "alpha" => Stability::Alpha,
            "beta" => Stability::Beta,
            "RC" => Stability::Rc,
            "patch" => Stability::Patch,
            _ if !finished => Stability::Dev,
            _ => Stability::Stable,
        };
        let split = |text: &'v str| text.split(['.', '-']).filter(|part| !part.is_empty()).collect();
        Self { numbers: split(numbers), stability, stability_number: split(number), finished }
    }

    fn compare(&self, other: &Self) -> Ordering {
        compare_numbers(&self.numbers, &other.numbers)
            .then(self.stability.cmp(&other.stability))
            .then_with(|| compare_numbers(&self.stability_number, &other.stability_number))
            .then(self.finished.cmp(&other.finished))
    }
}

fn compare_numbers(a: &[&str], b: &[&str]) -> Ordering {
    let at = |list: &[&str], at: usize| -> String {
        list.get(at).map_or_else(|| "0".to_owned(), |digits| without_zeros(digits).to_owned())
    };
    (0..a.len().max(b.len()))
        .map(|i| (at(a, i), at(b, i)))
        .map(|(a, b)| a.len().cmp(&b.len()).then_with(|| a.cmp(&b)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checklist_10_versions_are_normalised_as_composer_does() {
        for (text, want) in [
            ("1", "1.0.0.0"),
            ("v1.2.3-RC.1", "1.2.3.0-RC1"),
            ("1.0.0+b7", "1.0.0.0"),
            ("1.0b2", "1.0.0.0-beta2"),
            ("1.0.0-pl3", "1.0.0.0-patch3"),
            ("2024.01.02", "2024.01.02.0"),
            ("20240102", "20240102"),
            ("2010-01-02", "2010.01.02"),
            ("dev-feature/x", "dev-feature/x"),
            ("1.x-dev", "1.9999999.9999999.9999999-dev"),
            ("2.1.x-dev", "2.1.9999999.9999999-dev"),
            ("1.0.*-dev", "1.0.9999999.9999999-dev"),
            ("v1.X-DEV", "1.9999999.9999999.9999999-dev"),
            ("1.0.0-stable", "1.0.0.0"),
            ("1-dev", "1.0.0.0-dev"),
            ("1.0-dev", "1.0.0.0-dev"),
            ("1.0.0-beta.3-dev", "1.0.0.0-beta3-dev"),
            ("master", "dev-master"),
            ("trunk", "dev-trunk"),
            ("DEV-Foo", "dev-Foo"),
            ("00.01.0", "00.01.0.0"),
            ("20240102-1", "20240102.1"),
            ("201903.0", "201903.0"),
            ("1.0 as 2.0", "1.0.0.0"),
            ("1.0.0-p", "1.0.0.0-patch"),
            ("1.0.0@dev", "1.0.0.0"),
            ("1.2.3.4", "1.2.3.4"),
            ("V1.0.0_ALPHA2", "1.0.0.0-alpha2"),
            ("1.0.0.RC.15-dev", "1.0.0.0-RC15-dev"),
            ("2010-01-02-10-20-30.5", "2010.01.02.10.20.30.5"),
            ("20100102-203040-p1", "20100102.203040-patch1"),
            ("1.0.0-", "1.0.0.0"),
            ("1.0.0-rC15-dev", "1.0.0.0-RC15-dev"),
        ] {
            assert_eq!(normalize(text).as_deref(), Some(want), "{text}");
        }
        for text in [
            "",
            "1.2.3.4.5",
            "1.0.0-foo",
            "latest",
            "x-dev",
            "1.0.0-1",
            "a",
            "1..0",
            "feature-dev",
            "1.x",
            "v",
            "^1.0",
            "1.0.0<1.0.1",
            "1.0.0-meh",
            "1.0.0-beta.3x",
        ] {
            assert_eq!(normalize(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for bad in ["dev-", "dev-a..b", "dev-a\u{7}", "dev-a b", "1.0 as 2.0", "dev-a\\b", "dev-a,b", "x"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!(format!("dev-{}", "a".repeat(187)).parse::<Version>().is_ok());
        assert!(format!("dev-{}", "a".repeat(188)).parse::<Version>().is_err());
    }

    #[test]
    fn checklist_7_equal_versions_have_one_identity() {
        let identity = |text: &str| text.parse::<Version>().unwrap().identity();
        for text in ["1.0", "v1.0.0", "1.0.0.0", "1.0.0+x", "01.0", "1.0.0-stable"] {
            assert_eq!(identity(text), "1.0.0.0", "{text}");
        }
        assert_ne!(identity("1.0"), identity("1.0-beta"));
        assert_eq!(identity("dev-01.0"), "dev-01.0");
        assert_eq!(identity("01.0-beta"), "1.0.0.0-beta");
    }

    #[test]
    fn branches_and_releases() {
        let dev = |text: &str| text.parse::<Version>().unwrap().is_dev();
        assert!(dev("dev-main") && dev("1.x-dev") && dev("1.0-dev") && dev("1.0-beta1-dev"));
        assert!(!dev("1.0") && !dev("1.0-alpha") && !dev("1.0-p1"));
    }

    #[test]
    fn order() {
        let ascending = [
            "dev-z",
            "dev-a",
            "1.0.0.0-dev",
            "1.0.0.0-alpha1",
            "1.0.0.0-beta1",
            "1.0.0.0-beta2-dev",
            "1.0.0.0-beta2",
            "1.0.0.0-beta10",
            "1.0.0.0-RC1",
            "1.0.0.0",
            "1.0.0.0-patch1",
            "1.2.0.0",
            "1.10.0.0",
            "1.9999999.9999999.9999999-dev",
            "2.0.0.0",
            "20240102",
        ];
        for (at, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(compare("01.0.0.0", "1.0.0.0"), Ordering::Equal);
    }

    fn versions() -> impl Strategy<Value = String> {
        "v?[0-9]{1,6}(\\.[0-9]{1,3}){0,3}([._-]?(stable|beta|RC|alpha|pl|p)?\\.?[0-9]{0,2}(-dev)?)?|dev-[a-z/]{1,5}|[0-9]\\.x-dev"
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}", near in "[0-9vxX.*:@+ devasRCbetap-]{0,16}") {
            let _ = normalize(&text);
            let _ = normalize(&near);
            let _ = near.parse::<Version>();
        }

        #[test]
        fn normalising_twice_changes_nothing(text in versions()) {
            if let Some(once) = normalize(&text) {
                let twice = normalize(&once);
                prop_assert_eq!(twice.as_deref(), Some(once.as_str()));
            }
        }

        #[test]
        fn the_order_is_total(texts in proptest::collection::vec(versions(), 3)) {
            let found: Vec<String> = texts.iter().filter_map(|text| normalize(text)).collect();
            if let [a, b, c] = found.as_slice() {
                prop_assert_eq!(compare(a, b), compare(b, a).reverse());
                prop_assert_eq!(compare(a, a), Ordering::Equal);
                if compare(a, b).is_le() && compare(b, c).is_le() {
                    prop_assert!(compare(a, c).is_le());
                }
            }
        }
    }
}
