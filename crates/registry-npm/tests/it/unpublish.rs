//! Taking versions and packages away, as npm's client does it.

use serde_json::{Value, json};

use crate::app::{App, Client as _, Document, Setup};

async fn app(versions: &[&str]) -> App {
    let app = Setup::new().build();
    for version in versions {
        app.publish(&Document::new("@s/n", version)).await;
    }
    app
}

/// The document without a version, as npm's client computes it.
fn without(mut packument: Value, version: &str) -> Value {
    packument["versions"].as_object_mut().unwrap().remove(version);
    let tags = packument["dist-tags"].as_object_mut().unwrap();
    tags.retain(|_, tagged| tagged != version);
    if !tags.contains_key("latest") {
        let last = packument["versions"].as_object().unwrap().keys().next_back().unwrap().clone();
        packument["dist-tags"]["latest"] = json!(last);
    }
    packument
}

async fn put_rev(app: &App, document: &Value, token: &str) -> crate::app::Reply {
    let path = format!("/@s%2fn/-rev/{}", document["_rev"].as_str().unwrap());
    app.ask("PUT", &path).token(token).json(document).send().await
}

#[tokio::test]
async fn checklist_15_one_version_goes_in_two_steps() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let tag = app.ask("PUT", "/-/package/@s%2fn/dist-tags/next").token("alice-token").json(&json!("1.1.0"));
    tag.send().await.expect(200);
    let document = without(app.packument("@s/n").await, "1.1.0");
    put_rev(&app, &document, "alice-token").await.expect(201);
    // The tarball is gone with the first step.
    app.get("/@s/n/-/n-1.1.0.tgz").await.expect(404);
    let after = app.packument("@s/n").await;
    assert_eq!(after["dist-tags"], json!({"latest": "1.0.0"}));
    assert!(after["versions"].get("1.1.0").is_none() && after["time"].get("1.1.0").is_none());
    let rev = after["_rev"].as_str().unwrap();
    let path = format!("/@s/n/-/n-1.1.0.tgz/-rev/{rev}");
    assert_eq!(app.ask("DELETE", &path).token("alice-token").send().await.expect(200).json()["ok"], true);
    app.get("/@s/n/-/n-1.0.0.tgz").await.expect(200);
    // Its number stays used.
    app.put(&Document::new("@s/n", "1.1.0"), "alice-token", 403).await;
}

#[tokio::test]
async fn checklist_15_the_second_step_alone_does_nothing() {
    let app = app(&["1.0.0"]).await;
    let delete =
        |file: &str| app.ask("DELETE", &format!("/@s/n/-/{file}/-rev/1-x")).token("alice-token").send();
    delete("n-1.0.0.tgz").await.expect(403);
    delete("n-2.0.0.tgz").await.expect(404);
    delete("other-1.0.0.tgz").await.expect(404);
    app.get("/@s/n/-/n-1.0.0.tgz").await.expect(200);
}

#[tokio::test]
async fn checklist_16_a_package_goes_as_a_whole() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let rev = app.packument("@s/n").await["_rev"].as_str().unwrap().to_owned();
    let reply =
        app.ask("DELETE", &format!("/@s%2fn/-rev/{rev}")).token("alice-token").send().await.expect(200);
    assert_eq!(reply.json()["ok"], true);
    for path in [
        "/@s%2fn",
        "/@s%2fn?write=true",
        "/@s%2fn/1.0.0",
        "/@s/n/-/n-1.0.0.tgz",
        "/-/package/@s%2fn/dist-tags",
    ] {
        app.get(path).await.expect(404);
    }
    app.ask("DELETE", &format!("/@s%2fn/-rev/{rev}")).token("alice-token").send().await.expect(404);
    app.put(&Document::new("@s/n", "1.0.0"), "alice-token", 403).await;
    app.publish(&Document::new("@s/n", "2.0.0")).await;
    let packument = app.packument("@s/n").await;
    assert_eq!(packument["versions"].as_object().unwrap().len(), 1);
    assert_eq!(packument["dist-tags"], json!({"latest": "2.0.0"}));
    app.put(&Document::new("@s/n", "1.1.0"), "alice-token", 403).await;
}

