//! The facade with the npm registry: the host's actor, hooks, and two registries side by side.

use std::sync::{Arc, Mutex};

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use smartregistry::{
    Actor, Body, Instance, Protocol, Response, SmartRegistry, async_trait,
    core::{
        auth::ScopeSet,
        hooks::{Denied, HookEvent, StorageHooks},
    },
    default_instance,
    npm::{NpmConfig, NpmRegistry},
};

fn unchecked() -> NpmConfig {
    let mut config = NpmConfig::default();
    config.check_tarball = false;
    config
}

fn alice() -> Actor {
    Actor::user("alice")
        .with_org("acme")
        .with_attribute("team", "web")
        .with_scopes(ScopeSet::parse(["*:*:*:*"]).unwrap())
}

fn publish(base: &str, name: &str, actor: Actor) -> smartregistry::Request {
    let document = json!({
        "_id": name,
        "name": name,
        "dist-tags": { "latest": "1.0.0" },
        "versions": { "1.0.0": { "name": name, "version": "1.0.0", "dist": {
            "tarball": format!("http://x/{base}/{name}/-/{name}-1.0.0.tgz"),
            "shasum": "7c4a8d09ca3762af61e59520943dc26494f8941b",
        } } },
        "_attachments": { format!("{name}-1.0.0.tgz"): {
            "content_type": "application/octet-stream", "data": "MTIzNDU2", "length": 6,
        } },
    });
    let request = Request::put(format!("/{base}/{name}")).header("content-type", "application/json");
    request.extension(actor).body(Body::from(document.to_string())).unwrap()
}

fn get(path: &str) -> smartregistry::Request {
    Request::get(path).extension(alice()).body(Body::empty()).unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Notes who did what, and refuses one package.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

#[async_trait]
impl StorageHooks for Notes {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        match event.package.as_deref() {
            Some("forbidden") => Err(Denied::new("not this one")),
            _ => Ok(()),
        }
    }

    async fn after_put(&self, event: &HookEvent) {
        let (org, team) =
            (event.actor.org.as_deref(), event.actor.attributes.as_ref().and_then(|a| a.get("team")));
        let note =
            format!("{:?} {:?} {} {:?} {:?}", org, team, event.actor.name(), event.package, event.size);
        self.0.lock().unwrap().push(note);
    }
}

#[tokio::test]
async fn the_hosts_actor_reaches_the_hooks_unchanged_and_a_hook_refuses_in_npms_words() {
    let notes = Arc::new(Notes::default());
    let registry = SmartRegistry::builder()
        .in_memory()
        .hooks(Arc::clone(&notes) as Arc<dyn StorageHooks>)
        .registry(|services| NpmRegistry::new(default_instance(Protocol::Npm), services, unchecked()))
        .build()
        .await
        .unwrap();
    assert_eq!(registry.handle_request(publish("npm", "lib", alice())).await.status(), StatusCode::CREATED);
    let refused = registry.handle_request(publish("npm", "forbidden", alice())).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(json_of(refused).await["error"].as_str().unwrap().contains("not this one"));
    assert_eq!(registry.handle_request(get("/npm/forbidden")).await.status(), StatusCode::NOT_FOUND);
    let anonymous = registry.handle_request(publish("npm", "other", Actor::anonymous())).await;
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    let notes = notes.0.lock().unwrap();
    assert_eq!(*notes, [r#"Some("acme") Some("web") alice Some("lib") Some(6)"#]);
}

#[tokio::test]
async fn two_npm_registries_share_nothing() {
    let internal =
        Instance::new("npm-internal".parse().unwrap(), Protocol::Npm, vec!["/npm-internal".parse().unwrap()]);
    let registry = SmartRegistry::builder()
        .in_memory()
        .registry(|services| NpmRegistry::new(default_instance(Protocol::Npm), services, unchecked()))
        .registry(|services| NpmRegistry::new(internal, services, unchecked()))
        .build()
        .await
        .unwrap();
    assert_eq!(registry.handle_request(publish("npm", "lib", alice())).await.status(), StatusCode::CREATED);
    let status = async |path: &str| registry.handle_request(get(path)).await.status();
    assert_eq!(status("/npm/lib").await, StatusCode::OK);
    assert_eq!(status("/npm/lib/-/lib-1.0.0.tgz").await, StatusCode::OK);
    assert_eq!(status("/npm-internal/lib").await, StatusCode::NOT_FOUND);
    assert_eq!(status("/npm-internal/lib/-/lib-1.0.0.tgz").await, StatusCode::NOT_FOUND);
    // The same version again is a conflict in the one and new in the other.
    assert_eq!(registry.handle_request(publish("npm", "lib", alice())).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        registry.handle_request(publish("npm-internal", "lib", alice())).await.status(),
        StatusCode::CREATED
    );
}
