//! A request's body whose client must keep sending.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smartregistry::core::BodyError;
use tokio::time::{Sleep, sleep};

/// How many bytes a client must send in each stretch of patience.
const PIECE: usize = 1024;

/// A body that fails when its client takes longer than its patience for any KiB.
///
/// Only the time that we wait for the client counts, not the time that we take to store what it sent. An upload at
/// the speed of a bad telephone line goes through; one byte now and then, which would hold the connection for ever,
/// does not.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    patience: Duration,
    /// Bytes since the patience was last renewed.
    received: usize,
    /// Time waited since then, but for the wait that is under way.
    waited: Duration,
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Paced<B> {
    pub(super) fn new(body: B, patience: Duration) -> Self {
        Paced { body, patience, received: 0, waited: Duration::ZERO, wait: None }
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some((began, _)) = this.wait.take() {
                    this.waited = this.waited.saturating_add(began.elapsed());
                }
                this.received = this.received.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                if this.received >= PIECE {
                    this.received = 0;
                    this.waited = Duration::ZERO;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::new(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let left = this.patience.saturating_sub(this.waited);
                let (_, timer) = this.wait.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
                match timer.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::new("the client stopped sending")))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// Reads a body of `pieces` pieces of `size` bytes, each `gap` after the one before.
    async fn read(pieces: usize, size: usize, gap: Duration, patience: Duration) -> Result<usize, BodyError> {
        let stream = stream::iter(0..pieces).then(move |_| async move {
            sleep(gap).await;
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![0; size])))
        });
        let body = Paced::new(StreamBody::new(Box::pin(stream)), patience);
        body.collect().await.map(|all| all.to_bytes().len())
    }

    #[tokio::test]
    async fn a_slow_honest_upload_survives() {
        // Longer in all than the patience, but never slower than a KiB in it.
        let got = read(8, 512, Duration::from_millis(60), Duration::from_millis(300)).await;
        assert_eq!(got.unwrap(), 4096);
    }

    #[tokio::test]
    async fn a_dribble_does_not() {
        let began = Instant::now();
        let got = read(1000, 1, Duration::from_millis(20), Duration::from_millis(200)).await;
        assert!(got.is_err());
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn silence_does_not() {
        assert!(read(1, 4096, Duration::from_mins(1), Duration::from_millis(50)).await.is_err());
    }
}
