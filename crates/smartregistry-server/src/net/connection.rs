//! One connection: HTTP/1.1 or HTTP/2, watched for clients that hold it without using it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service as _,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use smartregistry::core::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::sleep,
};

use super::{Stop, pace::Paced, slices::Slices, stall::Line, uploads::Uploads};
use crate::config::Limits;

/// How long a connection that was told to end may still take to say so to its client.
const GOODBYE: Duration = Duration::from_secs(5);

/// With this many bytes gone out since it was looked last, an answer is still being sent: HTTP/2 says less when idle.
const MOVING: u64 = 1024;

/// The most bytes of a request's headers.
const MOST_HEADERS: u32 = 64 << 10;

/// How long to wait for more of HTTP/2's opening words.
const PEEK_PAUSE: Duration = Duration::from_millis(20);

/// Answers the requests of connections.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// The body of its answers.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request; the answer counts as sent when its body is dropped, and `guard` with it.
    fn handle(
        self,
        peer: SocketAddr,
        tls: bool,
        guard: InFlight,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;
}

/// What a connection does at the moment.
#[derive(Debug)]
struct Activity {
    began: Instant,
    in_flight: AtomicU32,
    /// Since when no request is in flight, in milliseconds from `began`.
    idle_since: AtomicU64,
}

/// A request that is being answered. The connection counts as idle when the last one is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Activity {
    fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// For how long no request has been in flight; `None` while one is.
    fn idle(&self) -> Option<Duration> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        Some(self.began.elapsed().saturating_sub(since))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(now, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection is watched by.
#[derive(Debug)]
struct Watch<'a> {
    activity: &'a Activity,
    line: Line,
    /// How long a connection that idled may still take to end, without anything more going out.
    farewell: Duration,
    stop: Stop,
}

/// The version of HTTP that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.1 or HTTP/1.0.
    One,
    /// HTTP/2.
    Two,
}

/// How connections are spoken to.
#[derive(Debug, Clone)]
pub(super) struct Speech {
    one: http1::Builder,
    two: http2::Builder<TokioExecutor>,
    patience: Duration,
    body_patience: Duration,
    write_patience: Duration,
    uploads: Uploads,
}

/// Where a connection comes from and when it should end.
#[derive(Debug)]
pub(super) struct Caller {
    /// The other side's address.
    pub(super) peer: SocketAddr,
    /// Whether it came by our own TLS.
    pub(super) tls: bool,
    /// What it speaks.
    pub(super) version: Version,
    /// What is known of the way out to it.
    pub(super) line: Line,
    /// Changes when the server stops.
    pub(super) stop: Stop,
}

impl Speech {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut one = http1::Builder::new();
        // The watch in `drive` does what the header timeout here would, for HTTP/2 and for silence too, and without a
        // timer for each request.
        one.header_read_timeout(None).max_header_size(MOST_HEADERS as usize).max_buf_size(128 << 10);
        let mut two = http2::Builder::new(TokioExecutor::new());
        two.timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(128)
            .max_header_list_size(MOST_HEADERS)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        Speech {
            one,
            two,
            patience: limits.header_timeout,
            body_patience: limits.body_timeout,
            write_patience: limits.write_timeout,
            uploads: Uploads::new(limits.uploads),
        }
    }

    /// How long a connection may take until its first or next request's headers are complete.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Speaks with a client until it goes away, is idle for too long, or the server stops and its last answer is sent.
    pub(super) async fn serve<IO, H>(&self, io: IO, caller: Caller, handler: H)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        let activity = Arc::new(Activity {
            began: Instant::now(),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
        });
        let Caller { peer, tls, version, line, stop } = caller;
        let (uploads, body_patience) = (self.uploads.clone(), self.body_patience);
        let of_requests = Arc::clone(&activity);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let guard = of_requests.request();
            let request = request.map(|body| {
                if http_body::Body::is_end_stream(&body) {
                    return Body::empty();
                }
                Body::new(uploads.place(Paced::new(body, body_patience)))
            });
            let answer = handler.clone().handle(peer, tls, guard, request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let io = TokioIo::new(io);
        match version {
            Version::One => {
                let watch = Watch { activity: &activity, line, farewell: GOODBYE, stop };
                self.drive(self.one.serve_connection(io, service), watch).await;
            }
            Version::Two => {
                // The end of an answer may wait for room in the client's window, and nobody tells us.
                let farewell = self.write_patience.max(GOODBYE);
                let watch = Watch { activity: &activity, line, farewell, stop };
                let service = hyper::service::service_fn(move |request| {
                    let answer = service.call(request);
                    async move { answer.await.map(|answer| answer.map(Slices::new)) }
                });
                self.drive(self.two.serve_connection(io, service), watch).await;
            }
        }
    }

    async fn drive(&self, connection: impl GracefulConnection, watch: Watch<'_>) {
        let Watch { activity, line, farewell, mut stop } = watch;
        let mut seen = 0;
        let mut connection = pin!(connection);
        let mut alarm = pin!(sleep(self.patience));
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                // How a connection ended is the client's business; what matters of it is in the access log.
                _ = connection.as_mut() => return,
                () = alarm.as_mut() => {
                    let written = line.written();
                    let moving = written.saturating_sub(seen) >= MOVING;
                    seen = written;
                    let wait = match activity.idle() {
                        None if ending => GOODBYE,
                        None => self.patience,
                        // The end of an answer may lie here for long after its request has ended. Whether its client takes
                        // it is watched where it is written.
                        Some(_) if line.waits() => GOODBYE,
                        Some(_) if ending && moving => farewell,
                        Some(_) if ending => return,
                        Some(idle) if idle < self.patience => self.patience.saturating_sub(idle),
                        Some(_) => {
                            ending = true;
                            connection.as_mut().graceful_shutdown();
                            farewell
                        }
                    };
                    alarm.as_mut().reset(tokio::time::Instant::now() + wait);
                }
                _ = stop.changed(), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                    alarm.as_mut().reset(tokio::time::Instant::now() + GOODBYE);
                }
            }
        }
    }
}

/// The version that a client without TLS begins to speak, found without taking anything from the stream.
pub(super) async fn version_of(stream: &TcpStream) -> std::io::Result<Version> {
    const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut seen = [0; OPENING.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        let begun = seen.get(..length).unwrap_or(&seen);
        if length == OPENING.len() && begun == OPENING {
            return Ok(Version::Two);
        }
        if length == 0 || !OPENING.starts_with(begun) {
            return Ok(Version::One);
        }
        // Some of the opening words are there, which nobody but a very slow client sends in pieces.
        sleep(PEEK_PAUSE).await;
    }
}
