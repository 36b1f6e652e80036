//! Answers from memory and answers from the store.

use std::{ops::Range, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, request::Parts};

use crate::{Body, Response, storage::StorageError};

/// A document's rendered form: rendered, hashed and compressed once, then served many times.
#[derive(Debug)]
pub struct Representation {
    _placeholder: (),
}

impl Representation {
    /// A form with a strong ETag made from its bytes. `headers` go out as they are with every answer (304 too).
    pub fn new(
        content_type: HeaderValue,
        body: Bytes,
        modified: Option<SystemTime>,
        headers: HeaderMap,
    ) -> Self {
        unimplemented!()
    }

    /// A form whose ETag is given (OCI manifests: the digest, in quotes), never compressed.
    pub fn verbatim(
        content_type: HeaderValue,
        body: Bytes,
        etag: HeaderValue,
        modified: Option<SystemTime>,
        headers: HeaderMap,
    ) -> Self {
        unimplemented!()
    }

    /// About how much memory it holds, compressed form included.
    pub fn weight(&self) -> usize {
        unimplemented!()
    }

    /// Answers GET and HEAD: 200 or 304, gzip where the client takes it and it pays, ETag distinct per encoding, `Vary`.
    pub fn respond(self: &Arc<Self>, request: &Parts) -> Response {
        unimplemented!()
    }
}

/// What is known of an artefact that is to be served.
#[derive(Debug)]
pub struct ArtifactResponse {
    /// Its size in bytes.
    pub size: u64,
    /// Its strong ETag, quotes included.
    pub etag: HeaderValue,
    /// Its media type.
    pub content_type: HeaderValue,
    /// When it was published.
    pub modified: Option<SystemTime>,
    /// More headers for 200, 206 and 304 (`Cache-Control`, `Docker-Content-Digest` …).
    pub headers: HeaderMap,
}

/// Answers GET and HEAD of an artefact: 200, 206 with one part or `multipart/byteranges`, 304, 416; If-None-Match,
/// If-Modified-Since, If-Range, Range as in RFC 9110 sections 13 and 14. `open` is asked for the bytes only where some are
/// sent; HEAD never asks.
pub async fn respond_artifact<O, F>(
    request: &Parts,
    artifact: ArtifactResponse,
    open: O,
) -> Result<Response, StorageError>
where
    O: Fn(Option<Range<u64>>) -> F + Send + Sync,
    F: Future<Output = Result<Body, StorageError>> + Send,
{
    unimplemented!()
}
