//! A small HTTP/1.1 proxy that sends each request to one of several servers at random.
//!
//! It shares requests, not connections, so that consecutive requests of one client (the parts of an upload, a
//! publish and the read after it) reach different servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A running proxy; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a port of the loopback interface and forwards to `servers`.
    pub(crate) fn start(servers: Vec<SocketAddr>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("the proxy has no port")?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let choice = Arc::new(Choice { servers, state: AtomicU64::new(0x9e37_79b9_7f4a_7c15) });
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, choice) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { addr, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A pseudo-random sequence of servers, the same in every run.
struct Choice {
    servers: Vec<SocketAddr>,
    state: AtomicU64,
}

impl Choice {
    fn next(&self) -> Option<SocketAddr> {
        // splitmix64: one atomic addition, then mixing.
        let mut mixed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let count = u64::try_from(self.servers.len()).ok().filter(|count| *count > 0)?;
        let at = usize::try_from(mixed % count).ok()?;
        self.servers.get(at).copied()
    }
}

async fn accept(listener: TcpListener, choice: Arc<Choice>) {
    while let Ok((stream, _)) = listener.accept().await {
        let choice = Arc::clone(&choice);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let to = choice.next();
                async move { Ok::<_, hyper::Error>(answer(request, to).await) }
            });
            let _ = stream.set_nodelay(true);
            let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    to: Option<SocketAddr>,
) -> Response<BoxBody<Bytes, hyper::Error>> {
    match forward(request, to).await {
        Ok(response) => response,
        Err(error) => {
            let text = Full::from(format!("the proxy of the suite could not forward: {error:#}\n"));
            let mut response = Response::new(text.map_err(|never| match never {}).boxed());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

async fn forward(
    request: Request<Incoming>,
    to: Option<SocketAddr>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>> {
    let stream = TcpStream::connect(to.ok_or_else(|| anyhow!("no server is known"))?).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    Ok(response.map(BodyExt::boxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_spread_over_all_servers() {
        let servers: Vec<SocketAddr> = vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
        let choice = Choice { servers: servers.clone(), state: AtomicU64::new(1) };
        let first = (0..1000).filter(|_| choice.next() == servers.first().copied()).count();
        assert!((400..600).contains(&first), "{first} of 1000 went to the first");
    }

    #[test]
    fn nobody_behind_it_is_a_bad_gateway() {
        let proxy = Proxy::start(Vec::new()).unwrap();
        let mut stream = std::net::TcpStream::connect(proxy.addr()).unwrap();
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
    }
}
