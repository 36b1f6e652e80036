//! Reading a document's body whole, under a limit.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, header};

use crate::{Body, BodyError};

/// No buffer is made larger than this on a mere announcement.
const MAX_RESERVED: u64 = 1 << 20;

/// A body that was refused unread is still read up to this size, so that its sender reads the answer instead of a
/// broken connection.
const DRAIN_BYTES: usize = 32 << 20;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Reads what is left of a body and forgets it, up to 32 MiB and for 20 seconds, before a refusal is answered.
pub async fn drain_body(body: Body) {
    let mut pieces = body.into_data_stream();
    let reading = async {
        let mut seen = 0_usize;
        while let Some(Ok(piece)) = pieces.next().await {
            seen = seen.saturating_add(piece.len());
            if seen > DRAIN_BYTES {
                break;
            }
        }
    };
    // Whether it ended or ran out of time, the answer follows.
    let _ended = tokio::time::timeout(DRAIN_TIME, reading).await;
}

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
    /// The `Content-Encoding` is not known or the bytes are not in it (400).
    #[error("the request's body cannot be decoded: {0}")]
    Encoding(&'static str),
    /// The connection ended early.
    #[error("the request's body ended early")]
    Body(#[from] BodyError),
}

impl ReadBodyError {
    /// The status of the answer.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(_) | Self::Body(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a body whole, at most `limit` bytes before and after decoding. `Content-Encoding: gzip` is decoded.
pub async fn read_body(headers: &HeaderMap, body: Body, limit: u64) -> Result<Bytes, ReadBodyError> {
    let too_large = ReadBodyError::TooLarge { limit };
    let gzip = is_gzip(headers)?;
    let announced = body
        .known_length()
        .or_else(|| headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large);
    }
    let mut pieces = body.into_data_stream();
    let Some(first) = pieces.next().await.transpose()? else { return Ok(Bytes::new()) };
    let mut received = first.len() as u64;
    if received > limit {
        return Err(too_large);
    }
    if gzip {
        let mut decoder = flate2::write::MultiGzDecoder::new(Limited { bytes: Vec::new(), limit });
        decode(&mut decoder, &first, limit)?;
        while let Some(piece) = pieces.next().await.transpose()? {
            received += piece.len() as u64;
            if received > limit {
                return Err(too_large);
            }
            decode(&mut decoder, &piece, limit)?;
        }
        let whole = decoder.finish().map_err(|error| decoding_error(&error, limit))?;
        return Ok(whole.bytes.into());
    }
    // Most documents arrive in one piece; those are not copied.
    let Some(second) = pieces.next().await.transpose()? else { return Ok(first) };
    let reserved = announced.unwrap_or_default().min(MAX_RESERVED);
    let mut whole = Vec::with_capacity(usize::try_from(reserved).unwrap_or_default());
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(piece) = next {
        received += piece.len() as u64;
        if received > limit {
            return Err(too_large);
        }
        whole.extend_from_slice(&piece);
        next = pieces.next().await.transpose()?;
    }
    Ok(whole.into())
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ReadBodyError> {
    let mut gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value =
            value.to_str().map_err(|_| ReadBodyError::Encoding("its Content-Encoding cannot be read"))?;
        for coding in value.split(',').map(str::trim) {
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                if gzip {
                    return Err(ReadBodyError::Encoding("it is said to be compressed twice"));
                }
                gzip = true;
            } else if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
                return Err(ReadBodyError::Encoding(
                    "only gzip and identity are understood as Content-Encoding",
                ));
            }
        }
    }
    Ok(gzip)
}

fn decode(
    decoder: &mut flate2::write::MultiGzDecoder<Limited>,
    piece: &[u8],
    limit: u64,
) -> Result<(), ReadBodyError> {
    decoder.write_all(piece).map_err(|error| decoding_error(&error, limit))
}

fn decoding_error(error: &io::Error, limit: u64) -> ReadBodyError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => ReadBodyError::TooLarge { limit },
        io::ErrorKind::UnexpectedEof => ReadBodyError::Encoding("its gzip data ends early"),
        _ => ReadBodyError::Encoding("it is not valid gzip"),
    }
}

/// Collects decoded bytes and stops at the limit, however small the compressed form was.
struct Limited {
    bytes: Vec<u8>,
    limit: u64,
}

