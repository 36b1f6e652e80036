//! Hooks hear of everything, and may refuse.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use registry_core::hooks::{Denied, HookEvent, Hooks, StorageHooks};
use serde_json::json;

use crate::app::{Setup, Upload};

#[derive(Debug, Default)]
struct Recorder {
    seen: Mutex<Vec<String>>,
    refuse: Mutex<bool>,
}

impl Recorder {
    fn note(&self, what: &str, event: &HookEvent) {
        let package = event.package.as_deref().unwrap_or("-");
        let version = event.version.as_deref().unwrap_or("-");
        self.seen.lock().unwrap().push(format!("{what} {package} {version} {}", event.actor.name()));
    }

    fn decide(&self) -> Result<(), Denied> {
        if *self.refuse.lock().unwrap() { Err(Denied::new("not today")) } else { Ok(()) }
    }
}

#[async_trait]
impl StorageHooks for Recorder {
    async fn before_put(&self, _event: &HookEvent) -> Result<(), Denied> {
        self.decide()
    }

    async fn after_put(&self, event: &HookEvent) {
        self.note("put", event);
    }

    async fn before_get(&self, _event: &HookEvent) -> Result<(), Denied> {
        self.decide()
    }

    async fn after_get(&self, event: &HookEvent) {
        self.note("get", event);
    }

    async fn before_delete(&self, _event: &HookEvent) -> Result<(), Denied> {
        self.decide()
    }

    async fn after_delete(&self, event: &HookEvent) {
        self.note("delete", event);
    }
}

#[tokio::test]
async fn checklist_46_hooks_hear_of_everything_and_may_refuse() {
    let recorder = Arc::new(Recorder::default());
    let mut setup = Setup::new();
    let hooks: Arc<dyn StorageHooks> = Arc::<Recorder>::clone(&recorder);
    setup.options.hooks = Hooks::new(vec![hooks]);
    let app = setup.build();
    app.publish("foo", "1.0.0").await;
    app.get("/3/f/foo").await.expect(200);
    app.get("/api/v1/crates/foo/1.0.0/download").await.expect(200);
    let ask = |method: &str, path: &str| app.ask(method, path).token("alice-token");
    ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").send().await.expect(200);
    ask("PUT", "/api/v1/crates/foo/1.0.0/unyank").send().await.expect(200);
    ask("PUT", "/api/v1/crates/foo/owners").json(&json!({"users": ["bob"]})).send().await.expect(200);

    *recorder.refuse.lock().unwrap() = true;
    let before = app.keys().await;
    let error = app.put(Upload::new("foo", "1.0.1").bytes()).await.expect(403).error();
    assert_eq!(error, "not today");
    ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").send().await.expect(403);
    ask("DELETE", "/api/v1/crates/foo/1.0.0").send().await.expect(403);
    app.get("/3/f/foo").await.expect(403);
    assert_eq!(app.keys().await, before);
    *recorder.refuse.lock().unwrap() = false;
    assert_eq!(app.get("/3/f/foo").await.lines()[0]["yanked"], false);
    ask("DELETE", "/api/v1/crates/foo/1.0.0").send().await.expect(200);
    app.services.storage.drained().await;
    let seen = recorder.seen.lock().unwrap().clone();
    assert_eq!(
        seen,
        [
            "put foo 1.0.0 alice",
            "get foo - alice",
            "get foo 1.0.0 alice",
            "put foo 1.0.0 alice",
            "put foo 1.0.0 alice",
            "put foo - alice",
            "get foo - alice",
            "delete foo 1.0.0 alice",
        ]
    );
}
