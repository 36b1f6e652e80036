//! Everything that can be answered instead of what was asked, and how cargo expects it.

use http::{HeaderValue, StatusCode};
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::tar::TarError,
    auth::AuthError,
    hooks::Denied,
    http::{ReadBodyError, RefusalHeaders, respond_json},
    storage::{StorageError, UpdateError},
};
use serde_json::json;

use crate::{
    names::{CrateName, NameError},
    version::{Version, VersionError},
    wire::{manifest::ManifestError, publish::UploadError},
};

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A sentence about what is wrong with the request.
    #[error("{0}")]
    BadRequest(String),
    /// What is in the way, as a sentence.
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    #[error("the answer could not be made")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    #[error(transparent)]
    Name(#[from] NameError),
    /// What was not found, as a sentence.
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    #[error("the registry's store failed")]
    Storage(#[source] StorageError),
    #[error("the crate file is refused: {0}")]
    Tar(#[from] TarError),
    #[error("the {what} is larger than {limit} bytes, the most that this registry takes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(denied) => Self::Denied(denied),
            error => Self::Storage(error),
        }
    }
}

impl From<UpdateError<Self>> for Error {
    fn from(error: UpdateError<Self>) -> Self {
        error.merge()
    }
}

impl From<Error> for AdministrationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(denied) => Self::Denied(denied),
            Error::Storage(error) => Self::Storage(error),
            error => Self::of_status(error.status(), error.to_string()),
        }
    }
}

impl Error {
    /// A request that cannot be done as it is; the text is a sentence for the client.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::BadRequest(text.into())
    }

    /// A crate that is not there, or that this client must not know of.
    pub(crate) fn no_crate(name: &CrateName) -> Self {
        Self::NotFound(format!("crate \"{name}\" does not exist"))
    }

    /// A version that is not there.
    pub(crate) fn no_version(name: &CrateName, version: &Version) -> Self {
        Self::NotFound(format!("crate \"{name}\" has no version {version}"))
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::ReadBody(ReadBodyError::TooLarge { .. })
            | Self::TooLarge { .. }
            | Self::Upload(UploadError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest(_)
            | Self::Manifest(_)
            | Self::Name(_)
            | Self::ReadBody(_)
            | Self::Tar(_)
            | Self::Upload(_)
            | Self::Version(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Denied(_) | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Auth(error) => error.status(),
            Self::Storage(error) => error.status(),
        }
    }

    /// The answer: what cargo prints as one line. It asks for a crate right before it makes it, so nobody may remember that it was not
    /// there. `base` is where clients reach the registry.
    pub(crate) fn render(&self, base: &str) -> Response {
        let status = self.status();
        let text = match self {
            Self::Auth(AuthError::Missing) => {
                "authentication is required: use cargo login --registry NAME, or set a token for this registry".to_owned()
            }
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            Self::Internal(_) => "something went wrong in the registry".to_owned(),
            other => other.to_string(),
        };
        let mut response = respond_json(status, &json!({"errors": [{"detail": text}]}));
        // The base holds no quote: its host and path are checked.
        let challenge = HeaderValue::try_from(format!("Cargo login_url=\"{base}/me\"")).ok();
        let (wait, allow) = match self {
            Self::Auth(error) => (error.wait(), None),
            Self::MethodNotAllowed(allow) => (None, Some(*allow)),
            _ => (None, None),
        };
        RefusalHeaders { allow, challenge, wait }.put_on(&mut response);
        response
    }
}
