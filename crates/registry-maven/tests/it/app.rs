//! Maven repositories for tests, requests to them, and files as clients deploy them.

use std::{sync::Arc, time::Duration};

use md5::Md5;
use registry_core::{
    Body, Instance, Protocol, Services,
    testing::{self, Subject},
};
use registry_maven::{MavenConfig, MavenRegistry};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) use registry_core::testing::Reply;

/// The protocol under test.
#[derive(Debug)]
pub(crate) struct Maven;

pub(crate) type App = testing::App<Maven>;
pub(crate) type Ask<'a> = testing::Ask<'a, Maven>;
pub(crate) type Setup = testing::Setup<Maven>;

impl Subject for Maven {
    type Registry = MavenRegistry;
    type Config = MavenConfig;
    const PROTOCOL: Protocol = Protocol::Maven;
    const BASES: &'static [&'static str] = &["/maven"];
    const PREFIX: &'static str = "/maven";
    const BOB: &'static [&'static str] = &["maven:artifact:com.bob:*:*"];

    fn config() -> MavenConfig {
        MavenConfig::default()
    }

    fn registry(instance: Instance, services: Services, config: MavenConfig) -> MavenRegistry {
        MavenRegistry::new(instance, services, config)
    }

    /// A line of text, or a problem document; both are in the status line too.
    fn sentence(reply: &Reply) -> String {
        let sentence = match reply.header("content-type") {
            Some("application/problem+json") => {
                let problem = reply.json();
                assert_eq!(problem["status"], reply.status.as_u16(), "{reply:?}");
                problem["detail"].as_str().unwrap().to_owned()
            }
            other => {
                assert_eq!(other, Some("text/plain; charset=utf-8"), "{reply:?}");
                reply.text().strip_suffix('\n').unwrap().to_owned()
            }
        };
        assert!(!sentence.contains('\n'), "{reply:?}");
        assert!(reply.reason.as_ref().is_some_and(|reason| !reason.is_empty()), "{reply:?}");
        sentence
    }
}

/// Other settings than the default.
pub(crate) trait Configured {
    fn config(self, change: impl FnOnce(&mut MavenConfig)) -> Self;
}

impl Configured for Setup {
    fn config(mut self, change: impl FnOnce(&mut MavenConfig)) -> Self {
        change(&mut self.config);
        self
    }
}

/// What Maven does, as alice.
pub(crate) trait Client {
    async fn put(&self, path: &str, body: impl Into<Body>) -> Reply;
    async fn delete(&self, path: &str) -> Reply;
    /// Deploys a release: POM and JAR.
    async fn release(&self, group: &str, artifact: &str, version: &str);
    /// The versions that a folder's metadata tells.
    async fn versions(&self, folder: &str) -> Vec<String>;
    /// Sends what must be refused, and expects nothing to have changed.
    fn refused<'a>(&'a self, ask: Ask<'a>, status: u16, words: &'a str) -> impl Future<Output = ()> + 'a;
    /// Lets time pass.
    fn pass(&self, seconds: u64);
}

impl Client for App {
    async fn put(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.ask("PUT", path).token("alice-token").body(body).send().await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path).token("alice-token").send().await
    }

    async fn release(&self, group: &str, artifact: &str, version: &str) {
        let folder = format!("/{}/{artifact}/{version}/{artifact}-{version}", group.replace('.', "/"));
        self.put(&format!("{folder}.pom"), pom(group, artifact, version, "jar")).await.expect(201);
        self.put(&format!("{folder}.jar"), format!("jar of {artifact} {version}")).await.expect(201);
    }

    async fn versions(&self, folder: &str) -> Vec<String> {
        self.get(&format!("{folder}/maven-metadata.xml")).await.expect(200).all("version")
    }

    #[track_caller]
    fn refused<'a>(&'a self, ask: Ask<'a>, status: u16, words: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.objects().await;
            let reply = ask.send().await;
            assert_eq!(reply.status.as_u16(), status, "at {caller}: {reply:?}");
            assert!(reply.error().contains(words), "at {caller}: {reply:?}");
            assert_eq!(self.objects().await, before, "at {caller}");
        }
    }

    fn pass(&self, seconds: u64) {
        Arc::clone(&self.clock).advance(Duration::from_secs(seconds));
    }
}

/// An answer that is a metadata document.
pub(crate) trait Document {
    /// The texts of an element.
    fn all(&self, element: &str) -> Vec<String>;
    /// The text of an element that is there once.
    fn one(&self, element: &str) -> String;
}

impl Document for Reply {
    fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let text = self.text();
        let pieces = text.split(&open).skip(1);
        pieces.map(|piece| piece.split(&close).next().unwrap().trim().to_owned()).collect()
    }

    #[track_caller]
    fn one(&self, element: &str) -> String {
        let all = self.all(element);
        assert_eq!(all.len(), 1, "{element} in {}", self.text());
        all.into_iter().next().unwrap()
    }
}

pub(crate) fn pom(group: &str, artifact: &str, version: &str, packaging: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
         <modelVersion>4.0.0</modelVersion>\n  <groupId>{group}</groupId>\n  <artifactId>{artifact}</artifactId>\n  \
         <version>{version}</version>\n  <packaging>{packaging}</packaging>\n  <name>The {artifact}</name>\n</project>\n"
    )
}

/// The four checksums in the order of their endings.
pub(crate) fn checksums(bytes: &[u8]) -> [(&'static str, String); 4] {
    [
        ("md5", hex::encode(Md5::digest(bytes))),
        ("sha1", hex::encode(Sha1::digest(bytes))),
        ("sha256", hex::encode(Sha256::digest(bytes))),
        ("sha512", hex::encode(Sha512::digest(bytes))),
    ]
}
