//! Entity tags and the preconditions of RFC 9110 section 13.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, header};

/// More entity tags than this in one request are not looked at.
const MAX_TAGS: usize = 256;
/// The last second of the year 9999: HTTP dates have four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// What a request's preconditions say about the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// 304; the request named this one of the forms' tags.
    NotModified(usize),
    /// 412.
    Failed,
}

/// What is served, as preconditions see it: one entity tag for each encoding it can be sent in, and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// The tags, quotes included. Which of them would be sent now is `selected`.
    pub(super) tags: &'a [&'a [u8]],
    /// The index of the tag of the form that would be sent.
    pub(super) selected: usize,
    /// `Last-Modified` as it is sent.
    pub(super) last_modified: Option<(&'a HeaderValue, SystemTime)>,
}

impl Validators<'_> {
    /// Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC 9110
    /// section 13.2.2.
    pub(super) fn evaluate(&self, method: &Method, headers: &HeaderMap) -> Precondition {
        if headers.contains_key(header::IF_MATCH) {
            if self.find(headers, &header::IF_MATCH, false).is_none() {
                return Precondition::Failed;
            }
        } else if let Some(since) = headers.get(header::IF_UNMODIFIED_SINCE)
            && let Some(false) = self.unmodified_since(since)
        {
            return Precondition::Failed;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Precondition::Proceed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            match self.find(headers, &header::IF_NONE_MATCH, true) {
                Some(tag) => Precondition::NotModified(tag),
                None => Precondition::Proceed,
            }
        } else if let Some(since) = headers.get(header::IF_MODIFIED_SINCE)
            && let Some(true) = self.unmodified_since(since)
        {
            Precondition::NotModified(self.selected)
        } else {
            Precondition::Proceed
        }
    }

    /// Whether `If-Range` allows to answer with a part: the strong tag or exactly the same time.
    pub(super) fn allows_range(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::IF_RANGE) else { return true };
        let bytes = value.as_bytes().trim_ascii();
        if bytes.starts_with(b"\"") || bytes.starts_with(b"W/") {
            return self.tags.get(self.selected).is_some_and(|tag| *tag == bytes);
        }
        match self.last_modified {
            Some((sent, modified)) => {
                sent.as_bytes() == bytes
                    || parse_date(value).is_some_and(|date| date == whole_seconds(modified))
            }
            None => false,
        }
    }

    /// Which of our tags a list of entity tags names: `*` names the selected one. Proxies that compress write `W/` before a
    /// tag or `-gzip` into it; with `weak` such a tag still names ours.
    fn find(&self, headers: &HeaderMap, name: &header::HeaderName, weak: bool) -> Option<usize> {
        let mut left = MAX_TAGS;
        for value in headers.get_all(name) {
            for tag in EntityTags(value.as_bytes()) {
                left = left.checked_sub(1)?;
                match tag {
                    EntityTag::Any => return Some(self.selected),
                    EntityTag::Tag { is_weak, .. } if is_weak && !weak => {}
                    EntityTag::Tag { opaque, .. } => {
                        if let Some(at) = self.position(opaque) {
                            return Some(at);
                        }
                    }
                }
            }
        }
        None
    }

    fn position(&self, opaque: &[u8]) -> Option<usize> {
        let same = |opaque: &[u8]| self.tags.iter().position(|tag| unquoted(tag) == opaque);
        same(opaque).or_else(|| {
            // Apache's mod_deflate writes `-gzip`, some others `;gzip` or `--gzip`.
            let cut = opaque.strip_suffix(b"gzip")?;
            let cut =
                cut.strip_suffix(b"--").or_else(|| cut.strip_suffix(b"-")).or_else(|| cut.strip_suffix(b";"));
            same(cut?).map(|_| self.selected)
        })
    }

    fn unmodified_since(&self, since: &HeaderValue) -> Option<bool> {
        let (sent, modified) = self.last_modified?;
        // Nearly every client sends back what it was given.
        if since == sent {
            return Some(true);
        }
        Some(whole_seconds(modified) <= parse_date(since)?)
    }
}

/// A time as `Last-Modified` shows it.
pub(super) fn format_date(time: SystemTime) -> Option<HeaderValue> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    (seconds <= LAST_SECOND).then(|| HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok())?
}

fn parse_date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => time,
    }
}

fn unquoted(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(tag)
}

#[derive(Debug, PartialEq, Eq)]
enum EntityTag<'a> {
    Any,
    Tag { opaque: &'a [u8], is_weak: bool },
}

