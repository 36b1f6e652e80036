//! Everything that can be answered instead of what was asked, and how npm's clients expect it.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Body, Response,
    administration::AdministrationError,
    auth::AuthError,
    http::{Refusal, RefusalHeaders, respond_json},
    storage::StorageError,
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

/// For who came without credentials.
const LOG_IN: &str =
    "authentication is required: log in (npm login) or set a token for this registry in .npmrc";

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Access(#[from] InvalidAccess),
    #[error("You cannot publish over the previously published versions: {0}.")]
    AlreadyPublished(Version),
    #[error(transparent)]
    Base64(#[from] InvalidBase64),
    /// What goes wrong in every protocol.
    #[error(transparent)]
    Common(Refusal),
    /// The document changed since the client read it.
    #[error("the package changed meanwhile (its revision is no longer {0}): read it again and retry")]
    Conflict(String),
    #[error(transparent)]
    Integrity(#[from] InvalidIntegrity),
    #[error("incorrect user name or password")]
    Login,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the tarball's {what} is {actual}, but the document says {expected}")]
    Mismatch { what: &'static str, expected: String, actual: String },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Number(#[from] BadNumber),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Tarball(#[from] TarballError),
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

    /// A package that is not there, or that this client must not know of.
    pub(crate) fn no_package(name: &str) -> Self {
        Refusal::NotFound(format!("package \"{name}\" not found")).into()
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Access(_)
            | Self::Base64(_)
            | Self::Integrity(_)
            | Self::Manifest(_)
            | Self::Mismatch { .. }
            | Self::Name(_)
            | Self::Number(_)
            | Self::Scan(ScanError::Invalid | ScanError::TooDeep)
            | Self::Tag(_)
            | Self::Tarball(_)
            | Self::Version(_) => StatusCode::BAD_REQUEST,
            Self::AlreadyPublished(_) => StatusCode::FORBIDDEN,
            Self::Common(refusal) => refusal.status(),
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Login => StatusCode::UNAUTHORIZED,
            Self::Scan(ScanError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// The answer: the same sentence as `error`, which npm prints, and as `message`, which yarn prints.
    pub(crate) fn render(&self) -> Response {
        let status = self.status();
        let text = match self {
            Self::Common(refusal) => refusal.client_text(LOG_IN),
            other => other.to_string(),
        };
        let mut body = json!({"error": text, "message": text});
        if let (
            Self::AlreadyPublished(_) | Self::Common(Refusal::Storage(StorageError::Denied(_))),
            Some(body),
        ) = (self, body.as_object_mut())
        {
            body.insert("reason".to_owned(), text.into());
        }
        let mut response = respond_json(status, &body);
        let headers = match self {
            // One of the two values that npm itself explains.
            Self::Common(refusal @ Refusal::Auth(AuthError::Address)) => {
                refusal.headers(Some(HeaderValue::from_static("ipaddress")))
            }
            Self::Common(refusal) => refusal.headers(Some(HeaderValue::from_static("Bearer"))),
            _ => RefusalHeaders::default(),
        };
        headers.put_on(&mut response);
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
    use registry_core::hooks::Denied;

    use super::*;

    async fn body(response: Response) -> serde_json::Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn checklist_13_errors_have_error_and_message() {
        for (error, status) in [
            (Error::bad("x"), 400),
            (AuthError::Missing.into(), 401),
            (Error::Login, 401),
            (Error::AlreadyPublished("1.0.0".parse().unwrap()), 403),
            (StorageError::Denied(Denied::new("not today")).into(), 403),
            (Error::no_package("x"), 404),
            (Refusal::MethodNotAllowed("GET").into(), 405),
            (Error::Conflict("1-x".into()), 409),
            (Refusal::TooLarge { what: "tarball", limit: 1 }.into(), 413),
            (AuthError::TooManyAttempts(Duration::from_secs(7)).into(), 429),
            (Error::from(StorageError::Contended { key: "secret/key".into(), attempts: 3 }), 503),
            (StorageError::Full { key: "secret/key".into() }.into(), 507),
            (AuthError::from(StorageError::Full { key: "secret/key".into() }).into(), 507),
            (StorageError::Missing { key: "secret/key".into() }.into(), 500),
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
        let error = Error::from(AuthError::Forbidden("alice may not".into()));
        assert!(!body(error.render()).await.to_string().contains("alice"));
    }

    #[test]
    fn challenges() {
        let header = |error: Error, name: header::HeaderName| {
            error.render().headers().get(name).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(header(AuthError::Missing.into(), header::WWW_AUTHENTICATE).as_deref(), Some("Bearer"));
        assert_eq!(header(Error::Login, header::WWW_AUTHENTICATE), None);
        let wait = Error::from(AuthError::TooManyAttempts(Duration::from_secs(7)));
        assert_eq!(header(wait, header::RETRY_AFTER).as_deref(), Some("7"));
        assert_eq!(
            header(Refusal::MethodNotAllowed("GET, PUT").into(), header::ALLOW).as_deref(),
            Some("GET, PUT")
        );
    }
}
