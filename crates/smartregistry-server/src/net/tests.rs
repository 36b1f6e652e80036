//! The listener against clients that are slow, many, or gone, over real sockets.

use std::time::Instant;

use http::{Request, Response};
use http_body_util::BodyExt;
use smartregistry::core::Body;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use super::*;

/// Answers with the length of the request's body, after a pause where the path asks for one, or with a large body.
#[derive(Clone)]
struct Length;

impl Handler for Length {
    type Body = Guarded;

    async fn handle(
        self,
        _: SocketAddr,
        _: bool,
        guard: InFlight,
        request: Request<Body>,
    ) -> Response<Guarded> {
        if let Some(ms) = request.uri().path().strip_prefix("/wait/") {
            sleep(Duration::from_millis(ms.parse().unwrap())).await;
        }
        if let Some(bytes) = request.uri().path().strip_prefix("/large/") {
            let body = Body::from(vec![b'x'; bytes.parse().unwrap()]);
            return Response::new(Guarded { body, _guard: guard });
        }
        let text = match request.into_body().collect().await {
            Ok(body) => body.to_bytes().len().to_string(),
            Err(_) => "cut".to_owned(),
        };
        Response::new(Guarded { body: Body::from(text), _guard: guard })
    }
}

/// A body that keeps its request in flight, as the front's does.
struct Guarded {
    body: Body,
    _guard: InFlight,
}