impl io::Write for Limited {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() as u64).saturating_add(piece.len() as u64) > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(with: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, with.parse().unwrap());
        headers
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn in_pieces(bytes: &[u8], size: usize) -> Body {
        let pieces: Vec<Result<Bytes, io::Error>> =
            bytes.chunks(size.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn plain_bodies() {
        let none = HeaderMap::new();
        assert_eq!(read_body(&none, Body::empty(), 0).await.unwrap(), "");
        assert_eq!(read_body(&none, Body::from("abc"), 3).await.unwrap(), "abc");
        assert_eq!(read_body(&none, in_pieces(b"abcdef", 2), 6).await.unwrap(), "abcdef");
        assert_eq!(read_body(&encoded("identity"), Body::from("abc"), 3).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn the_limit_holds_while_reading() {
        let none = HeaderMap::new();
        for body in [Body::from("abcd"), in_pieces(b"abcd", 1), in_pieces(b"abcd", 4)] {
            let error = read_body(&none, body, 3).await.unwrap_err();
            assert!(matches!(error, ReadBodyError::TooLarge { limit: 3 }));
        }
        let mut announced = HeaderMap::new();
        announced.insert(header::CONTENT_LENGTH, "4".parse().unwrap());
        assert!(read_body(&announced, in_pieces(b"a", 1), 3).await.is_err());
        // What is announced is only a hint.
        announced.insert(header::CONTENT_LENGTH, "1".parse().unwrap());
        assert!(read_body(&announced, in_pieces(b"abcd", 1), 3).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_or_a_stuck_body_is_drained_no_longer() {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from(vec![0; 65_536])));
        drain_body(Body::from_stream(endless)).await;
        let before = tokio::time::Instant::now();
        drain_body(Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>())).await;
        assert!(before.elapsed() >= DRAIN_TIME);
    }

    #[tokio::test]
    async fn an_endless_body_is_left_at_the_limit() {
        let endless =
            futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 1024])));
        let error = read_body(&HeaderMap::new(), Body::from_stream(endless), 1 << 20).await.unwrap_err();
        assert!(matches!(error, ReadBodyError::TooLarge { .. }));
    }

    #[tokio::test]
    async fn gzip_bodies() {
        let content = b"the same words again and again ".repeat(100);
        for coding in ["gzip", "x-gzip", "GZip", "identity, gzip"] {
            for size in [1, 7, 10_000] {
                let body = in_pieces(&gzip(&content), size);
                assert_eq!(read_body(&encoded(coding), body, 1 << 20).await.unwrap(), content);
            }
        }
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read_body(&encoded("gzip"), in_pieces(&two, 5), 100).await.unwrap(), "one two");
        assert_eq!(read_body(&encoded("gzip"), Body::empty(), 100).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 8 << 20]);
        assert!(bomb.len() < 10_000);
        let error = read_body(&encoded("gzip"), bomb.into(), 64 << 10).await.unwrap_err();
        assert!(matches!(error, ReadBodyError::TooLarge { .. }));
    }

    #[tokio::test]
    async fn what_is_no_gzip_is_refused() {
        let good = gzip(b"some content that is long enough to be cut");
        let mut wrong_sum = good.clone();
        let last = wrong_sum.len() - 6;
        wrong_sum[last] ^= 1;
        for bytes in [b"plain text".to_vec(), good[..good.len() - 4].to_vec(), good[..10].to_vec(), wrong_sum]
        {
            let error = read_body(&encoded("gzip"), bytes.into(), 1000).await.unwrap_err();
            assert!(matches!(error, ReadBodyError::Encoding(_)), "{error:?}");
        }
        for coding in ["br", "deflate", "gzip, gzip", "zstd, gzip"] {
            let error = read_body(&encoded(coding), good.clone().into(), 1000).await.unwrap_err();
            assert!(matches!(error, ReadBodyError::Encoding(_)), "{coding}");
        }
    }

    #[tokio::test]
    async fn a_broken_connection_is_told() {
        let pieces = [Ok(Bytes::from_static(b"ab")), Err(io::Error::other("reset"))];
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        assert!(matches!(read_body(&HeaderMap::new(), body, 10).await, Err(ReadBodyError::Body(_))));
    }

    proptest! {
        #[test]
        fn compressed_bodies_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..2000), size in 1usize..300) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let body = in_pieces(&gzip(&bytes), size);
            let read = runtime.block_on(read_body(&encoded("gzip"), body, 4000)).unwrap();
            prop_assert_eq!(&read[..], &bytes[..]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(read_body(&encoded("gzip"), bytes.into(), 100));
            prop_assert!(read.is_err() || read.is_ok_and(|b| b.len() <= 100));
        }
    }
}
