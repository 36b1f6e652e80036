//! Why authentication or authorization failed.

use crate::storage::StorageError;

/// Why authentication or authorization failed. Protocols render it: 401 with their challenge, 403, 503 or 507.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The action needs credentials and none were sent (401).
    #[error("authentication is required")]
    Missing,
    /// The credentials are malformed, unknown, expired or revoked (401). The text says no more than that.
    #[error("{0}")]
    Invalid(&'static str),
    /// The token is good but may not be used from the client's address (401; npm tells its client so).
    #[error("the token may not be used from this address")]
    Address,
    /// The credentials are good but do not allow this (403).
    #[error("{0}")]
    Forbidden(String),
    /// Something asked of the provider is not possible (400): a bad name, a scope beyond the user's own …
    #[error("{0}")]
    Rejected(String),
    /// A user or token that is asked for does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// A user of that name exists (409).
    #[error("{0}")]
    Exists(String),
    /// Too many attempts (429).
    #[error("too many attempts; try again in {0:?}")]
    TooManyAttempts(std::time::Duration),
    /// The provider cannot answer now (503).
    #[error("the auth provider is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The provider cannot note this for want of room (507).
    #[error("the auth provider's store is full")]
    Full(#[source] StorageError),
    /// This provider does not do this (405/404).
    #[error("{0} is not supported by this auth provider")]
    Unsupported(&'static str),
}

impl From<StorageError> for AuthError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full { .. } => Self::Full(error),
            other => Self::Unavailable(Box::new(other)),
        }
    }
}
