//! The `Range` header (RFC 9110 section 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// The most ranges that are answered as parts; podman's partial pulls ask for up to 1,024 at once. With more the whole is
/// sent, which RFC 9110 section 14.2 allows.
const MAX_RANGES: usize = 1024;

/// What a request's `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requested {
    /// Everything: no `Range`, one in a unit or form that is not known, or one that would send more than the whole.
    Whole,
    /// One part.
    Single(Range<u64>),
    /// Several ranges were asked for, and these of them exist, in the order of the request.
    Several(Vec<Range<u64>>),
    /// None of the ranges exists (416).
    Unsatisfiable,
}

/// What the request asks of content with `size` bytes.
///
/// A range whose end lies before its start is unsatisfiable rather than ignored: RFC 9110 allows both, and OCI's
/// conformance suite wants 416. Empty content is always sent whole: no `Content-Range` could describe a part of it.
pub(super) fn requested(headers: &HeaderMap, size: u64) -> Requested {
    let mut values = headers.get_all(header::RANGE).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Requested::Whole };
    let Some(set) = value.to_str().ok().and_then(strip_unit) else { return Requested::Whole };
    if size == 0 {
        return Requested::Whole;
    }
    let mut parts = Vec::new();
    let (mut count, mut bytes) = (0_usize, 0_u64);
    for spec in set.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        count += 1;
        let Some(spec) = parse_spec(spec) else { return Requested::Whole };
        if count > MAX_RANGES {
            return Requested::Whole;
        }
        if let Some(part) = spec.resolve(size) {
            bytes = bytes.saturating_add(part.end - part.start);
            parts.push(part);
        }
    }
    match (count, parts.pop()) {
        (0, _) => Requested::Whole,
        (_, None) => Requested::Unsatisfiable,
        (1, Some(part)) => Requested::Single(part),
        // Overlapping ranges must not make the answer larger than the content.
        _ if bytes > size => Requested::Whole,
        (_, Some(last)) => {
            parts.push(last);
            Requested::Several(parts)
        }
    }
}

fn strip_unit(value: &str) -> Option<&str> {
    let (unit, set) = value.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(set)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// `a-b` or `a-`, both ends inclusive.
    From(u64, Option<u64>),
    /// `-n`.
    Suffix(u64),
}

impl Spec {
    /// The bytes it means, end exclusive; `None` where there are none. `size` is not zero.
    fn resolve(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::From(first, last) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first < end).then_some(first..end)
            }
            Self::Suffix(0) => None,
            Self::Suffix(length) => Some(size.saturating_sub(length)..size),
        }
    }
}

fn parse_spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => Some(Spec::Suffix(parse_position(last)?)),
        (first, "") => Some(Spec::From(parse_position(first)?, None)),
        (first, last) => Some(Spec::From(parse_position(first)?, Some(parse_position(last)?))),
    }
}

