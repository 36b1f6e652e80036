//! Signing in, and who asks.

use crate::app::{Build, Client, Setup};

const ALL: &str = "name=host-alice&index_rubygems=true&push_rubygem=true&yank_rubygem=true";

#[tokio::test]
async fn checklist_47_a_user_signs_in_and_gets_a_key() {
    let app = Setup::new().build();
    let sign_in = async |user: &str, password: &str, form: &'static str| {
        app.ask("POST", "/api/v1/api_key").basic(user, password).body(form).send().await
    };
    let reply = sign_in("alice", "alice's password", ALL).await.expect(200);
    let key = reply.text();
    assert!(!key.contains('\n') && key.len() > 20, "{key}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    app.post(Build::new("a", "1.0").bytes(), &key).await.expect(200);
    app.yank("a", "1.0", &key).await.expect(200);

    sign_in("alice", "wrong", ALL).await.expect(401);
    sign_in("nobody", "wrong", ALL).await.expect(401);
    app.ask("POST", "/api/v1/api_key").body(ALL).send().await.expect(401);
    // A key makes no keys.
    sign_in("alice", "alice-token", ALL).await.expect(401);
    sign_in("alice", "alice's password", "name=x").await.expect(422);
    let old = app.ask("GET", "/api/v1/api_key").basic("alice", "alice's password").send().await.expect(410);
    assert!(old.text().contains("newer version"));
}

#[tokio::test]
async fn a_key_has_what_was_asked_for_and_no_more_than_its_user() {
    let app = Setup::new().build();
    let key = async |user: &str, form: &'static str| {
        let password = format!("{user}'s password");
        app.ask("POST", "/api/v1/api_key").basic(user, &password).body(form).send().await
    };
    let read = key("alice", "name=x&index_rubygems=true").await.expect(200).text();
    app.ask("GET", "/versions").header("authorization", &read).send().await.expect(200);
    app.post(Build::new("a", "1.0").bytes(), &read).await.expect(403);
    let one = key("alice", "name=x&push_rubygem=true&rubygem_name=a").await.expect(200).text();
    app.post(Build::new("a", "1.0").bytes(), &one).await.expect(200);
    app.post(Build::new("b", "1.0").bytes(), &one).await.expect(403);
    let bobs = key("bob", ALL).await.expect(200).text();
    app.post(Build::new("bob-x", "1.0").bytes(), &bobs).await.expect(200);
    app.post(Build::new("a", "1.1").bytes(), &bobs).await.expect(403);
    key("bob", "name=x&push_rubygem=true&rubygem_name=a").await.expect(403);
    key("bob", "name=x&push_rubygem=true&rubygem_name=..").await.expect(422);
}

#[tokio::test]
async fn who_asks_is_told() {
    let app = Setup::new().build();
    let me = app.get("/api/v1/profile/me.json").await.expect(200).json();
    assert_eq!((me["handle"].as_str(), me["mfa"].as_str()), (Some("alice"), Some("disabled")));
    let yaml = app.get("/api/v1/profile/me.yaml").await.expect(200).text();
    assert!(yaml.starts_with("---\n") && yaml.contains("handle: \"alice\"\n"), "{yaml}");
}
