//! Uploads that are refused before their body was sent.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use registry_tests::{Place, digest_of};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const LONG: Duration = Duration::from_secs(30);

/// The status line that comes next, or what came instead.
async fn status_line(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.with_context(|| String::from_utf8_lossy(&head).into_owned())?);
    }
    Ok(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned())
}

fn head(method: &str, addr: SocketAddr, target: &str, token: &str, length: usize, more: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\n{more}\r\n"
    )
}

/// Who asks first whether to send the body is told, and need not send what is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_asked_for_only_where_it_is_wanted() -> Result<()> {
    let place = Place::new("")?;
    let server = place.serve()?;
    let addr = server.addr();
    let token = place.token("alice", &["oci:repository:team/*:*"])?;
    let body = b"hello";
    for (name, token, wanted) in
        [("team/app", token.as_str(), true), ("other", &token, false), ("team/app", "no-token-at-all", false)]
    {
        let target = format!("/v2/{name}/blobs/uploads/?digest={}", digest_of(body));
        let mut stream = TcpStream::connect(addr).await?;
        let request = head("POST", addr, &target, token, body.len(), "expect: 100-continue\r\n");
        stream.write_all(request.as_bytes()).await?;
        let first = tokio::time::timeout(LONG, status_line(&mut stream)).await??;
        if wanted {
            assert_eq!(first, "HTTP/1.1 100 Continue");
            stream.write_all(body).await?;
            let then = tokio::time::timeout(LONG, status_line(&mut stream)).await??;
            assert_eq!(then, "HTTP/1.1 201 Created");
        } else {
            assert!(first.starts_with("HTTP/1.1 40"), "{first}");
        }
    }
    server.stop()?;
    Ok(())
}

/// A client that sends all of a large body before it reads hears why it was refused, and not that the connection broke.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_is_still_sending() -> Result<()> {
    let place = Place::new("[oci]\nmax_blob_bytes = \"1MiB\"\n")?;
    let server = place.serve()?;
    let addr = server.addr();
    let token = place.token("alice", &["oci:repository:team/*:*"])?;
    let body = vec![7; 24 << 20];
    for (name, want) in [("team/app", "413"), ("other", "403")] {
        let target = format!("/v2/{name}/blobs/uploads/?digest={}", digest_of(b"x"));
        let mut stream = TcpStream::connect(addr).await?;
        let request = head("POST", addr, &target, &token, body.len(), "");
        stream.write_all(request.as_bytes()).await?;
        let sent = tokio::time::timeout(LONG, stream.write_all(&body)).await;
        let answer = tokio::time::timeout(LONG, status_line(&mut stream)).await?;
        let answer = answer.with_context(|| format!("{name}: sending ended with {sent:?}"))?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {want}")), "{answer}");
    }
    server.stop()?;
    Ok(())
}
