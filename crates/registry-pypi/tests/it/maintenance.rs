//! Collecting, verifying, rebuilding.

use std::time::Duration;

use chrono::{DateTime, Utc};
use registry_core::{
    PackageRegistry as _,
    maintenance::{GcRun, VerifyRun},
    storage::ArtifactSpec,
};

use crate::app::{App, Form, Setup};

async fn collect(app: &App, now: DateTime<Utc>, grace: Duration) -> u64 {
    let run = GcRun::new(now, grace, false);
    app.registry.collect_garbage(&run).await.unwrap();
    run.report.removed_count().0
}

async fn faults(app: &App) -> Vec<String> {
    let run = VerifyRun::default();
    app.registry.verify(&run).await.unwrap();
    run.report.faults()
}

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn deleted_files_go_after_the_grace() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    let now = app.services.clock.now();
    let delete = |path: &'static str| app.ask("DELETE", path).token("alice-token").send();
    delete("/pypi/foo/1.0/foo-1.0-py3-none-any.whl").await.expect(200);
    assert!(faults(&app).await.is_empty());
    assert_eq!(collect(&app, now + Duration::from_hours(1), DAY).await, 0);
    // The wheel goes; its metadata is what the release still tells of itself.
    assert_eq!(collect(&app, now + DAY, DAY).await, 1);
    app.get("/pypi/foo/1.0/json").await.expect(200);
    assert!(faults(&app).await.is_empty());
    delete("/pypi/foo").await.expect(200);
    assert_eq!(collect(&app, now + DAY, DAY).await, 3);
    assert_eq!(app.objects().await.len(), 1, "the document with the burned names stays");
    assert!(faults(&app).await.is_empty());
    app.refused(&Form::wheel("foo", "1.0"), 400, "previously used").await;
}

#[tokio::test]
async fn checklist_38_bytes_without_a_document_are_invisible_and_collected() {
    let app = Setup::new().build();
    // An upload that died between its writes.
    let store = app.services.storage.store(&app.instance);
    let form = Form::wheel("foo", "1.0");
    let name = "foo-1.0-py3-none-any.whl";
    let key = store.key().fixed("packages").segment("foo").fixed("-").segment(name).build();
    let bytes = form.content().to_vec().into();
    let _left = store.write_artifact_bytes(&key, bytes, ArtifactSpec::default()).await.unwrap().keep();
    app.get("/simple/foo/").await.expect(404);
    app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(404);
    app.upload(&form).await;
    assert_eq!(app.objects().await.len(), 4);
    assert_eq!(collect(&app, Utc::now(), Duration::ZERO).await, 0, "it may belong to an upload under way");
    assert_eq!(collect(&app, Utc::now() + Duration::from_secs(3700), Duration::ZERO).await, 1);
    app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(200);
}

#[tokio::test]
async fn missing_bytes_are_reported() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    assert!(faults(&app).await.is_empty());
    let store = app.services.storage.store(&app.instance);
    for entry in store.list(&store.key().build()).await.unwrap() {
        if entry.key.as_str().contains(".whl~") {
            store.remove(&entry.key).await.unwrap();
        }
    }
    let faults = faults(&app).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(500);
}

#[tokio::test]
async fn the_catalog_can_be_rebuilt() {
    let mut app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    app.upload(&Form::wheel("gone", "1.0")).await;
    app.ask("DELETE", "/pypi/gone").token("alice-token").send().await.expect(200);
    app.services.catalog = registry_core::catalog::Catalog::memory();
    let config = registry_pypi::PypiConfig::default();
    app.registry = registry_pypi::PypiRegistry::new(app.instance.clone(), app.services.clone(), config);
    assert!(!app.get("/simple/").await.text().contains("foo"));
    app.registry.rebuild_catalog().await.unwrap();
    let list = app.get("/simple/").await.text();
    assert!(list.contains("foo") && !list.contains("gone"), "{list}");
}
