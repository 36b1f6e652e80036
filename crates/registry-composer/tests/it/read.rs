//! What clients read.

use std::time::Duration;

use serde_json::json;

use crate::app::{Client as _, Reply, Setup, package};

#[tokio::test]
async fn checklist_3_unknown_names_are_404_and_checklist_14_reserved_ones_are_empty() {
    let mut setup = Setup::new();
    setup.config.reserved_names = vec!["acme/*".to_owned()];
    let app = setup.build();
    app.get("/p2/other/lib.json").await.expect(404);
    app.get("/p2/other/lib~dev.json").await.expect(404);
    assert!(app.versions("acme/absent").await.is_empty());
    assert!(app.versions("acme/absent~dev").await.is_empty());
    // Only the vendor itself, not what begins so.
    app.get("/p2/acme-evil/lib.json").await.expect(404);
    assert_eq!(app.get("/packages.json").await.json()["available-package-patterns"], json!(["acme/*"]));
}

#[tokio::test]
async fn checklist_5_and_6_every_change_has_a_time_of_its_own() {
    let app = Setup::new().build();
    let asked = async |since: &str| -> Reply {
        app.ask("GET", "/p2/acme/lib.json")
            .token("alice-token")
            .header("if-modified-since", since)
            .send()
            .await
    };
    let mut seen = vec!["Thu, 01 Jan 1970 00:00:00 GMT".to_owned()];
    let mut check = async || {
        let last = seen.last().unwrap().clone();
        let reply = asked(&last).await.expect(200);
        let modified = reply.header("last-modified").unwrap().to_owned();
        assert_ne!(modified, last);
        let again = asked(&modified).await.expect(304);
        assert!(again.body.is_empty());
        seen.push(modified);
    };
    // All within one second.
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    check().await;
    app.upload("acme/lib", "1.1", package("acme/lib", &json!({}), "")).await.expect(201);
    check().await;
    app.ask("PUT", "/packages/acme/lib/abandoned").token("alice-token").send().await.expect(200);
    check().await;
    app.ask("DELETE", "/packages/acme/lib/1.1").token("alice-token").send().await.expect(204);
    check().await;
    app.clock.advance(Duration::from_mins(1));
    app.upload("acme/lib", "1.2", package("acme/lib", &json!({}), "")).await.expect(201);
    check().await;
    assert_eq!(seen.last().unwrap(), "Wed, 04 Mar 2026 05:07:07 GMT");
}

#[tokio::test]
async fn checklist_25_releases_and_branches_are_apart_and_newest_first() {
    let app = Setup::new().build();
    for version in ["1.0", "2.0-beta1", "dev-main", "1.10", "1.x-dev", "1.9"] {
        app.upload("acme/lib", version, package("acme/lib", &json!({}), version)).await.expect(201);
    }
    let names = |versions: Vec<serde_json::Map<String, serde_json::Value>>| -> Vec<String> {
        versions.iter().map(|v| v["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(app.versions("acme/lib").await), ["2.0-beta1", "1.10", "1.9", "1.0"]);
    assert_eq!(names(app.versions("acme/lib~dev").await), ["1.x-dev", "dev-main"]);
}

#[tokio::test]
async fn checklist_27_the_root_has_absolute_urls_and_patterns() {
    let app = Setup::new().build();
    let root = app.get("/packages.json").await.expect(200);
    assert_eq!(root.json()["available-package-patterns"], json!(["empty.invalid/none"]));
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    app.upload("bob/lib", "1.0", package("bob/lib", &json!({}), "")).await.expect(201);
    // checklist 43
    let root = app.get("//packages.json").await.expect(200).json();
    assert_eq!(root["packages"], json!([]));
    assert_eq!(root["available-package-patterns"], json!(["acme/*", "bob/*"]));
    for key in ["metadata-url", "list", "search", "providers-api", "notify-batch"] {
        let url = root[key].as_str().unwrap();
        assert!(url.starts_with("http://registry.example.com/composer/"), "{url}");
    }
    assert!(
        root["security-advisories"]["api-url"].as_str().unwrap().starts_with("http://registry.example.com")
    );
    // Who may read little is told little.
    let root = app.ask("GET", "/packages.json").token("bob-token").send().await.expect(200).json();
    assert_eq!(root["available-package-patterns"], json!(["acme/shared", "bob/*"]));
}

#[tokio::test]
async fn checklist_37_head_and_gzip() {
    let app = Setup::new().build();
    let words = "zebra ".repeat(300);
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({"description": words}), "")).await.expect(201);
    let get = app.get("/p2/acme/lib.json").await.expect(200);
    let head = app.ask("HEAD", "/p2/acme/lib.json").token("alice-token").send().await.expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.headers, get.headers);
    let packed = app
        .ask("GET", "/p2/acme/lib.json")
        .token("alice-token")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*packed.body), &mut plain).unwrap();
    assert_eq!(plain.as_bytes(), get.body);
    let options = app.ask("OPTIONS", "/packages.json").send().await.expect(204);
    assert_eq!(options.header("allow"), Some("GET, HEAD"));
    app.ask("POST", "/packages.json").token("alice-token").send().await.expect(405);
}