impl http_body::Body for Guarded {
    type Data = bytes::Bytes;
    type Error = smartregistry::core::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

fn limits() -> Limits {
    Limits {
        uploads: None,
        connections: 8,
        header_timeout: Duration::from_millis(400),
        body_timeout: Duration::from_millis(400),
        write_timeout: Duration::from_millis(400),
    }
}

/// Limits for slow readers. The kernel tells of room in its buffers only now and then.
fn patient() -> Limits {
    Limits { write_timeout: Duration::from_secs(20), ..limits() }
}

struct Running {
    address: SocketAddr,
    grace: Duration,
    stop: watch::Sender<Option<Duration>>,
    server: JoinHandle<bool>,
}

async fn start(limits: Limits, grace: Duration) -> Running {
    let tls = Arc::new(ArcSwapOption::empty());
    let server = Server::bind("127.0.0.1:0", limits, tls).await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = watch::channel(None);
    let server = tokio::spawn(server.run(Length, stopped));
    Running { address, grace, stop, server }
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// All that comes until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends what comes as well as a close does.
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await.expect("the server closes");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn silence_and_dribbled_headers_are_cut() {
    let running = start(limits(), Duration::ZERO).await;
    let silent = connect(&running).await;
    let mut dribbling = connect(&running).await;
    let mut pretending = connect(&running).await;
    let began = Instant::now();
    let dribble = tokio::spawn(async move {
        // One byte of a header now and then, for ever, and the same with the opening words of HTTP/2.
        let h1 = b"GET / HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'a'));
        let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".iter();
        let mut h2 = h2.chain(std::iter::repeat(&b'\0'));
        for byte in h1 {
            sleep(Duration::from_millis(50)).await;
            let one = dribbling.write_all(&[*byte]).await;
            let two = pretending.write_all(&[*h2.next().unwrap()]).await;
            if one.is_err() && two.is_err() {
                break;
            }
        }
    });
    assert_eq!(rest(silent).await, "");
    timeout(Duration::from_secs(20), dribble).await.expect("both are cut").unwrap();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_honest_upload_survives() {
    let running = start(limits(), Duration::ZERO).await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 8192\r\n\r\n")
        .await
        .unwrap();
    // Longer in all than every timeout, but a KiB comes well within each.
    for _ in 0..16 {
        sleep(Duration::from_millis(100)).await;
        stream.write_all(&[b'x'; 512]).await.unwrap();
    }
    assert!(rest(stream).await.ends_with("\r\n\r\n8192"));
}

#[tokio::test]
async fn a_dribbled_body_is_cut() {
    let running = start(limits(), Duration::ZERO).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 8192\r\n\r\n").await.unwrap();
    let (mut from, mut into) = stream.into_split();
    let writer = tokio::spawn(async move {
        while into.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut text = String::new();
    let _ =
        timeout(Duration::from_secs(20), from.read_to_string(&mut text)).await.expect("the server closes");
    assert!(text.contains("cut"), "{text}");
    writer.abort();
}

#[tokio::test]
async fn a_slow_answer_is_not_idleness() {
    let running = start(limits(), Duration::ZERO).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /wait/1500 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.ends_with("\r\n\r\n0"));
}

#[tokio::test]
async fn a_slow_honest_download_survives() {
    let running = start(patient(), Duration::ZERO).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /large/50000000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut piece = vec![0; 1_000_000];
    let mut got = 0;
    // Far longer in all than a connection may be idle: the whole answer is in the server's buffers from the beginning.
    loop {
        let length = stream.read(&mut piece).await.unwrap();
        if length == 0 {
            break;
        }
        got += length;
        if got < 40_000_000 {
            sleep(Duration::from_micros(length as u64 / 5)).await;
        }
    }
    assert!(got > 50_000_000, "{got}");
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_for_a_while() {
    let running = start(limits(), Duration::ZERO).await;
    let mut stream = connect(&running).await;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].ends_with(b"\r\n\r\n0"));
        sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    assert_eq!(rest(stream).await, "");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn more_connections_than_the_limit_wait_for_their_turn() {
    let limits = Limits { connections: 2, ..limits() };
    let running = start(limits, Duration::ZERO).await;
    let request = b"GET /wait/300 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (done, mut order) = mpsc::unbounded_channel();
    let began = Instant::now();
    for _ in 0..6 {
        let mut stream = connect(&running).await;
        let done = done.clone();
        tokio::spawn(async move {
            stream.write_all(request).await.unwrap();
            done.send(rest(stream).await).unwrap();
        });
    }
    for _ in 0..6 {
        assert!(order.recv().await.unwrap().ends_with("\r\n\r\n0"));
    }
    // Two at a time, three times.
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}

type Http2 = hyper::client::conn::http2::SendRequest<http_body_util::Full<bytes::Bytes>>;

/// Begins to speak HTTP/2. The second part ends when the server closes.
async fn connect_http2(running: &Running) -> (Http2, JoinHandle<()>) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let io = TokioIo::new(connect(running).await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let closed = tokio::spawn(async move {
        // However it ends, it has ended.
        let _ = connection.await;
    });
    (sender, closed)
}

async fn ask_http2(sender: &mut Http2, path: &str, bytes: usize) -> String {
    let body = http_body_util::Full::new(bytes::Bytes::from(vec![b'x'; bytes]));
    let request = Request::put(format!("http://x{path}")).body(body).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn http_2_carries_many_requests_at_once_and_ends_when_idle() {
    let running = start(limits(), Duration::ZERO).await;
    let (sender, closed) = connect_http2(&running).await;
    let began = Instant::now();
    let requests = (0..50).map(|n| {
        let mut sender = sender.clone();
        async move { ask_http2(&mut sender, "/wait/300", n * 10_000).await }
    });
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().enumerate().all(|(n, answer)| *answer == (n * 10_000).to_string()));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    timeout(Duration::from_secs(20), closed).await.expect("an idle connection is closed").unwrap();
}

#[tokio::test]
async fn a_slow_honest_download_by_http_2_survives() {
    let running = start(patient(), Duration::ZERO).await;
    let (mut sender, _closed) = connect_http2(&running).await;
    let request = Request::get("http://x/large/20000000").body(http_body_util::Full::default()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let (mut got, mut next_pause) = (0, 0);
    // Far longer in all than a connection may be idle.
    while let Some(frame) = body.frame().await {
        got += frame.unwrap().into_data().unwrap().len();
        if got >= next_pause {
            next_pause += 2_000_000;
            sleep(Duration::from_millis(700)).await;
        }
    }
    assert_eq!(got, 20_000_000);
}

#[tokio::test]
async fn http_2_requests_in_flight_end_when_the_server_stops() {
    let running = start(limits(), Duration::from_secs(10)).await;
    let (mut sender, closed) = connect_http2(&running).await;
    let (mut idle, idle_closed) = connect_http2(&running).await;
    assert_eq!(ask_http2(&mut idle, "/", 1).await, "1");
    let busy = tokio::spawn(async move { ask_http2(&mut sender, "/wait/600", 7).await });
    sleep(Duration::from_millis(200)).await;
    running.stop.send(Some(running.grace)).unwrap();
    assert_eq!(busy.await.unwrap(), "7");
    timeout(Duration::from_secs(20), closed).await.unwrap().unwrap();
    timeout(Duration::from_secs(20), idle_closed).await.unwrap().unwrap();
    assert!(running.server.await.unwrap(), "all requests ended");
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_end_and_refuses_new_ones() {
    let running = start(limits(), Duration::from_secs(10)).await;
    let mut busy = connect(&running).await;
    let idle = connect(&running).await;
    busy.write_all(b"GET /wait/600 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(200)).await;
    running.stop.send(Some(running.grace)).unwrap();
    assert_eq!(rest(idle).await, "");
    assert!(TcpStream::connect(running.address).await.is_err());
    assert!(rest(busy).await.ends_with("\r\n\r\n0"));
    assert!(running.server.await.unwrap(), "all requests ended");
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_grace() {
    let running = start(limits(), Duration::from_millis(300)).await;
    let mut busy = connect(&running).await;
    busy.write_all(b"GET /wait/60000 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    running.stop.send(Some(running.grace)).unwrap();
    assert!(!running.server.await.unwrap(), "a request is still in flight");
    assert!(began.elapsed() < Duration::from_secs(5));
}
