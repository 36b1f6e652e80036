//! What failures that every protocol knows come to in HTTP. How they are told is each protocol's own.

use std::{error::Error, time::Duration};

use http::{HeaderValue, StatusCode, header};

use super::{QueryError, ReadBodyError};
use crate::{
    Chain, Response, administration::AdministrationError, auth::AuthError, storage::StorageError,
    upstream::Unanswered,
};

/// What goes wrong with requests in every protocol. A protocol's own error holds it beside its own causes, and renders both in the
/// protocol's form. `Display` is what the client reads, but for what [`Refusal::client_text`] keeps from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody knows who asks, or it may not do this.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A sentence about what is wrong with the request.
    #[error("{0}")]
    BadRequest(String),
    /// A sentence about what is in the way.
    #[error("{0}")]
    Conflict(String),
    /// A sentence about what the client may not do.
    #[error("{0}")]
    Forbidden(String),
    /// The form cannot be read.
    #[cfg(feature = "form")]
    #[error(transparent)]
    Form(#[from] super::form::FormError),
    /// A sentence about what was there and is no more.
    #[error("{0}")]
    Gone(String),
    /// What is nobody's fault outside.
    #[error("the answer could not be made")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
    /// The methods that the path takes.
    #[error("this path takes {0}")]
    MethodNotAllowed(&'static str),
    /// A sentence about what was not found.
    #[error("{0}")]
    NotFound(String),
    /// The query cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The body cannot be read.
    #[error(transparent)]
    ReadBody(#[from] ReadBodyError),
    /// The store failed, or a hook refused.
    #[error("the registry's store failed")]
    Storage(#[from] StorageError),
    /// The `what` of the request is larger than this registry takes.
    #[error("the {what} is larger than {limit} bytes, the most that this registry takes")]
    TooLarge {
        /// What is too large, as it stands in a sentence.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// An upstream refused or failed.
    #[error(transparent)]
    Upstream(#[from] Unanswered),
}

impl Refusal {
    /// What went wrong on the way to an answer and is nobody's fault outside.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// Why the bytes of the `what` that came with a request could not be stored.
    pub fn of_upload(what: &'static str, error: StorageError) -> Self {
        match error {
            StorageError::TooLarge { limit } => Self::TooLarge { what, limit },
            error => Self::Storage(error),
        }
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => error.status(),
            Self::BadRequest(_) | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            #[cfg(feature = "form")]
            Self::Form(error) => error.status(),
            Self::Gone(_) => StatusCode::GONE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::ReadBody(error) => error.status(),
            Self::Storage(error) => error.status(),
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Upstream(error) => error.status(),
        }
    }

    /// The sentence for the client, with nothing of the store's in it. `log_in` is the one for who came without credentials: it says
    /// where the protocol's clients have theirs.
    pub fn client_text(&self, log_in: &str) -> String {
        match self {
            Self::Auth(AuthError::Missing) => log_in.to_owned(),
            Self::Auth(error) => error.client_text(),
            Self::Storage(error) => error.client_text(),
            other => other.to_string(),
        }
    }

    /// The headers of the answer; the challenge stands in a 401.
    pub fn headers(&self, challenge: Option<HeaderValue>) -> RefusalHeaders {
        let (allow, wait) = match self {
            Self::Auth(error) => (None, error.wait()),
            Self::MethodNotAllowed(allow) => (Some(*allow), None),
            Self::Upstream(error) => (None, error.wait()),
            _ => (None, None),
        };
        RefusalHeaders { allow, challenge, wait }
    }
}

impl From<Refusal> for AdministrationError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Storage(error) => error.into(),
            refusal => Self::of_status(refusal.status(), refusal.to_string()),
        }
    }
}

impl StorageError {
    /// The status of an answer to a request that failed so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Mismatch { .. } | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Unavailable { .. } | Self::Contended { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            Self::Damaged { .. } | Self::Missing { .. } | Self::Newer { .. } | Self::Setup(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// What a client may read of it: no key, and nothing else of the store's.
    pub fn client_text(&self) -> String {
        match self {
            Self::Denied(denied) => denied.reason.clone(),
            Self::TooLarge { .. } | Self::Mismatch { .. } | Self::Body(_) => self.to_string(),
            Self::Full { .. } => STORE_FULL.to_owned(),
            Self::Unavailable { .. } | Self::Contended { .. } => {
                "the registry's store is not available now: try again later".to_owned()
            }
            Self::Damaged { .. } | Self::Missing { .. } | Self::Newer { .. } | Self::Setup(_) => {
                "something went wrong in the registry".to_owned()
            }
        }
    }
}

impl AuthError {
    /// The status of an answer to a request that failed so. Where 401 belongs, the protocol's challenge does too.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid(_) | Self::Address => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Rejected(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) | Self::Unsupported(_) => StatusCode::NOT_FOUND,
            Self::Exists(_) => StatusCode::CONFLICT,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// What a client may read of it: what it did, but nothing of who it is and of the store.
    pub fn client_text(&self) -> String {
        match self {
            Self::Forbidden(_) => "you do not have permission to do this".to_owned(),
            Self::Full(_) => STORE_FULL.to_owned(),
            other => other.to_string(),
        }
    }

    /// How long the client has to wait until it may try again.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::TooManyAttempts(wait) => Some(*wait),
            _ => None,
        }
    }
}

