//! Garbage collection, verification, and what a crash leaves.

use std::time::Duration;

use bytes::Bytes;
use registry_core::{Maintenance as _, PackageRegistry as _, storage::ArtifactSpec};

use crate::app::{App, Build, Client, Setup};

async fn collect(app: &App, days: u64, dry_run: bool) -> u64 {
    let now = chrono::Utc::now() + Duration::from_hours(24 * days);
    app.collect(now, Duration::from_hours(24), dry_run).await
}

async fn keys(app: &App, part: &str) -> usize {
    app.objects().await.iter().filter(|(key, ..)| key.contains(part)).count()
}

#[tokio::test]
async fn yanked_files_go_after_their_days_and_cannot_come_back_then() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    app.push(&Build::new("a", "1.1")).await;
    app.yank("a", "1.0", "alice-token").await.expect(200);
    let after = |days: u64| app.now() + Duration::from_hours(24 * days);
    app.collect(after(29), Duration::from_hours(24), false).await;
    assert_eq!(keys(&app, ".gem~").await, 2);
    app.collect(after(32), Duration::from_hours(24), false).await;
    assert_eq!(keys(&app, ".gem~").await, 1);
    let form = "gem_name=a&version=1.0";
    app.ask("PUT", "/api/v1/gems/unyank").token("alice-token").body(form).send().await.expect(410);
    app.refused(Build::new("a", "1.0").bytes(), 409, "A yanked version").await;
    assert_eq!(app.faults().await, [""; 0]);
}

#[tokio::test]
async fn bytes_without_a_document_are_invisible_and_collected() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let store = app.services.storage.store(&app.instance);
    for name in ["a", "ghost", "_incoming"] {
        let key = store.key().fixed("packages").listed(name).fixed("-").segment("x.gem").build();
        let data = store.write_artifact_bytes(&key, Bytes::from_static(b"x"), ArtifactSpec::default()).await;
        data.unwrap().keep();
    }
    app.get("/info/ghost").await.expect(404);
    assert_eq!(collect(&app, 0, false).await, 0);
    assert_eq!(collect(&app, 2, true).await, 3);
    assert_eq!(collect(&app, 2, false).await, 3);
    app.get("/gems/a-1.0.gem").await.expect(200);
    app.check_index().await;
}

#[tokio::test]
async fn verify_finds_what_is_damaged() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    app.push(&Build::new("b", "1.0")).await;
    assert_eq!(app.faults().await, [""; 0]);
    assert_eq!(app.lose("/a-1.0.gem~").await, 1);
    let found = app.faults().await;
    assert!(found.len() == 1 && found[0].contains("a-1.0.gem"), "{found:?}");
}

/// A process that died between the gem's document and the log left a marker. Made here by taking the log away, which is made anew from
/// the documents, and by a marker for a gem that the log does not know.
#[tokio::test]
async fn checklist_43_a_log_that_lacks_a_line_is_completed() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    app.push(&Build::new("b", "1.0")).await;
    let store = app.services.storage.store(&app.instance);
    let before = app.text("/versions").await;
    assert_eq!(app.lose("index/versions/log.json").await, 1);
    let rebuilt = app.sibling();
    let after = rebuilt.text("/versions").await;
    assert_eq!(before.lines().skip(1).collect::<Vec<_>>(), after.lines().skip(1).collect::<Vec<_>>());
    rebuilt.check_index().await;
    assert_eq!(rebuilt.faults().await, [""; 0]);

    // Markers of dead processes: one of a gem that is there, one of none, one that is no name.
    for text in ["a", "nothing", "../x"] {
        let key = store.key().fixed("pending").segment("x").build();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        store.write_artifact_bytes(&key, bytes, ArtifactSpec::default()).await.unwrap().keep();
    }
    let app = rebuilt.sibling();
    app.registry.init().await.unwrap();
    assert_eq!(app.text("/versions").await, after);
    // They are young by the clock of the store, so they stay until somebody finds them old.
    assert_eq!(keys(&app, "/pending/").await, 3);
    collect(&app, 1, false).await;
    assert_eq!(keys(&app, "/pending/").await, 0);
}

#[tokio::test]
async fn the_catalog_is_told_anew() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let mut fresh = app.sibling();
    fresh.services.catalog = registry_core::catalog::Catalog::memory();
    fresh.registry = registry_rubygems::RubygemsRegistry::new(
        fresh.instance.clone(),
        fresh.services.clone(),
        registry_rubygems::RubygemsConfig::default(),
    );
    assert_eq!(fresh.get("/api/v1/search.json?query=a").await.json().as_array().unwrap().len(), 0);
    fresh.registry.rebuild_catalog().await.unwrap();
    assert_eq!(fresh.get("/api/v1/search.json?query=a").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn settings_name_the_base_url() {
    let app = Setup::new().build();
    let text = app.registry.client_settings("https://registry.example.com/rubygems/");
    assert!(text.contains("source \"https://registry.example.com/rubygems\"\n"), "{text}");
    assert!(text.contains("--host https://registry.example.com/rubygems\n"), "{text}");
}
