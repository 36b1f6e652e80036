//! Reading a document's body whole, under a limit.

use bytes::Bytes;
use http::HeaderMap;

use crate::{Body, BodyError};

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadBodyError {
    /// More bytes than allowed, before or after decoding (413).
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The `Content-Encoding` is not known or the bytes are not in it (400 or 415).
    #[error("the request's body cannot be decoded: {0}")]
    Encoding(&'static str),
    /// The connection ended early.
    #[error("the request's body ended early")]
    Body(#[from] BodyError),
}

/// Reads a body whole, at most `limit` bytes after decoding. `Content-Encoding: gzip` is decoded.
pub async fn read_body(headers: &HeaderMap, body: Body, limit: u64) -> Result<Bytes, ReadBodyError> {
    unimplemented!()
}
