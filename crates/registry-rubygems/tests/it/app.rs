//! Registries for tests, and gems as `gem build` makes them.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use md5::{Digest as _, Md5};
use registry_core::{
    Instance, Protocol, Services,
    testing::{self, Subject},
};
use registry_rubygems::{RubygemsConfig, RubygemsRegistry};
use sha2::{Sha256, Sha512};

pub(crate) use registry_core::testing::{
    Reply,
    archives::{gzip, tar},
};

/// The protocol under test.
#[derive(Debug)]
pub(crate) struct Rubygems;

pub(crate) type App = testing::App<Rubygems>;
pub(crate) type Setup = testing::Setup<Rubygems>;

impl Subject for Rubygems {
    type Registry = RubygemsRegistry;
    type Config = RubygemsConfig;
    const PROTOCOL: Protocol = Protocol::Rubygems;
    const BASES: &'static [&'static str] = &["/rubygems"];
    const PREFIX: &'static str = "/rubygems";
    const BOB: &'static [&'static str] = &["rubygems:gem:bob-*:*"];

    fn config() -> RubygemsConfig {
        RubygemsConfig::default()
    }

    fn registry(instance: Instance, services: Services, config: RubygemsConfig) -> RubygemsRegistry {
        RubygemsRegistry::new(instance, services, config)
    }

    /// Plain text, which clients print; never the words at which they ask for a code or for rights and wait.
    fn sentence(reply: &Reply) -> String {
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        let text = reply.text();
        assert!(!text.starts_with("You have enabled") && !text.starts_with("The API key doesn't"), "{text}");
        text
    }
}

/// What clients do, as alice.
pub(crate) trait Client {
    /// A document of the compact index.
    async fn text(&self, path: &str) -> String;
    /// Pushes, and expects it to work.
    async fn push(&self, gem: &Build) -> Reply;
    /// Pushes with a token.
    async fn post(&self, bytes: Vec<u8>, token: &str) -> Reply;
    /// Yanks with a token.
    async fn yank(&self, name: &str, version: &str, token: &str) -> Reply;
    /// Pushes what must be refused, and expects nothing to have changed.
    async fn refused(&self, bytes: Vec<u8>, status: u16, words: &str);
    /// Checks what must hold at any time: the last line of every gem in `/versions` has the MD5 of its `/info`, the versions that
    /// the lines come to are those of `/info`, and no line says what the one before said.
    async fn check_index(&self);
    /// Another server on the same store.
    fn sibling(&self) -> Self;
}

impl Client for App {
    async fn text(&self, path: &str) -> String {
        self.get(path).await.expect(200).text()
    }

    async fn push(&self, gem: &Build) -> Reply {
        self.post(gem.bytes(), "alice-token").await.expect(200)
    }

    async fn post(&self, bytes: Vec<u8>, token: &str) -> Reply {
        let ask = self.ask("POST", "/api/v1/gems").header("authorization", token);
        ask.header("content-type", "application/octet-stream").body(bytes).send().await
    }

    async fn yank(&self, name: &str, version: &str, token: &str) -> Reply {
        let form = format!("gem_name={name}&version={version}");
        self.ask("DELETE", "/api/v1/gems/yank").header("authorization", token).body(form).send().await
    }

    async fn refused(&self, bytes: Vec<u8>, status: u16, words: &str) {
        let before = self.objects().await;
        let reply = self.post(bytes, "alice-token").await.expect(status);
        assert!(reply.text().contains(words), "expected {words}: {reply:?}");
        assert_eq!(self.objects().await, before, "{words}: {reply:?}");
    }

    async fn check_index(&self) {
        let text = self.text("/versions").await;
        let (head, lines) = text.split_once("---\n").unwrap();
        assert!(head.starts_with("created_at: "), "{head}");
        let mut last = BTreeMap::new();
        let mut visible: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
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

    fn sibling(&self) -> Self {
        let config = RubygemsConfig::default();
        let registry = RubygemsRegistry::new(self.instance.clone(), self.services.clone(), config);
        let (services, instance) = (self.services.clone(), self.instance.clone());
        Self { registry, services, instance, clock: Arc::clone(&self.clock), prefix: self.prefix }
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

/// A tar of parts.
pub(crate) fn tar_of(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    tar(&parts.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}
