//! Tokens.

use registry_core::auth::MintToken;
use registry_core::testing::scopes;
use serde_json::{Value, json};

use crate::app::{App, Client as _, Document, Reply, Setup};

async fn create(app: &App, mut body: Value) -> Reply {
    body["password"] = json!("alice's password");
    app.ask("POST", "/-/npm/v1/tokens").token("alice-token").json(&body).send().await
}

async fn delete(app: &App, path: &str) -> Reply {
    app.ask("DELETE", path).token("alice-token").send().await
}

#[tokio::test]
async fn checklist_30_tokens_are_made_listed_and_revoked() {
    let app = Setup::new().build();
    let made = create(&app, json!({"readonly": false, "cidr_whitelist": []})).await.expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    app.ask("GET", "/-/whoami").token(token).send().await.expect(200);

    let list = app.get("/-/npm/v1/tokens").await.expect(200).json();
    assert!(list["urls"].is_object());
    assert_eq!(list["total"], 2);
    let listed = list["objects"].as_array().unwrap().iter().find(|o| o["key"] == made["key"]).unwrap();
    let shown = listed["token"].as_str().unwrap();
    assert!(token.starts_with(shown) && shown.len() < token.len(), "{shown}");
    assert_eq!(listed["cidr_whitelist"], Value::Null);

    delete(&app, &format!("/-/npm/v1/tokens/token/{}", made["key"].as_str().unwrap())).await.expect(204);
    app.ask("GET", "/-/whoami").token(token).send().await.expect(401);
    delete(&app, &format!("/-/npm/v1/tokens/token/{token}")).await.expect(404);

    let second = create(&app, json!({})).await.expect(201).json();
    let secret = second["token"].as_str().unwrap();
    delete(&app, &format!("/-/npm/v1/tokens/token/{secret}")).await.expect(204);
    app.ask("GET", "/-/whoami").token(secret).send().await.expect(401);
}

#[tokio::test]
async fn checklist_30_logging_out_revokes() {
    let app = Setup::new().build();
    let made = create(&app, json!({"readonly": true})).await.expect(201).json();
    let token = made["token"].as_str().unwrap();
    let log_out = app.ask("DELETE", &format!("/-/user/token/{token}")).token(token).send().await.expect(200);
    assert_eq!(log_out.json()["ok"], true);
    app.ask("GET", "/-/whoami").token(token).send().await.expect(401);
}

#[tokio::test]
async fn checklist_30_pages() {
    let app = Setup::new().build();
    for _ in 0..4 {
        create(&app, json!({})).await.expect(201);
    }
    let first = app.get("/-/npm/v1/tokens?perPage=3").await.json();
    assert_eq!(first["objects"].as_array().unwrap().len(), 3);
    let next = first["urls"]["next"].as_str().unwrap();
    assert_eq!(next, "http://registry.example.com/npm/-/npm/v1/tokens?page=1&perPage=3");
    let second = app.get("/-/npm/v1/tokens?page=1&perPage=3").await.json();
    assert_eq!(second["objects"].as_array().unwrap().len(), 2);
    assert!(second["urls"].get("next").is_none());
    app.get("/-/npm/v1/tokens?page=x").await.expect(400);
    app.ask("GET", "/-/npm/v1/tokens").send().await.expect(401);
}

#[tokio::test]
async fn checklist_9_a_read_only_token_writes_nothing() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    let made = create(&app, json!({"readonly": true})).await.expect(201).json();
    assert_eq!(made["readonly"], true);
    let token = made["token"].as_str().unwrap();
    app.ask("GET", "/lib").token(token).send().await.expect(200);
    app.put(&Document::new("lib", "1.1.0"), token, 403).await;
    let star = app.ask("PUT", "/-/user/v1/star").token(token).json(&json!({"package": "lib"}));
    star.send().await.expect(403);
    let body = json!({"password": "alice's password"});
    app.ask("POST", "/-/npm/v1/tokens").token(token).json(&body).send().await.expect(403);
    let body = json!({"password": "alice's password", "readonly": true});
    app.ask("POST", "/-/npm/v1/tokens").token(token).json(&body).send().await.expect(201);
}

#[tokio::test]
async fn checklist_30_a_token_bound_to_addresses() {
    let app = Setup::new().build();
    let made = create(&app, json!({"cidr_whitelist": ["10.0.0.0/8"]})).await.expect(201).json();
    assert_eq!(made["cidr_whitelist"], json!(["10.0.0.0/8"]));
    let token = made["token"].as_str().unwrap();
    app.ask("GET", "/-/whoami").token(token).at_address("10.1.2.3").send().await.expect(200);
    let reply = app.ask("GET", "/-/whoami").token(token).at_address("192.0.2.1").send().await.expect(401);
    assert_eq!(reply.header("www-authenticate"), Some("ipaddress"));
    create(&app, json!({"cidr_whitelist": ["no address"]})).await.expect(400);
}

#[tokio::test]
async fn checklist_30_restrictions_are_kept_or_refused() {
    let app = Setup::new().build();
    let made = create(
        &app,
        json!({"name": "ci", "expires": 30, "packages": ["lib"], "scopes": ["@acme"],
                                   "packages_and_scopes_permission": "read-write"}),
    )
    .await
    .expect(201)
    .json();
    assert_eq!((&made["name"], &made["expires"]), (&json!("ci"), &json!("2026-04-03T05:06:07.890Z")));
    let token = made["token"].as_str().unwrap();
    app.put(&Document::new("lib", "1.0.0"), token, 201).await;
    app.put(&Document::new("@acme/x", "1.0.0"), token, 201).await;
    app.put(&Document::new("other", "1.0.0"), token, 403).await;
    for refused in [
        json!({"orgs": ["acme"]}),
        json!({"orgs_permission": "read-only"}),
        json!({"packages": ["lib"], "packages_and_scopes_permission": "no-access"}),
        json!({"packages_and_scopes_permission": "everything"}),
        json!({"packages": ["@/x"]}),
        json!({"expires": 0}),
        json!({"expires": -1}),
    ] {
        create(&app, refused.clone()).await.expect(400);
    }
    let bob = json!({"password": "bob's password", "packages": ["lib"]});
    app.ask("POST", "/-/npm/v1/tokens").token("bob-token").json(&bob).send().await.expect(400);
}

#[tokio::test]
async fn a_token_is_made_with_the_password_only() {
    let app = Setup::new().build();
    let ask = |body: Value| app.ask("POST", "/-/npm/v1/tokens").token("alice-token").json(&body).send();
    ask(json!({"readonly": true})).await.expect(400);
    ask(json!({"password": "wrong"})).await.expect(401);
    app.ask("POST", "/-/npm/v1/tokens").json(&json!({"password": "x"})).send().await.expect(401);
    assert_eq!(app.get("/-/npm/v1/tokens").await.json()["total"], 1);
}

#[tokio::test]
async fn nobody_sees_or_revokes_others_tokens() {
    let mut setup = Setup::new();
    let mut mint = MintToken::new("bob");
    mint.scopes = Some(scopes(&["npm:package:*:read"]));
    setup.auth = setup.auth.minted(mint, "bobs-second-token");
    let app = setup.build();
    delete(&app, "/-/npm/v1/tokens/token/bobs-second-token").await.expect(404);
    delete(&app, "/-/user/token/bob-token").await.expect(404);
    app.ask("GET", "/-/whoami").token("bob-token").send().await.expect(200);
}
