//! Collecting, verifying, rebuilding.

use std::time::Duration;

use chrono::Utc;
use registry_core::{Maintenance as _, storage::ArtifactSpec};

use crate::app::{Client as _, Form, Setup};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn deleted_files_go_after_the_grace() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    app.upload(&Form::sdist("foo", "1.0", "")).await;
    let now = app.now();
    let delete = |path: &'static str| app.ask("DELETE", path).token("alice-token").send();
    delete("/pypi/foo/1.0/foo-1.0-py3-none-any.whl").await.expect(200);
    assert!(app.faults().await.is_empty());
    assert_eq!(app.collect(now + Duration::from_hours(1), DAY, false).await, 0);
    // The wheel goes; its metadata is what the release still tells of itself.
    assert_eq!(app.collect(now + DAY, DAY, false).await, 1);
    app.get("/pypi/foo/1.0/json").await.expect(200);
    assert!(app.faults().await.is_empty());
    delete("/pypi/foo").await.expect(200);
    assert_eq!(app.collect(now + DAY, DAY, false).await, 3);
    assert_eq!(app.objects().await.len(), 1, "the document with the burned names stays");
    assert!(app.faults().await.is_empty());
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
    assert_eq!(
        app.collect(Utc::now(), Duration::ZERO, false).await,
        0,
        "it may belong to an upload under way"
    );
    assert_eq!(app.collect(Utc::now() + Duration::from_secs(3700), Duration::ZERO, false).await, 1);
    app.get("/simple/foo/foo-1.0-py3-none-any.whl").await.expect(200);
}

#[tokio::test]
async fn missing_bytes_are_reported() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    assert!(app.faults().await.is_empty());
    assert_eq!(app.lose(".whl~").await, 1);
    let faults = app.faults().await;
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
