//! Clients that are slow or go away.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use registry_tests::{Image, Place, Seed, digest_of};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// Timeouts that a test can wait for.
const SHORT: &str = "[limits]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\n";

/// Pieces with a pause before each.
struct Paced {
    pieces: Vec<Bytes>,
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl futures_util::Stream for Paced {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.next.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let pause = self.pause;
        self.next.as_mut().reset(Instant::now() + pause);
        Poll::Ready(self.pieces.pop().map(|piece| Ok(Frame::data(piece))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_honest_upload_is_received_whole() -> Result<()> {
    let place = Place::new(SHORT)?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["oci:repository:*:*"])?);
    let content: Bytes = Seed::of("slow upload").bytes(40_000).into();
    let opened = client.send("POST", "/v2/slow/app/blobs/uploads/", &[], "").await?.expect(202)?;
    let location = opened.header("location").context("no Location")?.to_owned();
    // 4 KiB each 300 ms: all of it takes three times as long as any one of the timeouts.
    let pieces: Vec<Bytes> = content.chunks(4096).rev().map(Bytes::copy_from_slice).collect();
    let pause = Duration::from_millis(300);
    let body = StreamBody::new(Paced { pieces, pause, next: Box::pin(sleep(pause)) });
    let length = content.len().to_string();
    let patched =
        client.send_body("PATCH", &location, &[("content-length", &length)], BodyExt::boxed(body)).await?;
    let location = patched.expect(202)?.header("location").context("no Location")?.to_owned();
    let separator = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{separator}digest={}", digest_of(&content));
    client.send("PUT", &target, &[], "").await?.expect(201)?;
    client.check_blob("slow/app", &content).await?;
    server.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_dribbles_headers_is_let_go() -> Result<()> {
    let place = Place::new(SHORT)?;
    let server = place.serve()?;
    let mut stream = TcpStream::connect(server.addr()).await?;
    let begun = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await?;
    let closed = async {
        let mut answer = [0; 1024];
        loop {
            tokio::select! {
                read = stream.read(&mut answer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                () = sleep(Duration::from_millis(200)) => {
                    if stream.write_all(b"x-more: 1\r\n").await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.context("the connection stayed open")?;
    assert!(begun.elapsed() >= Duration::from_millis(900), "closed after {:?}", begun.elapsed());
    // Others are served meanwhile and afterwards.
    registry_tests::Client::anonymous(server.addr()).get("/healthz").await?.expect(200)?;
    server.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_upload_brought_can_be_continued() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let client = server.client(&place.token("alice", &["oci:repository:*:*"])?);
    let content: Bytes = Seed::of("broken upload").bytes(3 << 20).into();
    let opened = client.send("POST", "/v2/broken/app/blobs/uploads/", &[], "").await?.expect(202)?;
    let location = opened.header("location").context("no Location")?.to_owned();
    // Announces all of it, sends a part and goes away.
    let part: Vec<Result<Frame<Bytes>, io::Error>> =
        vec![Ok(Frame::data(content.slice(..2 << 20))), Err(io::Error::other("the line is cut"))];
    let body = StreamBody::new(futures_util::stream::iter(part));
    let length = content.len().to_string();
    let cut =
        client.send_body("PATCH", &location, &[("content-length", &length)], BodyExt::boxed(body)).await;
    assert!(cut.is_err(), "{cut:?}");
    // The server notices by itself; until then the session may be busy with the old request.
    let deadline = Instant::now() + Duration::from_secs(30);
    let (location, have) = loop {
        let status = client.get(&location).await?.expect(204)?;
        let range = status.header("range").context("no Range")?.to_owned();
        let last: usize = range.split_once('-').context("no range")?.1.parse()?;
        let location = status.header("location").context("no Location")?.to_owned();
        let have = if last == 0 { 0 } else { last + 1 };
        let rest = content.slice(have..);
        let place = format!("{have}-{}", content.len() - 1);
        let patched = client.send("PATCH", &location, &[("content-range", &place)], rest).await?;
        if patched.status == 202 {
            break (patched.header("location").context("no Location")?.to_owned(), have);
        }
        assert!(Instant::now() < deadline, "the upload cannot be continued: {patched:?}");
        sleep(Duration::from_millis(50)).await;
    };
    assert!(have <= 2 << 20, "the server has {have} bytes of {}", 2 << 20);
    let separator = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{separator}digest={}", digest_of(&content));
    client.send("PUT", &target, &[], "").await?.expect(201)?;
    client.check_blob("broken/app", &content).await?;
    server.stop()?;
    place.run(&["verify"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_go_away_leave_nothing_behind() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let token = place.token("alice", &["oci:repository:*:*"])?;
    let client = server.client(&token);
    let image = Image::new("x", &[Seed::of("readers").bytes(8 << 20).into()])?;
    image.push(&client, "read/app", "v1").await?;
    let layer = image.blobs.get(1).context("no layer")?;
    let (before, _) = server.memory().context("no memory")?;
    for _ in 0..200 {
        let mut stream = TcpStream::connect(server.addr()).await?;
        let head = format!(
            "GET /v2/read/app/blobs/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n",
            digest_of(layer)
        );
        stream.write_all(head.as_bytes()).await?;
        let mut some = [0; 4096];
        assert!(stream.read(&mut some).await? > 0);
    }
    image.check(&client, "read/app", "v1").await?;
    let (after, _) = server.memory().context("no memory")?;
    assert!(after < before + 64 * 1024, "memory rose from {before} to {after} KiB");
    server.stop()?;
    Ok(())
}
