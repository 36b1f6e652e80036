//! Garbage collection, verification, rebuilding.

use std::time::Duration;

use chrono::Utc;
use registry_core::{Body, Maintenance as _, storage::ArtifactSpec};

use crate::app::{Client as _, Setup};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn checklist_44_what_no_document_names_is_not_served_and_goes() {
    let app = Setup::new().build();
    let store = app.services.storage.store(&app.instance);
    // A publish that died between its bytes and its document.
    let key = store.key().fixed("packages").segment("foo").fixed("-").segment("foo-1.0.0.crate").build();
    let _kept =
        store.write_artifact(&key, Body::from("orphan"), ArtifactSpec::default()).await.unwrap().keep();
    app.get("/3/f/foo").await.expect(404);
    app.get("/api/v1/crates/foo/1.0.0/download").await.expect(404);
    app.publish("foo", "1.0.0").await;
    assert_eq!(app.keys().await.len(), 3);
    let later = Utc::now() + Duration::from_hours(2);
    assert_eq!(app.collect(later, DAY, false).await, 1);
    assert_eq!(app.keys().await.len(), 2);
    app.get("/api/v1/crates/foo/1.0.0/download").await.expect(200);
}

#[tokio::test]
async fn deleted_bytes_go_after_the_grace() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    app.publish("foo", "1.1.0").await;
    app.ask("DELETE", "/api/v1/crates/foo/1.0.0").token("alice-token").send().await.expect(200);
    let after = |hours: u64| app.now() + Duration::from_hours(hours);
    assert_eq!(app.collect(after(23), DAY, false).await, 0);
    assert_eq!(app.collect(after(25), DAY, true).await, 1, "a dry run counts");
    assert_eq!(app.keys().await.len(), 3);
    assert_eq!(app.collect(after(25), DAY, false).await, 1);
    assert_eq!(app.keys().await.len(), 2);
    app.get("/api/v1/crates/foo/1.1.0/download").await.expect(200);
}

#[tokio::test]
async fn verify_finds_what_is_damaged() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    app.publish("bar", "1.0.0").await;
    assert_eq!(app.faults().await, Vec::<String>::new());
    assert_eq!(app.lose("foo/-/").await, 1);
    let faults = app.faults().await;
    assert!(faults.len() == 1 && faults[0].contains("foo-1.0.0.crate"), "{faults:?}");
}

#[tokio::test]
async fn the_catalog_is_rebuilt() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    app.services.catalog.changed(&app.instance.name, "foo", None);
    assert_eq!(app.get("/api/v1/crates?q=foo").await.json()["meta"]["total"], 0);
    app.registry.rebuild_catalog().await.unwrap();
    assert_eq!(app.get("/api/v1/crates?q=foo").await.json()["meta"]["total"], 1);
}
