//! Credentials, users, tokens and scopes.

mod credentials;
mod error;
mod pattern;
mod provider;
mod scope;

pub use credentials::{Credentials, MalformedCredentials};
pub use error::AuthError;
pub use provider::{
    AuthProvider, AuthRequest, MintToken, MintedToken, NewUser, RegistryClaims, TokenFilter, TokenRecord,
    UserRecord,
};
pub use scope::{Access, Action, Scope, ScopeError, ScopeSet};
