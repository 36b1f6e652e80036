//! Users: whoami, logging in from the terminal, the profile.

use std::time::Duration;

use registry_core::testing::scopes;
use serde_json::{Value, json};

use crate::app::{App, Reply, Setup};

async fn log_in(app: &App, user: &str, body: Value) -> Reply {
    app.ask("PUT", &format!("/-/user/org.couchdb.user:{user}")).json(&body).send().await
}

#[tokio::test]
async fn checklist_10_whoami() {
    let app = Setup::new().build();
    assert_eq!(app.get("/-/whoami").await.expect(200).json(), json!({"username": "alice"}));
    let reply = app.ask("GET", "/-/whoami").send().await.expect(401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    app.ask("GET", "/-/whoami").basic("alice", "alice's password").send().await.expect(200);
    app.ask("GET", "/-/whoami").basic("anybody", "bob-token").send().await.expect(200);
    app.ask("GET", "/-/whoami").token("wrong").send().await.expect(401);
}

#[tokio::test]
async fn checklist_11_a_user_logs_in() {
    let app = Setup::new().build();
    let body = json!({"_id": "org.couchdb.user:alice", "name": "alice", "password": "alice's password",
                      "type": "user", "roles": [], "date": "2026-01-01T00:00:00.000Z"});
    let reply = log_in(&app, "alice", body).await.expect(201);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let answer = reply.json();
    assert_eq!((&answer["ok"], &answer["id"]), (&json!(true), &json!("org.couchdb.user:alice")));
    let token = answer["token"].as_str().unwrap();
    let who = app.ask("GET", "/-/whoami").token(token).send().await.expect(200);
    assert_eq!(who.json()["username"], "alice");
    // berry sends only these two.
    log_in(&app, "alice", json!({"name": "alice", "password": "alice's password"})).await.expect(201);
}

#[tokio::test]
async fn checklist_11_wrong_logins() {
    let app = Setup::new().build();
    let wrong = log_in(&app, "alice", json!({"name": "alice", "password": "x"})).await.expect(401);
    assert_eq!(wrong.header("www-authenticate"), None, "npm would print it in place of the sentence");
    log_in(&app, "alice", json!({"name": "bob", "password": "bob's password"})).await.expect(400);
    log_in(&app, "alice", json!({"name": "alice"})).await.expect(400);
    log_in(&app, "alice", json!([])).await.expect(400);
    log_in(&app, "carol", json!({"name": "carol", "password": "x"})).await.expect(403);
    let large = json!({"name": "alice", "password": "x".repeat(70_000)});
    log_in(&app, "alice", large).await.expect(413);
}

#[tokio::test]
async fn checklist_11_signing_up_where_that_is_on() {
    let mut setup = Setup::new();
    setup.auth = setup.auth.signup(scopes(&["npm:package:*:read"]));
    let app = setup.build();
    let body = json!({"name": "carol", "password": "carol's password", "email": "carol@example.com"});
    let token = log_in(&app, "carol", body.clone()).await.expect(201).json()["token"].clone();
    let token = token.as_str().unwrap();
    let profile = app.ask("GET", "/-/npm/v1/user").token(token).send().await.expect(200).json();
    assert_eq!((&profile["name"], &profile["email"]), (&json!("carol"), &json!("carol@example.com")));
    log_in(&app, "carol", body).await.expect(201);
    log_in(&app, "carol", json!({"name": "carol", "password": "other"})).await.expect(401);
    let odd = json!({"name": "a/b", "password": "some password"});
    log_in(&app, "a%2fb", odd).await.expect(400);
}

#[tokio::test]
async fn checklist_11_the_route_by_revision() {
    let app = Setup::new().build();
    let path = "/-/user/org.couchdb.user:alice";
    let user = app.ask("GET", &format!("{path}?write=true")).basic("alice", "alice's password").send().await;
    let user = user.expect(200).json();
    assert_eq!(user["name"], "alice");
    let body = json!({"name": "alice", "password": "alice's password", "_rev": user["_rev"]});
    let path = format!("{path}/-rev/{}", user["_rev"].as_str().unwrap());
    app.ask("PUT", &path).basic("alice", "alice's password").json(&body).send().await.expect(201);
    app.get("/-/user/org.couchdb.user:nobody").await.expect(404);
    app.ask("GET", "/-/user/org.couchdb.user:alice").send().await.expect(401);
}

#[tokio::test]
async fn checklist_54_guessing_is_slowed_down() {
    let app = Setup::new().build();
    for _ in 0..100 {
        let reply = log_in(&app, "alice", json!({"name": "alice", "password": "wrong"})).await;
        if reply.status == 429 {
            let wait: u64 = reply.clone().expect(429).header("retry-after").unwrap().parse().unwrap();
            assert!(wait > 0);
            return;
        }
        reply.expect(401);
    }
    panic!("a hundred guesses in a row were answered");
}

#[tokio::test]
async fn the_profile_is_shown_and_set() {
    let app = Setup::new().build();
    let set = async |body: Value, status: u16| {
        app.ask("POST", "/-/npm/v1/user").token("alice-token").json(&body).send().await.expect(status)
    };
    let profile = app.get("/-/npm/v1/user").await.expect(200).json();
    assert_eq!((&profile["name"], &profile["tfa"]), (&json!("alice"), &json!(false)));
    assert!(profile["created"].is_string() && profile["updated"].is_string());
    assert_eq!(
        set(json!({"email": "a@example.com", "fullname": null}), 200).await.json()["email"],
        "a@example.com"
    );
    set(json!({"password": {"old": "wrong", "new": "another password"}}), 401).await;
    set(json!({"password": {"old": "alice's password", "new": "another password"}}), 200).await;
    app.clock.advance(Duration::from_secs(3));
    app.ask("GET", "/-/whoami").basic("alice", "another password").send().await.expect(200);
    set(json!({"tfa": {"mode": "auth-only"}}), 400).await;
    set(json!({"fullname": "Alice"}), 400).await;
    app.ask("GET", "/-/npm/v1/user").send().await.expect(401);
}
