//! Garbage collection, verification and the catalog.

use std::time::Duration;

use registry_core::{Maintenance as _, maintenance::VerifyRun};
use serde_json::json;

use crate::app::{Client as _, Setup, package};

#[tokio::test]
async fn deleted_archives_stay_for_the_grace_and_replaced_ones_for_longer() {
    let app = Setup::new().build();
    let reference = |reply: crate::app::Reply| reply.json()["dist"]["reference"].as_str().unwrap().to_owned();
    let deleted =
        reference(app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "a")).await.expect(201));
    let replaced =
        reference(app.upload("acme/lib", "dev-x", package("acme/lib", &json!({}), "b")).await.expect(201));
    app.upload("acme/lib", "dev-x", package("acme/lib", &json!({}), "c")).await.expect(201);
    app.ask("DELETE", "/packages/acme/lib/1.0").token("alice-token").send().await.expect(204);
    let day = Duration::from_hours(24);
    assert_eq!(app.collect(app.now(), day, false).await, 0);
    app.get(&format!("/dists/acme/lib/{deleted}.zip")).await.expect(200);
    app.clock.advance(2 * day);
    assert_eq!(app.collect(app.now(), day, false).await, 1);
    app.get(&format!("/dists/acme/lib/{deleted}.zip")).await.expect(404);
    app.get(&format!("/dists/acme/lib/{replaced}.zip")).await.expect(200);
    // The number stays burned.
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "z")).await.expect(409);
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "a")).await.expect(201);
    let run = VerifyRun::default();
    app.registry.verify(&run).await.unwrap();
    assert_eq!(run.report.faults(), Vec::<String>::new());
    assert!(run.report.examined_count() >= 3);
}

#[tokio::test]
async fn verify_finds_what_is_missing() {
    let app = Setup::new().build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    assert_eq!(app.lose("/-/").await, 1);
    let faults = app.faults().await;
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("version 1.0"), "{faults:?}");
}

#[tokio::test]
async fn the_catalog_is_told_anew() {
    let app = Setup::new().build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    app.upload("acme/lib", "2.0-beta", package("acme/lib", &json!({}), "")).await.expect(201);
    app.services.catalog.changed(&app.instance.name, "acme/lib", None);
    app.clock.advance(Duration::from_secs(20));
    app.registry.rebuild_catalog().await.unwrap();
    let entries = app.services.catalog.all(&app.instance.name).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].latest.as_deref(), Some("2.0-beta"));
}
