//! Everything that can be answered instead of what was asked, and how Maven and its kin expect it.

use http::{HeaderValue, StatusCode, request::Parts};
use registry_core::{
    Response,
    administration::AdministrationError,
    auth::AuthError,
    hooks::Denied,
    http::{
        ReadBodyError, ReasonPhrase, RefusalHeaders, basic_challenge, negotiate, respond_text, respond_with,
    },
    storage::{StorageError, UpdateError},
};
use serde_json::json;

use crate::{
    names::PathError,
    wire::{
        XmlError,
        checksum::{Algorithm, ChecksumError},
    },
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
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// What stands against the request, as a sentence.
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    #[error("the answer could not be made")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    #[error("the {} checksum does not match: {expected} was announced, the file has {actual}", .algorithm.name())]
    Mismatch { algorithm: Algorithm, expected: String, actual: String },
    /// What was not found, as a sentence.
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    #[error("the repository's store failed")]
    Storage(#[source] StorageError),
    #[error("the {what} is larger than {limit} bytes, the most that this repository takes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the {what} cannot be read: {source}")]
    Xml { what: &'static str, source: XmlError },
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(denied) => Self::Denied(denied),
            StorageError::TooLarge { limit } => Self::TooLarge { what: "file", limit },
            StorageError::Body(source) => Self::ReadBody(ReadBodyError::Body(source)),
            error => Self::Storage(error),
        }
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

    /// A file that is there with other bytes.
    pub(crate) fn exists(file: &str) -> Self {
        Self::Conflict(format!(
            "{file} already exists with different content: what is released never changes, so deploy a new version"
        ))
    }

    /// A file that is not there, or that this client must not know of.
    pub(crate) fn no_file() -> Self {
        Self::NotFound("there is nothing at this path".to_owned())
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => error.status(),
            Self::BadRequest(_)
            | Self::Checksum(_)
            | Self::Mismatch { .. }
            | Self::Path(_)
            | Self::Xml { .. } => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Denied(_) | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::ReadBody(ReadBodyError::TooLarge { .. }) | Self::TooLarge { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::ReadBody(_) => StatusCode::BAD_REQUEST,
            Self::Storage(error) => error.status(),
        }
    }

    /// The sentence for the client.
    fn text(&self) -> String {
        match self {
            Self::Auth(AuthError::Missing) => {
                "authentication is required: send a token as the password (Maven: of the server in settings.xml)"
                    .to_owned()
            }
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            other => other.to_string(),
        }
    }

    /// The answer: a problem document (RFC 9457) for who asks for one, which Maven 4 prints, else a line of text. Older clients
    /// print the status line and nothing else, so the sentence stands there too.
    pub(crate) fn render(&self, request: &Parts, realm: &str) -> Response {
        let status = self.status();
        let text = self.text();
        let offers = ["text/plain", "application/problem+json"];
        let mut response = if negotiate(&request.headers, &offers) == Some(1) {
            let body = json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or("Error"),
                "status": status.as_u16(),
                "detail": text,
            });
            respond_with(status, HeaderValue::from_static("application/problem+json"), body.to_string())
        } else {
            respond_text(status, format!("{text}\n"))
        };
        response.extensions_mut().insert(ReasonPhrase::new(&text));
        let headers = RefusalHeaders {
            allow: match self {
                Self::MethodNotAllowed(allow) => Some(allow),
                _ => None,
            },
            challenge: Some(basic_challenge(realm)),
            wait: match self {
                Self::Auth(error) => error.wait(),
                _ => None,
            },
        };
        headers.put_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;

    fn render(error: &Error, accept: &str) -> Response {
        let (parts, ()) = http::Request::get("/").header("accept", accept).body(()).unwrap().into_parts();
        error.render(&parts, "a \"realm\"")
    }

    #[tokio::test]
    async fn checklist_36_problems_where_they_are_asked_for_and_text_elsewhere() {
        let error = Error::exists("lib-1.0.jar");
        let problem = render(&error, "application/problem+json,*/*");
        assert_eq!(problem.headers()["content-type"], "application/problem+json");
        let body = problem.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["status"], &body["title"]), (&409.into(), &"Conflict".into()));
        assert!(body["detail"].as_str().unwrap().contains("already exists"));
        for accept in ["*/*", "text/html"] {
            let text = render(&error, accept);
            assert!(text.extensions().get::<ReasonPhrase>().unwrap().as_str().contains("already exists"));
            assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
            let body = text.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(String::from_utf8_lossy(&body).lines().count(), 1);
        }
    }

    #[test]
    fn who_is_unknown_is_challenged_and_who_must_wait_is_told() {
        let challenge = |error| {
            let response = render(&error, "*/*");
            response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned())
        };
        for error in [AuthError::Missing, AuthError::Invalid("no")] {
            assert_eq!(challenge(Error::Auth(error)).as_deref(), Some("Basic realm=\"a realm\""));
        }
        assert_eq!(challenge(Error::Forbidden("no".into())), None);
        let many = Error::Auth(AuthError::TooManyAttempts(Duration::from_millis(7500)));
        let down = Error::Storage(StorageError::Contended { key: "secret/key".into(), attempts: 3 });
        for (error, status, wait) in [(many, 429, "7"), (down, 503, "2")] {
            let response = render(&error, "*/*");
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["retry-after"], wait);
            assert!(!error.text().contains("secret"));
        }
    }
}
