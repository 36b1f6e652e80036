//! The service itself: routes, bodies of every kind, what the builder refuses.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use smartregistry::{
    Administration, Body, BuildError, Instance, Maintenance, PackageRegistry, Protocol, Response,
    SmartRegistry, async_trait,
    core::{
        hooks::StorageHooks,
        maintenance::{GcRun, VerifyRun},
        storage::{Storage, StorageError, StorageOptions},
    },
};
use tower_service::Service;

/// Answers with its name, the path and the length of the body.
#[derive(Debug)]
struct Echo {
    instance: Instance,
    ended: Arc<AtomicUsize>,
}

#[async_trait]
impl PackageRegistry for Echo {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    async fn handle(&self, request: smartregistry::Request) -> Response {
        let path = request.uri().path().to_owned();
        let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
        Response::new(Body::from(format!("{} {path} {length}", self.instance.name)))
    }

    async fn shutdown(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn client_settings(&self, base_url: &str) -> String {
        base_url.to_owned()
    }
}

impl Administration for Echo {}

#[async_trait]
impl Maintenance for Echo {
    async fn collect_garbage(&self, _: &GcRun) -> Result<(), StorageError> {
        Ok(())
    }

    async fn verify(&self, _: &VerifyRun) -> Result<(), StorageError> {
        Ok(())
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

fn echo(name: &str, base: &str) -> Echo {
    let instance = Instance::new(name.parse().unwrap(), Protocol::Npm, vec![base.parse().unwrap()]);
    Echo { instance, ended: Arc::default() }
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_find_their_registry_with_the_whole_path() {
    let (one, two) = (echo("one", "/a"), echo("two", "/a/b"));
    let ended = Arc::clone(&one.ended);
    let registry =
        SmartRegistry::builder().in_memory().registry(|_| one).registry(|_| two).build().await.unwrap();
    for (path, expect) in [("/a/x", "one /a/x 0"), ("/a/b/x%2fy", "two /a/b/x%2fy 0")] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(text(registry.handle_request(request).await).await, expect);
    }
    let nowhere = registry.handle_request(Request::get("/c").body(Body::empty()).unwrap()).await;
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    assert_eq!(registry.registry("two").unwrap().instance().name.as_str(), "two");
    assert!(registry.registry("three").is_none());
    assert_eq!(registry.registries().len(), 2);
    registry.shutdown().await;
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn it_is_a_service_of_every_body() {
    let one = echo("one", "/a");
    let mut registry = SmartRegistry::builder().in_memory().registry(|_| one).build().await.unwrap();
    let full = Request::put("/a").body(Full::new(Bytes::from_static(b"12345"))).unwrap();
    assert_eq!(text(registry.call(full).await.unwrap()).await, "one /a 5");
    let frames =
        ["ab", "cde"].map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(piece))));
    let stream = StreamBody::new(futures_util::stream::iter(frames));
    let streamed = Request::put("/a").body(stream).unwrap();
    assert_eq!(text(registry.call(streamed).await.unwrap()).await, "one /a 5");
    let text_body = Request::put("/a").body("123".to_owned()).unwrap();
    assert_eq!(text(registry.call(text_body).await.unwrap()).await, "one /a 3");
}

/// Hooks that agree to everything.
#[derive(Debug)]
struct Nothing;

impl StorageHooks for Nothing {}

#[tokio::test]
async fn the_builder_names_what_is_wrong() {
    let build = |builder: smartregistry::Builder| async { builder.build().await.unwrap_err() };
    let builder = SmartRegistry::builder;
    assert!(matches!(build(builder()).await, BuildError::Storage));
    let clash = builder().in_memory().registry(|_| echo("one", "/a")).registry(|_| echo("two", "/a"));
    let BuildError::Place { first, second, .. } = build(clash).await else { panic!("both are at /a") };
    assert_eq!((first.as_str(), second.as_str()), ("one", "two"));
    let twins = builder().in_memory().registry(|_| echo("one", "/a")).registry(|_| echo("one", "/b"));
    assert!(matches!(build(twins).await, BuildError::Name(name) if name.as_str() == "one"));
    let storage = Storage::memory(StorageOptions::default());
    let beside = builder().storage(storage).hooks(Arc::new(Nothing)).registry(|_| echo("one", "/a"));
    assert!(matches!(build(beside).await, BuildError::HooksBesideStorage));
}
