//! An answer of HTTP/2 in pieces.
//!
//! HTTP/2 asks for the next piece when there is room in the client's window for it, but takes a piece whole, however
//! large it is. An answer that is one piece would count as sent at once, and its connection as idle while a slow client
//! still takes it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The most bytes of a piece.
const MOST: usize = 64 << 10;

/// A body whose pieces are small.
#[derive(Debug)]
pub(super) struct Slices<B> {
    body: B,
    /// What is left of a large piece.
    rest: Bytes,
}

impl<B> Slices<B> {
    pub(super) fn new(body: B) -> Self {
        Slices { body, rest: Bytes::new() }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Slices<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(MOST));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn a_large_piece_comes_in_small_ones_and_says_when_it_ends() {
        let whole: Bytes = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<u8>>().into();
        let mut body = Slices::new(Full::new(whole.clone()));
        let mut got = Vec::new();
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some((whole.len() - got.len()) as u64));
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(!piece.is_empty() && piece.len() <= MOST);
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, whole);
        assert!(body.frame().await.is_none());
    }
}
