//! Collecting, verifying, rebuilding.

use std::time::Duration;

use chrono::Utc;
use registry_core::{Maintenance as _, catalog::Catalog, maintenance::GcRun, storage::ArtifactSpec};
use serde_json::json;

use crate::app::{App, Client as _, Document, Setup};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn unpublished_tarballs_go_after_the_grace() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0").attested()).await;
    app.publish(&Document::new("lib", "1.1.0")).await;
    app.publish(&Document::new("kept", "1.0.0")).await;
    app.ask("DELETE", "/lib/-rev/undefined").token("alice-token").send().await.expect(200);
    let all = app.keys().await.len();
    assert_eq!(app.collect(app.now() + Duration::from_hours(1), DAY, false).await, 0);
    assert_eq!(app.collect(app.now() + DAY, DAY, true).await, 3, "a dry run counts");
    assert_eq!(app.keys().await.len(), all);
    assert!(app.faults().await.is_empty());
    assert_eq!(app.collect(app.now() + DAY, DAY, false).await, 3);
    assert_eq!(app.keys().await.len(), all - 3);
    assert_eq!(app.collect(app.now() + DAY, DAY, false).await, 0);
    assert!(app.faults().await.is_empty());
    app.get("/kept/-/kept-1.0.0.tgz").await.expect(200);
    app.put(&Document::new("lib", "1.0.0"), "alice-token", 403).await;
}

#[tokio::test]
async fn checklist_39_bytes_without_a_document_are_invisible_and_collected() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    // A publish that died between its two writes.
    let store = app.services.storage.store(&app.instance);
    let key = store.key().fixed("packages").segment("lib").fixed("-").segment("lib-1.0.0.tgz").build();
    let orphan =
        store.write_artifact_bytes(&key, document.tarball.clone().into(), ArtifactSpec::default()).await;
    let _left = orphan.unwrap().keep();
    app.get("/lib").await.expect(404);
    app.get("/lib/-/lib-1.0.0.tgz").await.expect(404);
    app.publish(&document).await;
    assert_eq!(app.keys().await.len(), 3);
    // A young one may belong to a publish under way.
    assert_eq!(app.collect(Utc::now(), Duration::ZERO, false).await, 0);
    // With no server at work there is no publish under way.
    let mut alone = GcRun::new(Utc::now() + Duration::from_secs(1), Duration::ZERO, true);
    alone.minimum_age = Duration::ZERO;
    app.registry.collect_garbage(&alone).await.unwrap();
    assert_eq!(alone.report.removed_count(), (1, document.tarball.len() as u64));
    assert_eq!(app.collect(Utc::now() + Duration::from_secs(3700), Duration::ZERO, false).await, 1);
    assert_eq!(app.get("/lib/-/lib-1.0.0.tgz").await.expect(200).body, document.tarball);
}

#[tokio::test]
async fn checklist_39_a_missing_tarball_is_reported() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    assert!(app.faults().await.is_empty());
    assert_eq!(app.lose("~").await, 1);
    let faults = app.faults().await;
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("lib-1.0.0.tgz") && faults[0].contains("1.0.0"), "{faults:?}");
    app.get("/lib/-/lib-1.0.0.tgz").await.expect(500);
}

#[tokio::test]
async fn logins_that_are_over_are_collected() {
    let app = Setup::new().build();
    let answer = app.ask("POST", "/-/v1/login").json(&json!({})).send().await.expect(200).json();
    let path = answer["loginUrl"].as_str().unwrap().strip_prefix("http://registry.example.com/npm").unwrap();
    let grant = app.ask("POST", path).body("user=alice&password=alice%27s+password").send().await;
    assert_eq!(grant.status, 200);
    assert_eq!(app.keys().await.len(), 1);
    assert_eq!(app.collect(Utc::now(), DAY, false).await, 0);
    assert_eq!(app.collect(Utc::now() + Duration::from_secs(3700), DAY, false).await, 1);
    assert!(app.keys().await.is_empty());
}

#[tokio::test]
async fn the_catalog_can_be_rebuilt() {
    let mut app = Setup::new().build();
    app.publish(&Document::new("@acme/lib", "1.0.0")).await;
    app.publish(&Document::new("gone", "1.0.0")).await;
    app.ask("DELETE", "/gone/-rev/undefined").token("alice-token").send().await.expect(200);
    let found = async |app: &App| app.get("/-/v1/search?text=").await.json()["total"].clone();
    assert_eq!(found(&app).await, 1);
    app.services.catalog = Catalog::memory();
    let services = app.services.clone();
    app.registry =
        registry_npm::NpmRegistry::new(app.instance.clone(), services, registry_npm::NpmConfig::default());
    assert_eq!(found(&app).await, 0);
    app.registry.rebuild_catalog().await.unwrap();
    assert_eq!(found(&app).await, 1);
}
