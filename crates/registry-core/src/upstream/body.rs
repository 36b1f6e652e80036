//! Reading an upstream's answers whole, within limits.

use std::{io::Read as _, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::FailureKind;
use crate::Body;

/// Beyond this size a body is decoded on a thread of its own.
const DECODED_INLINE: usize = 64 << 10;

/// Reads a body of at most `most` bytes; every piece must come within `idle`.
pub(crate) async fn read_limited(body: Body, most: u64, idle: Duration) -> Result<Bytes, FailureKind> {
    if body.known_length().is_some_and(|length| length > most) {
        return Err(FailureKind::TooLarge(most));
    }
    let mut pieces = body.into_data_stream();
    let mut whole = BytesMut::new();
    loop {
        match timeout(idle, pieces.next()).await {
            Err(_) => return Err(FailureKind::Timeout),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(FailureKind::Truncated),
            Ok(Some(Ok(piece))) => {
                if (whole.len() + piece.len()) as u64 > most {
                    return Err(FailureKind::TooLarge(most));
                }
                whole.extend_from_slice(&piece);
            }
        }
    }
}

/// Undoes the `Content-Encoding` of a body: at most `most` bytes come out.
pub(crate) async fn decode(headers: &HeaderMap, body: Bytes, most: u64) -> Result<Bytes, FailureKind> {
    let encoding = headers.get(header::CONTENT_ENCODING).map_or(b"" as &[u8], |value| value.as_bytes());
    match encoding.to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(body),
        b"gzip" | b"x-gzip" if body.len() <= DECODED_INLINE => gunzip(&body, most),
        b"gzip" | b"x-gzip" => {
            let decoded = tokio::task::spawn_blocking(move || gunzip(&body, most)).await;
            decoded.unwrap_or(Err(FailureKind::Internal))
        }
        _ => Err(FailureKind::BadBody("it has an encoding that was not asked for".to_owned())),
    }
}

fn gunzip(body: &[u8], most: u64) -> Result<Bytes, FailureKind> {
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(4 << 20));
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(most.saturating_add(1));
    match decoder.read_to_end(&mut out) {
        Ok(_) if out.len() as u64 > most => Err(FailureKind::TooLarge(most)),
        Ok(_) => Ok(out.into()),
        Err(_) => Err(FailureKind::BadBody("its gzip is damaged".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[tokio::test]
    async fn checklist_30_a_bomb_stops_at_the_limit() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 64 << 10);
        assert_eq!(decode(&headers, bomb.clone(), 1 << 20).await, Err(FailureKind::TooLarge(1 << 20)));
        assert_eq!(decode(&headers, bomb, 10 << 20).await.unwrap().len(), 10 << 20);
        assert!(matches!(decode(&headers, "no gzip".into(), 99).await, Err(FailureKind::BadBody(_))));
        headers.insert(header::CONTENT_ENCODING, "br".parse().unwrap());
        assert!(matches!(decode(&headers, "x".into(), 99).await, Err(FailureKind::BadBody(_))));
    }

    #[tokio::test]
    async fn what_is_read_has_a_limit() {
        let idle = Duration::from_secs(1);
        assert_eq!(read_limited(Body::from("abc"), 3, idle).await.unwrap(), "abc");
        assert_eq!(read_limited(Body::from("abcd"), 3, idle).await, Err(FailureKind::TooLarge(3)));
        let pieces = [Ok::<_, std::io::Error>(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"cd"))];
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        assert_eq!(read_limited(body, 3, idle).await, Err(FailureKind::TooLarge(3)));
    }
}
