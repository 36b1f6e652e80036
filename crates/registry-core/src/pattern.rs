//! Names in which `*` stands for any run of characters.

use serde::Deserialize;

/// A name in which each `*` stands for any run of characters, also an empty one; cut at its stars when it is made. Matching takes time linear in the name: between the fixed beginning and the
/// fixed end, each middle piece is taken where it first occurs, which is never worse than a later place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
pub struct Pattern {
    text: Box<str>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Any,
    Exact,
    /// What the name begins with, its pieces in the middle, what it ends with.
    Pieces(Box<str>, Box<[Box<str>]>, Box<str>),
}

impl Pattern {
    /// A pattern from its text; every text is one.
    pub fn new(text: &str) -> Self {
        let shape = match text.split_once('*') {
            None => Shape::Exact,
            Some((first, rest)) => {
                let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
                let middle: Box<[_]> =
                    middle.split('*').filter(|piece| !piece.is_empty()).map(Into::into).collect();
                if first.is_empty() && middle.is_empty() && last.is_empty() {
                    Shape::Any
                } else {
                    Shape::Pieces(first.into(), middle, last.into())
                }
            }
        };
        Self { text: text.into(), shape }
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        match &self.shape {
            Shape::Any => true,
            Shape::Exact => *self.text == *name,
            Shape::Pieces(first, middle, last) => {
                let Some(rest) = name.strip_prefix(&**first) else { return false };
                let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
                middle.iter().all(|piece| match rest.split_once(&**piece) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
            }
        }
    }

    /// Whether every name that `other` matches is matched here too.
    ///
    /// The other's stars are read as characters that only a star of ours can match, so a yes holds for whatever they stand for.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.matches(&other.text)
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain definition, exponential in the worst case.
    fn model(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| model(rest, &name[at..])),
            Some((first, rest)) => name.first() == Some(first) && model(rest, &name[1..]),
        }
    }

    #[test]
    fn table() {
        for (pattern, name, want) in [
            ("*", "", true),
            ("**", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("@acme/*", "@acme/", true),
            ("@acme/*", "@acme", false),
            ("*b*", "abc", true),
            ("*b*b*", "abc", false),
            ("a*bc*bc", "abcbc", true),
            ("ü*", "üx", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn it_is_read_as_a_text() {
        let read: Vec<Pattern> = serde_json::from_str(r#"["v*", "latest"]"#).unwrap();
        assert_eq!(read, ["v*", "latest"].map(Pattern::new));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::new(&"a*".repeat(500));
        let name = "a".repeat(100_000);
        for _ in 0..100 {
            assert!(pattern.matches(&name));
            assert!(!Pattern::new(&format!("{}b", "a*".repeat(400))).matches(&name));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,8}", name in "[ab*]{0,10}") {
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), model(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn covers_is_sound_and_finds_what_a_fresh_letter_shows(
            ours in "[ab*]{0,6}", other in "[ab*]{0,6}", names in prop::collection::vec("[abc*]{0,8}", 16),
        ) {
            let (p, q) = (Pattern::new(&ours), Pattern::new(&other));
            if p.covers(&q) {
                for name in names {
                    prop_assert!(!q.matches(&name) || p.matches(&name), "{}", name);
                }
            } else {
                // A letter that is in neither pattern shows a name that only the other matches.
                let name = other.replace('*', "z");
                prop_assert!(q.matches(&name) && !p.matches(&name), "{}", name);
            }
        }
    }
}
