//! What can go wrong with the store.

use crate::hooks::Denied;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The store cannot be reached or does not answer: try again later (503).
    #[error("the store is not available at {key}")]
    Unavailable {
        /// Where it happened.
        key: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk or quota is full (507).
    #[error("the store is full at {key}")]
    Full {
        /// Where it happened.
        key: String,
    },
    /// A document changed too often while it was being updated (503).
    #[error("document {key} changed {attempts} times while it was being updated")]
    Contended {
        /// The document.
        key: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A document or data object is not what its schema or digest says (500).
    #[error("{key} is damaged: {what}")]
    Damaged {
        /// Where.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// Data that a document names is not there (500).
    #[error("data {key} is missing although a document names it")]
    Missing {
        /// The data's key.
        key: String,
    },
    /// The store was written by a newer version (refused at start).
    #[error("the store has layout or schema {found} at {key}; this version reads up to {known}")]
    Newer {
        /// Where.
        key: String,
        /// What was found.
        found: u32,
        /// What this version knows.
        known: u32,
    },
    /// The storage's configuration or its state does not allow to start.
    #[error("{0}")]
    Setup(String),
    /// A hook refused.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The upload is larger than allowed (413).
    #[error("the content is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not those that were announced (400).
    #[error("{what} does not match: expected {expected}, got {actual}")]
    Mismatch {
        /// `digest` or `length`, or an algorithm's name.
        what: &'static str,
        /// As announced.
        expected: String,
        /// As received.
        actual: String,
    },
    /// The client's body ended early (400; the connection is mostly gone).
    #[error("the request's body ended early")]
    Body(#[source] crate::BodyError),
}

impl StorageError {
    /// Whether nothing was written for sure.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(self, Self::Unavailable { .. })
    }

    /// The same error for another caller of a shared write.
    pub(crate) fn for_another(&self) -> Self {
        match self {
            Self::Full { key } => Self::Full { key: key.clone() },
            Self::Contended { key, attempts } => Self::Contended { key: key.clone(), attempts: *attempts },
            Self::Damaged { key, what } => Self::Damaged { key: key.clone(), what: what.clone() },
            Self::Newer { key, found, known } => {
                Self::Newer { key: key.clone(), found: *found, known: *known }
            }
            Self::Unavailable { key, source } => {
                Self::Unavailable { key: key.clone(), source: source.to_string().into() }
            }
            // The rest does not come from a write.
            other => Self::Unavailable { key: String::new(), source: other.to_string().into() },
        }
    }
}

/// Why an update did not happen, for who must tell the one from the other: a closure that returns
/// `Err(UpdateError::Refused(…))` makes it the error of [`Store::update`](super::Store::update).
#[derive(Debug)]
pub enum UpdateError<E> {
    /// The closure refused; nothing was changed.
    Refused(E),
    /// The store failed. Whether the change happened was looked up: it did not, or could not be found out.
    Storage(StorageError),
}

impl<E> From<StorageError> for UpdateError<E> {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl<E> UpdateError<E> {
    /// One error type from both.
    pub fn merge<F: From<E> + From<StorageError>>(self) -> F {
        match self {
            Self::Refused(error) => error.into(),
            Self::Storage(error) => error.into(),
        }
    }
}
