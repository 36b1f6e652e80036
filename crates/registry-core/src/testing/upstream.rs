//! An upstream that does as it is told: slow, failing, lying, breaking off. It listens on loopback and writes down what it is asked.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// One answer, as it is to be given.
#[derive(Clone, Debug)]
pub struct Canned {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    wait: Duration,
    drip: Option<(usize, Duration)>,
    cut: Option<usize>,
    length: Length,
    etag: Option<String>,
    ranges: bool,
    authorization: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Right,
    Wrong(usize),
    Chunked,
    None,
}

impl Canned {
    /// 200 with this body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            wait: Duration::ZERO,
            drip: None,
            cut: None,
            length: Length::Right,
            etag: None,
            ranges: false,
            authorization: None,
        }
    }

    /// 200 with this JSON.
    pub fn json(value: &serde_json::Value) -> Self {
        Self::ok(value.to_string()).header("content-type", "application/json")
    }

    /// A status and a short text.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok(format!("status {status}")) }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("location", to)
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With an ETag, quotes included; 304 to who has it already.
    pub fn etag(mut self, etag: &str) -> Self {
        self.etag = Some(etag.to_owned());
        self
    }

    /// After so long a wait.
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// In pieces of so many bytes, with so long a pause before each.
    pub fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Breaks off after so many bytes.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Announces another length than its body has.
    pub fn announcing(mut self, length: usize) -> Self {
        self.length = Length::Wrong(length);
        self
    }

    /// In chunks, without a length.
    pub fn chunked(mut self) -> Self {
        self.length = Length::Chunked;
        self
    }

    /// Without a length: the end of the connection ends it.
    pub fn undelimited(mut self) -> Self {
        self.length = Length::None;
        self
    }

    /// Answers `Range`.
    pub fn ranges(mut self) -> Self {
        self.ranges = true;
        self
    }

    /// Only to who sends this `Authorization`; 401 to others.
    pub fn to(mut self, authorization: &str) -> Self {
        self.authorization = Some(authorization.to_owned());
        self
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The upstream. It goes away when it is dropped.
pub struct FakeUpstream {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

#[derive(Default)]
struct Shared {
    /// The answers of each path, given one after the other; the last is given again and again.
    answers: Mutex<HashMap<String, Vec<Canned>>>,
    seen: Mutex<Vec<Seen>>,
}

impl fmt::Debug for FakeUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeUpstream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FakeUpstream {
    /// Starts one that has nothing.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let of_task = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of_task);
                // Clients that go away in the middle are part of the tests.
                tokio::spawn(async move {
                    let _gone = serve(stream, &shared).await;
                });
            }
        });
        Self { address, shared, listening: listening.abort_handle() }
    }

    /// Where it is: no slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on answers so at a path (query included).
    pub fn serve(&self, path: &str, answer: Canned) {
        self.serve_each(path, [answer]);
    }

    /// From now on gives these answers at a path, one after the other; the last again and again.
    pub fn serve_each(&self, path: &str, answers: impl IntoIterator<Item = Canned>) {
        self.shared.answers.lock().insert(path.to_owned(), answers.into_iter().collect());
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().clone()
    }

    /// How often it was asked for a path.
    pub fn count(&self, path: &str) -> usize {
        self.shared.seen.lock().iter().filter(|seen| seen.path == path).count()
    }

    /// How often it was asked at all.
    pub fn total(&self) -> usize {
        self.shared.seen.lock().len()
    }

    /// Takes no more connections.
    pub async fn stop(&self) {
        self.listening.abort();
        // The listener is closed when its task has ended.
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// One request a connection.
async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let Some(seen) = read_request(&mut stream).await? else { return Ok(()) };
    let answer = {
        let mut answers = shared.answers.lock();
        match answers.get_mut(&seen.path) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers.first().cloned().unwrap_or_else(|| Canned::status(404)),
            None => Canned::status(404),
        }
    };
    shared.seen.lock().push(seen.clone());
    tokio::time::sleep(answer.wait).await;
    give(&mut stream, &seen, answer).await
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        headers.append(
            http::HeaderName::try_from(name.trim()).unwrap(),
            http::HeaderValue::try_from(value.trim()).unwrap(),
        );
    }
    let length: usize =
        headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let mut body = buffer.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Seen { method: method.to_owned(), path: path.to_owned(), headers, body: body.into() }))
}

async fn give(stream: &mut TcpStream, seen: &Seen, answer: Canned) -> std::io::Result<()> {
    let Canned { mut status, mut headers, mut body, drip, mut cut, mut length, etag, ranges, .. } = answer;
    if answer.authorization.as_deref().is_some_and(|wanted| wanted != seen.header("authorization")) {
        status = 401;
        body = Bytes::from_static(b"who are you?");
        cut = None;
        if !headers.iter().any(|(name, _)| name == "www-authenticate") {
            headers.push(("www-authenticate".to_owned(), "Basic realm=\"upstream\"".to_owned()));
        }
    } else if etag.as_deref().is_some_and(|etag| etag == seen.header("if-none-match")) {
        status = 304;
        body = Bytes::new();
    } else if let Some(from) = seen.header("range").strip_prefix("bytes=").filter(|_| ranges) {
        let from: usize = from.trim_end_matches('-').parse().unwrap();
        headers.push(("content-range".to_owned(), format!("bytes {from}-{}/{}", body.len() - 1, body.len())));
        status = 206;
        body = body.slice(from..);
        (cut, length) = (None, Length::Right);
    }
    let mut head = format!("HTTP/1.1 {status} Canned\r\nconnection: close\r\n");
    let mut line = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
    if let Some(etag) = etag.filter(|_| status < 400) {
        line("etag", &etag);
    }
    for (name, value) in &headers {
        line(name, value);
    }
    match length {
        _ if status == 304 => {}
        Length::Right => line("content-length", &body.len().to_string()),
        Length::Wrong(length) => line("content-length", &length.to_string()),
        Length::Chunked => line("transfer-encoding", "chunked"),
        Length::None => {}
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    if seen.method == "HEAD" {
        return stream.shutdown().await;
    }
    let chunked = matches!(length, Length::Chunked) && status != 304;
    let whole = cut.map_or(body.clone(), |cut| body.slice(..cut.min(body.len())));
    let (size, pause) = drip.unwrap_or((64 << 10, Duration::ZERO));
    for piece in whole.chunks(size.max(1)) {
        if !pause.is_zero() {
            stream.flush().await?;
            tokio::time::sleep(pause).await;
        }
        if chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        stream.write_all(piece).await?;
        if chunked {
            stream.write_all(b"\r\n").await?;
        }
    }
    if chunked && cut.is_none() {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    stream.flush().await?;
    stream.shutdown().await
}
