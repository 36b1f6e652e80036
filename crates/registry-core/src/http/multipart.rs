//! `multipart/byteranges` (RFC 9110 section 14.6).

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::HeaderValue;

use super::artifact::content_range;
use crate::{Body, BodyError, storage::StorageError};

/// The parts to send, with everything but their bytes made beforehand, so that the length is known.
pub(super) struct Plan {
    boundary: String,
    /// What stands before each part's bytes: delimiter and headers.
    parts: Vec<(Bytes, Range<u64>)>,
    end: Bytes,
    length: u64,
}

impl Plan {
    /// A plan for `ranges`, of which there is at least one, of content with `size` bytes.
    pub(super) fn new(content_type: &HeaderValue, size: u64, ranges: Vec<Range<u64>>) -> Self {
        // Letters and digits only: podman reads the boundary unquoted. Random, so that no content holds it.
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let mut length = 0;
        let mut parts = Vec::with_capacity(ranges.len());
        for (at, range) in ranges.into_iter().enumerate() {
            let mut head = Vec::with_capacity(160);
            if at > 0 {
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(format!("--{boundary}\r\nContent-Type: ").as_bytes());
            head.extend_from_slice(content_type.as_bytes());
            let place = content_range(&range, size);
            head.extend_from_slice(format!("\r\nContent-Range: {place}\r\n\r\n").as_bytes());
            length += head.len() as u64 + (range.end - range.start);
            parts.push((head.into(), range));
        }
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        length += end.len() as u64;
        Self { boundary, parts, end, length }
    }

    /// The answer's media type.
    pub(super) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("multipart/byteranges; boundary={}", self.boundary))
            .unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges"))
    }

    /// The answer's length.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The answer's body. The first part is opened at once, so that missing data is an error and not a broken body.
    pub(super) async fn body<O, F>(self, open: O) -> Result<Body, StorageError>
    where
        O: Fn(Option<Range<u64>>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Body, StorageError>> + Send + 'static,
    {
        let mut first = match self.parts.first() {
            Some((_, range)) => Some(open(Some(range.clone())).await?),
            None => None,
        };
        let parts = stream::iter(self.parts).then(move |(head, range)| {
            let ready = first.take();
            let opening = ready.is_none().then(|| open(Some(range)));
            async move {
                let body = match (ready, opening) {
                    (Some(body), _) => body,
                    (None, Some(opening)) => opening.await.map_err(BodyError::new)?,
                    (None, None) => Body::empty(),
                };
                Ok::<_, BodyError>(stream::iter([Ok(head)]).chain(body.into_data_stream()))
            }
        });
        let bytes = parts.try_flatten().chain(stream::iter([Ok(self.end)]));
        Ok(Body::from_sized_stream(self.length, bytes))
    }
}
