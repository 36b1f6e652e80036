//! Who may do what, and how a refusal is told.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::app::{BASE, Client as _, Setup, Upload};

#[tokio::test]
async fn checklist_10_11_a_private_registry() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    for path in [
        "/config.json",
        "/3/f/foo",
        "/no/ne/none",
        "/api/v1/crates/foo/1.0.0/download",
        "/api/v1/crates?q=foo",
        "/api/v1/crates/foo/owners",
    ] {
        let reply = app.ask("GET", path).send().await.expect(401);
        assert_eq!(
            reply.header("www-authenticate"),
            Some(&*format!("Cargo login_url=\"{BASE}/me\"")),
            "{path}"
        );
        app.ask("GET", path).token("wrong-token").send().await.expect(401);
    }
    let config = app.get("/config.json").await.expect(200).json();
    assert_eq!(config, json!({"dl": format!("{BASE}/api/v1/crates"), "api": BASE, "auth-required": true}));
    for path in ["/3/f/foo", "/api/v1/crates/foo/1.0.0/download", "/api/v1/crates?q=foo"] {
        app.get(path).await.expect(200);
    }
    app.ask("GET", "/me").send().await.expect(200);
}

#[tokio::test]
async fn checklist_12_32_a_public_registry() {
    let app = Setup::open().build();
    app.publish("foo", "1.0.0").await;
    let config = app.ask("GET", "/config.json").send().await.expect(200).json();
    assert_eq!(config, json!({"dl": format!("{BASE}/api/v1/crates"), "api": BASE, "auth-required": false}));
    for path in
        ["/3/f/foo", "/api/v1/crates/foo/1.0.0/download", "/api/v1/crates?q=foo", "/api/v1/crates/foo/owners"]
    {
        app.ask("GET", path).send().await.expect(200);
    }
    let before = app.keys().await;
    let upload = Upload::new("foo", "1.0.1").bytes();
    app.ask("PUT", "/api/v1/crates/new").body(upload.clone()).send().await.expect(401);
    app.ask("PUT", "/api/v1/crates/new").token("wrong").body(upload).send().await.expect(401);
    app.ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").send().await.expect(401);
    assert_eq!(app.keys().await, before);
}

#[tokio::test]
async fn a_registry_that_is_open_in_part_asks_for_tokens_unless_told_otherwise() {
    let app = Setup::new().anonymous(&["cargo:crate:open-*:read"]).build();
    app.publish("open-a", "1.0.0").await;
    app.publish("foo", "1.0.0").await;
    app.ask("GET", "/config.json").send().await.expect(401);
    app.ask("GET", "/op/en/open-a").send().await.expect(200);
    app.ask("GET", "/3/f/foo").send().await.expect(401);
    let found = app.ask("GET", "/api/v1/crates?q=").send().await.expect(200).json();
    assert_eq!((&found["meta"]["total"], &found["crates"][0]["name"]), (&json!(1), &json!("open-a")));

    let mut setup = Setup::new();
    setup.config.auth_required = Some(false);
    let config = setup.build().ask("GET", "/config.json").send().await.expect(200).json();
    assert_eq!(config["auth-required"], false);
}

#[tokio::test]
async fn checklist_13_every_style_of_token() {
    let app = Setup::new().build();
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for good in [
        "alice-token",
        "Bearer alice-token",
        "Token alice-token",
        &basic("x:alice-token"),
        &basic("alice:alice's password"),
    ] {
        app.ask("GET", "/config.json").token(good).send().await.expect(200);
    }
    for bad in ["alice-toke", "Bearer x", &basic("alice:x"), "Digest x", "Basic !"] {
        app.ask("GET", "/config.json").token(bad).send().await.expect(401);
    }
}

#[tokio::test]
async fn checklist_43_tokens_do_what_their_scopes_say() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    app.publish("shared-x", "1.0.0").await;
    let before = app.keys().await;
    let put = async |token: &str, name: &str| {
        let body = Upload::new(name, "2.0.0").bytes();
        app.ask("PUT", "/api/v1/crates/new").token(token).body(body).send().await
    };
    for token in ["bob-token", "reader-token"] {
        let error = put(token, "foo").await.expect(403).error();
        assert!(error.contains("\"foo\"") && !error.contains("bob"), "{error}");
        app.ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").token(token).send().await.expect(403);
        app.ask("PUT", "/api/v1/crates/foo/1.0.0/unyank").token(token).send().await.expect(403);
        app.ask("DELETE", "/api/v1/crates/foo/1.0.0").token(token).send().await.expect(403);
        let owners = app.ask("PUT", "/api/v1/crates/foo/owners").token(token);
        owners.json(&json!({"users": ["bob"]})).send().await.expect(403);
    }
    assert_eq!(app.keys().await, before);
    // A crate that bob may not read is one that is not there.
    app.ask("GET", "/3/f/foo").token("bob-token").send().await.expect(404);
    app.ask("GET", "/api/v1/crates/foo/1.0.0/download").token("bob-token").send().await.expect(404);
    app.ask("GET", "/sh/ar/shared-x").token("bob-token").send().await.expect(200);
    put("bob-token", "bob-a").await.expect(200);
    // `write` yanks, and does not delete.
    app.ask("DELETE", "/api/v1/crates/foo/1.0.0/yank").token("writer-token").send().await.expect(200);
    app.ask("DELETE", "/api/v1/crates/foo/1.0.0").token("writer-token").send().await.expect(403);
    let found = app.ask("GET", "/api/v1/crates?q=").token("bob-token").send().await.expect(200).json();
    assert_eq!(found["meta"]["total"], 2, "{found}");
}

#[tokio::test]
async fn scopes_go_by_the_published_name_and_not_by_the_path() {
    let app = Setup::new().user("carol", &["cargo:crate:Mixed_c:*"]).build();
    app.publish("Bob-x", "1.0.0").await;
    app.publish("Mixed_c", "1.0.0").await;
    let ask = |method: &str, path: &str, token: &str| app.ask(method, path).token(token).send();
    // bob has `bob-*`, which is another name.
    ask("GET", "/bo/b-/bob-x", "bob-token").await.expect(404);
    for path in ["/api/v1/crates/bob-x/1.0.0/yank", "/api/v1/crates/bob-x/1.0.0", "/api/v1/crates/bob-x"] {
        ask("DELETE", path, "bob-token").await.expect(403);
    }
    let owners = app.ask("PUT", "/api/v1/crates/bob-x/owners").token("bob-token");
    owners.json(&json!({"users": ["bob"]})).send().await.expect(403);
    ask("GET", "/mi/xe/mixed_c", "carol-token").await.expect(200);
    ask("GET", "/api/v1/crates/mixed_c/1.0.0/download", "carol-token").await.expect(200);
    ask("DELETE", "/api/v1/crates/mixed_c/1.0.0/yank", "carol-token").await.expect(200);
}
