//! Everything that can be answered instead of what was asked, and how Python's clients expect it.

use http::{HeaderValue, Method, StatusCode, request::Parts};
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::{tar::TarError, zip::ZipError},
    http::{ReasonPhrase, Refusal, RefusalHeaders, basic_challenge, negotiate, respond_text, respond_with},
};
use serde_json::json;

use crate::{
    attestation::AttestationError,
    names::{FileNameError, ProjectNameError},
    version::VersionError,
    wire::metadata::MetadataError,
};

/// For who came without credentials.
const LOG_IN: &str = "authentication is required: send a token as the password of the user __token__";

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    #[error(
        "This filename was previously used by a file that has since been deleted. Use a different version."
    )]
    Burned,
    /// What goes wrong in every protocol.
    #[error(transparent)]
    Common(Refusal),
    /// Clients that skip what is there look for the first words.
    #[error("File already exists: {0} has other content. Use a different version.")]
    FileExists(String),
    #[error(transparent)]
    FileName(#[from] FileNameError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The types that there are.
    #[error("this page comes as {0}")]
    NotAcceptable(&'static str),
    #[error(transparent)]
    ProjectName(#[from] ProjectNameError),
    #[error(transparent)]
    Tar(TarError),
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error(transparent)]
    Zip(ZipError),
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

    /// A project that is not there.
    pub(crate) fn no_project() -> Self {
        Refusal::NotFound("there is no such project".to_owned()).into()
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Common(refusal) => refusal.status(),
            Self::Attestation(_)
            | Self::Burned
            | Self::FileExists(_)
            | Self::FileName(_)
            | Self::Metadata(_)
            | Self::ProjectName(_)
            | Self::Tar(_)
            | Self::Version(_)
            | Self::Zip(_) => StatusCode::BAD_REQUEST,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
        }
    }

    /// The sentence for the client.
    fn text(&self) -> String {
        match self {
            Self::Common(refusal) => refusal.client_text(LOG_IN),
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
        let headers = match self {
            Self::Common(refusal) => refusal.headers(Some(basic_challenge("pypi"))),
            _ => RefusalHeaders::default(),
        };
        headers.put_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header;
    use registry_core::{auth::AuthError, storage::StorageError};

    use super::*;

    fn header(error: &Error, name: &header::HeaderName) -> Option<String> {
        let (parts, ()) = http::Request::get("/").body(()).unwrap().into_parts();
        error.render(&parts).headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn checklist_58_who_must_wait_is_told_in_seconds() {
        let many = Error::from(AuthError::TooManyAttempts(Duration::from_millis(7500)));
        let down = Error::from(StorageError::Contended { key: "secret/key".into(), attempts: 3 });
        for (error, status, want) in [(many, 429, "7"), (down, 503, "2")] {
            assert_eq!(error.status(), status);
            assert_eq!(header(&error, &header::RETRY_AFTER).as_deref(), Some(want));
            assert!(!error.text().contains("secret"));
        }
    }

    #[test]
    fn challenges_stand_where_credentials_are_missing_or_wrong() {
        for error in [AuthError::Missing, AuthError::Invalid("no")] {
            let error = Error::from(error);
            assert_eq!(header(&error, &header::WWW_AUTHENTICATE).as_deref(), Some("Basic realm=\"pypi\""));
        }
        assert_eq!(header(&Refusal::Forbidden("no".into()).into(), &header::WWW_AUTHENTICATE), None);
        assert_eq!(header(&Refusal::MethodNotAllowed("GET").into(), &header::ALLOW).as_deref(), Some("GET"));
    }
}
