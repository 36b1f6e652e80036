//! `Accept` and `Accept-Encoding` (RFC 9110 section 12.5).

use http::{HeaderMap, header};

/// More elements than this in one request are not looked at.
const MAX_ELEMENTS: usize = 64;

/// Chooses among `offers` (media types without parameters, the preferred one first) by the request's `Accept` headers and
/// returns its index.
///
/// The highest quality wins; among equals the one whose range stands first in the request, then the first offer. Of several ranges
/// that match an offer the most specific counts. Parameters other than `q` are not compared. Without `Accept` the first offer is
/// chosen; `None` means that the client accepts none of them.
pub fn negotiate(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    if !headers.contains_key(header::ACCEPT) {
        return (!offers.is_empty()).then_some(0);
    }
    let mut best: Option<(Choice, usize)> = None;
    let mut any_element = false;
    for (at, offer) in offers.iter().enumerate() {
        let mut found: Option<(u8, Choice)> = None;
        for (position, element) in elements(headers, &header::ACCEPT).enumerate() {
            any_element = true;
            let Some(specificity) = matches_range(element.value, offer) else { continue };
            if found.is_none_or(|(s, _)| specificity > s) {
                found = Some((specificity, Choice { quality: element.quality, position }));
            }
        }
        if let Some((_, choice)) = found
            && choice.quality > 0
            && best.is_none_or(|(b, _)| choice.beats(b))
        {
            best = Some((choice, at));
        }
    }
    // An empty header says nothing.
    if !any_element && !offers.is_empty() {
        return Some(0);
    }
    best.map(|(_, at)| at)
}

/// Whether the client takes gzip and likes it no less than unencoded bytes.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in elements(headers, &header::ACCEPT_ENCODING) {
        let place =
            if element.value.eq_ignore_ascii_case("gzip") || element.value.eq_ignore_ascii_case("x-gzip") {
                &mut gzip
            } else if element.value.eq_ignore_ascii_case("identity") {
                &mut identity
            } else if element.value == "*" {
                &mut any
            } else {
                continue;
            };
        place.get_or_insert(element.quality);
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    quality: u16,
    position: usize,
}

impl Choice {
    fn beats(self, other: Self) -> bool {
        self.quality > other.quality || (self.quality == other.quality && self.position < other.position)
    }
}

/// How specifically a media range matches a media type: 2 exactly, 1 by type, 0 by `*/*`.
fn matches_range(range: &str, offer: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(offer) {
        return Some(2);
    }
    // A lone `*` is what some old HTTP libraries send.
    if range == "*/*" || range == "*" {
        return Some(0);
    }
    let kind = range.strip_suffix("/*")?;
    let (offered, _) = offer.split_once('/')?;
    kind.eq_ignore_ascii_case(offered).then_some(1)
}

struct Element<'a> {
    value: &'a str,
    /// In thousandths.
    quality: u16,
}

fn elements<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = Element<'a>> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(parse_element)
        .take(MAX_ELEMENTS)
}

fn parse_element(text: &str) -> Option<Element<'_>> {
    let mut parts = text.split(';');
    let value = parts.next()?.trim();
    if value.is_empty() {
        return None;
    }
    let mut quality = 1000;
    for part in parts {
        if let Some((name, weight)) = part.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            // A weight that cannot be read counts as none.
            quality = parse_quality(weight.trim()).unwrap_or(1000);
            break;
        }
    }
    Some(Element { value, quality })
}

/// `0`, `1`, `0.5`, `1.000` … in thousandths; more than three decimals are cut.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match whole {
        "1" => Some(1000),
        "0" | "" if !text.is_empty() => {
            let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
            Some(digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = "application/json";
    const SHORT: &str = "application/vnd.npm.install-v1+json";

    fn with(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(accept: &[&str], want: Option<&str>) {
        let offers = [FULL, SHORT];
        let chosen = negotiate(&with(&header::ACCEPT, accept), &offers).map(|at| offers[at]);
        assert_eq!(chosen, want, "{accept:?}");
    }

    #[test]
    fn accept() {
        check(&[], Some(FULL));
        check(&[""], Some(FULL));
        check(&["*/*"], Some(FULL));
        check(&["*"], Some(FULL));
        check(&["application/*"], Some(FULL));
        check(&["application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"], Some(SHORT));
        check(&["application/vnd.npm.install-v1+json", "application/json"], Some(SHORT));
        check(&["application/json, application/vnd.npm.install-v1+json"], Some(FULL));
        check(&["application/json;q=0.1, application/vnd.npm.install-v1+json;q=0.2"], Some(SHORT));
        check(&["Application/JSON;charset=utf-8"], Some(FULL));
        check(&["application/json;q=0, */*;q=0.1"], Some(SHORT));
        check(&["application/json;charset=utf-8;q=0.2, */*;q=0.5"], Some(SHORT));
        check(&["text/html"], None);
        check(&["application/json;q=0"], None);
        check(&["text/*, application/json;q=0.000"], None);
        check(&["application/json;q=high"], Some(FULL));
    }

    #[test]
    fn nothing_offered() {
        assert_eq!(negotiate(&HeaderMap::new(), &[]), None);
        assert_eq!(negotiate(&with(&header::ACCEPT, &["*/*"]), &[]), None);
    }

    #[test]
    fn gzip() {
        for (value, want) in [
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0.5, identity;q=1", false),
            ("identity", false),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&with(&header::ACCEPT_ENCODING, &[value])), want, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
        assert!(accepts_gzip(&with(&header::ACCEPT_ENCODING, &["br", "gzip"])));
    }

    #[test]
    fn qualities() {
        for (text, want) in [
            ("1", Some(1000)),
            ("1.0", Some(1000)),
            ("0", Some(0)),
            ("0.8", Some(800)),
            ("0.123", Some(123)),
            ("0.1239", Some(123)),
            (".5", Some(500)),
            ("", None),
            ("2", None),
            ("-1", None),
            ("0,5", None),
        ] {
            assert_eq!(parse_quality(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_highest_quality_wins(qualities in proptest::collection::vec(0u16..=1000, 1..6)) {
            let types: Vec<String> = (0..qualities.len()).map(|at| format!("application/x{at}")).collect();
            let offers: Vec<&str> = types.iter().map(String::as_str).collect();
            let accept: Vec<String> = types
                .iter()
                .zip(&qualities)
                .map(|(t, q)| format!("{t};q={}.{:03}", q / 1000, q % 1000))
                .collect();
            let chosen = negotiate(&with(&header::ACCEPT, &[&accept.join(", ")]), &offers);
            let best = *qualities.iter().max().unwrap();
            match chosen {
                None => prop_assert_eq!(best, 0),
                Some(at) => {
                    prop_assert_eq!(qualities[at], best);
                    prop_assert!(qualities[..at].iter().all(|q| *q < best));
                }
            }
        }

        #[test]
        fn any_text_is_read(text in "[ -~]{0,80}") {
            let headers = with(&header::ACCEPT, &[&text]);
            if let Some(at) = negotiate(&headers, &[FULL, SHORT]) {
                prop_assert!(at < 2);
            }
            let headers = with(&header::ACCEPT_ENCODING, &[&text]);
            prop_assert!(!accepts_gzip(&headers) || text.to_ascii_lowercase().contains("gzip") || text.contains('*'));
        }
    }
}
