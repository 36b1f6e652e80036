//! A registry for tests, requests to it, and publish documents as clients send them.

use std::{
    io::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use registry_core::{
    Actor, Body, Instance, PackageRegistry as _, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::{Clock as _, ManualClock},
    storage::{Storage, StorageOptions},
};
use registry_npm::{NpmConfig, NpmRegistry};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha512};

pub(crate) struct App {
    pub(crate) registry: NpmRegistry,
    pub(crate) services: Services,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) instance: Instance,
}

/// What an app is made of.
pub(crate) struct Setup {
    pub(crate) auth: DefaultAuthBuilder,
    pub(crate) config: NpmConfig,
    pub(crate) options: StorageOptions,
    pub(crate) base: &'static str,
    clock: Arc<ManualClock>,
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl Setup {
    /// alice may do everything, bob only with `@bob/…` (and read what begins with `shared`), `reader` may read.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .user("alice", "alice's password", scopes(&["npm:package:*:*"]))
            .user("bob", "bob's password", scopes(&["npm:package:@bob/*:*", "npm:package:shared*:read"]))
            .token("alice", "alice-token", scopes(&["npm:package:*:*"]))
            .token("bob", "bob-token", scopes(&["npm:package:@bob/*:*", "npm:package:shared*:read"]))
            .token("reader", "reader-token", scopes(&["npm:package:*:read"]))
            .token("writer", "writer-token", scopes(&["npm:package:*:read,write"]));
        let mut config = NpmConfig::default();
        config.max_document_bytes = 1 << 20;
        Self { auth, config, options: StorageOptions::default(), base: "/npm", clock }
    }

    /// Everybody may read without credentials.
    pub(crate) fn open() -> Self {
        let mut setup = Self::new();
        setup.auth = setup.auth.anonymous(scopes(&["npm:package:*:read"]));
        setup
    }

    pub(crate) fn build(self) -> App {
        let clock = self.clock;
        let storage = Storage::memory(self.options);
        let auth = Arc::new(self.auth.build().unwrap());
        let mut services = Services::new(storage, auth, Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&clock);
        let instance = Instance::new(Protocol::Npm.into(), Protocol::Npm, vec![self.base.parse().unwrap()]);
        let registry = NpmRegistry::new(instance.clone(), services.clone(), self.config);
        App { registry, services, clock, instance }
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
        if self.status.is_client_error() || self.status.is_server_error() {
            // checklist 13: every refusal has both.
            let body = self.json();
            assert_eq!(body["error"], body["message"], "{body}");
            assert!(body["error"].is_string(), "{body}");
        }
        self
    }

    /// The refusal's sentence.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// A request under construction.
pub(crate) struct Ask<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Body,
    address: Option<IpAddr>,
}

