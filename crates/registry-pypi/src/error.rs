//! Everything that can be answered instead of what was asked, and how Python's clients expect it.

use http::{HeaderValue, Method, StatusCode, request::Parts};
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::{tar::TarError, zip::ZipError},
    auth::AuthError,
    http::{
        ReadBodyError, ReasonPhrase, RefusalHeaders, basic_challenge, form::FormError, negotiate,
        respond_text, respond_with,
    },
    storage::{StorageError, UpdateError},
    upstream::Unanswered,
};
use serde_json::json;

use crate::{
    attestation::AttestationError,
    names::{FileNameError, ProjectNameError},
    version::VersionError,
    wire::metadata::MetadataError,
};

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A sentence about what is wrong with the request.
    #[error("{0}")]
    BadRequest(String),
    #[error(
        "This filename was previously used by a file that has since been deleted. Use a different version."
    )]
    Burned,
    /// Clients that skip what is there look for the first words.
    #[error("File already exists: {0} has other content. Use a different version.")]
    FileExists(String),
    #[error(transparent)]
    FileName(#[from] FileNameError),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("{0}")]
    Gone(String),
    #[error("the answer could not be made")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    /// The types that there are.
    #[error("this page comes as {0}")]
    NotAcceptable(&'static str),
    /// What was not found, as a sentence.
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    ProjectName(#[from] ProjectNameError),
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    #[error("the registry's store failed")]
    Storage(#[source] StorageError),
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error(transparent)]
    Upstream(#[from] Unanswered),
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error(transparent)]
    Zip(#[from] ZipError),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
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

    /// A project that is not there.
    pub(crate) fn no_project() -> Self {
        Self::NotFound("there is no such project".to_owned())
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => error.status(),
            Self::Storage(error) => error.status(),
            Self::Upstream(error) => error.status(),
            Self::Attestation(_)
            | Self::BadRequest(_)
            | Self::Burned
            | Self::FileExists(_)
            | Self::FileName(_)
            | Self::Metadata(_)
            | Self::ProjectName(_)
            | Self::Tar(_)
            | Self::Version(_)
            | Self::Zip(_) => StatusCode::BAD_REQUEST,
            Self::Form(error) => error.status(),
            Self::ReadBody(ReadBodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ReadBody(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Gone(_) => StatusCode::GONE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
        }
    }

    /// The sentence for the client.
    fn text(&self) -> String {
        match self {
            Self::Auth(AuthError::Missing) => {
                "authentication is required: send a token as the password of the user __token__".to_owned()
            }
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            other => other.to_string(),
        }
    }

    /// The answer: plain text, or JSON for who asks for it. What goes wrong with an upload stands in the reason phrase too, because twine
    /// shows nothing else.
    pub(crate) fn render(&self, request: &Parts) -> Response {
        let status = self.status();
        let text = self.text();
        let offers = ["text/plain", "application/json"];
        let mut response = if negotiate(&request.headers, &offers) == Some(1) {
            let title = status.canonical_reason().unwrap_or("Error");
            let body = json!({
                "code": format!("{} {text}", status.as_u16()),
                "message": text,
                "status": status.as_u16(),
                "title": title,
            });
            respond_with(status, HeaderValue::from_static("application/json"), body.to_string())
        } else {
            respond_text(status, format!("{text}\n"))
        };
        if request.method == Method::POST {
            response.extensions_mut().insert(ReasonPhrase::new(&text));
        }
        let (wait, allow) = match self {
            Self::Auth(error) => (error.wait(), None),
            Self::MethodNotAllowed(allow) => (None, Some(*allow)),
            Self::Upstream(error) => (error.wait(), None),
            _ => (None, None),
        };
        RefusalHeaders { allow, challenge: Some(basic_challenge("pypi")), wait }.put_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header;

    use super::*;

    fn header(error: &Error, name: &header::HeaderName) -> Option<String> {
        let (parts, ()) = http::Request::get("/").body(()).unwrap().into_parts();
        error.render(&parts).headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn checklist_58_who_must_wait_is_told_in_seconds() {
        let many = Error::Auth(AuthError::TooManyAttempts(Duration::from_millis(7500)));
        let down = Error::Storage(StorageError::Contended { key: "secret/key".into(), attempts: 3 });
        for (error, status, want) in [(many, 429, "7"), (down, 503, "2")] {
            assert_eq!(error.status(), status);
            assert_eq!(header(&error, &header::RETRY_AFTER).as_deref(), Some(want));
            assert!(!error.text().contains("secret"));
        }
    }

    #[test]
    fn challenges_stand_where_credentials_are_missing_or_wrong() {
        for error in [AuthError::Missing, AuthError::Invalid("no")] {
            let error = Error::Auth(error);
            assert_eq!(header(&error, &header::WWW_AUTHENTICATE).as_deref(), Some("Basic realm=\"pypi\""));
        }
        assert_eq!(header(&Error::Forbidden("no".into()), &header::WWW_AUTHENTICATE), None);
        assert_eq!(header(&Error::MethodNotAllowed("GET"), &header::ALLOW).as_deref(), Some("GET"));
    }
}