/// The tags of a list; what cannot be read is passed over. A tag without quotes counts up to the next comma.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        let mut rest = self.0;
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            self.0 = rest;
            return None;
        }
        let (is_weak, rest) = match rest {
            [b'W' | b'w', b'/', after @ ..] => (true, after),
            _ => (false, rest),
        };
        if let Some(after) = rest.strip_prefix(b"\"") {
            let end = after.iter().position(|b| *b == b'"').unwrap_or(after.len());
            let (opaque, after) = after.split_at(end);
            self.0 = after.strip_prefix(b"\"").unwrap_or(after);
            return Some(EntityTag::Tag { opaque, is_weak });
        }
        let end = rest.iter().position(|b| *b == b',').unwrap_or(rest.len());
        let (opaque, after) = rest.split_at(end);
        self.0 = after;
        let opaque = opaque.trim_ascii_end();
        Some(if opaque == b"*" && !is_weak { EntityTag::Any } else { EntityTag::Tag { opaque, is_weak } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAGS: &[&[u8]] = &[b"\"abc\"", b"\"abc-gz\""];

    #[track_caller]
    fn check(request: &[(&str, &str)], want: Precondition) {
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let modified = modified + Duration::from_millis(700);
        let sent = format_date(modified).unwrap();
        let validators = Validators { tags: TAGS, selected: 0, last_modified: Some((&sent, modified)) };
        assert_eq!(validators.evaluate(&Method::GET, &headers(request)), want, "{request:?}");
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: header::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn if_none_match() {
        use Precondition::{NotModified, Proceed};
        for (value, want) in [
            ("\"abc\"", NotModified(0)),
            ("W/\"abc\"", NotModified(0)),
            ("\"abc-gz\"", NotModified(1)),
            ("\"abc-gzip\"", NotModified(0)),
            ("\"abc--gzip\"", NotModified(0)),
            ("W/\"abc;gzip\"", NotModified(0)),
            ("*", NotModified(0)),
            ("\"x\", \"abc\"", NotModified(0)),
            ("\"x\",W/\"y\" ,\"abc-gz\"", NotModified(1)),
            ("\"a,b\", \"abc\"", NotModified(0)),
            ("abc", NotModified(0)),
            ("\"ABC\"", Proceed),
            ("\"abcd\"", Proceed),
            ("\"\"", Proceed),
            ("", Proceed),
            (",,,", Proceed),
        ] {
            check(&[("if-none-match", value)], want);
        }
        check(&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")], NotModified(0));
    }

    #[test]
    fn if_none_match_wins_over_if_modified_since() {
        let since = ("if-modified-since", "Sun, 06 Nov 2094 08:49:37 GMT");
        check(&[("if-none-match", "\"x\""), since], Precondition::Proceed);
        check(&[("if-none-match", "\"abc\""), since], Precondition::NotModified(0));
    }

    #[test]
    fn times() {
        use Precondition::{Failed, NotModified, Proceed};
        for (value, want) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", NotModified(0)),
            ("Sun, 06 Nov 1994 08:49:38 GMT", NotModified(0)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Proceed),
            ("Sunday, 06-Nov-94 08:49:37 GMT", NotModified(0)),
            ("Sun Nov  6 08:49:37 1994", NotModified(0)),
            ("yesterday", Proceed),
            ("", Proceed),
        ] {
            check(&[("if-modified-since", value)], want);
        }
        check(&[("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], Proceed);
        check(&[("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], Failed);
        check(&[("if-unmodified-since", "soon")], Proceed);
    }

    #[test]
    fn if_match_compares_strongly() {
        use Precondition::{Failed, Proceed};
        check(&[("if-match", "\"abc\"")], Proceed);
        check(&[("if-match", "*")], Proceed);
        check(&[("if-match", "W/\"abc\"")], Failed);
        check(&[("if-match", "\"x\"")], Failed);
        check(&[("if-match", "\"abc\""), ("if-unmodified-since", "Sun, 06 Nov 1984 08:49:37 GMT")], Proceed);
    }

    #[test]
    fn if_range() {
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let sent = format_date(modified).unwrap();
        let validators = Validators { tags: TAGS, selected: 0, last_modified: Some((&sent, modified)) };
        for (value, want) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"abc-gz\"", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("whenever", false),
        ] {
            assert_eq!(validators.allows_range(&headers(&[("if-range", value)])), want, "{value}");
        }
        assert!(validators.allows_range(&HeaderMap::new()));
        let timeless = Validators { last_modified: None, ..validators };
        assert!(!timeless.allows_range(&headers(&[("if-range", "Sun, 06 Nov 1994 08:49:37 GMT")])));
    }

    #[test]
    fn dates_out_of_range_are_not_sent() {
        assert!(format_date(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).is_none());
        let year_10000 = Duration::from_secs(LAST_SECOND + 1);
        assert!(format_date(SystemTime::UNIX_EPOCH + year_10000).is_none());
    }

    proptest! {
        #[test]
        fn lists_round_trip(
            tags in proptest::collection::vec(("[!#-~]{0,12}", any::<bool>()), 0..8),
            separator in prop_oneof![Just(","), Just(", "), Just(" ,\t"), Just(",,")],
        ) {
            let text: Vec<String> =
                tags.iter().map(|(t, weak)| format!("{}\"{t}\"", if *weak { "W/" } else { "" })).collect();
            let text = text.join(separator);
            let read: Vec<(String, bool)> = EntityTags(text.as_bytes())
                .map(|tag| match tag {
                    EntityTag::Any => ("*".to_owned(), false),
                    EntityTag::Tag { opaque, is_weak } => (String::from_utf8(opaque.to_vec()).unwrap(), is_weak),
                })
                .collect();
            prop_assert_eq!(read, tags);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let count = EntityTags(&bytes).count();
            prop_assert!(count <= bytes.len());
        }
    }
}
