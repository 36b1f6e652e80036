//! Tags.

use std::{str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Its order is that of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

/// The text is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag has 1 to 128 characters: letters, digits, `_`, `.` and `-`, beginning with a letter, a digit or `_`"
)]
pub struct TagError;

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let ok = text.len() <= 128
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || b == b'.' || b == b'-');
        if ok { Ok(Self(text.into())) } else { Err(TagError) }
    }
}

registry_core::parsed_text!(Tag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for good in ["latest", "_a", "1.0_rc-1", "A", "v1.", &"x".repeat(128)] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in ["", ".a", "-a", "a/b", "a b", "ä", "a+b", "a:b", &"x".repeat(129)] {
            assert_eq!(bad.parse::<Tag>(), Err(TagError), "{bad}");
        }
    }
}
