//! The order of versions, as Maven compares them.
//!
//! A version is cut at dots, hyphens and between digits and letters. What is left is a row of numbers and qualifiers, each with the
//! separator before it; a qualifier and whatever follows a change between digits and letters count as if a hyphen stood there. Zeros
//! and the words that mean a release go from the end of every run that a hyphen ends. Two rows are compared element by element,
//! and the shorter one goes on with nothing.
//!
//! That is how Maven describes its order. Its releases depart from it, each in its own way, where a qualifier has dots on both sides
//! (`1.alpha.2`); their order of such versions is not transitive and could not be sorted by.

use std::cmp::Ordering;

/// A version, ready to be compared. Equal ones (`1` and `1.0`) may be written differently.
#[derive(Clone, Debug)]
pub(crate) struct Comparable(Vec<Item>);

/// An element of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    /// A number after a dot (or the first one): its digits without zeros in front.
    Dotted(String),
    /// A number after a hyphen.
    Hyphened(String),
    /// A word.
    Qualifier(Qualifier),
}

/// A word in a version, by what it means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier {
    Alpha,
    Beta,
    Milestone,
    Candidate,
    Snapshot,
    /// No word, or one that says that this is the release.
    Release,
    ServicePack,
    Other(String),
}

impl Qualifier {
    fn new(word: &str, before_digit: bool) -> Self {
        match word {
            "alpha" => Self::Alpha,
            "beta" => Self::Beta,
            "milestone" => Self::Milestone,
            "a" if before_digit => Self::Alpha,
            "b" if before_digit => Self::Beta,
            "m" if before_digit => Self::Milestone,
            "rc" | "cr" => Self::Candidate,
            "snapshot" => Self::Snapshot,
            "" | "ga" | "final" | "release" => Self::Release,
            "sp" => Self::ServicePack,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Item {
    /// Whether the element says no more than its absence.
    fn is_nothing(&self) -> bool {
        match self {
            Self::Dotted(digits) | Self::Hyphened(digits) => digits.is_empty(),
            Self::Qualifier(qualifier) => *qualifier == Qualifier::Release,
        }
    }

    /// What stands in the place of an element that the other version lacks.
    fn nothing_beside(other: &Self) -> Self {
        match other {
            Self::Dotted(_) => Self::Dotted(String::new()),
            Self::Hyphened(_) | Self::Qualifier(_) => Self::Qualifier(Qualifier::Release),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Qualifier(_) => 0,
            Self::Hyphened(_) => 1,
            Self::Dotted(_) => 2,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Dotted(a), Self::Dotted(b)) | (Self::Hyphened(a), Self::Hyphened(b)) => {
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            (Self::Qualifier(a), Self::Qualifier(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl Comparable {
    /// Reads a version. Every text is one.
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let mut items: Vec<Item> = Vec::new();
        // The first element counts as if a dot stood before it.
        let mut hyphen = false;
        let mut rest = text.as_str();
        loop {
            let digits = rest.starts_with(|c: char| c.is_ascii_digit());
            let end = rest
                .find(|c: char| matches!(c, '.' | '-') || c.is_ascii_digit() != digits)
                .unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            if token.is_empty() || digits {
                let number = token.trim_start_matches('0').to_owned();
                if hyphen {
                    trim(&mut items);
                    items.push(Item::Hyphened(number));
                } else {
                    items.push(Item::Dotted(number));
                }
            } else {
                trim(&mut items);
                let before_digit = after.starts_with(|c: char| c.is_ascii_digit());
                items.push(Item::Qualifier(Qualifier::new(token, before_digit)));
            }
            (hyphen, rest) = match after.chars().next() {
                None => break,
                Some('.') => (false, after.get(1..).unwrap_or_default()),
                Some('-') => (true, after.get(1..).unwrap_or_default()),
                // Digits end and letters begin, or the other way round.
                Some(_) => (true, after),
            };
        }
        trim(&mut items);
        Self(items)
    }
}

/// Takes from the end what says nothing.
fn trim(items: &mut Vec<Item>) {
    while items.last().is_some_and(Item::is_nothing) {
        items.pop();
    }
}

impl Ord for Comparable {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut ours, mut theirs) = (self.0.iter(), other.0.iter());
        loop {
            let order = match (ours.next(), theirs.next()) {
                (None, None) => return Ordering::Equal,
                (Some(a), Some(b)) => a.compare(b),
                (Some(a), None) => a.compare(&Item::nothing_beside(a)),
                (None, Some(b)) => Item::nothing_beside(b).compare(b),
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

impl PartialOrd for Comparable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Comparable {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Comparable {}

/// Sorts versions, the lowest first; equal ones by their text.
pub(crate) fn sort<'v>(versions: impl IntoIterator<Item = &'v str>) -> Vec<&'v str> {
    let mut sorted: Vec<(Comparable, &str)> =
        versions.into_iter().map(|version| (Comparable::new(version), version)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, version)| version).collect()
}

/// Whether a version names a snapshot rather than a release.
pub(crate) fn is_snapshot(version: &str) -> bool {
    snapshot_base(version).is_some()
}

/// What stands before the word `SNAPSHOT` of a snapshot's version: `1.0-` of `1.0-SNAPSHOT`.
pub(crate) fn snapshot_base(version: &str) -> Option<&str> {
    let (base, word) = version.split_at_checked(version.len().checked_sub("SNAPSHOT".len())?)?;
    (word.eq_ignore_ascii_case("SNAPSHOT") && (base.is_empty() || base.ends_with('-'))).then_some(base)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Asserts that each group is below the next, and that what is in a group is equal.
    #[track_caller]
    fn check(chain: &[&[&str]]) {
        for (at, group) in chain.iter().enumerate() {
            for (other_at, other) in chain.iter().enumerate() {
                for a in *group {
                    for b in *other {
                        let order = Comparable::new(a).cmp(&Comparable::new(b));
                        assert_eq!(order, at.cmp(&other_at), "{a} and {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn checklist_20_the_order_is_maven_s() {
        check(&[
            &["1-alpha"],
            &["1-a1"],
            &["1-alpha-2", "1-alpha2"],
            &["1.alpha.2", "1.0.alpha.2", "1-alpha.2"],
            &["1-beta"],
            &["1-milestone-1"],
            &["1-m2"],
            &["1-rc1", "1.0-RC1", "1.0.RC1", "1-cr1"],
            &["1-cr2"],
            &["1-SNAPSHOT", "1.0-SNAPSHOT"],
            &["1", "1.0", "1.0.0", "1-ga", "1.0.Final", "1.0-RELEASE", "1.0.0-0.0.0", "01"],
            &["1-sp"],
            &["1-sp-1"],
            &["1-a"],
            &["1-foo", "1.0.0-foo.0.0"],
            &["1-1", "1.0-1"],
            &["1-2"],
            &["1.0.1-SNAPSHOT"],
            &["1.0.1"],
            &["1.1"],
            &["1.2"],
            &["1.10"],
            &["2.0-SNAPSHOT"],
            &["2.0", "2.0.0.Final"],
            &["2.0-android"],
            &["2.0-jre"],
            &["2.0.jre8"],
            &["2.0-20240101.120000-3"],
            &["20230227"],
            &["20230227.1"],
            &["123456789012345678901234567890"],
            &["123456789012345678901234567891"],
        ]);
    }

    #[test]
    fn odd_versions_are_compared_too() {
        check(&[&["", "0", "0.0", "-", ".", "..-."], &["foo", "0-foo"], &["0.1", ".1"]]);
        assert_eq!(sort(["1.0.0", "2", "1.0", "1", "0.9"]), ["0.9", "1", "1.0", "1.0.0", "2"]);
    }

    #[test]
    fn snapshots_are_told_by_their_last_word() {
        for (version, base) in
            [("1.0-SNAPSHOT", Some("1.0-")), ("1-a-snapshot", Some("1-a-")), ("SNAPSHOT", Some(""))]
        {
            assert_eq!(snapshot_base(version), base);
        }
        for version in ["1.0", "1.0SNAPSHOT", "1.0.SNAPSHOT", "SNAPSHOT-1", "", "é-SNAPSHO"] {
            assert_eq!(snapshot_base(version), None, "{version}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(texts in proptest::collection::vec("([0-2]{0,2}|alpha|a|b|m|rc|sp|ga|foo|snapshot|[.-]){0,7}", 3)) {
            let [a, b, c] = [&texts[0], &texts[1], &texts[2]].map(|text| Comparable::new(text));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c, "{:?}", texts);
            }
            if a == b {
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let version = Comparable::new(&text);
            prop_assert!(version == Comparable::new(&text));
            let _ = snapshot_base(&text);
        }
    }
}
