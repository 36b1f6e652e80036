//! The words beside an HTTP/1.1 status.

/// The most of a reason that is sent.
const MAX_REASON: usize = 200;

/// What stands beside the status of an answer over HTTP/1.1, in the place of its usual words: some clients show nothing else of an error.
/// Put it into the answer's extensions; a host that does not know it, and HTTP/2, send the usual words or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonPhrase(String);

impl ReasonPhrase {
    /// The text, with what a status line cannot hold taken out and its end cut off at 200 characters.
    pub fn new(text: &str) -> Self {
        Self(text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(MAX_REASON).collect())
    }

    /// The words: ASCII without control characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_in_its_line() {
        assert_eq!(ReasonPhrase::new("File already exists").as_str(), "File already exists");
        assert_eq!(ReasonPhrase::new("a\r\nX: b\0\u{e4}\u{7f}").as_str(), "a??X: b???");
        assert_eq!(ReasonPhrase::new(&"x".repeat(300)).as_str().len(), 200);
    }
}
