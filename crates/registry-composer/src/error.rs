//! Everything that can be answered instead of what was asked, and how Composer and scripts expect it.

use http::{HeaderValue, StatusCode, header};
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::zip::ZipError,
    http::{Refusal, RefusalHeaders, basic_challenge, respond_json},
};
use serde_json::json;

use crate::{archive::ArchiveError, names::NameError, version::VersionError, wire::manifest::ManifestError};

/// For who came without credentials.
const LOG_IN: &str = "authentication is required: put a token for this host into auth.json (composer config http-basic.HOST token TOKEN)";

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What goes wrong in every protocol.
    #[error(transparent)]
    Common(Refusal),
    #[error("version {0} was deleted, and only the same archive can be published under it again")]
    Deleted(String),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(
        "version {0} is published already, with another archive: releases never change, so publish a new version"
    )]
    Published(String),
    /// What can be read and still cannot be published, as a sentence.
    #[error("{0}")]
    Unprocessable(String),
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
        Refusal::NotFound(format!("there is no package \"{name}\"")).into()
    }

    /// A package of another repository, whose place nobody takes by accident.
    pub(crate) fn taken(name: &crate::names::PackageName) -> Self {
        Refusal::Forbidden(format!(
            "\"{name}\" is a package of the repository that this one stands before: to publish under its name, have it reserved here"
        ))
        .into()
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Archive(ArchiveError::Zip(ZipError::Malformed(_) | ZipError::Unsupported(_))) => {
                StatusCode::BAD_REQUEST
            }
            Self::Archive(_)
            | Self::Manifest(_)
            | Self::Name(_)
            | Self::Unprocessable(_)
            | Self::Version(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Common(refusal) => refusal.status(),
            Self::Deleted(_) | Self::Published(_) => StatusCode::CONFLICT,
        }
    }

    /// The answer. Composer prints `warning`, of 401 and 403 alone; `errors` and `message` are for scripts.
    pub(crate) fn render(&self) -> Response {
        let status = self.status();
        let text = match self {
            Self::Common(refusal) => refusal.client_text(LOG_IN),
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
        let headers = match self {
            Self::Common(refusal) => refusal.headers(Some(basic_challenge("smartregistry"))),
            _ => RefusalHeaders::default(),
        };
        headers.put_on(&mut response);
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
    use registry_core::{auth::AuthError, hooks::Denied, storage::StorageError};

    use super::*;

    #[tokio::test]
    async fn checklist_40_errors_are_json_and_warn_where_composer_prints_it() {
        for (error, status) in [
            (Error::bad("x"), 400),
            (AuthError::Missing.into(), 401),
            (StorageError::Denied(Denied::new("not today")).into(), 403),
            (Error::no_package("a/b"), 404),
            (Refusal::MethodNotAllowed("GET").into(), 405),
            (Error::Published("1.0".into()), 409),
            (Refusal::TooLarge { what: "archive", limit: 1 }.into(), 413),
            (Error::Archive(ArchiveError::NoManifest), 422),
            (StorageError::Contended { key: "secret/key".into(), attempts: 3 }.into(), 503),
            (StorageError::Full { key: "secret/key".into() }.into(), 507),
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
