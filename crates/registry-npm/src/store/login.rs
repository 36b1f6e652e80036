//! Web logins: how the terminal's client learns that its user logged in with a browser.
//!
//! The client is given a secret (its `doneUrl`) and shows its user an id made from it (the `loginUrl`). Nothing is stored
//! until a user grants the login by name and password; then one document per id says who. The client that polls with
//! the secret takes it, once, and only then is a token made: none is ever stored. Any node can do each step.

use chrono::{DateTime, Duration, Utc};
use registry_core::storage::{Document, Key, UnknownFields};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Packages;

/// How long a login may take, from the client's first request to its last.
pub(crate) const LIFETIME: Duration = Duration::minutes(10);

/// A login that a user granted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Login {
    /// Who granted it.
    pub(crate) user: String,
    /// When.
    pub(crate) granted: DateTime<Utc>,
    /// When the client collected its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collected: Option<DateTime<Utc>>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Document for Login {
    const SCHEMA: u32 = 1;
}

/// The client's secret: when the login began, and a random part.
#[derive(Clone, Debug)]
pub(crate) struct LoginSecret(String);

/// What the user's browser is shown: names the login, and does not let anybody collect its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginId(String);

impl LoginSecret {
    /// A new secret.
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.simple().to_string());
        Self(format!("{:x}-{}", now.timestamp(), random.concat()))
    }

    /// Reads a secret from a path; `None` where it is none or its time is over.
    pub(crate) fn parse(text: &str, now: DateTime<Utc>) -> Option<Self> {
        let (began, random) = text.split_once('-')?;
        let well_formed =
            random.len() == 64 && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (well_formed && is_current(began, now)).then(|| Self(text.to_owned()))
    }

    /// The text for the client.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that belongs to this secret.
    pub(crate) fn id(&self) -> LoginId {
        let began = self.0.split('-').next().unwrap_or_default();
        LoginId(format!("{began}-{}", hex::encode(Sha256::digest(self.0.as_bytes()))))
    }
}

impl LoginId {
    /// Reads an id from a path; `None` where it is none or its time is over.
    pub(crate) fn parse(text: &str, now: DateTime<Utc>) -> Option<Self> {
        // It has the form of a secret.
        LoginSecret::parse(text, now).map(|secret| Self(secret.0))
    }

    /// The text for the browser.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the login's document is.
    pub(crate) fn key(&self, packages: &Packages) -> Key {
        packages.logins().child().segment(&format!("{}.json", self.0)).build()
    }
}

/// Whether a login that began then may still be finished.
fn is_current(began: &str, now: DateTime<Utc>) -> bool {
    let began = i64::from_str_radix(began, 16).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    began.is_some_and(|began| began <= now + Duration::minutes(1) && now < began + LIFETIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-+]?[0-9a-f]{0,20}-?[0-9a-f]{60,66}|\\PC{0,80}") {
            let _ = LoginSecret::parse(&text, Utc::now());
        }
    }

    #[test]
    fn secrets_and_ids_are_read_while_they_last() {
        let now = Utc::now();
        let secret = LoginSecret::new(now);
        assert_eq!(LoginSecret::parse(secret.as_str(), now).unwrap().id(), secret.id());
        assert_eq!(LoginId::parse(secret.id().as_str(), now).unwrap(), secret.id());
        assert_ne!(secret.id().as_str(), secret.as_str());
        assert!(LoginSecret::parse(secret.as_str(), now + LIFETIME).is_none());
        assert!(LoginId::parse(secret.id().as_str(), now + LIFETIME).is_none());
        for bad in ["", "x", "-", "../x", "ffffffffffffffff-00", &format!("zz-{}", "0".repeat(64))] {
            assert!(LoginSecret::parse(bad, now).is_none(), "{bad}");
        }
    }
}
