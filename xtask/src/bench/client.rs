//! A small HTTP/1.1 client for load: requests are bytes made beforehand, answers are read and thrown away.

use std::{net::SocketAddr, ops::Range};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Bodies are read in pieces of this size.
const BUFFER: usize = 256 * 1024;

/// A request whose head is rendered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: Bytes,
    body: Content,
    no_answer_body: bool,
}

/// A request's body.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A large body made of one block that repeats, see [`super::fixtures::Stream`].
    Stream(super::fixtures::Stream),
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::with(method, target, headers, Content::Bytes(Bytes::new()))
    }

    /// A request with a body.
    pub(crate) fn with(method: &str, target: &str, headers: &[(&str, &str)], body: Content) -> Self {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(method, "GET" | "HEAD") || body.len() > 0 {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        Self { head: head.into(), body, no_answer_body: method == "HEAD" }
    }
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream(stream) => stream.len(),
        }
    }
}

/// An answer. The body is there where it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    /// The body's length in bytes.
    pub(crate) length: u64,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Whether the server closes the connection after it.
    fn closes(&self) -> bool {
        let said = self.header("connection").unwrap_or_default();
        if self.head.starts_with("HTTP/1.0") {
            !said.eq_ignore_ascii_case("keep-alive")
        } else {
            said.eq_ignore_ascii_case("close")
        }
    }

    /// An error unless the status is this one.
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            let body = String::from_utf8_lossy(self.body.get(..300).unwrap_or(&self.body)).into_owned();
            bail!("the server answered {} in place of {status}: {body}", self.status);
        }
        Ok(self)
    }
}

/// One connection that stays open, or is opened anew where the server closes it after each answer.
#[derive(Debug)]
pub(crate) struct Connection {
    addr: SocketAddr,
    stream: TcpStream,
    /// Whether the last answer was the last one on this connection.
    over: bool,
    buffer: Box<[u8]>,
    /// What of the buffer was received and is not used up.
    filled: Range<usize>,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = Self::dial(addr).await?;
        Ok(Self { addr, stream, over: false, buffer: vec![0; BUFFER].into(), filled: 0..0 })
    }

    async fn dial(addr: SocketAddr) -> Result<TcpStream> {
        let stream =
            TcpStream::connect(addr).await.with_context(|| format!("could not connect to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a request and reads the answer; its body is thrown away.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Result<Answer> {
        self.send(request).await?;
        self.receive(request.no_answer_body, false).await
    }

    /// Sends a request and reads the answer with its body.
    pub(crate) async fn fetch(&mut self, request: &Request) -> Result<Answer> {
        self.send(request).await?;
        self.receive(request.no_answer_body, true).await
    }

    async fn send(&mut self, request: &Request) -> Result<()> {
        if self.over {
            self.stream = Self::dial(self.addr).await?;
            self.filled = 0..0;
        }
        match &request.body {
            Content::Bytes(bytes) if bytes.is_empty() => self.stream.write_all(&request.head).await?,
            Content::Bytes(bytes) => {
                self.stream.write_all(&request.head).await?;
                self.stream.write_all(bytes).await?;
            }
            Content::Stream(stream) => {
                self.stream.write_all(&request.head).await?;
                for piece in stream.pieces() {
                    self.stream.write_all(&piece).await?;
                }
            }
        }
        Ok(())
    }

    async fn receive(&mut self, no_body: bool, keep: bool) -> Result<Answer> {
        let head_end = loop {
            let have = self.buffer.get(self.filled.clone()).unwrap_or_default();
            if let Some(at) = find(have, b"\r\n\r\n") {
                break at + 4;
            }
            if have.len() == self.buffer.len() {
                bail!("the answer's head is too large");
            }
            self.fill().await?;
        };
        let head = self.take(head_end);
        let head = std::str::from_utf8(&head).context("the answer's head is no text")?.to_owned();
        let status = head
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| anyhow!("no status in `{head}`"))?;
        let mut answer = Answer { status, head, ..Answer::default() };
        self.over = answer.closes();
        if no_body || status == 204 || status == 304 {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            let length: u64 = length.parse().context("Content-Length is no number")?;
            self.body(length, keep, &mut answer).await?;
        } else if answer.header("transfer-encoding").is_some() {
            loop {
                let line = self.line().await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).context("a chunk has no size")?;
                if size == 0 {
                    self.line().await?;
                    break;
                }
                self.body(size, keep, &mut answer).await?;
                self.line().await?;
            }
        } else {
            bail!("the answer says nothing of its length: {}", answer.head);
        }
        Ok(answer)
    }

    async fn body(&mut self, length: u64, keep: bool, answer: &mut Answer) -> Result<()> {
        let mut left = length;
        while left > 0 {
            if self.filled.is_empty() {
                self.fill().await?;
            }
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(self.filled.len());
            if keep {
                let piece = self.take(now);
                answer.body.extend_from_slice(&piece);
            } else {
                self.filled.start += now;
            }
            left -= now as u64;
        }
        answer.length += length;
        Ok(())
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            let have = self.buffer.get(self.filled.clone()).unwrap_or_default();
            if let Some(at) = find(have, b"\r\n") {
                let line = self.take(at + 2);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.fill().await?;
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let end = self.filled.start + count;
        let bytes = self.buffer.get(self.filled.start..end).unwrap_or_default().to_vec();
        self.filled.start = end;
        bytes
    }

    async fn fill(&mut self) -> Result<()> {
        if self.filled.is_empty() {
            self.filled = 0..0;
        } else if self.filled.end == self.buffer.len() {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        let free = self.buffer.get_mut(self.filled.end..).unwrap_or_default();
        let count = self.stream.read(free).await?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        self.filled.end += count;
        Ok(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each connection's bytes with `answer`, cut into pieces of `piece` bytes.
    async fn serving(answer: &'static [u8], piece: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /x HTTP/1.1\r\n"));
            for piece in answer.chunks(piece) {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        addr
    }

    #[tokio::test]
    async fn answers_of_known_length_and_in_chunks() {
        for piece in [1, 7, 1000] {
            for answer in [
                &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-a: b\r\n\r\nhello"[..],
                &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: b\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"[..],
            ] {
                let mut connection = Connection::open(serving(answer, piece).await).await.unwrap();
                let got = connection.fetch(&Request::new("GET", "/x", &[])).await.unwrap();
                assert_eq!((got.status, got.body.as_slice(), got.length), (200, &b"hello"[..], 5));
                assert_eq!(got.header("X-A"), Some("b"));
            }
        }
    }

    #[tokio::test]
    async fn a_cut_answer_is_an_error() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
        let mut connection = Connection::open(serving(answer, 1000).await).await.unwrap();
        assert!(connection.exchange(&Request::new("GET", "/x", &[])).await.is_err());
    }

    #[test]
    fn an_old_server_closes_unless_it_says_otherwise() {
        let answer = |head: &str| Answer { head: head.to_owned(), ..Answer::default() };
        assert!(answer("HTTP/1.0 200 OK\r\n").closes());
        assert!(!answer("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n").closes());
        assert!(answer("HTTP/1.1 200 OK\r\nconnection: close\r\n").closes());
        assert!(!answer("HTTP/1.1 200 OK\r\n").closes());
    }

    #[test]
    fn an_unexpected_status_shows_what_the_server_said() {
        let answer = Answer { status: 404, body: b"not here".to_vec(), ..Answer::default() };
        assert!(answer.expect(200).unwrap_err().to_string().contains("not here"));
    }
}
