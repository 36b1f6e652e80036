//! Blobs that no memory holds.

use std::{io, path::Path, process::Command};

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Request, body::Frame, client::conn::http1};
use hyper_util::rt::TokioIo;
use registry_tests::{Place, Seed, full};
use sha2::Digest as _;
use tokio::net::TcpStream;

pub(crate) const BLOCK: usize = 1 << 20;

/// A content made of blocks that differ by a number at their beginning.
pub(crate) fn pieces(block: &Bytes, count: u64) -> impl Iterator<Item = Bytes> + Send + Sync + use<> {
    let block = block.clone();
    (0..count).map(move |at| {
        let mut piece = BytesMut::from(&block[..]);
        if let Some(stamp) = piece.get_mut(..8) {
            stamp.copy_from_slice(&at.to_le_bytes());
        }
        piece.freeze()
    })
}

/// 6 GiB with `TEST_FULL=1`, which is more than a bucket takes in one request; otherwise 160 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_passes_through_little_memory() -> Result<()> {
    let count: u64 = if full() { 6 << 10 } else { 160 };
    let size = count * BLOCK as u64;
    let place = Place::new("")?;
    let free = free_bytes(place.path())?;
    anyhow::ensure!(free > size + (2 << 30), "{size} bytes will be stored, and {free} are free");
    let server = place.serve()?;
    let token = place.token("alice", &["oci:repository:*:*"])?;
    let client = server.client(&token);
    let block: Bytes = Seed::of("large blob").bytes(BLOCK).into();
    let mut hash = sha2::Sha256::new();
    pieces(&block, count).for_each(|piece| hash.update(&piece));
    let digest = format!("sha256:{}", hex::encode(hash.finalize()));
    let (idle, _) = server.memory().context("no memory")?;

    let opened = client.send("POST", "/v2/large/app/blobs/uploads/", &[], "").await?.expect(202)?;
    let location = opened.header("location").context("no Location")?.to_owned();
    let frames = pieces(&block, count).map(|piece| Ok::<_, io::Error>(Frame::data(piece)));
    let body = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
    let patched =
        client.send_body("PATCH", &location, &[("content-length", &size.to_string())], body).await?;
    let location = patched.expect(202)?.header("location").context("no Location")?.to_owned();
    let separator = if location.contains('?') { '&' } else { '?' };
    client.send("PUT", &format!("{location}{separator}digest={digest}"), &[], "").await?.expect(201)?;

    let target = format!("/v2/large/app/blobs/{digest}");
    let (length, hashed) = download(&server, &token, &target).await?;
    assert_eq!((length, hashed), (size, digest.clone()));
    // The end of it, across what the store may have cut it into.
    let range = format!("bytes={}-", size - 10);
    let tail = client.send("GET", &target, &[("range", &range)], "").await?.expect(206)?;
    assert_eq!(tail.body, block.slice(BLOCK - 10..));
    let (_, peak) = server.memory().context("no memory")?;
    let grown = peak.saturating_sub(idle);
    assert!(grown < 64 * 1024, "memory grew by {grown} KiB");
    server.stop()?;
    Ok(())
}

/// What is free where a folder lies, as `df` has it.
pub(crate) fn free_bytes(folder: &Path) -> Result<u64> {
    let output = Command::new("df").args(["-P", "-B1"]).arg(folder).output().context("could not run df")?;
    let text = String::from_utf8(output.stdout)?;
    let row = text.lines().nth(1).with_context(|| format!("df printed no row:\n{text}"))?;
    Ok(row.split_whitespace().nth(3).context("df printed no fourth column")?.parse()?)
}

/// GET, hashed while it comes.
pub(crate) async fn download(
    server: &registry_tests::Server,
    token: &str,
    target: &str,
) -> Result<(u64, String)> {
    let stream = TcpStream::connect(server.addr()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(target)
        .header("host", server.addr().to_string())
        .header("authorization", format!("Bearer {token}"))
        .body(http_body_util::Empty::<Bytes>::new())?;
    let mut response = sender.send_request(request).await?;
    anyhow::ensure!(response.status() == 200, "{}", response.status());
    let (mut length, mut hash) = (0, sha2::Sha256::new());
    while let Some(frame) = response.frame().await {
        if let Ok(data) = frame?.into_data() {
            length += data.len() as u64;
            hash.update(&data);
        }
    }
    driver.abort();
    Ok((length, format!("sha256:{}", hex::encode(hash.finalize()))))
}
