//! A host's hooks see every operation and can refuse it.

use registry_core::testing::Recorder;

use crate::app::{App, Build, Client, Setup};

fn app(recorder: &std::sync::Arc<Recorder>) -> App {
    let mut setup = Setup::new();
    setup.options.hooks = recorder.hooks();
    setup.build()
}

#[tokio::test]
async fn every_operation_is_told() {
    let recorder = Recorder::new();
    let app = app(&recorder);
    app.push(&Build::new("a", "1.0").platform("java")).await;
    app.get("/gems/a-1.0-java.gem").await.expect(200);
    let form = "gem_name=a&version=1.0&platform=java";
    app.ask("DELETE", "/api/v1/gems/yank").token("alice-token").body(form).send().await.expect(200);
    app.ask("PUT", "/api/v1/gems/unyank").token("alice-token").body(form).send().await.expect(200);
    app.ask("POST", "/api/v1/gems/a/owners").token("alice-token").body("email=bob").send().await.expect(200);
    app.services.storage.drained().await;
    assert_eq!(
        recorder.done(),
        [
            "put a 1.0-java alice",
            "get a 1.0-java alice",
            "delete a 1.0-java alice",
            "put a 1.0-java alice",
            "put a - alice"
        ]
    );
}

#[tokio::test]
async fn what_a_hook_refuses_is_not_done() {
    let recorder = Recorder::new();
    let app = app(&recorder);
    app.push(&Build::new("a", "1.0")).await;
    recorder.refuse(Some("not on a Friday"));
    app.refused(Build::new("b", "1.0").bytes(), 403, "not on a Friday").await;
    app.refused(Build::new("a", "1.1").bytes(), 403, "not on a Friday").await;
    let before = app.objects().await;
    assert!(app.yank("a", "1.0", "alice-token").await.expect(403).text().contains("not on a Friday"));
    app.get("/gems/a-1.0.gem").await.expect(403);
    assert_eq!(app.objects().await, before);
    recorder.refuse(None);
    app.check_index().await;
}
