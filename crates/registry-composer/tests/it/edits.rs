//! Deleting and abandoning.

use serde_json::json;

use crate::app::{Client as _, Setup, package};

#[tokio::test]
async fn checklist_34_and_35_deleted_versions_are_gone_and_their_names_stay() {
    let app = Setup::new().build();
    let bytes = package("acme/lib", &json!({}), "one");
    let dist = app.upload("acme/lib", "1.0", bytes.clone()).await.expect(201).json();
    let archive = format!("/dists/acme/lib/{}.zip", dist["dist"]["reference"].as_str().unwrap());
    let delete = async |path: &str, status: u16| {
        app.ask("DELETE", path).token("alice-token").send().await.expect(status);
    };
    delete("/packages/acme/lib/2.0", 404).await;
    delete("/packages/acme/lib/nonsense", 404).await;
    delete("/packages/acme/none/1.0", 404).await;
    delete("/packages/acme/lib/v1.0.0", 204).await;
    delete("/packages/acme/lib/1.0", 404).await;
    delete("/packages/acme/lib", 404).await;
    assert!(app.versions("acme/lib").await.is_empty());
    assert_eq!(app.get("/packages/list.json").await.json(), json!({"packageNames": []}));
    assert_eq!(app.get("/search.json?q=lib").await.json()["total"], 0);
    assert_eq!(app.get(&archive).await.expect(200).body, bytes);
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "two")).await.expect(409);
    app.upload("acme/lib", "1.0", bytes).await.expect(201);
    assert_eq!(app.versions("acme/lib").await.len(), 1);
    app.upload("acme/lib", "dev-main", package("acme/lib", &json!({}), "")).await.expect(201);
    delete("/packages/acme/lib", 204).await;
    assert!(app.versions("acme/lib").await.is_empty() && app.versions("acme/lib~dev").await.is_empty());
}

#[tokio::test]
async fn a_registry_may_delete_nothing() {
    let mut setup = Setup::new();
    setup.config.allow_delete = false;
    let app = setup.build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    app.ask("DELETE", "/packages/acme/lib").token("alice-token").send().await.expect(403);
    assert_eq!(app.versions("acme/lib").await.len(), 1);
}

#[tokio::test]
async fn checklist_36_abandoned_packages_say_so() {
    let app = Setup::new().build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    let put = |body: &'static str| {
        app.ask("PUT", "/packages/acme/lib/abandoned").token("alice-token").body(body).send()
    };
    put("").await.expect(200);
    assert_eq!(app.versions("acme/lib").await[0]["abandoned"], true);
    assert_eq!(app.get("/search.json").await.json()["results"][0]["abandoned"], "");
    put(r#"{"replacement": "acme/new"}"#).await.expect(200);
    assert_eq!(app.versions("acme/lib").await[0]["abandoned"], "acme/new");
    for bad in [r#"{"replacement": "Acme"}"#, "[", r#"{"other": 1}"#] {
        put(bad).await.expect(400);
    }
    put(r#"{"replacement": "acme/lib"}"#).await.expect(422);
    app.ask("DELETE", "/packages/acme/lib/abandoned").token("alice-token").send().await.expect(200);
    assert_eq!(app.versions("acme/lib").await[0].get("abandoned"), None);
    app.ask("PUT", "/packages/acme/none/abandoned").token("alice-token").send().await.expect(404);
}
