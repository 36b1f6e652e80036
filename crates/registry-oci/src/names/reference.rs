//! What names a manifest: a tag or a digest.

use std::{fmt, str::FromStr};

use super::{Digest, DigestError, Tag, TagError};

/// A tag or a digest. A text with a colon is a digest and nothing else: a malformed one is never looked up as a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

/// The text is neither a tag nor a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// It has a colon but is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// It has no colon and is no tag.
    #[error(transparent)]
    Tag(#[from] TagError),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colon_makes_a_digest() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(digest.parse(), Ok(Reference::Digest(digest.parse().unwrap())));
        assert_eq!("latest".parse(), Ok(Reference::Tag("latest".parse().unwrap())));
        assert_eq!("sha256:bad".parse::<Reference>(), Err(ReferenceError::Digest(DigestError::Grammar)));
        assert_eq!(".".parse::<Reference>(), Err(ReferenceError::Tag(TagError)));
    }
}