/// Decimal digits; a number that is too large for `u64` lies beyond every content and is taken as the largest.
fn parse_position(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(value: &str, size: u64) -> Requested {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, value.parse().unwrap());
        requested(&headers, size)
    }

    #[test]
    fn one_range() {
        for (value, want) in [
            // RFC 9110 section 14.1.2, for 10,000 bytes.
            ("bytes=0-499", Requested::Single(0..500)),
            ("bytes=500-999", Requested::Single(500..1000)),
            ("bytes=-500", Requested::Single(9500..10000)),
            ("bytes=9500-", Requested::Single(9500..10000)),
            ("bytes=0-", Requested::Single(0..10000)),
            ("bytes=0-0", Requested::Single(0..1)),
            ("bytes=-1", Requested::Single(9999..10000)),
            ("bytes=9999-20000", Requested::Single(9999..10000)),
            ("bytes=-20000", Requested::Single(0..10000)),
            ("Bytes = 1 - 2", Requested::Single(1..3)),
            ("bytes=,1-2,", Requested::Single(1..3)),
            ("bytes=0-18446744073709551615", Requested::Single(0..10000)),
            ("bytes=0-99999999999999999999999", Requested::Single(0..10000)),
            ("bytes=10000-", Requested::Unsatisfiable),
            ("bytes=10000-10001", Requested::Unsatisfiable),
            ("bytes=99999999999999999999999-", Requested::Unsatisfiable),
            ("bytes=-0", Requested::Unsatisfiable),
            ("bytes=500-0", Requested::Unsatisfiable),
            ("items=0-5", Requested::Whole),
            ("bytes=", Requested::Whole),
            ("bytes=-", Requested::Whole),
            ("bytes=a-b", Requested::Whole),
            ("bytes=+1-2", Requested::Whole),
            ("bytes=1", Requested::Whole),
            ("bytes 0-5", Requested::Whole),
        ] {
            assert_eq!(ask(value, 10_000), want, "{value}");
        }
    }

    #[test]
    fn oci_conformance_table() {
        for (value, want) in [
            ("bytes=500-1499", Requested::Single(500..1500)),
            ("bytes=500-", Requested::Single(500..4096)),
            ("bytes=-500", Requested::Single(3596..4096)),
            ("bytes=2000-5000", Requested::Single(2000..4096)),
            ("bytes=500-0", Requested::Unsatisfiable),
            ("bytes=5000-10000", Requested::Unsatisfiable),
        ] {
            assert_eq!(ask(value, 4096), want, "{value}");
        }
    }

    #[test]
    fn several_ranges() {
        for (value, want) in [
            ("bytes=0-0,-1", Requested::Several(vec![0..1, 9999..10000])),
            ("bytes= 0-999, 4500-5499, -1000", Requested::Several(vec![0..1000, 4500..5500, 9000..10000])),
            ("bytes=500-600,601-999", Requested::Several(vec![500..601, 601..1000])),
            ("bytes=500-700,601-999", Requested::Several(vec![500..701, 601..1000])),
            ("bytes=900-999,0-99", Requested::Several(vec![900..1000, 0..100])),
            ("bytes=20000-,30000-", Requested::Unsatisfiable),
            ("bytes=0-,0-,0-", Requested::Whole),
            ("bytes=0-5,x", Requested::Whole),
        ] {
            assert_eq!(ask(value, 10_000), want, "{value}");
        }
    }

    #[test]
    fn one_range_left_of_several_is_still_several() {
        let Requested::Several(parts) = ask("bytes=20000-,0-0", 10_000) else { panic!("not several") };
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0], 0..1);
    }

    #[test]
    fn many_ranges() {
        let set = |n: usize| (0..n).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
        assert!(
            matches!(ask(&format!("bytes={}", set(1024)), 10_000), Requested::Several(p) if p.len() == 1024)
        );
        assert_eq!(ask(&format!("bytes={}", set(1025)), 10_000), Requested::Whole);
    }

    #[test]
    fn empty_content_is_sent_whole() {
        for value in ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=7-9"] {
            assert_eq!(ask(value, 0), Requested::Whole, "{value}");
        }
    }

    #[test]
    fn two_headers_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, "bytes=0-1".parse().unwrap());
        headers.append(header::RANGE, "bytes=2-3".parse().unwrap());
        assert_eq!(requested(&headers, 10), Requested::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_and_never_outweigh_the_whole(text in "bytes=[0-9, -]{0,60}", size in 0u64..2000) {
            match ask(&text, size) {
                Requested::Single(part) => prop_assert!(part.start < part.end && part.end <= size),
                Requested::Several(parts) => {
                    prop_assert!(parts.iter().all(|p| p.start < p.end && p.end <= size));
                    prop_assert!(parts.iter().map(|p| p.end - p.start).sum::<u64>() <= size);
                }
                Requested::Whole | Requested::Unsatisfiable => {}
            }
        }

        #[test]
        fn rendered_ranges_read_back(first in 0u64..5000, length in 1u64..5000, size in 1u64..10_000) {
            let asked = ask(&format!("bytes={first}-{}", first + length - 1), size);
            if first >= size {
                prop_assert_eq!(asked, Requested::Unsatisfiable);
            } else {
                prop_assert_eq!(asked, Requested::Single(first..(first + length).min(size)));
            }
        }
    }
}
