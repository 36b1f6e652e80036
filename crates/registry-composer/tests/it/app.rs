//! Composer repositories for tests, and archives to upload.

use registry_composer::{ComposerConfig, ComposerRegistry};
use registry_core::{
    Body, Instance, Protocol, Services,
    testing::{self, Subject, archives::zip},
};
use serde_json::{Map, Value, json};

pub(crate) use registry_core::testing::Reply;

/// The protocol under test.
#[derive(Debug)]
pub(crate) struct Composer;

pub(crate) type App = testing::App<Composer>;
pub(crate) type Setup = testing::Setup<Composer>;

impl Subject for Composer {
    type Registry = ComposerRegistry;
    type Config = ComposerConfig;
    const PROTOCOL: Protocol = Protocol::Composer;
    const BASES: &'static [&'static str] = &["/composer"];
    const PREFIX: &'static str = "/composer";
    const BOB: &'static [&'static str] = &["composer:package:bob/*:*", "composer:package:acme/shared:read"];

    fn config() -> ComposerConfig {
        ComposerConfig::default()
    }

    fn registry(instance: Instance, services: Services, config: ComposerConfig) -> ComposerRegistry {
        ComposerRegistry::new(instance, services, config)
    }

    /// checklist 40: every refusal has these.
    fn sentence(reply: &Reply) -> String {
        let body = reply.json();
        assert_eq!(body["errors"][0]["message"], body["message"], "{body}");
        assert_eq!(body.get("warning").is_some(), matches!(reply.status.as_u16(), 401 | 403), "{body}");
        body["message"].as_str().unwrap().to_owned()
    }
}

/// What is done to packages, as alice.
pub(crate) trait Client {
    /// Uploads an archive.
    async fn upload(&self, name: &str, version: &str, zip: impl Into<Body>) -> Reply;
    /// What the client makes of a package's metadata.
    async fn versions(&self, path: &str) -> Vec<Map<String, Value>>;
}

impl Client for App {
    async fn upload(&self, name: &str, version: &str, zip: impl Into<Body>) -> Reply {
        let path = format!("/packages/upload/{name}/{version}");
        self.ask("PUT", &path).token("alice-token").body(zip).send().await
    }

    async fn versions(&self, path: &str) -> Vec<Map<String, Value>> {
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
}

/// A package's archive with more fields in its composer.json; `salt` tells archives apart.
pub(crate) fn package(name: &str, more: &Value, salt: &str) -> Vec<u8> {
    let mut manifest = json!({"name": name, "description": format!("about {name}"), "autoload": {"psr-4": {"Acme\\": "src/"}}});
    for (key, value) in more.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    zip(&[("composer.json", manifest.to_string().as_bytes()), ("src/A.php", salt.as_bytes())])
}
