//! Hooks hear of everything, and may refuse.

use registry_core::testing::Recorder;
use serde_json::json;

use crate::app::{Client as _, IndexFile as _, Setup, Upload};

#[tokio::test]
async fn checklist_46_hooks_hear_of_everything_and_may_refuse() {
    let recorder = Recorder::new();
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    let app = setup.build();
    app.publish("foo", "1.0.0").await;
    app.get("/3/f/foo").await.expect(200);
    app.get("/api/v1/crates/foo/1.0.0/download").await.expect(200);
    let ask = |method: &str, path: &str| app.ask(method, path).token("alice-token");
    ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").send().await.expect(200);
    ask("PUT", "/api/v1/crates/foo/1.0.0/unyank").send().await.expect(200);
    ask("PUT", "/api/v1/crates/foo/owners").json(&json!({"users": ["bob"]})).send().await.expect(200);

    recorder.refuse(Some("not today"));
    let before = app.keys().await;
    let error = app.put(Upload::new("foo", "1.0.1").bytes()).await.expect(403).error();
    assert_eq!(error, "not today");
    ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").send().await.expect(403);
    ask("DELETE", "/api/v1/crates/foo/1.0.0").send().await.expect(403);
    app.get("/3/f/foo").await.expect(403);
    assert_eq!(app.keys().await, before);
    recorder.refuse(None);
    assert_eq!(app.get("/3/f/foo").await.lines()[0]["yanked"], false);
    ask("DELETE", "/api/v1/crates/foo/1.0.0").send().await.expect(200);
    app.services.storage.drained().await;
    assert_eq!(
        recorder.done(),
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
