//! Hooks see every operation and can refuse it.

use std::sync::Arc;

use registry_core::testing::Recorder;
use serde_json::json;

use crate::app::{App, Client as _, Document, Setup};

fn app() -> (App, Arc<Recorder>) {
    let recorder = Recorder::new();
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    (setup.build(), recorder)
}

#[tokio::test]
async fn checklist_47_a_refusal_is_told_and_leaves_nothing() {
    let (app, recorder) = app();
    recorder.refuse(Some("no publishing on a Friday"));
    let reply = app.put(&Document::new("lib", "1.0.0").attested(), "alice-token", 403).await;
    let body = reply.json();
    assert_eq!(body["error"], "no publishing on a Friday");
    assert_eq!(body["message"], body["error"]);
    assert!(app.keys().await.is_empty());

    recorder.refuse(None);
    app.publish(&Document::new("lib", "1.0.0")).await;
    recorder.refuse(Some("read nothing, change nothing"));
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
    app.services.storage.drained().await;
    app.ask("DELETE", "/lib/-rev/undefined").token("alice-token").send().await.expect(200);
    assert_eq!(
        recorder.seen(),
        [
            "before put lib 1.0.0 alice",
            "after put lib 1.0.0 alice",
            "before get lib 1.0.0 alice",
            "after get lib 1.0.0 alice",
            "before delete lib - alice",
            "after delete lib - alice",
        ]
    );
}
