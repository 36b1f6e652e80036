//! A connection whose client must keep taking what it asked for.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What is known of a connection's way out. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Arc<State>);

#[derive(Debug, Default)]
struct State {
    waits: AtomicBool,
    written: AtomicU64,
}

impl Line {
    /// Whether a write waits for the other side to take something.
    pub(super) fn waits(&self) -> bool {
        self.0.waits.load(Ordering::Relaxed)
    }

    /// How many bytes went out so far.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }
}

/// A stream whose writes fail when the other side takes nothing for a while.
///
/// A timer exists only while a write waits, so that a client that reads costs nothing.
#[derive(Debug)]
pub(super) struct StallGuard<IO> {
    io: IO,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    line: Line,
}

impl<IO> StallGuard<IO> {
    pub(super) fn new(io: IO, patience: Duration, line: Line) -> Self {
        StallGuard { io, patience, waiting: None, line }
    }

    /// What a write of bytes came to, counted.
    fn count(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = write {
            self.line.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.watch(cx, write)
    }

    /// What a write came to, with the timer started, stopped or run out.
    fn watch<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            if self.waiting.take().is_some() {
                self.line.0.waits.store(false, Ordering::Relaxed);
            }
            return write;
        }
        let patience = self.patience;
        let timer = self.waiting.get_or_insert_with(|| {
            self.line.0.waits.store(true, Ordering::Relaxed);
            Box::pin(sleep(patience))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for StallGuard<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for StallGuard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write(cx, from);
        self.count(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write_vectored(cx, from);
        self.count(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = duplex(16);
        let mut guard = StallGuard::new(ours, Duration::from_millis(50), Line::default());
        let error = guard.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_client_that_keeps_reading_gets_everything() {
        let (ours, mut theirs) = duplex(16);
        let line = Line::default();
        let mut guard = StallGuard::new(ours, Duration::from_millis(500), line.clone());
        let reader = tokio::spawn(async move {
            let mut got = 0;
            let mut piece = [0; 16];
            while got < 160 {
                sleep(Duration::from_millis(100)).await;
                got += theirs.read(&mut piece).await.unwrap();
            }
            got
        });
        let waits = async {
            while !line.waits() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::join!(async { guard.write_all(&[0; 160]).await.unwrap() }, waits);
        assert!(!line.waits());
        assert_eq!(reader.await.unwrap(), 160);
        assert_eq!(line.written(), 160);
    }
}
