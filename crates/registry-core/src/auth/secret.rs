//! Secrets of tokens: how they are made, recognised and compared.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::AuthError;

/// What every token begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "srt_";
/// Random characters in a token: 178 bits.
const RANDOM: usize = 30;
/// Characters that check the ones before them.
const CHECK: usize = 6;
/// How many of the leading characters are kept and shown.
const SHOWN: usize = PREFIX.len() + 4;
/// Hexadecimal digits of a token's id.
const ID_DIGITS: usize = 24;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The SHA-256 of a secret: what is kept of it. The secret is random (or the key of a keyed hash is), so it cannot be
/// found from its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(super) fn of(secret: &SecretString) -> Self {
        Self(Sha256::digest(secret.expose_secret().as_bytes()).into())
    }

    /// The hash of parts under a random key that never leaves the process.
    pub(super) fn keyed(key: &[u8; 32], parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(key);
        for part in parts {
            // The length first, so that no two lists of parts look alike.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }

    /// The id of the token with this secret: not secret, and the key of its record, so that one read finds it.
    pub(super) fn token_id(&self) -> String {
        let mut id = hex::encode(self.0);
        id.truncate(ID_DIGITS);
        id
    }

    pub(super) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Compares in a time that tells nothing.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Compares with [`SecretHash::to_hex`] in a time that tells nothing.
    pub(super) fn is_hex(&self, other: &str) -> bool {
        self.to_hex().as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// A number below `below` (which is not 0), evenly spread.
    pub(super) fn bucket(&self, below: usize) -> usize {
        let [a, b, c, d, ..] = self.0;
        u32::from_le_bytes([a, b, c, d]) as usize % below
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], AuthError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| AuthError::Unavailable(Box::new(error)))?;
    Ok(bytes)
}

/// A new token's secret.
pub(super) fn generate() -> Result<SecretString, AuthError> {
    let mut text = String::with_capacity(PREFIX.len() + RANDOM + CHECK);
    text.push_str(PREFIX);
    while text.len() < PREFIX.len() + RANDOM {
        for byte in random::<48>()? {
            // 248 is the largest multiple of 62 that fits: above it, some characters would come more often.
            if byte < 248 && text.len() < PREFIX.len() + RANDOM {
                text.push(base62(u32::from(byte)));
            }
        }
    }
    let check = check_characters(&text);
    text.push_str(&check);
    Ok(text.into())
}

/// Whether the text has the form of a token's secret and its last characters check the others. What does not is never
/// looked up.
pub(super) fn has_form(secret: &str) -> bool {
    secret.len() == PREFIX.len() + RANDOM + CHECK
        && secret.starts_with(PREFIX)
        && secret
            .split_at_checked(PREFIX.len() + RANDOM)
            .is_some_and(|(body, check)| check_characters(body) == check)
}

/// Whether a text could be a token's id.
pub(super) fn is_token_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// The leading characters of a secret, by which its owner recognises it.
pub(super) fn shown_prefix(secret: &SecretString) -> String {
    secret.expose_secret().chars().take(SHOWN).collect()
}

fn base62(number: u32) -> char {
    BASE62.get(number as usize % BASE62.len()).map_or('0', |byte| char::from(*byte))
}

fn check_characters(body: &str) -> String {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(body.as_bytes()));
    let mut rest = u32::from_be_bytes([a, b, c, d]);
    (0..CHECK)
        .map(|_| {
            let digit = base62(rest);
            rest /= 62;
            digit
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_have_their_form_and_never_repeat() {
        let all: HashSet<_> = (0..200).map(|_| generate().unwrap().expose_secret().to_owned()).collect();
        assert_eq!(all.len(), 200);
        for secret in &all {
            assert!(has_form(secret), "{secret}");
            assert!(secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            assert_eq!(shown_prefix(&secret.as_str().into()).len(), SHOWN);
        }
    }

    #[test]
    fn hashes_compare_by_value() {
        let (a, b) = (SecretHash::of(&"a".into()), SecretHash::of(&"b".into()));
        assert!(a.is(&a) && !a.is(&b));
        assert!(a.is_hex(&a.to_hex()) && !a.is_hex(&b.to_hex()) && !a.is_hex(""));
        assert!(a.to_hex().starts_with(&a.token_id()));
        assert!(is_token_id(&a.token_id()) && !is_token_id("admin") && !is_token_id(&a.to_hex()));
        assert!(!format!("{a:?}").contains(&a.token_id()));
    }

    #[test]
    fn keyed_hashes_tell_parts_apart() {
        let hash = |parts: &[&str]| SecretHash::keyed(&[7; 32], parts);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["ab", "c"]), SecretHash::keyed(&[8; 32], &["ab", "c"]));
        assert_eq!(hash(&["ab", "c"]), hash(&["ab", "c"]));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(at in 4_usize..40, to in "[0-9A-Za-z]") {
            let secret = generate().unwrap().expose_secret().to_owned();
            let mut wrong = secret.clone();
            wrong.replace_range(at..=at, &to);
            prop_assert_eq!(has_form(&wrong), wrong == secret);
        }

        #[test]
        fn any_text_may_be_asked_about(text in "(srt_)?\\PC{0,40}") {
            prop_assert!(!has_form(&text) || text.len() == 40);
        }
    }
}