const STORE_FULL: &str = "the registry's store is full";

/// Notes a failure that a person must look at: one whose answer is a server's error. A client's mistake is in the access log
/// already.
pub fn log_failure(protocol: crate::Protocol, status: StatusCode, error: &(dyn Error + 'static)) {
    if status.is_server_error() {
        let (protocol, status) = (protocol.as_str(), status.as_u16());
        tracing::error!(protocol, status, error = %Chain(error), "a request failed");
    }
}

/// The headers of refusals that are the same in every protocol, whatever their bodies.
#[derive(Debug, Default)]
pub struct RefusalHeaders {
    /// The methods that the path takes, where that is what is wrong.
    pub allow: Option<&'static str>,
    /// The challenge that stands in a 401.
    pub challenge: Option<HeaderValue>,
    /// How long the client has to wait, where that is known. In a 503 it is 2 seconds otherwise.
    pub wait: Option<Duration>,
}

impl RefusalHeaders {
    /// Puts them on the answer. No cache keeps a refusal, and nobody guesses what its body is.
    pub fn put_on(self, response: &mut Response) {
        let status = response.status();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(challenge) = self.challenge.filter(|_| status == StatusCode::UNAUTHORIZED) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        let wait =
            self.wait.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(2)));
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
    }
}

/// The value of `WWW-Authenticate` that asks for a name and a password (or a token in the place of one of them).
pub fn basic_challenge(realm: &str) -> HeaderValue {
    let realm: String =
        realm.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\')).collect();
    // Visible ASCII is a header's value.
    HeaderValue::try_from(format!("Basic realm=\"{realm}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("Basic"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hooks::Denied,
        upstream::{Denial, DeniedBy},
    };

    #[test]
    fn what_the_store_says_is_not_told() {
        let key = || "secret/key".to_owned();
        for (error, status) in [
            (StorageError::Denied(Denied::new("not today")), 403),
            (StorageError::TooLarge { limit: 7 }, 413),
            (StorageError::Mismatch { what: "md5", expected: "a".to_owned(), actual: "b".to_owned() }, 400),
            (StorageError::Contended { key: key(), attempts: 3 }, 503),
            (StorageError::Unavailable { key: key(), source: "down".into() }, 503),
            (StorageError::Full { key: key() }, 507),
            (StorageError::Missing { key: key() }, 500),
            (StorageError::Damaged { key: key(), what: "x".to_owned() }, 500),
        ] {
            assert_eq!(error.status(), status, "{error}");
            assert!(!error.client_text().contains("secret"), "{}", error.client_text());
        }
        assert_eq!(StorageError::Denied(Denied::new("not today")).client_text(), "not today");
        assert!(StorageError::TooLarge { limit: 7 }.client_text().contains('7'));
        let full = AuthError::Full(StorageError::Full { key: key() });
        assert_eq!(
            (full.status(), full.client_text().as_str()),
            (StatusCode::INSUFFICIENT_STORAGE, STORE_FULL)
        );
        assert!(!AuthError::Forbidden("alice may not".to_owned()).client_text().contains("alice"));
        assert_eq!(AuthError::Missing.status(), 401);
    }

    #[test]
    fn a_refusal_has_its_status_text_and_headers() {
        let text = |refusal: &Refusal| refusal.client_text("log in first");
        let basic = || Some(basic_challenge("x"));
        for (refusal, status, says) in [
            (AuthError::Missing.into(), 401, "log in first"),
            (
                AuthError::Forbidden("alice may not".to_owned()).into(),
                403,
                "you do not have permission to do this",
            ),
            (Refusal::BadRequest("bad".to_owned()), 400, "bad"),
            (Refusal::Conflict("taken".to_owned()), 409, "taken"),
            (Refusal::Gone("gone".to_owned()), 410, "gone"),
            (Refusal::NotFound("none".to_owned()), 404, "none"),
            (Refusal::MethodNotAllowed("GET"), 405, "this path takes GET"),
            (ReadBodyError::TooLarge { limit: 7 }.into(), 413, "the request's body is larger than 7 bytes"),
            (ReadBodyError::Encoding("no").into(), 400, "the request's body cannot be decoded: no"),
            (StorageError::Denied(Denied::new("not today")).into(), 403, "not today"),
            (StorageError::Full { key: "secret/key".to_owned() }.into(), 507, STORE_FULL),
            (
                Unanswered::from(Denial::new(DeniedBy::Rule, "a rule denies it")).into(),
                403,
                "a rule denies it",
            ),
            (Refusal::internal("secret"), 500, "the answer could not be made"),
            (
                Refusal::of_upload("gem", StorageError::TooLarge { limit: 7 }),
                413,
                "the gem is larger than 7 bytes, the most that this registry takes",
            ),
        ] {
            assert_eq!((refusal.status().as_u16(), text(&refusal).as_str()), (status, says));
            let headers = refusal.headers(basic());
            assert_eq!(headers.allow, (status == 405).then_some("GET"));
            let operator = AdministrationError::from(refusal);
            assert_eq!(matches!(operator, AdministrationError::Storage(_)), status == 507);
            assert_eq!(matches!(operator, AdministrationError::Denied(_)), says == "not today");
        }
        let many = Refusal::Auth(AuthError::TooManyAttempts(Duration::from_secs(7)));
        assert_eq!(many.headers(basic()).wait, Some(Duration::from_secs(7)));
    }

    #[test]
    fn refusals_have_the_headers_of_their_kind() {
        let put = |status: u16, headers: RefusalHeaders| {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            headers.put_on(&mut response);
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            let get = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            [get(header::ALLOW), get(header::WWW_AUTHENTICATE), get(header::RETRY_AFTER)]
        };
        let some = |text: &str| Some(text.to_owned());
        let challenge =
            || RefusalHeaders { challenge: Some(basic_challenge("x")), ..RefusalHeaders::default() };
        assert_eq!(put(401, challenge()), [None, some("Basic realm=\"x\""), None]);
        assert_eq!(put(403, challenge()), [None, None, None]);
        assert_eq!(put(503, challenge()), [None, None, some("2")]);
        let allow = RefusalHeaders { allow: Some("GET, PUT"), ..RefusalHeaders::default() };
        assert_eq!(put(405, allow), [some("GET, PUT"), None, None]);
        for (wait, seconds) in [(7500, "7"), (10, "1")] {
            let wait = AuthError::TooManyAttempts(Duration::from_millis(wait)).wait();
            assert_eq!(put(429, RefusalHeaders { wait, ..RefusalHeaders::default() })[2], some(seconds));
        }
    }

    #[test]
    fn a_realm_stays_inside_its_quotes() {
        assert_eq!(basic_challenge("npm internal"), "Basic realm=\"npm internal\"");
        assert_eq!(basic_challenge("a\"b\\c\r\nd\u{e4}"), "Basic realm=\"abcd\"");
    }
}
