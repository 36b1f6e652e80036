//! dist-tags.

use serde_json::json;

use crate::app::{App, Client as _, Document, Setup};

async fn tags(app: &App, name: &str) -> serde_json::Value {
    app.get(&format!("/-/package/{name}/dist-tags")).await.expect(200).json()
}

async fn app() -> App {
    let app = Setup::new().build();
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    app.publish(&Document::new("@s/n", "1.1.0")).await;
    app
}

#[tokio::test]
async fn checklist_14_tags_are_set_listed_and_removed() {
    let app = app().await;
    assert_eq!(tags(&app, "@s%2fn").await, json!({"latest": "1.1.0"}));
    for (method, tag) in [("PUT", "next"), ("POST", "old")] {
        let path = format!("/-/package/@s%2fn/dist-tags/{tag}");
        let reply =
            app.ask(method, &path).token("writer-token").json(&json!("1.0.0")).send().await.expect(200);
        assert_eq!(reply.json()["ok"], true);
    }
    assert_eq!(tags(&app, "@s/n").await, json!({"latest": "1.1.0", "next": "1.0.0", "old": "1.0.0"}));
    let version = app.get("/@s%2fn/next").await.expect(200).json();
    assert_eq!(version["version"], "1.0.0");
    app.ask("DELETE", "/-/package/@s/n/dist-tags/old").token("writer-token").send().await.expect(200);
    assert_eq!(tags(&app, "@s/n").await, json!({"latest": "1.1.0", "next": "1.0.0"}));
    let set = app.ask("PUT", "/-/package/@s/n/dist-tags/latest").token("alice-token").json(&json!("1.0.0"));
    set.send().await.expect(200);
    assert_eq!(tags(&app, "@s/n").await["latest"], "1.0.0");
}

#[tokio::test]
async fn checklist_14_what_is_no_tag_or_version_is_refused() {
    let app = app().await;
    let before = app.objects().await;
    for (tag, version, status) in [
        ("1.x", json!("1.0.0"), 400),
        ("v1", json!("1.0.0"), 400),
        ("a%2fb", json!("1.0.0"), 400),
        ("next", json!("9.0.0"), 404),
        ("next", json!("x"), 400),
        ("next", json!({"version": "1.0.0"}), 400),
    ] {
        let path = format!("/-/package/@s%2fn/dist-tags/{tag}");
        app.ask("PUT", &path).token("alice-token").json(&version).send().await.expect(status);
    }
    for (tag, status) in [("latest", 400), ("absent", 404), ("1.x", 404)] {
        let path = format!("/-/package/@s%2fn/dist-tags/{tag}");
        app.ask("DELETE", &path).token("alice-token").send().await.expect(status);
    }
    app.ask("PUT", "/-/package/absent/dist-tags/y")
        .token("alice-token")
        .json(&json!("1.0.0"))
        .send()
        .await
        .expect(404);
    app.get("/-/package/absent/dist-tags").await.expect(404);
    assert_eq!(app.objects().await, before);
}

#[tokio::test]
async fn the_whole_map_is_merged_or_replaced() {
    let app = app().await;
    let path = "/-/package/@s%2fn/dist-tags";
    let body = json!({"a": "1.0.0", "b": "1.1.0"});
    app.ask("POST", path).token("alice-token").json(&body).send().await.expect(200);
    assert_eq!(tags(&app, "@s/n").await, json!({"a": "1.0.0", "b": "1.1.0", "latest": "1.1.0"}));
    app.ask("PUT", path).token("alice-token").json(&json!({"c": "1.0.0"})).send().await.expect(200);
    assert_eq!(tags(&app, "@s/n").await, json!({"c": "1.0.0", "latest": "1.1.0"}));
    app.ask("PUT", path).token("alice-token").json(&json!({"c": "7.0.0"})).send().await.expect(404);
}

#[tokio::test]
async fn checklist_14_a_tag_changes_time_and_revision() {
    let app = app().await;
    let before = app.packument("@s/n").await;
    app.clock.advance(std::time::Duration::from_secs(1));
    let set = app.ask("PUT", "/-/package/@s/n/dist-tags/next").token("alice-token").json(&json!("1.0.0"));
    set.send().await.expect(200);
    let after = app.packument("@s/n").await;
    assert_ne!(before["_rev"], after["_rev"]);
    assert_eq!(after["time"]["modified"], "2026-03-04T05:06:08.890Z");
    assert_eq!(before["versions"], after["versions"]);
}
