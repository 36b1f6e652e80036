//! Hooks see every operation and can refuse it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    hooks::{Denied, HookEvent, Hooks, StorageHooks},
    storage::StorageOptions,
};
use serde_json::json;

use crate::app::{App, Document, Recorder, Setup};

impl Recorder {
    fn note(&self, when: &str, event: &HookEvent) -> Result<(), Denied> {
        let line = format!(
            "{when} {} {} {} {}",
            event.operation.as_str(),
            event.package.as_deref().unwrap_or("-"),
            event.version.as_deref().unwrap_or("-"),
            event.actor.name(),
        );
        self.seen.lock().unwrap().push(line);
        match *self.refuse.lock().unwrap() {
            Some(reason) if when == "before" => Err(Denied::new(reason)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl StorageHooks for Recorder {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        self.note("before", event)
    }

    async fn after_put(&self, event: &HookEvent) {
        let _noted = self.note("after", event);
    }

    async fn before_get(&self, event: &HookEvent) -> Result<(), Denied> {
        self.note("before", event)
    }

    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        self.note("before", event)
    }

    async fn after_delete(&self, event: &HookEvent) {
        let _noted = self.note("after", event);
    }
}

fn app() -> (App, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let mut setup = Setup::new();
    let mut options = StorageOptions::default();
    options.hooks = Hooks::new(vec![Arc::<Recorder>::clone(&recorder)]);
    setup.options = options;
    (setup.build(), recorder)
}

#[tokio::test]
async fn checklist_47_a_refusal_is_told_and_leaves_nothing() {
    let (app, recorder) = app();
    *recorder.refuse.lock().unwrap() = Some("no publishing on a Friday");
    let reply = app.put(&Document::new("lib", "1.0.0").attested(), "alice-token", 403).await;
    let body = reply.json();
    assert_eq!(body["error"], "no publishing on a Friday");
    assert_eq!(body["message"], body["error"]);
    assert!(app.keys().await.is_empty());

    *recorder.refuse.lock().unwrap() = None;
    app.publish(&Document::new("lib", "1.0.0")).await;
    *recorder.refuse.lock().unwrap() = Some("read nothing, change nothing");
    let before = app.objects().await;
    app.get("/lib").await.expect(403);
    app.get("/lib/-/lib-1.0.0.tgz").await.expect(403);
    app.ask("DELETE", "/lib/-rev/undefined").token("alice-token").send().await.expect(403);
    let tag = app.ask("PUT", "/-/package/lib/dist-tags/y").token("alice-token").json(&json!("1.0.0"));
    tag.send().await.expect(403);
    assert_eq!(app.objects().await, before);
}

#[tokio::test]
async fn checklist_47_hooks_see_each_operation_once() {
    let (app, recorder) = app();
    app.publish(&Document::new("lib", "1.0.0")).await;
    app.get("/lib/-/lib-1.0.0.tgz").await.expect(200);
    app.ask("DELETE", "/lib/-rev/undefined").token("alice-token").send().await.expect(200);
    assert_eq!(
        *recorder.seen.lock().unwrap(),
        [
            "before put lib 1.0.0 alice",
            "after put lib 1.0.0 alice",
            "before get lib 1.0.0 alice",
            "before delete lib - alice",
            "after delete lib - alice",
        ]
    );
}
