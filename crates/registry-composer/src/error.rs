//! Everything that can be answered instead of what was asked, and how Composer and scripts expect it.

use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Response,
    administration::AdministrationError,
    auth::AuthError,
    hooks::Denied,
    http::{QueryError, ReadBodyError, RefusalHeaders, basic_challenge, form::FormError, respond_json},
    storage::{StorageError, UpdateError},
};
use serde_json::json;

use crate::{archive::ArchiveError, names::NameError, version::VersionError, wire::manifest::ManifestError};
use registry_core::archive::zip::ZipError;

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A sentence about what is wrong with the request.
    #[error("{0}")]
    BadRequest(String),
    #[error("version {0} was deleted, and only the same archive can be published under it again")]
    Deleted(String),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    #[error(transparent)]
    Form(#[from] FormError),
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
    #[error(
        "version {0} is published already, with another archive: releases never change, so publish a new version"
    )]
    Published(String),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    #[error("the registry's store failed")]
    Storage(#[source] StorageError),
    #[error("the {what} is larger than {limit} bytes, the most that this registry takes")]
    TooLarge { what: &'static str, limit: u64 },
    /// What can be read and still cannot be published, as a sentence.
    #[error("{0}")]
    Unprocessable(String),
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Denied(denied) => Self::Denied(denied),
            StorageError::TooLarge { limit } => Self::TooLarge { what: "archive", limit },
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
        Self::NotFound(format!("there is no package \"{name}\""))
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Archive(ArchiveError::Zip(ZipError::Malformed(_) | ZipError::Unsupported(_)))
            | Self::BadRequest(_)
            | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Archive(_)
            | Self::Manifest(_)
            | Self::Name(_)
            | Self::Unprocessable(_)
            | Self::Version(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Auth(error) => error.status(),
            Self::Deleted(_) | Self::Published(_) => StatusCode::CONFLICT,
            Self::Denied(_) | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Form(FormError::TooLarge { .. } | FormError::TooMany { .. })
            | Self::ReadBody(ReadBodyError::TooLarge { .. })
            | Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Form(FormError::NotAForm | FormError::Encoding(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Form(_) | Self::ReadBody(_) => StatusCode::BAD_REQUEST,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Storage(error) => error.status(),
        }
    }

    /// The answer. Composer prints `warning`, of 401 and 403 alone; `errors` and `message` are for scripts.
    pub(crate) fn render(&self) -> Response {
        let status = self.status();
        let text = match self {
            Self::Auth(AuthError::Missing) => {
                "authentication is required: put a token for this host into auth.json (composer config http-basic.HOST token TOKEN)"
                    .to_owned()
            }
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            other => other.to_string(),
        };
        let mut body = json!({
            "status": "error",
            "message": text,
            "errors": [{"status": status.as_u16(), "message": text}],
        });
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            && let Some(body) = body.as_object_mut()
        {
            body.insert("warning".to_owned(), text.into());
        }
        let mut response = respond_json(status, &body);
        let (wait, allow) = match self {
            Self::Auth(error) => (error.wait(), None),
            Self::MethodNotAllowed(allow) => (None, Some(*allow)),
            _ => (None, None),
        };
        RefusalHeaders { allow, challenge: Some(basic_challenge("smartregistry")), wait }
            .put_on(&mut response);
        response
    }
}

/// A JSON answer that no cache keeps.
pub(crate) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = respond_json(status, body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn checklist_40_errors_are_json_and_warn_where_composer_prints_it() {
        for (error, status) in [
            (Error::bad("x"), 400),
            (Error::Auth(AuthError::Missing), 401),
            (Error::Denied(Denied::new("not today")), 403),
            (Error::no_package("a/b"), 404),
            (Error::MethodNotAllowed("GET"), 405),
            (Error::Published("1.0".into()), 409),
            (Error::TooLarge { what: "archive", limit: 1 }, 413),
            (Error::Archive(ArchiveError::NoManifest), 422),
            (Error::Storage(StorageError::Contended { key: "secret/key".into(), attempts: 3 }), 503),
            (Error::Storage(StorageError::Full { key: "secret/key".into() }), 507),
        ] {
            let response = error.render();
            assert_eq!(response.status().as_u16(), status, "{error}");
            let challenged = response.headers().contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(challenged, status == 401);
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(body["errors"][0]["status"], status);
            assert_eq!(body["errors"][0]["message"], body["message"]);
            assert_eq!(body.get("warning").is_some(), matches!(status, 401 | 403), "{body}");
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }
}
