//! Everything that can be answered instead of what was asked, and how cargo expects it.

use http::{HeaderValue, StatusCode};
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::tar::TarError,
    http::{Refusal, RefusalHeaders, respond_json},
};
use serde_json::json;

use crate::{
    names::{CrateName, NameError},
    version::{Version, VersionError},
    wire::{manifest::ManifestError, publish::UploadError},
};

/// For who came without credentials.
const LOG_IN: &str =
    "authentication is required: use cargo login --registry NAME, or set a token for this registry";

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// What goes wrong in every protocol.
    #[error(transparent)]
    Common(Refusal),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the crate file is refused: {0}")]
    Tar(TarError),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl<E: Into<Refusal>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<Error> for AdministrationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Common(refusal) => refusal.into(),
            error => Self::of_status(error.status(), error.to_string()),
        }
    }
}

impl Error {
    /// A request that cannot be done as it is; the text is a sentence for the client.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Refusal::BadRequest(text.into()).into()
    }

    /// A crate that is not there, or that this client must not know of.
    pub(crate) fn no_crate(name: &CrateName) -> Self {
        Refusal::NotFound(format!("crate \"{name}\" does not exist")).into()
    }

    /// A crate of another registry, whose place nobody takes by accident.
    pub(crate) fn taken(name: &CrateName) -> Self {
        Refusal::Forbidden(format!(
            "\"{name}\" is a crate of the registry that this one stands before: to publish under its name, have it reserved here"
        ))
        .into()
    }

    /// A change to a crate that was not published here.
    pub(crate) fn not_hosted(name: &CrateName) -> Self {
        Refusal::NotFound(format!(
            "crate \"{name}\" was not published to this registry, so it cannot be changed here"
        ))
        .into()
    }

    /// A version that is not there.
    pub(crate) fn no_version(name: &CrateName, version: &Version) -> Self {
        Refusal::NotFound(format!("crate \"{name}\" has no version {version}")).into()
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Common(refusal) => refusal.status(),
            Self::Upload(UploadError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Manifest(_) | Self::Name(_) | Self::Tar(_) | Self::Upload(_) | Self::Version(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// The answer: what cargo prints as one line. It asks for a crate right before it makes it, so nobody may remember that it was not
    /// there. `base` is where clients reach the registry.
    pub(crate) fn render(&self, base: &str) -> Response {
        let status = self.status();
        let text = match self {
            Self::Common(Refusal::Internal(_)) => "something went wrong in the registry".to_owned(),
            Self::Common(refusal) => refusal.client_text(LOG_IN),
            other => other.to_string(),
        };
        let mut response = respond_json(status, &json!({"errors": [{"detail": text}]}));
        // The base holds no quote: its host and path are checked.
        let challenge = HeaderValue::try_from(format!("Cargo login_url=\"{base}/me\"")).ok();
        let headers = match self {
            Self::Common(refusal) => refusal.headers(challenge),
            _ => RefusalHeaders::default(),
        };
        headers.put_on(&mut response);
        response
    }
}
