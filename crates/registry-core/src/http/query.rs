//! Query strings and URL-encoded forms.

use std::borrow::Cow;

use super::path::{MalformedUrl, decode_path_segment};

/// The most pairs of a query or form.
const MAX_PAIRS: usize = 1000;

/// Why a query string or form could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It cannot be decoded (400).
    #[error(transparent)]
    Malformed(#[from] MalformedUrl),
    /// More than 1,000 pairs (400 or 414).
    #[error("the query has more than {MAX_PAIRS} parameters")]
    TooMany,
}

/// The pairs of a query string or an `application/x-www-form-urlencoded` body, decoded, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads a query string without its `?`. `+` stands for a space; a name without `=` has an empty value.
    pub fn parse(text: &'a str) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(QueryError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The query of a request.
    pub fn of(request: &'a http::request::Parts) -> Result<Self, QueryError> {
        request.uri.query().map_or_else(|| Ok(Self::default()), Self::parse)
    }

    /// Reads a form's body.
    pub fn parse_form(body: &'a [u8]) -> Result<Self, QueryError> {
        Self::parse(std::str::from_utf8(body).map_err(|_| MalformedUrl)?)
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a name, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }

    /// All pairs, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, MalformedUrl> {
    if !text.contains('+') {
        return decode_path_segment(text);
    }
    let spaced = text.replace('+', " ");
    Ok(Cow::Owned(decode_path_segment(&spaced)?.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::path::encode_query_value, *};

    #[test]
    fn pairs() {
        let query = Query::parse("a=1&b=&c&a=2&&d=x+y%2Bz&e%20f=g=h&digest=sha256%3Aab").unwrap();
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("b"), Some(""));
        assert_eq!(query.get("c"), Some(""));
        assert_eq!(query.get("d"), Some("x y+z"));
        assert_eq!(query.get("e f"), Some("g=h"));
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.get("A"), None);
        assert!(Query::parse("").unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_read() {
        for bad in ["a=%", "%zz=1", "a=%ff", "a=%00", "a=b+%4"] {
            assert_eq!(Query::parse(bad), Err(QueryError::Malformed(MalformedUrl)), "{bad}");
        }
        assert!(Query::parse_form(b"a=\xff").is_err());
        assert!(Query::parse(&"a&".repeat(1000)).is_ok());
        assert_eq!(Query::parse(&"a&".repeat(1001)), Err(QueryError::TooMany));
    }

    #[test]
    fn of_a_request() {
        let parts = |uri: &str| http::Request::get(uri).body(()).unwrap().into_parts().0;
        assert_eq!(Query::of(&parts("/x?n=5")).unwrap().get("n"), Some("5"));
        assert!(Query::of(&parts("/x")).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn pairs_round_trip(pairs in proptest::collection::vec(("\\PC{1,10}", "\\PC{0,10}"), 0..10)) {
            let text: Vec<String> = pairs
                .iter()
                .map(|(n, v)| format!("{}={}", encode_query_value(n), encode_query_value(v)))
                .collect();
            let text = text.join("&");
            let query = Query::parse(&text).unwrap();
            let read: Vec<(String, String)> =
                query.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(read, pairs);
        }
    }
}
