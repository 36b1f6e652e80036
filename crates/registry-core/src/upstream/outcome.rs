//! The four ends of a lookup, each a type of its own, so that a failure is never taken for "not there".

use std::time::Duration;

use http::StatusCode;

use super::UpstreamId;

/// What asking upstreams came to.
#[derive(Clone, Debug)]
#[must_use = "a lookup says what to answer"]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// Every upstream that may be asked says that it is not there.
    Absent,
    /// A rule, or the upstream, does not let us have it.
    Denied(Denial),
    /// Whether it is there could not be found out.
    Failed(Failure),
}

impl<T> Lookup<T> {
    /// What was found, `None` where nothing is there; the other two ends are an error.
    pub fn found(self) -> Result<Option<T>, Unanswered> {
        match self {
            Self::Found(found) => Ok(Some(found)),
            Self::Absent => Ok(None),
            Self::Denied(denial) => Err(denial.into()),
            Self::Failed(failure) => Err(failure.into()),
        }
    }

    /// The same end with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Found(found) => Lookup::Found(change(found)),
            Self::Absent => Lookup::Absent,
            Self::Denied(denial) => Lookup::Denied(denial),
            Self::Failed(failure) => Lookup::Failed(failure),
        }
    }
}

/// A lookup that found neither the thing nor that it is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unanswered {
    /// Refused.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Unanswered {
    /// The status of the answer: 403, 502, 503 or 504. Protocols in which a 403 reads as "wrong credentials" answer a
    /// denial with 404 instead.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Failed(failure) => failure.status(),
        }
    }

    /// How long the client has to wait, where that is known.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Denied(_) => None,
            Self::Failed(failure) => failure.wait,
        }
    }
}

/// Why something may not be had. `Display` is a sentence for the client; it names rules, never addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    /// The sentence.
    pub reason: String,
    /// What refused.
    pub by: DeniedBy,
}

/// What refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedBy {
    /// A `deny` rule.
    Rule,
    /// `min_release_age`.
    Age,
    /// A hook or the host's own provider.
    Host,
    /// The upstream (401, 403, 451).
    Upstream,
}

impl Denial {
    /// A denial.
    pub fn new(by: DeniedBy, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), by }
    }
}

/// Why it could not be found out. `Display` is a sentence for the client: it names the upstream's id and the kind of failure, no
/// URL, no address.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the upstream registry `{upstream}` {kind}")]
pub struct Failure {
    /// Which upstream.
    pub upstream: UpstreamId,
    /// What went wrong.
    pub kind: FailureKind,
    /// How long to wait until it makes sense to ask again, where that is known.
    pub wait: Option<Duration>,
}

/// What went wrong with an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureKind {
    /// No connection, or it broke before an answer.
    #[error("cannot be reached")]
    Unreachable,
    /// It did not answer in time.
    #[error("did not answer in time")]
    Timeout,
    /// It answered with a status that is none of ours to use.
    #[error("answered with status {0}")]
    Status(u16),
    /// Its answer is not what was asked for.
    #[error("sent something else than was asked for: {0}")]
    BadBody(String),
    /// Its answer is larger than is taken.
    #[error("sent more than the {0} bytes that are taken")]
    TooLarge(u64),
    /// Its answer ended early.
    #[error("broke off in the middle of its answer")]
    Truncated,
    /// The bytes are not those that its own metadata promises.
    #[error("sent bytes that are not those its metadata promises ({0})")]
    Integrity(&'static str),
    /// It refuses the credentials that are configured for it.
    #[error("refuses this registry's credentials")]
    Credentials,
    /// It asked us to wait.
    #[error("asked this registry to wait")]
    Cooling,
    /// It failed so often that it is left alone for a while.
    #[error("failed too often and is left alone for a while")]
    BreakerOpen,
    /// Too many requests wait for it.
    #[error("has too many requests waiting for it")]
    Busy,
    /// It, or what it sent, points to an address that must not be asked.
    #[error("points to an address that this registry does not ask")]
    Forbidden,
    /// Its redirects lead nowhere.
    #[error("redirects in a way that this registry does not follow")]
    Redirect,
    /// This registry works offline, and has no copy.
    #[error("is not asked, because this registry works offline, and there is no copy")]
    Offline,
    /// The registry's own store failed while it was read or written.
    #[error("could not be asked, because the registry's store failed")]
    Store,
    /// A program error in this registry.
    #[error("could not be asked because of an error in this registry")]
    Internal,
}

impl Failure {
    /// A failure without a time to wait.
    pub fn new(upstream: &UpstreamId, kind: FailureKind) -> Self {
        Self { upstream: upstream.clone(), kind, wait: None }
    }

    /// With a time to wait.
    pub fn after(upstream: &UpstreamId, kind: FailureKind, wait: Duration) -> Self {
        Self { upstream: upstream.clone(), kind, wait: Some(wait) }
    }

    /// The status of the answer: 502, 503 or 504.
    pub fn status(&self) -> StatusCode {
        match &self.kind {
            FailureKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            FailureKind::Cooling
            | FailureKind::BreakerOpen
            | FailureKind::Busy
            | FailureKind::Offline
            | FailureKind::Store => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            FailureKind::Unreachable
            | FailureKind::Status(_)
            | FailureKind::BadBody(_)
            | FailureKind::TooLarge(_)
            | FailureKind::Truncated
            | FailureKind::Integrity(_)
            | FailureKind::Credentials
            | FailureKind::Forbidden
            | FailureKind::Redirect => StatusCode::BAD_GATEWAY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_never_a_4xx_and_names_the_upstream_alone() {
        let id: UpstreamId = "public".parse().unwrap();
        for (kind, status) in [
            (FailureKind::Unreachable, 502),
            (FailureKind::Timeout, 504),
            (FailureKind::Status(500), 502),
            (FailureKind::BadBody("no JSON".to_owned()), 502),
            (FailureKind::Integrity("sha512"), 502),
            (FailureKind::Cooling, 503),
            (FailureKind::BreakerOpen, 503),
            (FailureKind::Offline, 503),
        ] {
            let failure = Failure::new(&id, kind);
            assert_eq!(failure.status().as_u16(), status);
            assert!(failure.to_string().starts_with("the upstream registry `public` "), "{failure}");
        }
    }

    #[test]
    fn absent_is_the_only_nothing() {
        assert!(Lookup::Found(1).found().unwrap().is_some());
        assert!(Lookup::<u8>::Absent.found().unwrap().is_none());
        assert!(Lookup::<u8>::Denied(Denial::new(DeniedBy::Rule, "no")).found().is_err());
        let id: UpstreamId = "a".parse().unwrap();
        let failed = Lookup::<u8>::Failed(Failure::new(&id, FailureKind::Timeout)).found().unwrap_err();
        assert_eq!(failed.status(), 504);
    }
}
