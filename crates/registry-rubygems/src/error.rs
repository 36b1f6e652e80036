//! Everything that can be answered instead of what was asked, and how RubyGems' clients expect it: plain text, which they print.

use http::StatusCode;
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::tar::TarError,
    auth::AuthError,
    http::{ReadBodyError, RefusalHeaders, basic_challenge, form::FormError, respond_text},
    storage::{StorageError, UpdateError},
};

use crate::{
    names::GemNameError,
    version::VersionError,
    wire::{checksums::ChecksumsError, spec::SpecError},
};

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
///
/// No text begins with the words at which `gem` asks for a code or for more rights (`You have enabled multi…`, `The API key
/// doesn't …`): it would wait for an answer for ever.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A sentence about what is wrong with the request.
    #[error("{0}")]
    BadRequest(String),
    #[error("Unable to change case of gem name with indexed versions: there is a gem {0} already.")]
    Case(String),
    #[error("This server cannot process this gem: {0}")]
    Checksums(#[from] ChecksumsError),
    /// A sentence about what is there already.
    #[error("{0}")]
    Conflict(String),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("This server cannot process this gem: {0}")]
    Gem(String),
    #[error("{0}")]
    Gone(String),
    #[error("the answer could not be made")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    #[error("There was a problem saving your gem: {0}")]
    Name(#[from] GemNameError),
    /// What was not found, as a sentence.
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    #[error(
        "Repushing of gem versions is not allowed.\nThe version that is there has other content: push a new version, or use `gem yank` \
         to take back the one that is there."
    )]
    Repush,
    #[error("There was a problem saving your gem: {0}")]
    Spec(#[from] SpecError),
    #[error("the registry's store failed")]
    Storage(#[source] StorageError),
    #[error("This server cannot process this gem: {0}")]
    Tar(#[from] TarError),
    #[error("the request names more than {0} gems: ask for fewer at once")]
    TooManyGems(usize),
    /// A request that is understood and cannot be done.
    #[error("{0}")]
    Unprocessable(String),
    #[error("{0}")]
    Version(#[from] VersionError),
    #[error(
        "A yanked version already exists ({0}).\nRepushing of gem versions is not allowed: push a new version."
    )]
    Yanked(String),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<UpdateError<Self>> for Error {
    fn from(error: UpdateError<Self>) -> Self {
        match error {
            UpdateError::Refused(error) => error,
            UpdateError::Storage(error) => error.into(),
        }
    }
}

impl From<Error> for AdministrationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Storage(error) => error.into(),
            error => Self::of_status(error.status(), error.to_string()),
        }
    }
}

impl Error {
    /// A request that cannot be done as it is; the text is a sentence for the client.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::BadRequest(text.into())
    }

    /// A gem that is not there.
    pub(crate) fn no_gem() -> Self {
        Self::NotFound("This gem could not be found".to_owned())
    }

    /// What went wrong on the way to an answer and is nobody's fault outside.
    pub(crate) fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => error.status(),
            Self::Storage(error) => error.status(),
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Case(_) | Self::Conflict(_) | Self::Repush | Self::Yanked(_) => StatusCode::CONFLICT,
            // Clients and scripts know this status for a platform that is none.
            Self::Spec(SpecError::Platform(_)) => StatusCode::CONFLICT,
            Self::Checksums(_)
            | Self::Gem(_)
            | Self::Name(_)
            | Self::Spec(_)
            | Self::Tar(_)
            | Self::TooManyGems(_)
            | Self::Unprocessable(_)
            | Self::Version(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Form(error) => error.status(),
            Self::ReadBody(ReadBodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ReadBody(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Gone(_) => StatusCode::GONE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
        }
    }

    /// The sentence for the client.
    fn text(&self) -> String {
        match self {
            Self::Auth(AuthError::Missing) => {
                "Access Denied. Authentication is required: send a token of this registry.".to_owned()
            }
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            other => other.to_string(),
        }
    }

    /// The answer: plain text, which clients print.
    pub(crate) fn render(&self) -> Response {
        let status = self.status();
        let mut response = respond_text(status, self.text());
        let allow = match self {
            Self::MethodNotAllowed(allow) => Some(*allow),
            _ => None,
        };
        let wait = match self {
            Self::Auth(error) => error.wait(),
            _ => None,
        };
        RefusalHeaders { allow, challenge: Some(basic_challenge("rubygems")), wait }.put_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header;

    use super::*;

    fn header(error: &Error, name: &header::HeaderName) -> Option<String> {
        error.render().headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn refusals_say_what_to_do_and_nothing_of_the_store() {
        let many = Error::Auth(AuthError::TooManyAttempts(Duration::from_millis(7500)));
        let down = Error::Storage(StorageError::Contended { key: "secret/key".into(), attempts: 3 });
        for (error, status, want) in [(many, 429, "7"), (down, 503, "2")] {
            assert_eq!(error.status(), status);
            assert_eq!(header(&error, &header::RETRY_AFTER).as_deref(), Some(want));
            assert!(!error.text().contains("secret"));
        }
        for error in [AuthError::Missing, AuthError::Invalid("no")] {
            let error = Error::Auth(error);
            assert_eq!(
                header(&error, &header::WWW_AUTHENTICATE).as_deref(),
                Some("Basic realm=\"rubygems\"")
            );
        }
        assert_eq!(header(&Error::Forbidden("no".into()), &header::WWW_AUTHENTICATE), None);
        assert_eq!(header(&Error::MethodNotAllowed("GET"), &header::ALLOW).as_deref(), Some("GET"));
    }
}
