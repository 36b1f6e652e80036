//! Keys: the one encoder of what names an object.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest segment that is written as it is; a longer one is cut and ends in a hash.
const MAX_SEGMENT: usize = 200;

/// The key of an object: encoded segments joined by `/`, relative to the store's root.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Arc<str>);

impl Key {
    /// Takes a key that was made by this encoder before (from a listing or a document), unchecked.
    pub(crate) fn from_encoded(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of new data at this readable key: `<key>~<random>`, which no other writer can choose.
    pub fn with_random_suffix(&self) -> Self {
        Self(format!("{}~{}", self.0, uuid::Uuid::now_v7().simple()).into())
    }

    /// A builder that continues below this key.
    pub fn child(&self) -> KeyBuilder {
        let mut text = String::with_capacity(self.0.len() + 64);
        text.push_str(&self.0);
        KeyBuilder(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Builds a [`Key`] segment by segment.
#[derive(Clone, Debug, Default)]
pub struct KeyBuilder(String);

impl KeyBuilder {
    /// An empty key, to be filled.
    pub fn root() -> Self {
        Self::default()
    }

    /// Appends a segment of the program's own: a fixed word such as `packages` or `_tags`.
    pub fn fixed(mut self, segment: &'static str) -> Self {
        self.separate();
        self.0.push_str(segment);
        self
    }

    /// Appends one segment that comes from outside. It never begins with `_`, is never `.` or `..`, holds no `/`, and
    /// what a file system could fold or refuse is escaped.
    pub fn segment(mut self, outside: &str) -> Self {
        self.separate();
        encode_segment(outside, &mut self.0);
        self
    }

    /// Appends the parts of an outside name that are separated by `/`, each as a segment.
    pub fn segments(self, outside: &str) -> Self {
        outside.split('/').fold(self, Self::segment)
    }

    /// Appends a child's name as [`super::Store::children`] gave it, without the `/` that tells a folder.
    pub fn listed(mut self, child: &str) -> Self {
        self.separate();
        self.0.push_str(child.strip_suffix('/').unwrap_or(child));
        self
    }

    /// The key.
    pub fn build(self) -> Key {
        Key(self.0.into())
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push('/');
        }
    }
}

/// Reverses [`KeyBuilder::segment`]; `None` where the segment was cut, is the program's own, or is no encoding.
pub fn decode_segment(segment: &str) -> Option<String> {
    if segment.starts_with('_') || segment.contains('~') {
        return None;
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(b) = rest.next() {
        if b == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(b);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether a segment is its own encoding, as nearly all are.
fn is_plain(segment: &[u8]) -> bool {
    segment.len() <= MAX_SEGMENT
        && segment.first().is_some_and(|first| *first != b'_')
        && segment.last().is_some_and(|last| *last != b'.')
        && segment.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'@' | b'+' | b'-' | b'_' | b'.'))
}

fn encode_segment(outside: &str, out: &mut String) {
    use fmt::Write as _;
    if is_plain(outside.as_bytes()) {
        out.push_str(outside);
        return;
    }
    let mut text = String::with_capacity(outside.len());
    let whole = matches!(outside, "." | ".." | "");
    for (at, b) in outside.bytes().enumerate() {
        let plain = match b {
            b'a'..=b'z' | b'0'..=b'9' | b'@' | b'+' | b'-' => true,
            b'_' => at != 0,
            // A file system may strip dots at the end; `.` and `..` are no names.
            b'.' => !whole && at + 1 != outside.len(),
            _ => false,
        };
        if plain {
            text.push(char::from(b));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{b:02x}");
        }
    }
    if outside.is_empty() {
        text.push('%');
    }
    if text.len() > MAX_SEGMENT {
        let hash = hex::encode(Sha256::digest(outside.as_bytes()));
        text.truncate(MAX_SEGMENT - 65);
        text.push('~');
        text.push_str(&hash);
    }
    out.push_str(&text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(text: &str) -> String {
        KeyBuilder::root().segment(text).build().as_str().to_owned()
    }

    #[test]
    fn readable_names_stay_readable() {
        let key =
            KeyBuilder::root().fixed("npm").fixed("packages").segments("@acme/lib").fixed("packument.json");
        assert_eq!(key.build().as_str(), "npm/packages/@acme/lib/packument.json");
    }

    #[test]
    fn dangerous_names_are_escaped() {
        for (text, want) in [
            (".", "%2e"),
            ("..", "%2e%2e"),
            ("_tags", "%5ftags"),
            ("A", "%41"),
            ("a/b", "a%2fb"),
            ("a~b", "a%7eb"),
            ("con.", "con%2e"),
            ("", "%"),
            ("%", "%25"),
        ] {
            assert_eq!(segment(text), want);
        }
    }

    #[test]
    fn long_names_differ_by_hash() {
        let (a, b) = (segment(&"a".repeat(300)), segment(&"a".repeat(301)));
        assert_ne!(a, b);
        assert!(a.len() <= MAX_SEGMENT);
    }

    proptest! {
        #[test]
        fn plain_segments_are_their_own_encoding(text in "[a-z0-9@+_.-]{1,12}") {
            let whole = !text.starts_with('_') && !text.ends_with('.');
            prop_assert_eq!(segment(&text) == text, whole);
        }

        #[test]
        fn segments_round_trip(text in "\\PC{1,60}") {
            let encoded = segment(&text);
            prop_assert!(!encoded.starts_with('_') && !encoded.contains('/'));
            if let Some(back) = decode_segment(&encoded) {
                prop_assert_eq!(back, text);
            } else {
                prop_assert!(encoded.contains('~'));
            }
        }
    }
}
