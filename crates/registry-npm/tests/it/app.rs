//! npm registries for tests, and publish documents as clients send them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use registry_core::{
    Instance, Protocol, Services,
    testing::{
        self, Subject,
        archives::{gzip, tar},
    },
};
use registry_npm::{NpmConfig, NpmRegistry};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha512};

pub(crate) use registry_core::testing::Reply;

/// The protocol under test.
#[derive(Debug)]
pub(crate) struct Npm;

pub(crate) type App = testing::App<Npm>;
pub(crate) type Ask<'a> = testing::Ask<'a, Npm>;
pub(crate) type Setup = testing::Setup<Npm>;

impl Subject for Npm {
    type Registry = NpmRegistry;
    type Config = NpmConfig;
    const PROTOCOL: Protocol = Protocol::Npm;
    const BASES: &'static [&'static str] = &["/npm"];
    const PREFIX: &'static str = "/npm";
    const BOB: &'static [&'static str] = &["npm:package:@bob/*:*", "npm:package:shared*:read"];

    fn config() -> NpmConfig {
        let mut config = NpmConfig::default();
        config.max_document_bytes = 1 << 20;
        config
    }

    fn registry(instance: Instance, services: Services, config: NpmConfig) -> NpmRegistry {
        NpmRegistry::new(instance, services, config)
    }

    /// checklist 13: every refusal has both.
    fn sentence(reply: &Reply) -> String {
        let body = reply.json();
        assert_eq!(body["error"], body["message"], "{body}");
        body["error"].as_str().unwrap_or_else(|| panic!("no error: {body}")).to_owned()
    }
}

/// What clients do.
pub(crate) trait Client {
    /// Publishes as alice, and expects it to work.
    fn publish(&self, document: &Document) -> impl Future<Output = Reply>;
    /// Publishes with this token, and expects this status.
    fn put(&self, document: &Document, token: &str, status: u16) -> impl Future<Output = Reply>;
    /// The whole packument, as alice reads it.
    async fn packument(&self, name: &str) -> Value;
}

impl Client for App {
    #[track_caller]
    fn publish(&self, document: &Document) -> impl Future<Output = Reply> {
        self.put(document, "alice-token", 201)
    }

    #[track_caller]
    fn put(&self, document: &Document, token: &str, status: u16) -> impl Future<Output = Reply> {
        let ask = self
            .ask("PUT", &format!("/{}", document.name.replace('/', "%2f")))
            .token(token)
            .json(&document.value);
        let caller = std::panic::Location::caller();
        async move {
            let reply = ask.send().await;
            assert_eq!(reply.status.as_u16(), status, "at {caller}: {reply:?}");
            reply
        }
    }

    async fn packument(&self, name: &str) -> Value {
        self.get(&format!("/{name}?write=true")).await.expect(200).json()
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

/// A tarball as `npm pack` makes it.
pub(crate) fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let paths: Vec<String> = files.iter().map(|(path, _)| format!("package/{path}")).collect();
    let files: Vec<(&str, &[u8])> =
        paths.iter().zip(files).map(|(path, (_, bytes))| (path.as_str(), *bytes)).collect();
    gzip(&tar(&files))
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
