//! A registry for tests, requests to it, and uploads as cargo sends them.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use registry_cargo::{CargoConfig, CargoRegistry};
use registry_core::{
    Body, Instance, PackageRegistry as _, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::ManualClock,
    storage::{Storage, StorageOptions},
};
use serde_json::{Value, json};

pub(crate) const BASE: &str = "http://registry.example.com/cargo";

pub(crate) struct App {
    pub(crate) registry: CargoRegistry,
    pub(crate) services: Services,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) instance: Instance,
}

/// What an app is made of.
pub(crate) struct Setup {
    pub(crate) auth: DefaultAuthBuilder,
    pub(crate) config: CargoConfig,
    pub(crate) options: StorageOptions,
    clock: Arc<ManualClock>,
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl Setup {
    /// alice may do everything, bob only with `bob-…` and read what begins with `shared`.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        let bob = || scopes(&["cargo:crate:bob-*:*", "cargo:crate:shared*:read"]);
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .user("alice", "alice's password", scopes(&["cargo:crate:*:*"]))
            .user("bob", "bob's password", bob())
            .token("alice", "alice-token", scopes(&["cargo:crate:*:*"]))
            .token("bob", "bob-token", bob())
            .token("reader", "reader-token", scopes(&["cargo:crate:*:read"]))
            .token("writer", "writer-token", scopes(&["cargo:crate:*:read,write"]));
        let mut config = CargoConfig::default();
        config.max_crate_bytes = 4 << 20;
        config.max_metadata_bytes = 64 << 10;
        config.max_unpacked_bytes = 8 << 20;
        config.max_entries = 100;
        Self { auth, config, options: StorageOptions::default(), clock }
    }

    /// Everybody may read without credentials.
    pub(crate) fn open() -> Self {
        let mut setup = Self::new();
        setup.auth = setup.auth.anonymous(scopes(&["cargo:crate:*:read"]));
        setup
    }

    pub(crate) fn build(self) -> App {
        let clock = self.clock;
        let storage = Storage::memory(self.options);
        let auth = Arc::new(self.auth.build().unwrap());
        let mut services = Services::new(storage, auth, Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&clock);
        let instance =
            Instance::new(Protocol::Cargo.into(), Protocol::Cargo, vec!["/cargo".parse().unwrap()]);
        let registry = CargoRegistry::new(instance.clone(), services.clone(), self.config);
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
        if status >= 400 && !self.body.is_empty() {
            // checklist 24: every refusal is one readable line.
            let error = self.error();
            assert!(!error.is_empty() && !error.contains('\n'), "{error}");
            assert_eq!(self.header("content-type"), Some("application/json"));
        }
        self
    }

    /// The refusal's sentence.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.json()["errors"][0]["detail"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }

    /// The lines of an index file.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A request under construction.
pub(crate) struct Ask<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Body,
}

impl App {
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let builder = http::Request::builder()
            .method(method)
            .uri(format!("/cargo{path}"))
            .header("host", "registry.example.com");
        Ask { app: self, builder, body: Body::empty() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    /// Sends an upload as alice.
    pub(crate) async fn put(&self, body: Vec<u8>) -> Reply {
        self.ask("PUT", "/api/v1/crates/new").token("alice-token").body(body).send().await
    }

    /// Publishes as alice, and expects it to work.
    pub(crate) async fn publish(&self, name: &str, version: &str) -> Upload {
        let upload = Upload::new(name, version);
        self.put(upload.bytes()).await.expect(200);
        upload
    }

    /// All stored objects, after everything in the background ended.
    pub(crate) async fn keys(&self) -> Vec<String> {
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        entries.into_iter().map(|entry| entry.key.to_string()).collect()
    }
}

impl Ask<'_> {
    /// A token as cargo sends it: the header's value.
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", token)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
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
        let request = self.builder.body(self.body).unwrap();
        let response = self.app.registry.handle(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// What `cargo publish` sends.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) metadata: Value,
    pub(crate) krate: Vec<u8>,
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar with these files, whatever their paths.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        append(&mut builder, path, tar::EntryType::Regular, bytes);
    }
    builder.into_inner().unwrap()
}

/// Appends an entry without the checks that tar itself makes.
pub(crate) fn append(builder: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    builder.append(&header, bytes).unwrap();
}

impl Upload {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self::with(name, version, "", json!([]))
    }

    /// With more in the manifest, and these dependencies in the metadata.
    pub(crate) fn with(name: &str, version: &str, rest: &str, deps: impl Into<Value>) -> Self {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\ndescription = \"about {name}\"\n\
             keywords = [\"zebra\"]\nlicense = \"MIT\"\nhomepage = \"https://www.example.com\"\n{rest}"
        );
        Self::of(name, version, deps, &[("Cargo.toml", manifest.as_bytes()), ("src/lib.rs", b"// lib")])
    }

    pub(crate) fn of(name: &str, version: &str, deps: impl Into<Value>, files: &[(&str, &[u8])]) -> Self {
        let paths: Vec<String> = files.iter().map(|(path, _)| format!("{name}-{version}/{path}")).collect();
        let files: Vec<(&str, &[u8])> =
            paths.iter().zip(files).map(|(path, (_, bytes))| (path.as_str(), *bytes)).collect();
        Self::around(name, version, deps, gzip(&tar(&files)))
    }

    /// Around a `.crate` file.
    pub(crate) fn around(name: &str, version: &str, deps: impl Into<Value>, krate: Vec<u8>) -> Self {
        let metadata = json!({
            "name": name, "vers": version, "deps": deps.into(), "features": null, "authors": [], "description": "sent",
            "documentation": null, "homepage": null, "readme": "# readme", "readme_file": "README.md",
            "keywords": [], "categories": [], "license": "MIT", "license_file": null, "repository": null,
            "badges": {}, "links": null, "rust_version": null, "later": 1,
        });
        Self { metadata, krate }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let json = self.metadata.to_string();
        let mut bytes = u32::try_from(json.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.extend_from_slice(&u32::try_from(self.krate.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&self.krate);
        bytes
    }
}
