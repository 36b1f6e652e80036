//! Collecting, verifying, rebuilding.

use std::time::Duration;

use chrono::Utc;
use registry_core::{Maintenance as _, catalog::Catalog, storage::ArtifactSpec};
use registry_maven::{MavenConfig, MavenRegistry};

use crate::app::{Client as _, Configured as _, Setup, pom};

const JAR: &str = "/com/acme/lib/1.0/lib-1.0.jar";
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn what_was_deleted_or_replaced_goes_after_the_grace() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    let literal = "/com/acme/lib/2-SNAPSHOT/lib-2-SNAPSHOT.jar";
    app.put(literal, "one").await.expect(201);
    app.put(literal, "two").await.expect(200);
    app.delete(JAR).await.expect(204);
    let now = app.services.clock.now();
    assert!(app.faults().await.is_empty());
    assert_eq!(app.collect(now + Duration::from_hours(1), DAY, false).await, 0);
    assert_eq!(app.collect(now + DAY, DAY, false).await, 2);
    assert!(app.faults().await.is_empty());
    app.get("/com/acme/lib/1.0/lib-1.0.pom").await.expect(200);
    assert_eq!(app.get(literal).await.text(), "two");
    // The name is still kept for its bytes.
    app.refused(app.ask("PUT", JAR).token("alice-token").body("other"), 409, "was deleted").await;
    app.put(JAR, "jar of lib 1.0").await.expect(201);
}

#[tokio::test]
async fn bytes_without_a_document_are_invisible_and_collected() {
    let app = Setup::new().build();
    let store = app.services.storage.store(&app.instance);
    let folder = store.key().fixed("artifacts").segment("com").segment("acme").segment("lib").segment("1.0");
    let key = folder.fixed("-").segment("lib-1.0.jar").build();
    let _left = store.write_artifact_bytes(&key, "jar".into(), ArtifactSpec::default()).await.unwrap().keep();
    app.get(JAR).await.expect(404);
    app.put(JAR, "other").await.expect(201);
    assert_eq!(
        app.collect(Utc::now(), Duration::ZERO, false).await,
        0,
        "it may belong to an upload under way"
    );
    assert_eq!(app.collect(Utc::now() + Duration::from_secs(3700), Duration::ZERO, false).await, 1);
    assert_eq!(app.get(JAR).await.text(), "other");
}

#[tokio::test]
async fn checklist_41_old_builds_go_with_the_garbage_too() {
    let app = Setup::new().config(|config| config.keep_snapshot_days = 7).build();
    for number in 1..=2 {
        let path = format!("/com/acme/lib/1-SNAPSHOT/lib-1-2026010{number}.000000-{number}.jar");
        app.put(&path, format!("build {number}")).await.expect(201);
    }
    let now = app.services.clock.now() + 8 * DAY;
    app.collect(now, DAY, true).await;
    app.get("/com/acme/lib/1-SNAPSHOT/lib-1-20260101.000000-1.jar").await.expect(200);
    app.collect(now, DAY, false).await;
    app.get("/com/acme/lib/1-SNAPSHOT/lib-1-20260101.000000-1.jar").await.expect(404);
    app.get("/com/acme/lib/1-SNAPSHOT/lib-1-20260102.000000-2.jar").await.expect(200);
    assert_eq!(app.collect(now + DAY, DAY, false).await, 1);
    assert!(app.faults().await.is_empty());
}

#[tokio::test]
async fn missing_bytes_and_wrong_lists_are_reported() {
    let app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acme", "other", "1.0").await;
    assert!(app.faults().await.is_empty());
    let store = app.services.storage.store(&app.instance);
    for entry in store.list(&store.key().build()).await.unwrap() {
        let key = entry.key.as_str();
        if key.contains("lib-1.0.jar~") || key.ends_with("other/1.0/_version.json") {
            store.remove(&entry.key).await.unwrap();
        }
    }
    let faults = app.faults().await;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("lists the version 1.0, which has no files")));
    app.get(JAR).await.expect(500);
}

#[tokio::test]
async fn a_rebuild_finds_everything_and_finishes_what_a_crash_left() {
    let mut app = Setup::new().build();
    app.release("com.acme", "lib", "1.0").await;
    app.release("com.acme", "lib", "1.1").await;
    app.release("com.acme", "gone", "1.0").await;
    app.delete("/com/acme/gone/").await.expect(204);
    // As if a server had died between the version's document and the artifact's.
    let store = app.services.storage.store(&app.instance);
    for entry in store.list(&store.key().build()).await.unwrap() {
        if entry.key.as_str().ends_with("lib/_artifact.json") {
            store.remove(&entry.key).await.unwrap();
        }
    }
    app.get("/com/acme/lib/maven-metadata.xml").await.expect(404);
    // Whoever deploys again makes up for it.
    app.put("/com/acme/lib/1.0/lib-1.0.pom", pom("com.acme", "lib", "1.0", "jar")).await.expect(200);
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0"]);
    app.services.catalog = Catalog::memory();
    app.registry = MavenRegistry::new(app.instance.clone(), app.services.clone(), MavenConfig::default());
    app.get("/com/").await.expect(404);
    app.registry.rebuild_catalog().await.unwrap();
    assert_eq!(app.versions("/com/acme/lib").await, ["1.0", "1.1"]);
    let page = app.get("/com/acme/").await.expect(200).text();
    assert!(page.contains("lib/") && !page.contains("gone"), "{page}");
    let all = app.services.catalog.all(&app.instance.name).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].name.as_str(), all[0].latest.as_deref()), ("com.acme:lib", Some("1.1")));
    assert_eq!(all[0].summary.as_deref(), Some("The lib"));
}
