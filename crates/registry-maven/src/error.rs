//! Everything that can be answered instead of what was asked, and how Maven and its kin expect it.

use http::{HeaderValue, StatusCode, request::Parts};
use registry_core::{
    Response,
    administration::AdministrationError,
    http::{ReasonPhrase, Refusal, RefusalHeaders, basic_challenge, negotiate, respond_text, respond_with},
    storage::StorageError,
};
use serde_json::json;

use crate::{
    names::PathError,
    wire::{
        XmlError,
        checksum::{Algorithm, ChecksumError},
    },
};

/// For who came without credentials.
const LOG_IN: &str =
    "authentication is required: send a token as the password (Maven: of the server in settings.xml)";

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// What goes wrong in every protocol.
    #[error(transparent)]
    Common(Refusal),
    #[error("the {} checksum does not match: {expected} was announced, the file has {actual}", .algorithm.name())]
    Mismatch { algorithm: Algorithm, expected: String, actual: String },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("the {what} is larger than {limit} bytes, the most that this repository takes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the {what} cannot be read: {source}")]
    Xml { what: &'static str, source: XmlError },
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

    /// Why a file could not be stored.
    pub(crate) fn of_upload(error: StorageError) -> Self {
        match error {
            StorageError::TooLarge { limit } => Self::TooLarge { what: "file", limit },
            error => error.into(),
        }
    }

    /// An artifact of another repository, whose place nobody takes by accident.
    pub(crate) fn taken(name: &crate::names::ArtifactName) -> Self {
        Refusal::Forbidden(format!(
            "{name} is an artifact of the repository that this one stands before: to deploy under its name, have it reserved here"
        ))
        .into()
    }

    /// A file that is there with other bytes.
    pub(crate) fn exists(file: &str) -> Self {
        Refusal::Conflict(format!(
            "{file} already exists with different content: what is released never changes, so deploy a new version"
        ))
        .into()
    }

    /// A file that is not there, or that this client must not know of.
    pub(crate) fn no_file() -> Self {
        Refusal::NotFound("there is nothing at this path".to_owned()).into()
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Checksum(_) | Self::Mismatch { .. } | Self::Path(_) | Self::Xml { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::Common(refusal) => refusal.status(),
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// The sentence for the client.
    fn text(&self) -> String {
        match self {
            Self::Common(refusal) => refusal.client_text(LOG_IN),
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
        let headers = match self {
            Self::Common(refusal) => refusal.headers(Some(basic_challenge(realm))),
            _ => RefusalHeaders::default(),
        };
        headers.put_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;
    use registry_core::auth::AuthError;

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
            assert_eq!(challenge(Error::from(error)).as_deref(), Some("Basic realm=\"a realm\""));
        }
        assert_eq!(challenge(Refusal::Forbidden("no".into()).into()), None);
        let many = Error::from(AuthError::TooManyAttempts(Duration::from_millis(7500)));
        let down = Error::from(StorageError::Contended { key: "secret/key".into(), attempts: 3 });
        for (error, status, wait) in [(many, 429, "7"), (down, 503, "2")] {
            let response = render(&error, "*/*");
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["retry-after"], wait);
            assert!(!error.text().contains("secret"));
        }
    }
}