#[tokio::test]
async fn checklist_16_a_document_without_versions_takes_the_package_away() {
    let app = app(&["1.0.0"]).await;
    let mut document = app.packument("@s/n").await;
    document["versions"] = json!({});
    document["dist-tags"] = json!({});
    put_rev(&app, &document, "alice-token").await.expect(201);
    app.get("/@s%2fn").await.expect(404);
}

#[tokio::test]
async fn checklist_17_a_stale_revision_is_a_conflict() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let stale = without(app.packument("@s/n").await, "1.1.0");
    app.publish(&Document::new("@s/n", "1.2.0")).await;
    let before = app.objects().await;
    put_rev(&app, &stale, "alice-token").await.expect(409);
    let path = format!("/@s%2fn/-rev/{}", stale["_rev"].as_str().unwrap());
    app.ask("DELETE", &path).token("alice-token").send().await.expect(409);
    let mut deprecate = stale.clone();
    deprecate["versions"]["1.0.0"]["deprecated"] = json!("x");
    app.ask("PUT", "/@s%2fn").token("alice-token").json(&deprecate).send().await.expect(409);
    assert_eq!(app.objects().await, before);
    // Old clients name no revision at all.
    app.ask("DELETE", "/@s%2fn/-rev/undefined").token("alice-token").send().await.expect(200);
}

#[tokio::test]
async fn checklist_15_a_document_may_only_take_away() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let before = app.objects().await;
    let base = without(app.packument("@s/n").await, "1.1.0");
    let mut added = base.clone();
    added["versions"]["9.0.0"] = json!({"name": "@s/n", "version": "9.0.0"});
    put_rev(&app, &added, "alice-token").await.expect(400);
    let mut altered = base.clone();
    altered["versions"]["1.0.0"]["dist"]["integrity"] = json!("sha512-x");
    put_rev(&app, &altered, "alice-token").await.expect(400);
    let mut tagged = base;
    tagged["dist-tags"]["x"] = json!("9.0.0");
    put_rev(&app, &tagged, "alice-token").await.expect(400);
    assert_eq!(app.objects().await, before);
}

#[tokio::test]
async fn checklist_40_an_interrupted_unpublish_ends_clean_when_it_is_tried_again() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let document = without(app.packument("@s/n").await, "1.1.0");
    put_rev(&app, &document, "alice-token").await.expect(201);
    // The client died before the second step; its second try finds the version gone and has nothing to put.
    let again = app.packument("@s/n").await;
    assert!(again["versions"].get("1.1.0").is_none());
    let rev = again["_rev"].as_str().unwrap();
    for _ in 0..2 {
        let path = format!("/@s/n/-/n-1.1.0.tgz/-rev/{rev}");
        app.ask("DELETE", &path).token("alice-token").send().await.expect(200);
    }
    assert_eq!(app.packument("@s/n").await["_rev"], again["_rev"]);
}

#[tokio::test]
async fn unpublishing_needs_the_right_and_can_be_off() {
    let app = app(&["1.0.0", "1.1.0"]).await;
    let document = without(app.packument("@s/n").await, "1.1.0");
    let path = format!("/@s%2fn/-rev/{}", document["_rev"].as_str().unwrap());
    put_rev(&app, &document, "writer-token").await.expect(403);
    app.ask("DELETE", &path).token("writer-token").send().await.expect(403);
    app.ask("DELETE", &path).send().await.expect(401);
    let mut setup = Setup::new();
    setup.config.unpublish = false;
    let strict = setup.build();
    strict.publish(&Document::new("@s/n", "1.0.0")).await;
    strict.publish(&Document::new("@s/n", "1.1.0")).await;
    let document = without(strict.packument("@s/n").await, "1.1.0");
    put_rev(&strict, &document, "alice-token").await.expect(405);
    let path = format!("/@s%2fn/-rev/{}", document["_rev"].as_str().unwrap());
    strict.ask("DELETE", &path).token("alice-token").send().await.expect(405);
}

#[tokio::test]
async fn a_name_can_be_blocked_for_a_while() {
    let mut setup = Setup::new();
    setup.config.republish_block_seconds = 86_400;
    let app = setup.build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    app.ask("DELETE", "/lib/-rev/undefined").token("alice-token").send().await.expect(200);
    app.put(&Document::new("lib", "1.0.1"), "alice-token", 403).await;
    app.clock.advance(std::time::Duration::from_hours(24));
    app.publish(&Document::new("lib", "1.0.1")).await;
}
