//! A registry for tests, requests to it, and files as clients deploy them.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use md5::Md5;
use registry_core::{
    Body, Instance, PackageRegistry as _, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::ManualClock,
    storage::{Storage, StorageOptions},
};
use registry_maven::{MavenConfig, MavenRegistry};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) struct App {
    pub(crate) registry: MavenRegistry,
    pub(crate) services: Services,
    pub(crate) instance: Instance,
    pub(crate) clock: Arc<ManualClock>,
}

/// What an app is made of.
pub(crate) struct Setup {
    pub(crate) auth: DefaultAuthBuilder,
    pub(crate) config: MavenConfig,
    pub(crate) storage: Storage,
    clock: Arc<ManualClock>,
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl Setup {
    /// alice may do everything, bob only with the group `com.bob` and below, `reader` may read, `writer` may read and write.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .user("alice", "alice's password", scopes(&["maven:artifact:*:*"]))
            .token("alice", "alice-token", scopes(&["maven:artifact:*:*"]))
            .token("bob", "bob-token", scopes(&["maven:artifact:com.bob:*:*"]))
            .token("reader", "reader-token", scopes(&["maven:artifact:*:read"]))
            .token("writer", "writer-token", scopes(&["maven:artifact:*:read,write"]))
            .token("other", "other-token", scopes(&["npm:package:*:*"]));
        let storage = Storage::memory(StorageOptions::default());
        Self { auth, config: MavenConfig::default(), storage, clock }
    }

    /// Everybody may read this without credentials.
    pub(crate) fn anonymous(mut self, texts: &[&str]) -> Self {
        self.auth = self.auth.anonymous(scopes(texts));
        self
    }

    /// Settings other than the default.
    pub(crate) fn config(mut self, change: impl FnOnce(&mut MavenConfig)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn build(self) -> App {
        let auth = Arc::new(self.auth.build().unwrap());
        let mut services = Services::new(self.storage, auth, Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&self.clock);
        let instance =
            Instance::new(Protocol::Maven.into(), Protocol::Maven, vec!["/maven".parse().unwrap()]);
        let registry = MavenRegistry::new(instance.clone(), services.clone(), self.config);
        App { registry, services, instance, clock: self.clock }
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) reason: Option<String>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// The texts of an element of a metadata document.
    pub(crate) fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let text = self.text();
        let pieces = text.split(&open).skip(1);
        pieces.map(|piece| piece.split(&close).next().unwrap().trim().to_owned()).collect()
    }

    #[track_caller]
    pub(crate) fn one(&self, element: &str) -> String {
        let all = self.all(element);
        assert_eq!(all.len(), 1, "{element} in {}", self.text());
        all.into_iter().next().unwrap()
    }
}

/// A request under construction.
pub(crate) struct Ask<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Body,
}

impl App {
    /// A request to a path below the base path.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let builder = http::Request::builder()
            .method(method)
            .uri(format!("/maven{path}"))
            .header("host", "registry.example.com");
        Ask { app: self, builder, body: Body::empty() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.ask("PUT", path).token("alice-token").body(body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path).token("alice-token").send().await
    }

    /// Deploys a release as Maven does: POM and JAR.
    pub(crate) async fn release(&self, group: &str, artifact: &str, version: &str) {
        let folder = format!("/{}/{artifact}/{version}/{artifact}-{version}", group.replace('.', "/"));
        self.put(&format!("{folder}.pom"), pom(group, artifact, version, "jar")).await.expect(201);
        self.put(&format!("{folder}.jar"), format!("jar of {artifact} {version}")).await.expect(201);
    }

    pub(crate) async fn versions(&self, folder: &str) -> Vec<String> {
        self.get(&format!("{folder}/maven-metadata.xml")).await.expect(200).all("version")
    }

    /// Sends what must be refused, and expects nothing to have changed.
    #[track_caller]
    pub(crate) fn refused<'a>(
        &'a self,
        ask: Ask<'a>,
        status: u16,
        words: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.objects().await;
            let reply = ask.send().await;
            assert_eq!(reply.status.as_u16(), status, "at {caller}: {}", reply.text());
            assert!(reply.text().contains(words), "at {caller}: {}", reply.text());
            assert_eq!(self.objects().await, before, "at {caller}");
        }
    }

    /// All stored objects, after everything in the background ended.
    pub(crate) async fn objects(&self) -> Vec<(String, u64, std::time::SystemTime)> {
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        entries.into_iter().map(|entry| (entry.key.to_string(), entry.size, entry.modified)).collect()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Ask<'_> {
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        self.header("authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Reply {
        let response = self.app.registry.handle(self.builder.body(self.body).unwrap()).await;
        let (parts, body) = response.into_parts();
        let reason = parts.extensions.get::<registry_core::http::ReasonPhrase>();
        let reason = reason.map(|reason| reason.as_str().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, reason, body }
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
