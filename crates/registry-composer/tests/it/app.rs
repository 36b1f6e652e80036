//! A registry for tests, requests to it, and archives.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use registry_composer::{ComposerConfig, ComposerRegistry};
use registry_core::{
    Body, Instance, PackageRegistry as _, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::ManualClock,
    storage::{Storage, StorageOptions},
};
use serde_json::{Map, Value, json};

pub(crate) struct App {
    pub(crate) registry: ComposerRegistry,
    pub(crate) services: Services,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) instance: Instance,
}

pub(crate) struct Setup {
    pub(crate) auth: DefaultAuthBuilder,
    pub(crate) config: ComposerConfig,
    clock: Arc<ManualClock>,
}

fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl Setup {
    /// alice may do everything, `reader` read, `writer` read and write, bob only with `bob/…` (and reads `acme/shared`).
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .token("alice", "alice-token", scopes(&["composer:package:*:*"]))
            .token(
                "bob",
                "bob-token",
                scopes(&["composer:package:bob/*:*", "composer:package:acme/shared:read"]),
            )
            .token("reader", "reader-token", scopes(&["composer:package:*:read"]))
            .token("writer", "writer-token", scopes(&["composer:package:*:read,write"]))
            .token("other", "other-token", scopes(&["npm:package:*:*"]));
        Self { auth, config: ComposerConfig::default(), clock }
    }

    pub(crate) fn anonymous(mut self, texts: &[&str]) -> Self {
        self.auth = self.auth.anonymous(scopes(texts));
        self
    }

    pub(crate) fn build(self) -> App {
        let storage = Storage::memory(StorageOptions::default());
        let mut services = Services::new(storage, Arc::new(self.auth.build().unwrap()), Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&self.clock);
        let base = vec!["/composer".parse().unwrap()];
        let instance = Instance::new(Protocol::Composer.into(), Protocol::Composer, base);
        let registry = ComposerRegistry::new(instance.clone(), services.clone(), self.config);
        App { registry, services, clock: self.clock, instance }
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        if status >= 400 {
            // checklist 40: every refusal has these.
            let body = self.json();
            assert_eq!(body["errors"][0]["message"], body["message"], "{body}");
            assert_eq!(body.get("warning").is_some(), matches!(status, 401 | 403), "{body}");
        }
        self
    }
}

pub(crate) struct Ask<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Body,
}

impl App {
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let builder = http::Request::builder()
            .method(method)
            .uri(format!("/composer{path}"))
            .header("host", "registry.example.com");
        Ask { app: self, builder, body: Body::empty() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    /// Uploads as alice.
    pub(crate) async fn upload(&self, name: &str, version: &str, zip: impl Into<Bytes>) -> Reply {
        let path = format!("/packages/upload/{name}/{version}");
        self.ask("PUT", &path).token("alice-token").body(zip).send().await
    }

    /// What the client makes of a package's metadata.
    pub(crate) async fn versions(&self, path: &str) -> Vec<Map<String, Value>> {
        let document = self.get(&format!("/p2/{path}.json")).await.expect(200).json();
        assert_eq!(document["minified"], "composer/2.0");
        let packages = document["packages"].as_object().unwrap();
        assert_eq!(packages.len(), 1);
        let mut state = Map::new();
        let mut found = Vec::new();
        for version in packages.values().next().unwrap().as_array().unwrap() {
            for (key, value) in version.as_object().unwrap() {
                if value == "__unset" {
                    state.remove(key);
                } else {
                    state.insert(key.clone(), value.clone());
                }
            }
            found.push(state.clone());
        }
        found
    }

    /// Everything in the store, to see that a refusal leaves nothing.
    pub(crate) async fn stored(&self) -> Vec<String> {
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let root = store.key().build();
        store.list(&root).await.unwrap().into_iter().map(|entry| entry.key.to_string()).collect()
    }
}

impl Ask<'_> {
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::from(body.into());
        self
    }

    pub(crate) fn stream(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub(crate) async fn send(self) -> Reply {
        let response = self.app.registry.handle(self.builder.body(self.body).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// A ZIP of files that are not compressed.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let at = u32::try_from(out.len()).unwrap();
        let size = u32::try_from(bytes.len()).unwrap();
        let mut common = Vec::new();
        common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5c]);
        common.extend(crc.sum().to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, start) = (u16::try_from(files.len()).unwrap(), u32::try_from(out.len()).unwrap());
    let size = u32::try_from(directory.len()).unwrap();
    out.extend(directory);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A package's archive with more fields in its composer.json; `salt` tells archives apart.
pub(crate) fn package(name: &str, more: &Value, salt: &str) -> Vec<u8> {
    let mut manifest = json!({"name": name, "description": format!("about {name}"), "autoload": {"psr-4": {"Acme\\": "src/"}}});
    for (key, value) in more.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    zip(&[("composer.json", manifest.to_string().as_bytes()), ("src/A.php", salt.as_bytes())])
}
