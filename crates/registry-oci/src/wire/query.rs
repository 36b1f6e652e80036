//! The query of a request.

use std::borrow::Cow;

use url::form_urlencoded;

/// A request's query parameters, decoded on demand. Unknown ones are harmless.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(crate) fn of(uri: &'a http::Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The last value of a parameter: clients append theirs to a `Location` that they were given.
    pub(crate) fn last(self, name: &str) -> Option<Cow<'a, str>> {
        self.all(name).last()
    }

    /// All values of a parameter.
    pub(crate) fn all(self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes())
            .filter_map(move |(key, value)| (key == name).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_found_encoded_or_raw_in_any_place() {
        for text in [
            "digest=sha256:a",
            "digest=sha256%3Aa&x=1",
            "_state=x&digest=sha256%3aa",
            "a&digest=b&digest=sha256:a",
        ] {
            assert_eq!(Query::new(text).last("digest").as_deref(), Some("sha256:a"), "{text}");
        }
        assert_eq!(Query::new("tag=a&tag=b").all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Query::new("").last("digest"), None);
    }
}
