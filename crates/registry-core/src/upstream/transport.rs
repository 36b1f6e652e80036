//! One request to one address: what the engine needs of an HTTP client. Redirects, retries, credentials and caching are not its.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::UpstreamConfig;
use crate::Body;

/// A request as it leaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Whether the host is known from an upstream's data alone: then it may have no private address.
    pub guarded: bool,
    /// All headers, `Host` apart.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The answer to an [`Outgoing`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it comes, with no encoding undone.
    pub body: Body,
    /// Whether the end of the body can be told from a connection that broke: it has a length, chunks, or frames.
    pub delimited: bool,
}

impl Incoming {
    /// An answer.
    pub fn new(status: StatusCode, headers: HeaderMap, body: Body, delimited: bool) -> Self {
        Self { status, headers, body, delimited }
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection, or it broke before the headers. Trying again may help.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// Trying again does not help: the name does not exist, the certificate is not believed.
    #[error("the connection is refused for good")]
    Hopeless(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address is one that must not be asked.
    #[error("the address must not be asked")]
    Forbidden,
}

/// Sends requests to one upstream and to what it points to.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request; comes back with the headers of the answer. Follows no redirect and tries nothing twice.
    async fn send(&self, request: Outgoing) -> Result<Incoming, TransportError>;
}

/// An upstream cannot be asked as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("the upstream `{upstream}` cannot be asked as it is configured")]
pub struct ConnectorError {
    /// Which.
    pub upstream: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Makes the [`Transport`] of each upstream.
pub trait Connector: Send + Sync + fmt::Debug {
    /// The transport of an upstream. Opens no connection yet.
    fn connect(&self, upstream: &UpstreamConfig) -> Result<Arc<dyn Transport>, ConnectorError>;
}
