//! Credentials, users, tokens and scopes.
//!
//! A request's [`Credentials`] and the host's [`crate::Actor`] become an actor with a [`ScopeSet`]
//! ([`AuthProvider::authenticate`]); an [`Access`] is then allowed or not ([`AuthProvider::authorize`]).
//!
//! [`DefaultAuthProvider`] keeps users and tokens in memory, [`StoredAuthProvider`] in the store; what is decided with
//! them is one code for both. Whoever has users elsewhere implements [`AuthProvider`].

mod accounts;
mod anonymous;
mod cidr;
mod credentials;
mod decisions;
mod directory;
mod error;
mod guessing;
mod known;
mod memory;
mod options;
mod password;
mod provider;
mod scope;
mod secret;
mod signing;
mod standard;
mod stored;
mod usage;

pub use credentials::{Credentials, MalformedCredentials};
pub use error::AuthError;
pub use options::AuthOptions;
pub use provider::{
    AuthProvider, AuthRequest, MintToken, MintedToken, NewUser, RegistryClaims, TokenFilter, TokenRecord,
    UserRecord,
};
pub use scope::{Access, Action, Scope, ScopeError, ScopeSet};
pub use standard::{DefaultAuthBuilder, DefaultAuthProvider, StoredAuthProvider};

#[cfg(test)]
mod suite;
