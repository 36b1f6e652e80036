//! Upload sessions' ids: they say what they are and prove it, so that a session needs no document before it holds bytes.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::names::{Algorithm, RepositoryName};

/// The bytes of an id before its proof: 4 of time, 1 of flags, 12 of chance.
const BODY: usize = 17;
/// The bytes of the proof.
const PROOF: usize = 16;

/// The key that proves ids. All nodes of a store share one.
pub(crate) struct SessionKey(SecretBox<[u8; 32]>);

/// The id of an upload session: unguessable, of one repository and one principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionId {
    text: String,
    /// When the session was opened, to the second.
    pub(crate) opened: DateTime<Utc>,
    /// What its content is hashed with on the way in.
    pub(crate) algorithm: Algorithm,
}

impl SessionId {
    /// The id as a path's segment: lowercase hex.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

impl SessionKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(key)))
    }

    /// A new session's id.
    pub(crate) fn issue(
        &self,
        repository: &RepositoryName,
        principal: &str,
        now: DateTime<Utc>,
        algorithm: Algorithm,
    ) -> SessionId {
        let seconds = u32::try_from(now.timestamp()).unwrap_or(u32::MAX);
        let mut body = [0u8; BODY];
        let (time, rest) = body.split_at_mut(4);
        time.copy_from_slice(&seconds.to_be_bytes());
        if let Some((flags, chance)) = rest.split_first_mut() {
            *flags = u8::from(algorithm == Algorithm::Sha512);
            let random = uuid::Uuid::new_v4().into_bytes();
            for (to, from) in chance.iter_mut().zip(random) {
                *to = from;
            }
        }
        let proof = self.proof(&body, repository, principal);
        let text = hex::encode(body) + &hex::encode(proof);
        SessionId { text, opened: time_of(seconds), algorithm }
    }

    /// The id of a text, where this key issued it for this repository and principal.
    pub(crate) fn check(
        &self,
        text: &str,
        repository: &RepositoryName,
        principal: &str,
    ) -> Option<SessionId> {
        if text.len() != 2 * (BODY + PROOF) || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let bytes = hex::decode(text).ok()?;
        let (body, proof) = bytes.split_at_checked(BODY)?;
        if !bool::from(self.proof(body, repository, principal).as_slice().ct_eq(proof)) {
            return None;
        }
        let seconds = u32::from_be_bytes(body.get(..4)?.try_into().ok()?);
        let algorithm = if *body.get(4)? == 1 { Algorithm::Sha512 } else { Algorithm::Sha256 };
        Some(SessionId { text: text.to_owned(), opened: time_of(seconds), algorithm })
    }

    /// HMAC-SHA-256 (RFC 2104), cut.
    fn proof(&self, body: &[u8], repository: &RepositoryName, principal: &str) -> [u8; PROOF] {
        let key = self.0.expose_secret();
        let pad = |with: u8| {
            let mut block = [with; 64];
            block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
            block
        };
        let name = repository.as_str();
        let length = u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes();
        let inner = Sha256::new()
            .chain_update(pad(0x36))
            .chain_update(body)
            .chain_update(length)
            .chain_update(name)
            .chain_update(principal)
            .finalize();
        let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
        let mut proof = [0u8; PROOF];
        proof.iter_mut().zip(outer).for_each(|(to, from)| *to = from);
        proof
    }
}

fn time_of(seconds: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(i64::from(seconds), 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    /// Checklist 59.
    #[test]
    fn an_id_is_of_one_repository_and_principal() {
        let key = SessionKey::new([7; 32]);
        let now = DateTime::from_timestamp(1_800_000_000, 5).unwrap();
        let id = key.issue(&name("a"), "alice", now, Algorithm::Sha512);
        assert_eq!(id.opened.timestamp(), 1_800_000_000);
        assert_eq!(key.check(id.as_str(), &name("a"), "alice"), Some(id.clone()));
        assert_eq!(key.check(id.as_str(), &name("b"), "alice"), None);
        assert_eq!(key.check(id.as_str(), &name("a"), "bob"), None);
        assert_eq!(key.check(id.as_str(), &name("a"), ""), None);
        assert_eq!(SessionKey::new([8; 32]).check(id.as_str(), &name("a"), "alice"), None);
        assert_ne!(key.issue(&name("a"), "alice", now, Algorithm::Sha512), id);
    }

    proptest! {
        #[test]
        fn a_changed_id_is_refused(at in 0usize..66, to in 0u8..16) {
            let key = SessionKey::new([7; 32]);
            let id = key.issue(&name("a"), "alice", DateTime::UNIX_EPOCH, Algorithm::Sha256);
            let mut text = id.as_str().to_owned();
            text.replace_range(at..=at, &format!("{to:x}"));
            prop_assert_eq!(key.check(&text, &name("a"), "alice").is_some(), text == id.as_str());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            prop_assert!(SessionKey::new([7; 32]).check(&text, &name("a"), "").is_none());
        }
    }
}
