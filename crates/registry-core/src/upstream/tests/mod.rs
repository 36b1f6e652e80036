//! The engine against an upstream that does as it is told.

mod artifacts;
mod documents;
mod exchanges;

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;

use super::*;
use crate::{
    Actor, Instance, Protocol, Services,
    auth::DefaultAuthProvider,
    catalog::Catalog,
    clock::ManualClock,
    storage::{Storage, StorageOptions, WantedDigests},
    testing::FakeUpstream,
};

/// An instance with upstreams, over a store in memory.
struct Bench {
    upstreams: Upstreams,
    services: Services,
    instance: Instance,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new(configs: Vec<UpstreamConfig>) -> Self {
        Self::on(Storage::memory(StorageOptions::default()), configs)
    }

    fn on(storage: Storage, configs: Vec<UpstreamConfig>) -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07Z".parse().unwrap()));
        let auth = Arc::new(DefaultAuthProvider::open().unwrap());
        let mut services = Services::new(storage, auth, Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&clock);
        let set = InstanceUpstreams { upstreams: configs, ..InstanceUpstreams::default() };
        let provider = StaticUpstreamProvider::new().with(Protocol::Npm.into(), Protocol::Npm, set);
        services.upstreams = UpstreamEngine::new(Arc::new(provider), Arc::new(HttpConnector));
        let instance = Instance::new(Protocol::Npm.into(), Protocol::Npm, Vec::new());
        Self { upstreams: Upstreams::new(&instance, &services), services, instance, clock }
    }

    async fn route(&self, name: &str) -> Route {
        match self.upstreams.route(&Actor::anonymous(), name, Hosted::No).await.unwrap() {
            Routing::Ask(route) => route,
            other => panic!("{other:?}"),
        }
    }

    async fn document(&self, name: &str) -> Lookup<UpstreamDocument> {
        self.route(name).await.document(&document(name)).await
    }

    async fn artifact(&self, name: &str, expected: Expected) -> Lookup<UpstreamArtifact> {
        self.route(name).await.artifact(&artifact(name, expected)).await
    }

    /// All keys, after everything in the background ended.
    async fn keys(&self) -> Vec<String> {
        // A fill commits after its last client was served.
        while !self.services.upstreams.shared.artifacts.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        entries.into_iter().map(|entry| entry.key.to_string()).collect()
    }

    fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn config(fake: &FakeUpstream) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("up".parse().unwrap(), &fake.url()).unwrap();
    // What a test waits for, it waits for seldom and shortly.
    config.soft_timeout = Duration::from_millis(300);
    config
}

/// A JSON document at `/NAME`, fresh for a minute.
fn document(name: &str) -> DocumentRequest {
    let resource = Resource::new("documents").segments(name);
    DocumentRequest::new(resource, name, "application/json", Duration::from_mins(1), |_, body| {
        serde_json::from_slice::<serde_json::Value>(body).map(drop).map_err(|_| "no JSON".to_owned())
    })
}

/// Bytes at `/NAME`.
fn artifact(name: &str, expected: Expected) -> ArtifactRequest {
    ArtifactRequest::new(Resource::new("files").segments(name), Location::Path(name.to_owned()), expected)
}

fn sha256(bytes: &[u8]) -> Expected {
    let digests = crate::storage::Digests::of(bytes, WantedDigests::default());
    Expected { sha256: Some(digests.sha256), ..Expected::default() }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

#[track_caller]
fn found<T: std::fmt::Debug>(lookup: Lookup<T>) -> T {
    match lookup {
        Lookup::Found(found) => found,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn failed<T: std::fmt::Debug>(lookup: Lookup<T>) -> FailureKind {
    match lookup {
        Lookup::Failed(failure) => failure.kind,
        other => panic!("{other:?}"),
    }
}

async fn read(artifact: &UpstreamArtifact) -> Result<Vec<u8>, String> {
    let body = artifact.open(None).await.map_err(|error| error.to_string())?;
    body.collect()
        .await
        .map(|body| body.to_bytes().to_vec())
        .map_err(|error| crate::Chain(&error).to_string())
}
