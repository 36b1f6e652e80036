//! Content digests.

use std::{str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A digest algorithm that this registry can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256, what nearly all clients use.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// `sha256` or `sha512`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The number of hex characters of its digests.
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The algorithm of a name, where it is known here.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|a| a.as_str() == name)
    }
}

/// A digest in an algorithm that this registry can compute: `sha256:` or `sha512:` and lowercase hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    text: Arc<str>,
}

/// The text is no digest that can be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Not `algorithm:encoded`, or the encoded part has the wrong form for its algorithm.
    #[error("a digest is `sha256:` with 64 or `sha512:` with 128 lowercase hex characters")]
    Grammar,
    /// Well formed, but of an algorithm that is not computed here.
    #[error("the digest's algorithm is not supported; use sha256 or sha512")]
    Unsupported,
}

impl Digest {
    /// The digest of an algorithm's raw output, which must have the algorithm's length.
    pub(crate) fn from_output(algorithm: Algorithm, output: &[u8]) -> Self {
        debug_assert_eq!(output.len() * 2, algorithm.hex_len());
        Self { algorithm, text: format!("{}:{}", algorithm.as_str(), hex::encode(output)).into() }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The whole digest, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What follows the colon.
    pub fn hex(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// Whether a text has the grammar of a digest of any algorithm, known here or not.
    pub fn is_grammatical(text: &str) -> bool {
        let Some((algorithm, encoded)) = text.split_once(':') else { return false };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let components = algorithm.split(['+', '.', '_', '-']).all(|c| !c.is_empty() && c.bytes().all(plain));
        let encoded_ok = !encoded.is_empty()
            && encoded.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'));
        components && encoded_ok
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        // Longer than any digest: don't look closer.
        if text.len() > 512 || !Self::is_grammatical(text) {
            return Err(DigestError::Grammar);
        }
        let (name, encoded) = text.split_once(':').ok_or(DigestError::Grammar)?;
        let algorithm = Algorithm::from_name(name).ok_or(DigestError::Unsupported)?;
        let hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        if encoded.len() != algorithm.hex_len() || !encoded.bytes().all(hex) {
            return Err(DigestError::Grammar);
        }
        Ok(Self { algorithm, text: text.into() })
    }
}

registry_core::parsed_text!(Digest);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<Algorithm, DigestError>) {
        assert_eq!(text.parse::<Digest>().map(|d| d.algorithm()), want, "{text}");
    }

    /// Checklist 29.
    #[test]
    fn digests() {
        let (h64, h128) = ("a".repeat(64), "0".repeat(128));
        check(&format!("sha256:{h64}"), Ok(Algorithm::Sha256));
        check(&format!("sha512:{h128}"), Ok(Algorithm::Sha512));
        check(&format!("sha256:{}", h64.to_uppercase()), Err(DigestError::Grammar));
        check(&format!("sha256:{h128}"), Err(DigestError::Grammar));
        check(&format!("sha512:{h64}"), Err(DigestError::Grammar));
        check("sha256:baddigeststring", Err(DigestError::Grammar));
        check(&format!("blake3:{h64}"), Err(DigestError::Unsupported));
        check("md5+x:abc=_-", Err(DigestError::Unsupported));
        for bad in ["", ":", "sha256:", ":abc", "sha256", "SHA256:abc", "a++b:c", "sha256:a/b", "sha256:a:b"]
        {
            check(bad, Err(DigestError::Grammar));
        }
    }

    proptest! {
        #[test]
        fn output_round_trips(bytes in prop::collection::vec(any::<u8>(), 32)) {
            let digest = Digest::from_output(Algorithm::Sha256, &bytes);
            prop_assert_eq!(digest.hex(), hex::encode(&bytes));
            prop_assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn any_text_is_refused_or_kept(text in "\\PC{0,200}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.as_str(), &text);
            }
        }
    }
}
