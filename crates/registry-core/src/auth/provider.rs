//! The provider of users, tokens and decisions.

use std::{fmt, net::IpAddr, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Access, AuthError, Credentials, ScopeSet};
use crate::{Actor, Instance};

/// What is known of a request when it is authenticated.
#[derive(Debug)]
#[non_exhaustive]
pub struct AuthRequest<'a> {
    /// The instance that the request is for.
    pub instance: &'a Instance,
    /// The credentials that were sent.
    pub credentials: Option<&'a Credentials>,
    /// The actor that the host put into the request's extensions.
    pub host_actor: Option<&'a Actor>,
}

impl<'a> AuthRequest<'a> {
    /// A request for an instance.
    pub fn new(
        instance: &'a Instance,
        credentials: Option<&'a Credentials>,
        host_actor: Option<&'a Actor>,
    ) -> Self {
        Self { instance, credentials, host_actor }
    }
}

/// A user to be made or changed.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name: `[A-Za-z0-9][A-Za-z0-9._@+-]*`, at most 128 characters.
    pub name: String,
    /// The password, where it is set.
    pub password: Option<SecretString>,
    /// The e-mail address.
    pub email: Option<String>,
    /// What the user may do; for a new user `None` means nothing beyond the anonymous actor's rights.
    pub scopes: Option<ScopeSet>,
}

/// A user as others see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserRecord {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// What the user may do.
    pub scopes: Vec<String>,
    /// When the user was made.
    pub created: DateTime<Utc>,
    /// When the user was last changed.
    pub updated: DateTime<Utc>,
}

/// A token to be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MintToken {
    /// Whom it belongs to.
    pub user: String,
    /// What it allows. `None`: whatever its user may do at the time of use.
    pub scopes: Option<ScopeSet>,
    /// When it ends.
    pub expires: Option<DateTime<Utc>>,
    /// Whether it is for reading only.
    pub read_only: bool,
    /// A name for people.
    pub name: Option<String>,
    /// Addresses it may be used from; empty: all. CIDR notation.
    pub cidr: Vec<String>,
}

impl MintToken {
    /// A token for a user with all of the user's rights and no end.
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            scopes: None,
            expires: None,
            read_only: false,
            name: None,
            cidr: Vec::new(),
        }
    }
}

/// A token that was just made: the only time its secret is known.
#[derive(Clone, Debug)]
pub struct MintedToken {
    /// The secret.
    pub secret: SecretString,
    /// What is kept of it.
    pub record: TokenRecord,
}

/// What is kept of a token: everything but its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenRecord {
    /// Its id: not secret, safe to log.
    pub id: String,
    /// Whom it belongs to.
    pub user: String,
    /// The leading characters of the secret, for recognising it.
    pub prefix: String,
    /// What it allows; `None`: whatever its user may do.
    pub scopes: Option<Vec<String>>,
    /// Whether it is for reading only.
    pub read_only: bool,
    /// A name for people.
    pub name: Option<String>,
    /// Addresses it may be used from; empty: all.
    pub cidr: Vec<String>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it ends.
    pub expires: Option<DateTime<Utc>>,
    /// When it was last used, to about a minute.
    pub last_used: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked: Option<DateTime<Utc>>,
}

/// Which tokens to list.
#[derive(Clone, Debug, Default)]
pub struct TokenFilter {
    /// Only this user's.
    pub user: Option<String>,
    /// Revoked and expired ones too.
    pub include_ended: bool,
}

/// What a signed short-lived token says (OCI's token flow; claims as in the distribution token specification).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegistryClaims {
    /// The issuer.
    pub iss: String,
    /// The user, empty for the anonymous actor.
    pub sub: String,
    /// The service.
    pub aud: String,
    /// When it ends, seconds since 1970.
    pub exp: i64,
    /// From when it holds.
    pub nbf: i64,
    /// When it was made.
    pub iat: i64,
    /// Its id.
    pub jti: String,
    /// The id of the token that it was made for ([`Actor::token_id`]), so that it ends with that one; `None` where it was
    /// made for a password or for the anonymous actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// What it allows, in the protocol's own form (OCI: the `access` array).
    pub access: serde_json::Value,
}

/// Who somebody is and what they may do. Every method has the meaning of [`super::StoredAuthProvider`]'s where nothing else is said.
#[async_trait]
pub trait AuthProvider: Send + Sync + fmt::Debug {
    /// Credentials to an actor with scopes. No credentials and no host's actor: the anonymous actor with its scopes for
    /// this instance. A host's actor keeps its organisation, session, address and attributes; where it has a user or
    /// scopes of its own and no credentials were sent, it is trusted as it is.
    async fn authenticate(&self, request: &AuthRequest<'_>) -> Result<Actor, AuthError>;

    /// Whether the actor may do this: `Missing` where the actor is anonymous, `Forbidden` otherwise. The default asks the
    /// actor's scopes, and refuses everything but reading to a read-only token.
    async fn authorize(&self, actor: &Actor, access: &Access<'_>) -> Result<(), AuthError> {
        access.decide(actor)
    }

    /// Whether [`AuthProvider::authorize`] looks at the actor's scopes and at whether the token is for reading only, and at nothing
    /// else: lists of packages are then made once for all who have the same. A provider that says yes must not refine `authorize`.
    fn decides_by_scopes(&self) -> bool {
        false
    }

    /// Makes a token. The caller has checked who may.
    async fn mint_token(&self, mint: MintToken) -> Result<MintedToken, AuthError>;

    /// Lists tokens, oldest first.
    async fn tokens(&self, filter: &TokenFilter) -> Result<Vec<TokenRecord>, AuthError>;

    /// Revokes a token by id. `NotFound` where there is none.
    async fn revoke_token(&self, id: &str) -> Result<(), AuthError>;

    /// The id of the token with this secret, if it is one.
    async fn token_id(&self, secret: &SecretString) -> Result<Option<String>, AuthError>;

    /// A user.
    async fn user(&self, name: &str) -> Result<Option<UserRecord>, AuthError>;

    /// All users by name.
    async fn users(&self) -> Result<Vec<UserRecord>, AuthError>;

    /// Makes a user; `Exists` where there is one.
    async fn create_user(&self, user: NewUser) -> Result<UserRecord, AuthError>;

    /// Changes what is `Some` in `user`; `NotFound` where there is none.
    async fn update_user(&self, user: NewUser) -> Result<UserRecord, AuthError>;

    /// Removes a user and revokes their tokens.
    async fn remove_user(&self, name: &str) -> Result<(), AuthError>;

    /// Whether `password` is the user's; `false`, and as slow, where there is no such user. Limited in how many run at
    /// once; counted against guessing by user and address ([`AuthError::TooManyAttempts`]).
    async fn check_password(
        &self,
        name: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<bool, AuthError>;

    /// Whether clients may make their own users (`auth.signup`), and with what scopes.
    fn signup(&self) -> Option<Arc<ScopeSet>> {
        None
    }

    /// Signs a short-lived token.
    async fn sign(&self, claims: &RegistryClaims) -> Result<SecretString, AuthError>;

    /// Reads a token that [`AuthProvider::sign`] made for this audience: `Invalid` where it is another's, forged or expired,
    /// and where the token or user it was made for has ended.
    async fn verify(&self, token: &SecretString, audience: &str) -> Result<Arc<RegistryClaims>, AuthError>;
}
