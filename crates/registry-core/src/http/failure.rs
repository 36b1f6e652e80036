//! What failures that every protocol knows come to in HTTP. How they are told is each protocol's own.

use std::{error::Error, time::Duration};

use http::{HeaderValue, StatusCode, header};

use crate::{Chain, Response, auth::AuthError, storage::StorageError};

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
    use crate::hooks::Denied;

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
