//! The front with a registry that misbehaves on request, over real sockets.

use std::path::PathBuf;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures_util::stream;
use smartregistry::core::{
    Administration, Instance, Maintenance, PackageRegistry, Protocol,
    maintenance::{GcRun, VerifyRun},
    storage::StorageError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::*;
use crate::{
    config::Limits,
    log::{Sink, Target, Writer},
    net::Server,
};

/// Does what the path says.
#[derive(Debug)]
struct Odd(Instance);

#[async_trait]
impl PackageRegistry for Odd {
    fn instance(&self) -> &Instance {
        &self.0
    }

    async fn handle(&self, request: smartregistry::Request) -> smartregistry::Response {
        let (parts, _) = request.into_parts();
        let address = parts.extensions.get::<Actor>().and_then(|actor| actor.address);
        let pieces = |pieces: Vec<Result<Bytes, std::io::Error>>| Body::from_stream(stream::iter(pieces));
        match parts.uri.path().strip_prefix("/odd/").unwrap_or_default() {
            "panic" => panic!("as asked"),
            "who" => Response::new(Body::from(format!("{address:?}"))),
            "forwarded" => Response::new(Body::from(format!("{:?}", parts.headers.get("x-forwarded-for")))),
            "named" => {
                if let Some(slot) = parts.extensions.get::<ActorSlot>() {
                    slot.fill(&Actor::user("alice"));
                }
                Response::new(Body::empty())
            }
            "stream" => Response::new(pieces(vec![Ok("abc".into()), Ok("defgh".into())])),
            "broken" => {
                Response::new(pieces(vec![Ok("abc".into()), Err(std::io::Error::other("the disk is gone"))]))
            }
            "slow" => {
                tokio::time::sleep(Duration::from_mins(1)).await;
                Response::new(Body::empty())
            }
            _ => Response::new(Body::empty()),
        }
    }

    fn client_settings(&self, base_url: &str) -> String {
        base_url.to_owned()
    }
}

impl Administration for Odd {}

#[async_trait]
impl Maintenance for Odd {
    async fn collect_garbage(&self, _: &GcRun) -> Result<(), StorageError> {
        Ok(())
    }

    async fn verify(&self, _: &VerifyRun) -> Result<(), StorageError> {
        Ok(())
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

struct Running {
    address: SocketAddr,
    stop: watch::Sender<Option<Duration>>,
    sink: Sink,
    log: PathBuf,
    _writer: Writer,
    _folder: tempfile::TempDir,
}

async fn start() -> Running {
    let instance = Instance::new("odd".parse().unwrap(), Protocol::Npm, vec!["/odd".parse().unwrap()]);
    let registry = SmartRegistry::builder().in_memory().registry(|_| Odd(instance));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (sink, writer) = Sink::start(Target::open(Some(&log)).unwrap()).unwrap();
    let live = Live {
        registry: registry.build().await.unwrap(),
        trusted_proxies: TrustedProxies::default(),
        public_url: PublicUrl::default(),
        origins: Vec::new(),
        access: Some(AccessLog::new(sink.clone(), true)),
        metrics_here: true,
    };
    let limits = Limits {
        uploads: None,
        connections: 8,
        header_timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(5),
        write_timeout: Duration::from_secs(5),
    };
    let server = Server::bind("127.0.0.1:0", limits, Arc::new(ArcSwapOption::empty())).await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = watch::channel(None);
    tokio::spawn(server.run(Front::new(live, None), stopped));
    Running { address, stop, sink, log, _writer: writer, _folder: folder }
}

impl Running {
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 6.6.6.6\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A broken answer ends in a reset.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The access line of a path, once it is there.
    async fn line(&self, path: &str) -> serde_json::Value {
        for _ in 0..500 {
            self.sink.flush();
            let text = std::fs::read_to_string(&self.log).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            if let Some(line) = lines.into_iter().find(|line| line["path"] == path) {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no line of {path}");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_for_one_request_and_the_server_lives() {
    let running = start().await;
    let answer = running.get("/odd/panic").await;
    assert!(
        answer.starts_with("HTTP/1.1 500 ") && answer.contains("internal error; request id "),
        "{answer}"
    );
    assert!(!answer.contains("as asked"));
    assert_eq!(running.line("/odd/panic").await["status"], 500);
    assert!(running.get("/odd/who").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn registries_learn_the_address_and_nothing_that_a_stranger_forwarded() {
    let running = start().await;
    assert!(running.get("/odd/who").await.ends_with("Some(127.0.0.1)"));
    assert!(running.get("/odd/forwarded").await.ends_with("None"));
    assert_eq!(running.line("/odd/who").await["client"], "127.0.0.1");
}

#[tokio::test]
async fn the_line_of_a_request_tells_what_was_really_sent() {
    let running = start().await;
    assert!(running.get("/odd/stream").await.contains("defgh"));
    let line = running.line("/odd/stream").await;
    assert_eq!((&line["bytes"], &line["status"]), (&8.into(), &200.into()));
    running.get("/odd/broken").await;
    assert_eq!(running.line("/odd/broken").await["bytes"], 3);
    running.get("/odd/named").await;
    assert_eq!(running.line("/odd/named").await["actor"], "alice");
    running.get("/nowhere").await;
    let line = running.line("/nowhere").await;
    assert_eq!(
        (&line["actor"], &line["protocol"], &line["status"]),
        (&"anonymous".into(), &"server".into(), &404.into())
    );
}

#[tokio::test]
async fn a_client_that_goes_away_is_a_499() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /odd/slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    assert_eq!(running.line("/odd/slow").await["status"], 499);
    running.stop.send(Some(Duration::ZERO)).unwrap();
}
