//! Request and response bodies.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early")]
pub struct BodyError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl BodyError {
    /// Wraps what ended the body.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

/// A streaming body: empty, whole in memory, or a stream of pieces.
pub struct Body(Inner);

enum Inner {
    Empty,
    Full(Option<Bytes>),
    Stream(UnsyncBoxBody<Bytes, BodyError>),
}

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// Wraps any body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(Inner::Stream(UnsyncBoxBody::new(body.map_err(BodyError::new))))
    }

    /// A body of a stream's pieces, of unknown length.
    pub fn from_stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        use futures_util::TryStreamExt;
        let frames = stream.map_ok(Frame::data).map_err(BodyError::new);
        Self(Inner::Stream(UnsyncBoxBody::new(StreamBody::new(frames))))
    }

    /// A body of a stream's pieces whose whole length is known: it is announced, and what is sent beyond it is an
    /// error of the stream's maker.
    pub fn from_sized_stream<S, E>(length: u64, stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Self(Inner::Stream(UnsyncBoxBody::new(Sized { length, inner: Self::from_stream(stream) })))
    }

    /// The exact length where it is known beforehand.
    pub fn known_length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// The pieces as a stream; trailers are dropped.
    pub fn into_data_stream(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + 'static {
        http_body_util::BodyDataStream::new(self)
    }
}

struct Sized {
    length: u64,
    inner: Body,
}

impl HttpBody for Sized {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.length = self.length.saturating_sub(data.len() as u64);
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Inner::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(bytes) => bytes.is_none(),
            Inner::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Inner::Stream(body) => body.size_hint(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("length", &self.known_length()).finish_non_exhaustive()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::empty() } else { Self(Inner::Full(Some(bytes))) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn pieces(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
        let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
        futures_util::stream::iter(parts)
    }

    async fn read(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn lengths_are_known_where_they_can_be() {
        for (body, length, bytes) in [
            (Body::empty(), Some(0), ""),
            (Body::default(), Some(0), ""),
            (Body::from(""), Some(0), ""),
            (Body::from("abc"), Some(3), "abc"),
            (Body::from(String::from("abc")), Some(3), "abc"),
            (Body::from(b"abc".to_vec()), Some(3), "abc"),
            (Body::from_stream(pieces(&["a", "bc"])), None, "abc"),
            (Body::from_sized_stream(3, pieces(&["a", "bc"])), Some(3), "abc"),
            (Body::new(Body::from("abc")), Some(3), "abc"),
        ] {
            assert_eq!(body.known_length(), length);
            assert_eq!(read(body).await, bytes);
        }
    }

    #[test]
    fn empty_bodies_end_at_once() {
        assert!(Body::empty().is_end_stream());
        assert!(Body::from(Vec::new()).is_end_stream());
        assert!(!Body::from("a").is_end_stream());
    }

    #[tokio::test]
    async fn the_length_left_shrinks_as_pieces_leave() {
        let mut body = Body::from_sized_stream(3, pieces(&["a", "bc"]));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(body.known_length(), Some(2));
        body.frame().await.unwrap().unwrap();
        assert_eq!(body.known_length(), Some(0));
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn an_error_names_its_cause() {
        let broken = [Ok(Bytes::from_static(b"a")), Err(io::Error::other("reset"))];
        let error = Body::from_stream(futures_util::stream::iter(broken)).collect().await.unwrap_err();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "reset");
    }
}
