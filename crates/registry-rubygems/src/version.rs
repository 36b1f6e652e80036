//! Versions of gems, and their order.

use std::{cmp::Ordering, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest version in bytes.
pub(crate) const MAX_VERSION: usize = 255;

/// A version as it was written: `1.2.0`, `2.0.0.rc1`.
///
/// It is equal to another when both are written alike; [`Version::is_same_as`] tells whether they mean the same (`1.0` and `1.0.0`). The
/// order is that of RubyGems, and the text decides among those that mean the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Version(Box<str>);

/// A text is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version is numbers and letters with dots between them, begins with a number and has at most {MAX_VERSION} characters"
)]
pub(crate) struct VersionError;

/// A run of digits (without leading zeros) or of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment<'a> {
    Number(&'a str),
    Letters(&'a str),
}

const ZERO: Segment<'static> = Segment::Number("");

impl Version {
    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a prerelease: any letter makes it one.
    pub(crate) fn is_prerelease(&self) -> bool {
        self.0.bytes().any(|byte| byte.is_ascii_alphabetic())
    }

    /// Whether both mean the same version.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }

    /// The order of RubyGems: segment by segment, letters below numbers, what is missing counts as zero.
    fn compare(&self, other: &Self) -> Ordering {
        let (left, right) = (self.canonical(), other.canonical());
        for at in 0..left.len().max(right.len()) {
            let (left, right) = (left.get(at).unwrap_or(&ZERO), right.get(at).unwrap_or(&ZERO));
            let order = match (left, right) {
                (Segment::Number(left), Segment::Number(right)) => {
                    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
                }
                (Segment::Letters(left), Segment::Letters(right)) => left.cmp(right),
                (Segment::Letters(_), Segment::Number(_)) => Ordering::Less,
                (Segment::Number(_), Segment::Letters(_)) => Ordering::Greater,
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }

    /// The segments without zeros before the first letters and at the end.
    fn canonical(&self) -> Vec<Segment<'_>> {
        let mut segments = self.segments();
        let first_letters = segments
            .iter()
            .position(|segment| matches!(segment, Segment::Letters(_)))
            .unwrap_or(segments.len());
        let mut letters = segments.split_off(first_letters);
        for part in [&mut segments, &mut letters] {
            while part.last() == Some(&ZERO) {
                part.pop();
            }
        }
        segments.append(&mut letters);
        segments
    }

    fn segments(&self) -> Vec<Segment<'_>> {
        let mut segments = Vec::new();
        let mut rest: &str = &self.0;
        while let Some(first) = rest.bytes().next() {
            let is_number = first.is_ascii_digit();
            let is_letter = first.is_ascii_alphabetic();
            let end = rest
                .bytes()
                .position(|byte| {
                    byte.is_ascii_digit() != is_number || byte.is_ascii_alphabetic() != is_letter
                })
                .unwrap_or(rest.len());
            // All characters are ASCII.
            let (run, after) = rest.split_at(end);
            if is_number {
                segments.push(Segment::Number(run.trim_start_matches('0')));
            } else if is_letter {
                segments.push(Segment::Letters(run));
            }
            rest = after;
        }
        segments
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut parts = text.split('.');
        let first = parts.next().unwrap_or_default();
        let ok = text.len() <= MAX_VERSION
            && !first.is_empty()
            && first.bytes().all(|byte| byte.is_ascii_digit())
            && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if ok { Ok(Self(text.into())) } else { Err(VersionError) }
    }
}

registry_core::parsed_text!(Version);

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// Versions as a strategy.
    pub(crate) fn any_version() -> impl Strategy<Value = Version> {
        "[0-9]{1,3}(\\.([0-9]{1,3}|[a-z]{1,3}[0-9]{0,2}|0)){0,4}".prop_map(|text| version(&text))
    }

    #[test]
    fn checklist_29_versions_are_ordered_as_rubygems_does() {
        for (lower, higher) in [
            ("1.9", "1.10"),
            ("1.0.0.rc1", "1.0.0"),
            ("1.0.a", "1.0"),
            ("1.0.a", "1.0.b"),
            ("1.0.rc1", "1.0.rc2"),
            ("1.0.rc9", "1.0.rc10"),
            ("1.0.beta", "1.0.rc"),
            ("0", "0.0.1"),
            ("1.a", "1.0.1"),
            ("1.8.2.b9", "1.8.2.b10"),
            ("5.0.0.rc2", "5.0.0.1"),
            ("9", "99999999999999999999999999999999"),
            ("99999999999999999999999999999998", "99999999999999999999999999999999"),
            ("1.0.a.2", "1.0.a.10"),
            ("1.B", "1.b"),
        ] {
            assert!(version(lower) < version(higher), "{lower} < {higher}");
            assert!(!version(lower).is_same_as(&version(higher)), "{lower} {higher}");
        }
        for (one, other) in [
            ("1.0", "1.0.0"),
            ("1", "1.0"),
            ("1.0.a", "1.a"),
            ("01.2", "1.2"),
            ("1.a.0", "1.0.a"),
            ("0", "0.0"),
        ] {
            assert!(version(one).is_same_as(&version(other)), "{one} {other}");
            assert_ne!(version(one), version(other));
        }
    }

    #[test]
    fn what_is_a_version() {
        for good in ["0", "1.2.3", "1.0.rc1", "2.0.0.pre.1", "20240101"] {
            assert_eq!(version(good).as_str(), good);
        }
        let long = "1".repeat(MAX_VERSION + 1);
        for bad in [
            "", "a", ".1", "1.", "1..2", "1.0-1", "1 ", " 1", "1\n", "1.ä", "1a", "v1", "1,2", "1|2", "1:2",
            &long,
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!(version("1.0.a").is_prerelease() && !version("1.0").is_prerelease());
    }

    proptest! {
        #[test]
        fn the_order_is_total_and_agrees_with_what_is_the_same(
            a in any_version(), b in any_version(), c in any_version(),
        ) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a.is_same_as(&b) {
                prop_assert_eq!(a.compare(&c), b.compare(&c));
            }
        }

        #[test]
        fn trailing_zeros_change_nothing(a in any_version(), zeros in 1_usize..4) {
            let longer = version(&format!("{a}{}", ".0".repeat(zeros)));
            prop_assert!(a.is_same_as(&longer));
        }

        #[test]
        fn texts_round_trip_or_are_refused(text in "[0-9a-z.,|\\-]{0,12}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.as_str(), &text);
                let json = serde_json::to_string(&version).unwrap();
                prop_assert_eq!(serde_json::from_str::<Version>(&json).unwrap(), version);
            }
        }
    }
}
