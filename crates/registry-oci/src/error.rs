//! What can go wrong, and how OCI clients are told (sheet section 5).

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use registry_core::{
    Body, Protocol, Response,
    administration::AdministrationError,
    auth::AuthError,
    http::{ReadBodyError, log_failure},
    storage::StorageError,
    upstream::Unanswered,
};
use serde_json::{Value, json};

use crate::{
    names::{Digest, DigestError, NameError, Reference, ReferenceError, TagError},
    wire::{challenge::Challenge, manifest::ManifestError},
};

/// What can go wrong with a request. The text is for the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("the content's digest is {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("the `digest` parameter is missing")]
    DigestMissing,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the manifest is larger than {limit} bytes")]
    ManifestTooLarge { limit: u64 },
    #[error("the Content-Encoding `{0}` is not accepted: send manifests as they are")]
    ContentEncoding(String),
    #[error("manifest {reference} is not known in this repository")]
    ManifestUnknown { reference: Reference },
    #[error("the manifest names content that is not in this repository: push or mount it first")]
    ManifestBlobUnknown { digests: Vec<Digest> },
    #[error("the repository is not known")]
    NameUnknown,
    #[error("blob {digest} is not in this repository")]
    BlobUnknown { digest: Digest },
    #[error(
        "the upload is not known: it was finished, cancelled, has expired, or belongs elsewhere; start a new one"
    )]
    UploadUnknown,
    #[error("{0}")]
    UploadInvalid(&'static str),
    #[error("{what}; {received} bytes are here: continue at byte {received}")]
    OutOfOrder { what: &'static str, received: u64, location: String },
    #[error("the body has {actual} bytes, not {expected}")]
    Size { expected: u64, actual: u64 },
    #[error("the blob is larger than {limit} bytes")]
    BlobTooLarge { limit: u64 },
    #[error("`n` must be a whole number, zero or more, not `{0}`")]
    PageSize(String),
    #[error("at most {limit} `tag` parameters are taken with one push")]
    TooManyTags { limit: usize },
    #[error("tag {0} is immutable here: push another tag")]
    TagImmutable(String),
    #[error("the tag has changed: it does not have the digest that If-Match names")]
    Precondition,
    #[error("{message}")]
    Unauthorized { challenge: Box<Challenge>, message: &'static str },
    #[error("{0}")]
    BadCredentials(&'static str),
    #[error("{0}")]
    Denied(String),
    #[error("the range does not lie in the blob")]
    RangeUnsatisfiable,
    #[error("the request could not be finished")]
    Interrupted,
    #[error("{what}")]
    Unsupported { what: &'static str, allow: &'static str },
    #[error("there is nothing at this path")]
    NoRoute,
    #[error("{0}")]
    TokenRequest(&'static str),
    #[error("too many attempts: try again in {} seconds", .retry_after.as_secs().max(1))]
    TooManyAttempts { retry_after: Duration },
    #[error("the request's body ended early")]
    Body(#[source] ReadBodyError),
    #[error("the auth provider is not available")]
    Auth(#[source] AuthError),
    #[error("the store cannot be used")]
    Storage(#[from] StorageError),
    /// An upstream failed, or a rule refuses what it has.
    #[error(transparent)]
    Upstream(#[from] Unanswered),
}

impl From<Error> for AdministrationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Storage(error) => error.into(),
            error => Self::of_status(error.status(), error.to_string()),
        }
    }
}

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Digest(error) => Self::Digest(error),
            ReferenceError::Tag(error) => Self::Tag(error),
        }
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::TooManyAttempts(retry_after) => Self::TooManyAttempts { retry_after },
            AuthError::Forbidden(text) => Self::Denied(text),
            AuthError::Invalid(text) => Self::BadCredentials(text),
            AuthError::Missing => Self::BadCredentials("authentication is required"),
            other => Self::Auth(other),
        }
    }
}

impl Error {
    /// Whether it is certain that nothing was written.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Storage(_))
    }

    /// A repository of another registry, whose place nobody takes by accident.
    pub(crate) fn taken(name: &crate::names::RepositoryName) -> Self {
        Self::Denied(format!(
            "{name} is a repository of the registry that this one stands before: to push under its name, have it reserved here"
        ))
    }

    /// The specification's code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "NAME_INVALID",
            Self::Digest(_) | Self::DigestMismatch { .. } | Self::DigestMissing => "DIGEST_INVALID",
            Self::Tag(_) | Self::Manifest(_) | Self::ContentEncoding(_) => "MANIFEST_INVALID",
            Self::ManifestTooLarge { .. } | Self::Size { .. } | Self::BlobTooLarge { .. } => "SIZE_INVALID",
            Self::ManifestUnknown { .. } => "MANIFEST_UNKNOWN",
            Self::ManifestBlobUnknown { .. } => "MANIFEST_BLOB_UNKNOWN",
            Self::NameUnknown | Self::NoRoute => "NAME_UNKNOWN",
            Self::BlobUnknown { .. } => "BLOB_UNKNOWN",
            Self::UploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::UploadInvalid(_) | Self::Body(_) => "BLOB_UPLOAD_INVALID",
            Self::OutOfOrder { .. } | Self::RangeUnsatisfiable => "RANGE_INVALID",
            Self::PageSize(_) => "PAGINATION_NUMBER_INVALID",
            Self::TooManyTags { .. } => "MANIFEST_INVALID",
            Self::TagImmutable(_) | Self::Denied(_) | Self::Precondition => "DENIED",
            Self::Unauthorized { .. } | Self::BadCredentials(_) => "UNAUTHORIZED",
            Self::Interrupted => "UNKNOWN",
            Self::Unsupported { .. } | Self::TokenRequest(_) => "UNSUPPORTED",
            Self::TooManyAttempts { .. } => "TOOMANYREQUESTS",
            Self::Upstream(Unanswered::Denied(_)) => "DENIED",
            Self::Auth(_) | Self::Upstream(Unanswered::Failed(_)) => "UNAVAILABLE",
            Self::Storage(error) => match error {
                StorageError::Denied(_) => "DENIED",
                StorageError::TooLarge { .. } => "SIZE_INVALID",
                StorageError::Mismatch { .. } => "DIGEST_INVALID",
                StorageError::Body(_) => "BLOB_UPLOAD_INVALID",
                StorageError::Unavailable { .. }
                | StorageError::Contended { .. }
                | StorageError::Full { .. } => "UNAVAILABLE",
                _ => "UNKNOWN",
            },
        }
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Name(_)
            | Self::Digest(_)
            | Self::DigestMismatch { .. }
            | Self::DigestMissing
            | Self::Tag(_)
            | Self::UploadInvalid(_)
            | Self::Size { .. }
            | Self::PageSize(_)
            | Self::TokenRequest(_)
            | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Manifest(ManifestError::Refused(_)) | Self::ContentEncoding(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Manifest(_) => StatusCode::BAD_REQUEST,
            Self::ManifestTooLarge { .. } | Self::BlobTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ManifestUnknown { .. }
            | Self::ManifestBlobUnknown { .. }
            | Self::NameUnknown
            | Self::BlobUnknown { .. }
            | Self::UploadUnknown
            | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::OutOfOrder { .. } | Self::RangeUnsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooManyTags { .. } => StatusCode::URI_TOO_LONG,
            Self::TagImmutable(_) | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Unauthorized { .. } | Self::BadCredentials(_) => StatusCode::UNAUTHORIZED,
            Self::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unsupported { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Auth(AuthError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Auth(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(error) => error.status(),
            Self::Upstream(error) => error.status(),
        }
    }

    /// What the client reads: never a key or another detail of the store.
    fn message(&self) -> String {
        match self {
            Self::Storage(error) => error.client_text(),
            Self::Auth(error @ AuthError::Full(_)) => error.client_text(),
            other => other.to_string(),
        }
    }

    fn detail(&self) -> Value {
        match self {
            Self::Digest(_) | Self::Name(_) | Self::Tag(_) => Value::Null,
            Self::DigestMismatch { expected, actual } => json!({ "expected": expected, "actual": actual }),
            Self::ManifestTooLarge { limit } | Self::BlobTooLarge { limit } => json!({ "limit": limit }),
            Self::ManifestUnknown { reference } => json!({ "reference": reference.to_string() }),
            Self::BlobUnknown { digest } => json!({ "digest": digest }),
            Self::OutOfOrder { received, .. } => json!({ "received": received }),
            Self::Unauthorized { challenge, .. } => json!({ "scope": challenge.scope }),
            _ => Value::Null,
        }
    }

    /// The answer. `head`: the request's method has no body in its answer.
    pub(crate) fn render(&self, head: bool) -> Response {
        let status = self.status();
        log_failure(Protocol::Oci, status, self);
        let body = self.body();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        match self {
            Self::Unauthorized { challenge, .. } => put(header::WWW_AUTHENTICATE, &challenge.render()),
            Self::BadCredentials(_) => put(header::WWW_AUTHENTICATE, "Basic realm=\"smartregistry\""),
            Self::Unsupported { allow, .. } => put(header::ALLOW, allow),
            Self::OutOfOrder { received, location, .. } => {
                put(header::LOCATION, location);
                put(header::RANGE, &crate::wire::range::render_received(*received));
            }
            Self::TooManyAttempts { retry_after } => {
                put(header::RETRY_AFTER, &retry_after.as_secs().max(1).to_string());
            }
            Self::Upstream(error) if error.wait().is_some() => {
                put(header::RETRY_AFTER, &error.wait().unwrap_or_default().as_secs().max(1).to_string());
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => put(header::RETRY_AFTER, "1"),
            _ => {}
        }
        if !head {
            *response.body_mut() = body.into();
        }
        response
    }

    fn body(&self) -> Vec<u8> {
        let one = |detail: Value| {
            let mut one = json!({ "code": self.code(), "message": self.message() });
            if !detail.is_null()
                && let Some(object) = one.as_object_mut()
            {
                object.insert("detail".to_owned(), detail);
            }
            one
        };
        let errors = match self {
            Self::ManifestBlobUnknown { digests } => {
                digests.iter().map(|digest| one(json!({ "digest": digest }))).collect()
            }
            _ => vec![one(self.detail())],
        };
        json!({ "errors": errors }).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use registry_core::hooks::Denied;

    use super::*;

    async fn shown(error: Error) -> (u16, Value) {
        let response = error.render(false);
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    /// Checklist 26.
    #[tokio::test]
    async fn errors_have_the_specified_shape() {
        let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(
            shown(Error::BlobUnknown { digest: digest.clone() }).await,
            (
                404,
                json!({"errors": [{"code": "BLOB_UNKNOWN", "message": format!("blob {digest} is not in this repository"), "detail": {"digest": digest}}]})
            )
        );
        let (status, body) =
            shown(Error::ManifestBlobUnknown { digests: vec![digest.clone(), digest] }).await;
        assert_eq!((status, body["errors"].as_array().unwrap().len()), (404, 2));
    }

    #[tokio::test]
    async fn head_has_headers_but_no_body() {
        let response = Error::NoRoute.render(true);
        assert_ne!(response.headers()[header::CONTENT_LENGTH], "0");
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    /// Checklist 55: no detail of the store reaches a client.
    #[tokio::test]
    async fn store_errors_do_not_leak() {
        let source = std::io::Error::other("secret backend text");
        let error = StorageError::Unavailable { key: "secret/key".into(), source: source.into() };
        let (status, body) = shown(error.into()).await;
        assert_eq!((status, body["errors"][0]["code"].as_str().unwrap()), (503, "UNAVAILABLE"));
        assert!(!body.to_string().contains("secret"));
        let full = AuthError::from(StorageError::Full { key: "secret/key".into() });
        let (status, body) = shown(full.into()).await;
        assert_eq!((status, body["errors"][0]["code"].as_str().unwrap()), (507, "UNAVAILABLE"));
        assert!(!body.to_string().contains("secret"));
        let (status, body) = shown(StorageError::Denied(Denied::new("too large for us")).into()).await;
        assert_eq!((status, body["errors"][0]["message"].as_str().unwrap()), (403, "too large for us"));
    }

    /// Checklist 54.
    #[test]
    fn too_many_attempts_say_when_to_come_back() {
        let response = Error::TooManyAttempts { retry_after: Duration::from_secs(7) }.render(false);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    }
}