impl App {
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let uri = match path.strip_prefix('!') {
            Some(at_the_root) => at_the_root.to_owned(),
            None => format!("{}{path}", self.instance.base_paths[0]),
        };
        let builder = http::Request::builder().method(method).uri(uri).header("host", "registry.example.com");
        Ask { app: self, builder, body: Body::empty(), address: None }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    /// Publishes as alice, and expects it to work.
    #[track_caller]
    pub(crate) fn publish(&self, document: &Document) -> impl Future<Output = Reply> + '_ {
        self.put(document, "alice-token", 201)
    }

    #[track_caller]
    pub(crate) fn put(
        &self,
        document: &Document,
        token: &str,
        status: u16,
    ) -> impl Future<Output = Reply> + '_ {
        let ask = self
            .ask("PUT", &format!("/{}", document.name.replace('/', "%2f")))
            .token(token)
            .json(&document.value);
        let caller = std::panic::Location::caller();
        async move {
            let reply = ask.send().await;
            assert_eq!(
                reply.status.as_u16(),
                status,
                "at {caller}: {}",
                String::from_utf8_lossy(&reply.body)
            );
            reply
        }
    }

    pub(crate) async fn packument(&self, name: &str) -> Value {
        self.get(&format!("/{name}?write=true")).await.expect(200).json()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// All stored objects, after everything in the background ended.
    pub(crate) async fn objects(&self) -> Vec<(String, u64, std::time::SystemTime)> {
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        entries.into_iter().map(|entry| (entry.key.to_string(), entry.size, entry.modified)).collect()
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        self.objects().await.into_iter().map(|(key, _, _)| key).collect()
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

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.builder.headers_mut().unwrap().insert("host", host.parse().unwrap());
        self
    }

    pub(crate) fn at_address(mut self, address: &str) -> Self {
        self.address = Some(address.parse().unwrap());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    pub(crate) async fn send(self) -> Reply {
        let mut request = self.builder.body(self.body).unwrap();
        if let Some(address) = self.address {
            request.extensions_mut().insert(Actor::anonymous().with_address(address));
        }
        let response = self.app.registry.handle(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// A publish document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) tarball: Vec<u8>,
    pub(crate) value: Value,
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tarball as `npm pack` makes it.
pub(crate) fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("package/{path}"), *bytes).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

impl Document {
    /// What `npm publish` sends.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self::with(name, version, json!({}))
    }

    /// With more fields in the manifest.
    pub(crate) fn with(name: &str, version: &str, extra: impl Into<Value>) -> Self {
        let mut manifest = json!({
            "name": name, "version": version, "main": "index.js", "description": format!("about {name}"),
        });
        manifest.as_object_mut().unwrap().extend(extra.into().as_object().unwrap().clone());
        let package = manifest.to_string();
        let content = format!("module.exports = '{name}@{version}'");
        let tarball = tarball(&[("package.json", package.as_bytes()), ("index.js", content.as_bytes())]);
        Self::of(name, version, manifest, tarball)
    }

    /// Of a tarball that is there already.
    pub(crate) fn of(name: &str, version: &str, mut manifest: Value, tarball: Vec<u8>) -> Self {
        manifest["_id"] = json!(format!("{name}@{version}"));
        manifest["_nodeVersion"] = json!("22.0.0");
        manifest["dist"] = json!({
            "integrity": format!("sha512-{}", STANDARD.encode(Sha512::digest(&tarball))),
            "shasum": hex::encode(Sha1::digest(&tarball)),
            // As npm guesses it: the scope twice, and whatever host it thinks of.
            "tarball": format!("http://localhost:4873/{name}/-/{name}-{version}.tgz"),
        });
        let file = format!("{name}-{version}.tgz");
        let value = json!({
            "_id": name,
            "name": name,
            "description": "d",
            "dist-tags": {"latest": version},
            "versions": {version: manifest},
            "access": null,
            "_attachments": {
                file: {
                    "content_type": "application/octet-stream",
                    "data": STANDARD.encode(&tarball),
                    "length": tarball.len(),
                },
            },
        });
        Self { name: name.to_owned(), version: version.to_owned(), tarball, value }
    }

    pub(crate) fn tag(mut self, tag: &str) -> Self {
        self.value["dist-tags"] = json!({tag: self.version});
        self
    }

    pub(crate) fn access(mut self, access: &str) -> Self {
        self.value["access"] = json!(access);
        self
    }

    /// The manifest, for changing.
    pub(crate) fn manifest(&mut self) -> &mut Value {
        let version = self.version.clone();
        &mut self.value["versions"][version]
    }

    /// The tarball's attachment, for changing.
    pub(crate) fn attachment(&mut self) -> &mut Value {
        let file = format!("{}-{}.tgz", self.name, self.version);
        &mut self.value["_attachments"][file]
    }

    /// With an attestation bundle, as `npm publish --provenance` sends it.
    pub(crate) fn attested(mut self) -> Self {
        let statement = json!({"predicateType": "https://slsa.dev/provenance/v1", "subject": []});
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "dsseEnvelope": {"payload": STANDARD.encode(statement.to_string()), "signatures": [{"sig": "é\n\"x\""}]},
        });
        let text = bundle.to_string();
        let file = format!("{}-{}.sigstore", self.name, self.version);
        self.value["_attachments"][file] = json!({
            "content_type": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "data": text,
            "length": text.len(),
        });
        self
    }
}

/// Remembers what hooks saw; refuses what it is told to.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) refuse: Mutex<Option<&'static str>>,
}
