//! How many large bodies are received at a time.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// A body of at most this many bytes needs no place.
const SMALL: u64 = 1 << 20;

/// The places for large uploads.
#[derive(Debug, Clone)]
pub(super) struct Uploads(Option<Arc<Semaphore>>);

/// A body that takes its place when it is first read, and gives it back when it is dropped.
///
/// Only what is really read takes one: a request that is refused before, for want of credentials mostly, never does.
pub(super) struct Placed<B> {
    body: B,
    place: Place,
}

enum Place {
    /// The body is small, or there is no limit.
    Free,
    NotTaken(Arc<Semaphore>),
    Waiting(Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>),
    Taken {
        _permit: OwnedSemaphorePermit,
    },
}

impl Uploads {
    /// So many places, or as many as come.
    pub(super) fn new(places: Option<u32>) -> Self {
        Uploads(places.map(|places| Arc::new(Semaphore::new(places as usize))))
    }

    /// The body with its claim to a place.
    pub(super) fn place<B: Body>(&self, body: B) -> Placed<B> {
        let small = body.size_hint().upper().is_some_and(|upper| upper <= SMALL);
        let place = match &self.0 {
            Some(places) if !small => Place::NotTaken(Arc::clone(places)),
            _ => Place::Free,
        };
        Placed { body, place }
    }
}

impl<B> Body for Placed<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        loop {
            match &mut this.place {
                Place::Free | Place::Taken { .. } => return Pin::new(&mut this.body).poll_frame(cx),
                Place::NotTaken(places) => {
                    let places = Arc::clone(places);
                    this.place = Place::Waiting(Box::pin(places.acquire_owned()));
                }
                // The places are never closed; if they were, there would be no limit any more.
                Place::Waiting(waiting) => {
                    this.place = match ready!(waiting.as_mut().poll(cx)) {
                        Ok(permit) => Place::Taken { _permit: permit },
                        Err(_) => Place::Free,
                    }
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
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};
    use tokio::time::timeout;

    use super::*;

    fn body(bytes: usize) -> Full<Bytes> {
        Full::new(Bytes::from(vec![0; bytes]))
    }

    async fn begins(body: &mut Placed<Full<Bytes>>) -> bool {
        timeout(Duration::from_millis(50), body.frame()).await.is_ok()
    }

    #[tokio::test]
    async fn a_large_body_waits_until_another_has_ended() {
        let uploads = Uploads::new(Some(1));
        let mut first = uploads.place(body(2 << 20));
        let mut second = uploads.place(body(2 << 20));
        assert!(begins(&mut first).await);
        assert!(!begins(&mut second).await);
        drop(first);
        assert!(begins(&mut second).await);
    }

    #[tokio::test]
    async fn small_and_unread_bodies_take_no_place() {
        let uploads = Uploads::new(Some(1));
        let _unread = uploads.place(body(2 << 20));
        let mut large = uploads.place(body(2 << 20));
        let mut small = uploads.place(body(1 << 20));
        assert!(begins(&mut large).await);
        assert!(begins(&mut small).await);
    }

    #[tokio::test]
    async fn without_a_limit_nothing_waits() {
        let uploads = Uploads::new(None);
        let mut first = uploads.place(body(2 << 20));
        let mut second = uploads.place(body(2 << 20));
        assert!(begins(&mut first).await && begins(&mut second).await);
    }
}
