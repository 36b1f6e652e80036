//! Who may do what.

use crate::app::{Client as _, Form, J, Setup, WithForm as _};

#[tokio::test]
async fn checklist_10_without_credentials_the_client_is_asked_for_them() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    for path in [
        "/simple/",
        "/simple/foo/",
        "/simple/nothing/",
        "/simple/foo/foo-1.0-py3-none-any.whl",
        "/pypi/foo/json",
    ] {
        let reply = app.ask("GET", path).send().await.expect(401);
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"pypi\""), "{path}");
        app.ask("GET", path).basic("__token__", "wrong").send().await.expect(401);
    }
    // Good credentials for something else: never 404, whether it is there or not.
    for path in ["/simple/foo/", "/simple/nothing/"] {
        app.ask("GET", path).token("bob-token").send().await.expect(403);
    }
    app.ask("POST", "/pypi/").form(&Form::wheel("foo", "1.1")).send().await.expect(401);
}

#[tokio::test]
async fn checklist_11_tokens_in_every_place() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    let ask = || app.ask("GET", "/simple/foo/");
    for ask in [
        ask().basic("__token__", "alice-token"),
        ask().basic("anybody", "alice-token"),
        ask().basic("alice-token", ""),
        ask().basic("alice", "alice's password"),
        ask().token("alice-token"),
    ] {
        ask.send().await.expect(200);
    }
}

#[tokio::test]
async fn checklist_12_rights_are_by_action_and_project() {
    let app = Setup::new().build();
    app.upload(&Form::wheel("foo", "1.0")).await;
    let before = app.objects().await;
    for (name, version, token) in
        [("foo", "1.1", "reader-token"), ("foo", "1.1", "bob-token"), ("new", "1.0", "bob-token")]
    {
        let reply = app.post(&Form::wheel(name, version), token).await.expect(403);
        assert!(reply.text().contains("permission"), "{}", reply.text());
    }
    // The name in the form opens no other project's file.
    let form = Form::wheel("foo", "1.1").set("name", Some("bob-x"));
    app.post(&form, "bob-token").await.expect(403);
    assert_eq!(app.objects().await, before);
    app.post(&Form::wheel("Bob.x", "1.0"), "bob-token").await.expect(200);
}

#[tokio::test]
async fn checklist_61_lists_show_what_may_be_read() {
    let app = Setup::new().anonymous(&["pypi:package:open-*:read"]).build();
    for name in ["open-a", "closed", "bob-x"] {
        app.upload(&Form::wheel(name, "1.0")).await;
    }
    let list = async |token: Option<&str>| {
        let ask = app.ask("GET", "/simple/").header("accept", J);
        let ask = match token {
            Some(token) => ask.token(token),
            None => ask,
        };
        ask.send().await.expect(200).json()["projects"].clone()
    };
    assert_eq!(list(None).await, serde_json::json!([{"name": "open-a"}]));
    assert_eq!(list(Some("reader-token")).await.as_array().unwrap().len(), 3);
}
