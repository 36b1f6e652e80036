//! Cargo registries for tests, and uploads as cargo sends them.

use registry_cargo::{CargoConfig, CargoRegistry};
use registry_core::{
    Instance, Protocol, Services,
    testing::{
        self, Subject,
        archives::{gzip, tar},
    },
};
use serde_json::{Value, json};

pub(crate) use registry_core::testing::Reply;

pub(crate) const BASE: &str = "http://registry.example.com/cargo";

/// The protocol under test.
#[derive(Debug)]
pub(crate) struct Cargo;

pub(crate) type App = testing::App<Cargo>;
pub(crate) type Setup = testing::Setup<Cargo>;

impl Subject for Cargo {
    type Registry = CargoRegistry;
    type Config = CargoConfig;
    const PROTOCOL: Protocol = Protocol::Cargo;
    const BASES: &'static [&'static str] = &["/cargo"];
    const PREFIX: &'static str = "/cargo";
    /// Cargo sends a token as it is.
    const SCHEME: &'static str = "";
    const BOB: &'static [&'static str] = &["cargo:crate:bob-*:*", "cargo:crate:shared*:read"];

    fn config() -> CargoConfig {
        let mut config = CargoConfig::default();
        config.max_crate_bytes = 4 << 20;
        config.max_metadata_bytes = 64 << 10;
        config.max_unpacked_bytes = 8 << 20;
        config.max_entries = 100;
        config
    }

    fn registry(instance: Instance, services: Services, config: CargoConfig) -> CargoRegistry {
        CargoRegistry::new(instance, services, config)
    }

    /// checklist 24: every refusal is one readable line.
    fn sentence(reply: &Reply) -> String {
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let detail = reply.json()["errors"][0]["detail"].as_str().unwrap_or_default().to_owned();
        assert!(!detail.is_empty() && !detail.contains('\n'), "{reply:?}");
        detail
    }
}

/// What cargo does, as alice.
pub(crate) trait Client {
    /// Sends an upload.
    async fn put(&self, body: Vec<u8>) -> Reply;
    /// Publishes, and expects it to work.
    async fn publish(&self, name: &str, version: &str) -> Upload;
}

impl Client for App {
    async fn put(&self, body: Vec<u8>) -> Reply {
        self.ask("PUT", "/api/v1/crates/new").token("alice-token").body(body).send().await
    }

    async fn publish(&self, name: &str, version: &str) -> Upload {
        let upload = Upload::new(name, version);
        self.put(upload.bytes()).await.expect(200);
        upload
    }
}

/// An answer that is an index file.
pub(crate) trait IndexFile {
    /// Its lines.
    fn lines(&self) -> Vec<Value>;
}

impl IndexFile for Reply {
    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What `cargo publish` sends.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) metadata: Value,
    pub(crate) krate: Vec<u8>,
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
