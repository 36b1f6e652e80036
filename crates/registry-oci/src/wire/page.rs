//! Pages of lists: `n`, `last` and the `Link` to the next page.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::query::Query;
use crate::error::Error;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// How many at most; `None` where the client leaves it to us.
    pub(crate) size: Option<usize>,
    /// Only what comes after this, which need not exist.
    pub(crate) last: Option<String>,
}

impl PageRequest {
    /// Reads `n` and `last`. A size above `max` is taken as `max`.
    pub(crate) fn parse(query: Query<'_>, max: usize) -> Result<Self, Error> {
        let size = match query.last("n") {
            None => None,
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                // All digits and yet no number: larger than any page.
                Some(text.parse().unwrap_or(max).min(max))
            }
            Some(text) => return Err(Error::PageSize(text.into_owned())),
        };
        Ok(Self { size, last: query.last("last").map(std::borrow::Cow::into_owned) })
    }
}

/// A query's value with everything escaped that could mean something.
pub(crate) fn escape(value: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(value, UNRESERVED)
}

/// The `Link` header to the next page of the list at `path`, with more parameters (`&name=value`).
pub(crate) fn render_next(path: &str, size: usize, last: &str, more: &str) -> String {
    format!("<{path}?n={size}&last={}{more}>; rel=\"next\"", escape(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Option<usize>, Option<String>), &'static str> {
        PageRequest::parse(Query::new(text), 1000)
            .map(|page| (page.size, page.last))
            .map_err(|error| error.code())
    }

    /// Checklist 27.
    #[test]
    fn page_requests() {
        assert_eq!(parse(""), Ok((None, None)));
        assert_eq!(parse("n=0"), Ok((Some(0), None)));
        assert_eq!(parse("n=10&last=v1"), Ok((Some(10), Some("v1".into()))));
        assert_eq!(parse("n=99999"), Ok((Some(1000), None)));
        assert_eq!(parse("n=99999999999999999999999"), Ok((Some(1000), None)));
        for bad in ["n=-1", "n=abc", "n=", "n=1.5", "n=%2B1"] {
            assert_eq!(parse(bad), Err("PAGINATION_NUMBER_INVALID"), "{bad}");
        }
    }

    #[test]
    fn next_link() {
        assert_eq!(
            render_next("/v2/a/tags/list", 2, "v 1", ""),
            "</v2/a/tags/list?n=2&last=v%201>; rel=\"next\""
        );
    }
}
