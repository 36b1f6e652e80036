//! A registry for tests, requests to it, and gems as `gem build` makes them.

use std::{fmt::Write as _, io::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};
use registry_core::{
    Body, Instance, PackageRegistry as _, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::ManualClock,
    storage::{Storage, StorageOptions},
};
use registry_rubygems::{RubygemsConfig, RubygemsRegistry};
use serde_json::Value;
use sha2::{Sha256, Sha512};

pub(crate) struct App {
    pub(crate) registry: RubygemsRegistry,
    pub(crate) services: Services,
    pub(crate) instance: Instance,
    pub(crate) clock: Arc<ManualClock>,
}

/// What an app is made of.
pub(crate) struct Setup {
    pub(crate) auth: DefaultAuthBuilder,
    pub(crate) config: RubygemsConfig,
    clock: Arc<ManualClock>,
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl Setup {
    /// alice may do everything, bob only with `bob-…`, `reader` may read, `writer` may read and write.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let mut options = AuthOptions::default();
        options.clock = Arc::<ManualClock>::clone(&clock);
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .user("alice", "alice's password", scopes(&["rubygems:gem:*:*"]))
            .user("bob", "bob's password", scopes(&["rubygems:gem:bob-*:*"]))
            .token("alice", "alice-token", scopes(&["rubygems:gem:*:*"]))
            .token("bob", "bob-token", scopes(&["rubygems:gem:bob-*:*"]))
            .token("reader", "reader-token", scopes(&["rubygems:gem:*:read"]))
            .token("writer", "writer-token", scopes(&["rubygems:gem:*:read,write"]));
        Self { auth, config: RubygemsConfig::default(), clock }
    }

    /// Everybody may read without credentials.
    pub(crate) fn open() -> Self {
        let mut setup = Self::new();
        setup.auth = setup.auth.anonymous(scopes(&["rubygems:gem:*:read"]));
        setup
    }

