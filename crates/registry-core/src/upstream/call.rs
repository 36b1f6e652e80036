//! A question to one upstream and its answer, between [`super::exchange`] and what is made of them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::{breaker::Ticket, gate::Health, source::Upstream};
use crate::Body;

/// What kind of content is asked for: it decides on time limits, encodings and whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Text that is read whole.
    Document,
    /// Bytes that are passed on.
    Artifact,
}

impl Content {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Artifact => "artifact",
        }
    }
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) content: Content,
    /// `Accept`, validators, `Range`, content type: no credentials.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The scope that a token endpoint is asked for (OCI).
    pub(crate) scope: Option<Arc<str>>,
}

/// An answer that can be used: 2xx or 304.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) delimited: bool,
    /// Where it came from in the end, and what tells the breaker of it.
    pub(crate) served: Served,
    /// Held while the body is read.
    pub(crate) turn: OwnedSemaphorePermit,
}

/// The hop that answered.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) origin: String,
    pub(crate) ticket: Option<Ticket>,
}

impl Served {
    /// The body broke off, or was something else than what was asked for.
    pub(crate) fn went_bad(&self) {
        let now = self.upstream.now();
        // The headers counted as a success; a fresh ticket of the same generation counts the failure.
        let ticket = self.upstream.gate.admit(&self.origin, now).ok().flatten().or(self.ticket);
        self.upstream.gate.report(&self.origin, ticket, now, Health::Bad);
    }
}
