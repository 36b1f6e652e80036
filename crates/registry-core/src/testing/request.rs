//! Requests to an [`App`], and its answers.

use std::{fmt, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::{App, Subject};
use crate::{Actor, Body, PackageRegistry as _, http::ReasonPhrase};

/// A request under construction.
#[must_use = "a request does nothing until it is sent"]
pub struct Ask<'a, S: Subject> {
    app: &'a App<S>,
    builder: http::request::Builder,
    body: Body,
    address: Option<IpAddr>,
}

impl<S: Subject> fmt::Debug for Ask<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("request", &self.builder).finish_non_exhaustive()
    }
}

impl<'a, S: Subject> Ask<'a, S> {
    pub(super) fn new(app: &'a App<S>, method: &str, path: &str) -> Self {
        let builder =
            http::Request::builder().method(method).uri(path).header("host", "registry.example.com");
        Self { app, builder, body: Body::empty(), address: None }
    }

    /// With a token, in the way of the protocol's clients.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("{}{token}", S::SCHEME))
    }

    /// With a user's name and password (or token).
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.header("authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Under another host name.
    pub fn host(mut self, host: &str) -> Self {
        self.builder.headers_mut().unwrap().insert("host", host.parse().unwrap());
        self
    }

    /// From a client at this address.
    pub fn at_address(mut self, address: &str) -> Self {
        self.address = Some(address.parse().unwrap());
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of JSON.
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// Sends the request and reads the answer whole.
    pub async fn send(self) -> Reply {
        let mut request = self.builder.body(self.body).unwrap();
        if let Some(address) = self.address {
            request.extensions_mut().insert(Actor::anonymous().with_address(address));
        }
        let response = self.app.registry.handle(request).await;
        let (parts, body) = response.into_parts();
        let reason = parts.extensions.get::<ReasonPhrase>().map(|reason| reason.as_str().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, reason, body, sentence: S::sentence }
    }
}

/// An answer, read whole.
#[derive(Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The text beside the status, where it is not the usual one.
    pub reason: Option<String>,
    /// The body.
    pub body: Bytes,
    sentence: fn(&Self) -> String,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, self.text())
    }
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON, {error}: {self:?}"),
        }
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The refusal's sentence.
    #[track_caller]
    pub fn error(&self) -> String {
        (self.sentence)(self)
    }

    /// Panics unless the answer has this status and, where it is a refusal with a body, the form of the protocol's refusals.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        if status >= 400 && !self.body.is_empty() {
            let sentence = self.error();
            assert!(!sentence.is_empty(), "{self:?}");
        }
        self
    }
}
