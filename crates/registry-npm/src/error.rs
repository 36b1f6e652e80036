//! Everything that can be answered instead of what was asked, and how npm's clients expect it.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Body, Response,
    administration::AdministrationError,
    auth::AuthError,
    hooks::Denied,
    http::{ReadBodyError, RefusalHeaders, respond_json},
    storage::{StorageError, UpdateError},
    upstream::Unanswered,
};
use serde_json::json;

use crate::{
    names::{NameError, TagError},
    tarball::TarballError,
    version::{Version, VersionError},
    wire::{
        base64::InvalidBase64,
        manifest::{InvalidIntegrity, ManifestError},
        publish::InvalidAccess,
        scan::ScanError,
        search::BadNumber,
    },
};

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Access(#[from] InvalidAccess),
    #[error("You cannot publish over the previously published versions: {0}.")]
    AlreadyPublished(Version),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Base64(#[from] InvalidBase64),
    /// A sentence about what is wrong with the request.
    #[error("{0}")]
    BadRequest(String),
    /// The document changed since the client read it.
    #[error("the package changed meanwhile (its revision is no longer {0}): read it again and retry")]
    Conflict(String),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    #[error(transparent)]
    Integrity(#[from] InvalidIntegrity),
    #[error("incorrect user name or password")]
    Login,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    #[error("the tarball's {what} is {actual}, but the document says {expected}")]
    Mismatch { what: &'static str, expected: String, actual: String },
    #[error(transparent)]
    Name(#[from] NameError),
    /// What was not found, as a sentence.
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    Number(#[from] BadNumber),
    #[error("the answer could not be made")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error("the registry's store failed")]
    Storage(#[source] StorageError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Tarball(#[from] TarballError),
    #[error("the {what} is larger than {limit} bytes, the most that this registry takes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error(transparent)]
    Upstream(#[from] Unanswered),
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(denied) => Self::Denied(denied),
            StorageError::TooLarge { limit } => Self::TooLarge { what: "tarball", limit },
            StorageError::Mismatch { what, expected, actual } => Self::Mismatch { what, expected, actual },
            StorageError::Body(source) => Self::ReadBody(ReadBodyError::Body(source)),
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

    /// A package that is not there, or that this client must not know of.
    pub(crate) fn no_package(name: &str) -> Self {
        Self::NotFound(format!("package \"{name}\" not found"))
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Access(_)
            | Self::Base64(_)
            | Self::BadRequest(_)
            | Self::Integrity(_)
            | Self::Manifest(_)
            | Self::Mismatch { .. }
            | Self::Name(_)
            | Self::Number(_)
            | Self::Tag(_)
            | Self::Tarball(_)
            | Self::Version(_)
            | Self::Scan(ScanError::Invalid | ScanError::TooDeep)
            | Self::ReadBody(_) => match self {
                Self::ReadBody(ReadBodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            },
            Self::TooLarge { .. } | Self::Scan(ScanError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::AlreadyPublished(_) | Self::Denied(_) | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Login => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Auth(error) => error.status(),
            Self::Storage(error) => error.status(),
            Self::Upstream(error) => error.status(),
        }
    }

    /// The answer: the same sentence as `error`, which npm prints, and as `message`, which yarn prints.
    pub(crate) fn render(&self) -> Response {
        let status = self.status();
        let text = match self {
            Self::Auth(AuthError::Missing) => {
                "authentication is required: log in (npm login) or set a token for this registry in .npmrc"
                    .to_owned()
            }
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            other => other.to_string(),
        };
        let mut body = json!({"error": text, "message": text});
        if status == StatusCode::FORBIDDEN
            && let (Self::Denied(_) | Self::AlreadyPublished(_), Some(body)) = (self, body.as_object_mut())
        {
            body.insert("reason".to_owned(), text.into());
        }
        let mut response = respond_json(status, &body);
        let (wait, allow, challenge) = match self {
            Self::Auth(AuthError::Missing | AuthError::Invalid(_)) => (None, None, Some("Bearer")),
            // One of the two values that npm itself explains.
            Self::Auth(AuthError::Address) => (None, None, Some("ipaddress")),
            Self::Auth(error) => (error.wait(), None, None),
            Self::MethodNotAllowed(allow) => (None, Some(*allow), None),
            Self::Upstream(error) => (error.wait(), None, None),
            _ => (None, None, None),
        };
        let challenge = challenge.map(HeaderValue::from_static);
        RefusalHeaders { allow, challenge, wait }.put_on(&mut response);
        response
    }
}

/// A JSON answer that no cache keeps.
pub(crate) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    json_bytes(status, Bytes::from(body.to_string()))
}

/// A JSON answer from rendered bytes that no cache keeps.
pub(crate) fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let body = body.into();
    let length = body.len();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    async fn body(response: Response) -> serde_json::Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn checklist_13_errors_have_error_and_message() {
        for (error, status) in [
            (Error::bad("x"), 400),
            (Error::Auth(AuthError::Missing), 401),
            (Error::Login, 401),
            (Error::AlreadyPublished("1.0.0".parse().unwrap()), 403),
            (Error::Denied(Denied::new("not today")), 403),
            (Error::no_package("x"), 404),
            (Error::MethodNotAllowed("GET"), 405),
            (Error::Conflict("1-x".into()), 409),
            (Error::TooLarge { what: "tarball", limit: 1 }, 413),
            (Error::Auth(AuthError::TooManyAttempts(Duration::from_secs(7))), 429),
            (Error::Storage(StorageError::Contended { key: "secret/key".into(), attempts: 3 }), 503),
            (Error::Storage(StorageError::Full { key: "secret/key".into() }), 507),
            (Error::Auth(StorageError::Full { key: "secret/key".into() }.into()), 507),
            (Error::Storage(StorageError::Missing { key: "secret/key".into() }), 500),
        ] {
            let response = error.render();
            assert_eq!(response.status().as_u16(), status, "{error}");
            let body = body(response).await;
            assert_eq!(body["error"], body["message"]);
            assert!(!body["error"].as_str().unwrap().contains("secret"), "{body}");
        }
    }

    #[tokio::test]
    async fn checklist_60_a_refusal_names_no_user() {
        let error = Error::Auth(AuthError::Forbidden("alice may not".into()));
        assert!(!body(error.render()).await.to_string().contains("alice"));
    }

    #[test]
    fn challenges() {
        let header = |error: Error, name: header::HeaderName| {
            error.render().headers().get(name).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(
            header(Error::Auth(AuthError::Missing), header::WWW_AUTHENTICATE).as_deref(),
            Some("Bearer")
        );
        assert_eq!(header(Error::Login, header::WWW_AUTHENTICATE), None);
        let wait = Error::Auth(AuthError::TooManyAttempts(Duration::from_secs(7)));
        assert_eq!(header(wait, header::RETRY_AFTER).as_deref(), Some("7"));
        assert_eq!(header(Error::MethodNotAllowed("GET, PUT"), header::ALLOW).as_deref(), Some("GET, PUT"));
    }
}