    pub(crate) fn build(self) -> App {
        let storage = Storage::memory(StorageOptions::default());
        let auth = Arc::new(self.auth.build().unwrap());
        let mut services = Services::new(storage, auth, Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&self.clock);
        let instance =
            Instance::new(Protocol::Rubygems.into(), Protocol::Rubygems, vec!["/rubygems".parse().unwrap()]);
        let registry = RubygemsRegistry::new(instance.clone(), services.clone(), self.config);
        App { registry, services, instance, clock: self.clock }
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
            .uri(format!("/rubygems{path}"))
            .header("host", "registry.example.com");
        Ask { app: self, builder, body: Body::empty() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    /// A document of the compact index.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).await.expect(200).text()
    }

    /// Pushes as alice, and expects it to work.
    pub(crate) async fn push(&self, gem: &Build) -> Reply {
        self.post(gem.bytes(), "alice-token").await.expect(200)
    }

    pub(crate) async fn post(&self, bytes: Vec<u8>, token: &str) -> Reply {
        let ask = self.ask("POST", "/api/v1/gems").header("authorization", token);
        ask.header("content-type", "application/octet-stream").body(bytes).send().await
    }

    pub(crate) async fn yank(&self, name: &str, version: &str, token: &str) -> Reply {
        let form = format!("gem_name={name}&version={version}");
        self.ask("DELETE", "/api/v1/gems/yank").header("authorization", token).body(form).send().await
    }

    /// Pushes what must be refused, and expects nothing to have changed.
    #[track_caller]
    pub(crate) fn refused<'a>(
        &'a self,
        bytes: Vec<u8>,
        status: u16,
        words: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.objects().await;
            let reply = self.post(bytes, "alice-token").await;
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

    /// Another server on the same store.
    pub(crate) fn sibling(&self) -> Self {
        let registry =
            RubygemsRegistry::new(self.instance.clone(), self.services.clone(), RubygemsConfig::default());
        Self {
            registry,
            services: self.services.clone(),
            instance: self.instance.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Checks what must hold at any time: the last line of every gem in `/versions` has the MD5 of its `/info`, the versions that
    /// the lines come to are those of `/info`, and no line says what the one before said.
    pub(crate) async fn check_index(&self) {
        let text = self.text("/versions").await;
        let (head, lines) = text.split_once("---\n").unwrap();
        assert!(head.starts_with("created_at: "), "{head}");
        let mut last = std::collections::BTreeMap::new();
        let mut visible: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
        for line in lines.lines() {
            let [name, slugs, md5] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert_ne!(last.insert(name, md5), Some(md5), "twice: {line}");
            let of_gem = visible.entry(name).or_default();
            for slug in slugs.split(',') {
                match slug.strip_prefix('-') {
                    Some(gone) => of_gem.retain(|known| *known != gone),
                    None => of_gem.push(slug),
                }
            }
        }
        for (name, md5) in last {
            let info = self.text(&format!("/info/{name}")).await;
            assert_eq!(hex::encode(Md5::digest(info.as_bytes())), md5, "{name}");
            let mut listed: Vec<&str> =
                info.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
            listed.sort_unstable();
            let of_gem = visible.get_mut(name).unwrap();
            of_gem.sort_unstable();
            assert_eq!(*of_gem, listed, "{name}");
        }
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
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// An operator and a version.
type Condition = (&'static str, &'static str);

/// A gem to be built.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) platform: String,
    /// Name, type and conditions.
    pub(crate) dependencies: Vec<(String, &'static str, Vec<Condition>)>,
    /// More lines of the specification.
    pub(crate) lines: String,
    /// The content of its one file.
    pub(crate) content: String,
}

impl Build {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            platform: "ruby".to_owned(),
            dependencies: Vec::new(),
            lines: String::new(),
            content: format!("# {name} {version}\n"),
        }
    }

    pub(crate) fn platform(mut self, platform: &str) -> Self {
        platform.clone_into(&mut self.platform);
        self
    }

    pub(crate) fn needs(mut self, name: &str, conditions: &[Condition]) -> Self {
        self.dependencies.push((name.to_owned(), ":runtime", conditions.to_vec()));
        self
    }

    pub(crate) fn needs_for_development(mut self, name: &str) -> Self {
        self.dependencies.push((name.to_owned(), ":development", vec![(">=", "0")]));
        self
    }

    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push_str(line);
        self.lines.push('\n');
        self
    }

    pub(crate) fn content(mut self, content: &str) -> Self {
        content.clone_into(&mut self.content);
        self
    }

    /// The specification.
    pub(crate) fn metadata(&self) -> String {
        let mut out = format!(
            "--- !ruby/object:Gem::Specification\nname: {}\nversion: !ruby/object:Gem::Version\n  version: '{}'\nplatform: {}\n\
             authors:\n- Ann Author\ncert_chain: []\ndate: 2026-03-01 00:00:00.000000000 Z\nsummary: about {}\nlicenses:\n- MIT\n\
             rubygems_version: 3.3.15\nspecification_version: 4\n{}",
            self.name, self.version, self.platform, self.name, self.lines
        );
        out.push_str(if self.dependencies.is_empty() { "dependencies: []\n" } else { "dependencies:\n" });
        for (name, kind, conditions) in &self.dependencies {
            write!(
                out,
                "- !ruby/object:Gem::Dependency\n  name: {name}\n  type: {kind}\n  prerelease: false\n  \
                 requirement: !ruby/object:Gem::Requirement\n    requirements:\n"
            )
            .unwrap();
            for (operator, version) in conditions {
                write!(out,
                    "    - - \"{operator}\"\n      - !ruby/object:Gem::Version\n        version: '{version}'\n"
                ).unwrap();
            }
        }
        out
    }

    /// The parts of the gem, in their order.
    pub(crate) fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let metadata = gzip(self.metadata().as_bytes());
        let data = gzip(&tar(&[("lib/x.rb", self.content.as_bytes())]));
        parts_of(metadata, data)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        tar_of(&self.parts())
    }
}

/// Metadata and data with their checksums.
pub(crate) fn parts_of(metadata: Vec<u8>, data: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let checksums = format!(
        "---\nSHA256:\n  metadata.gz: {}\n  data.tar.gz: {}\nSHA512:\n  metadata.gz: {}\n  data.tar.gz: {}\n",
        hex::encode(Sha256::digest(&metadata)),
        hex::encode(Sha256::digest(&data)),
        hex::encode(Sha512::digest(&metadata)),
        hex::encode(Sha512::digest(&data)),
    );
    vec![
        ("metadata.gz".to_owned(), metadata),
        ("data.tar.gz".to_owned(), data),
        ("checksums.yaml.gz".to_owned(), gzip(checksums.as_bytes())),
    ]
}

pub(crate) fn tar_of(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    tar(&parts.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        // Paths that no writer would write are written too.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
