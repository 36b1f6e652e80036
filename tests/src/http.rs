//! A client that is a connection and a token.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends requests to one server, each on a connection of its own, so that none is lost with another's.
#[derive(Clone, Debug)]
pub struct Client {
    addr: SocketAddr,
    authorization: Option<String>,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header's value, where it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// An error unless the status is this one.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            let body = String::from_utf8_lossy(&self.body);
            bail!("{} in place of {status}: {}", self.status, body.chars().take(500).collect::<String>());
        }
        Ok(self)
    }
}

impl Client {
    /// A client without credentials.
    pub fn anonymous(addr: SocketAddr) -> Self {
        Self { addr, authorization: None }
    }

    /// A client with a token.
    pub fn new(addr: SocketAddr, token: &str) -> Self {
        Self { addr, authorization: Some(format!("Bearer {token}")) }
    }

    /// The same client for another server of the same store.
    pub fn at(&self, addr: SocketAddr) -> Self {
        Self { addr, ..self.clone() }
    }

    /// GET.
    pub async fn get(&self, target: &str) -> Result<Answer> {
        self.send("GET", target, &[], Bytes::new()).await
    }

    /// Any request with its body in memory.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
        self.send_body(method, target, headers, body).await
    }

    /// Any request with any body.
    pub async fn send_body(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: BoxBody<Bytes, std::io::Error>,
    ) -> Result<Answer> {
        let what = || format!("{method} {target}");
        let stream = TcpStream::connect(self.addr).await.with_context(what)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(what)?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(target).header("host", self.addr.to_string());
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(body)?).await.with_context(what)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.with_context(what)?.to_bytes();
        driver.abort();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}
