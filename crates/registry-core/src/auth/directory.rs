//! Where users and tokens are kept, apart from what is decided with them.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AuthError, TokenRecord, UserRecord};
use crate::storage::{Document, UnknownFields};

/// A user as it is kept. A removed one stays as a tombstone: a token that was made before the removal must not come back
/// to life when a user of that name is made again, and an object store has no conditional delete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UserDocument {
    pub(super) name: String,
    /// The PHC string of the password's argon2id hash.
    #[serde(default)]
    pub(super) password: Option<String>,
    #[serde(default)]
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    pub(super) created: DateTime<Utc>,
    pub(super) updated: DateTime<Utc>,
    /// When the password was last set.
    #[serde(default)]
    pub(super) password_set: Option<DateTime<Utc>>,
    /// When a user of this name was last removed: what was made for it until then has ended.
    #[serde(default)]
    pub(super) ended: Option<DateTime<Utc>>,
    /// Whether the user is there (and not just the tombstone).
    pub(super) present: bool,
    #[serde(flatten)]
    pub(super) unknown: UnknownFields,
}

impl Document for UserDocument {
    const SCHEMA: u32 = 1;
}

impl UserDocument {
    pub(super) fn record(&self) -> UserRecord {
        UserRecord {
            name: self.name.clone(),
            email: self.email.clone(),
            scopes: self.scopes.clone(),
            created: self.created,
            updated: self.updated,
        }
    }

    /// Whether something made for this user at that time ended with the user.
    pub(super) fn outlived(&self, made: DateTime<Utc>) -> bool {
        self.ended.is_some_and(|ended| made <= ended)
    }
}

/// A token as it is kept: everything but its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TokenDocument {
    /// The SHA-256 of the secret, in hex.
    pub(super) hash: String,
    pub(super) user: String,
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) scopes: Option<Vec<String>>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) cidr: Vec<String>,
    pub(super) created: DateTime<Utc>,
    #[serde(default)]
    pub(super) expires: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) last_used: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) revoked: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub(super) unknown: UnknownFields,
}

impl Document for TokenDocument {
    const SCHEMA: u32 = 1;
}

impl TokenDocument {
    pub(super) fn record(&self, id: &str) -> TokenRecord {
        TokenRecord {
            id: id.to_owned(),
            user: self.user.clone(),
            prefix: self.prefix.clone(),
            scopes: self.scopes.clone(),
            read_only: self.read_only,
            name: self.name.clone(),
            cidr: self.cidr.clone(),
            created: self.created,
            expires: self.expires,
            last_used: self.last_used,
            revoked: self.revoked,
        }
    }

    /// When the token ended, if it did.
    pub(super) fn ended(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let expired = self.expires.filter(|expires| *expires <= now);
        match (self.revoked, expired) {
            (Some(revoked), Some(expired)) => Some(revoked.min(expired)),
            (revoked, expired) => revoked.or(expired),
        }
    }
}

/// A change to a user; `None` is a user that was never there. It may run more than once, and an error changes nothing.
pub(super) type UserChange = Box<dyn FnMut(&mut Option<UserDocument>) -> Result<(), AuthError> + Send>;
/// A change to a token that is there; says whether there was anything to change. It may run more than once.
pub(super) type TokenChange = Box<dyn FnMut(&mut TokenDocument) -> bool + Send>;

/// Keeps users and tokens. It decides nothing, and a read sees what was written in this process before it.
#[async_trait]
pub(super) trait Directory: Send + Sync + fmt::Debug + 'static {
    async fn user(&self, name: &str) -> Result<Option<UserDocument>, AuthError>;

    /// All users, tombstones included, in any order.
    async fn users(&self) -> Result<Vec<UserDocument>, AuthError>;

    async fn change_user(&self, name: &str, change: UserChange) -> Result<Option<UserDocument>, AuthError>;

    async fn token(&self, id: &str) -> Result<Option<TokenDocument>, AuthError>;

    /// All tokens with their ids, in any order.
    async fn tokens(&self) -> Result<Vec<(String, TokenDocument)>, AuthError>;

    /// `false` where a token with this id exists.
    async fn create_token(&self, id: &str, token: TokenDocument) -> Result<bool, AuthError>;

    /// `false` where there is none.
    async fn change_token(&self, id: &str, change: TokenChange) -> Result<bool, AuthError>;

    /// Removes a token that has ended for good.
    async fn remove_token(&self, id: &str) -> Result<(), AuthError>;

    /// Whether a token could have this secret: not every password is looked up as a token.
    fn may_hold(&self, secret: &str) -> bool;

    /// The key for signing, made at the first call (of all nodes).
    async fn signing_key(&self) -> Result<Vec<u8>, AuthError>;
}
