//! Yanking, deleting, owners.

use serde_json::json;

use crate::app::{Client as _, IndexFile as _, Setup, Upload};

#[tokio::test]
async fn checklist_19_20_29_yank_and_unyank() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    app.publish("foo", "1.1.0").await;
    let before = app.get("/3/f/foo").await.lines();
    for _ in 0..2 {
        let reply = app.ask("DELETE", "/api/v1/crates/Foo/1.1.0/yank").token("alice-token").send().await;
        assert_eq!(reply.expect(200).json(), json!({"ok": true}));
    }
    let mut want = before.clone();
    want[1]["yanked"] = json!(true);
    assert_eq!(app.get("/3/f/foo").await.lines(), want);
    app.get("/api/v1/crates/foo/1.1.0/download").await.expect(200);
    app.put(Upload::with("foo", "1.1.0", "links = 'x'", json!([])).bytes()).await.expect(409);
    let found = app.get("/api/v1/crates?q=foo").await.json();
    assert_eq!(found["crates"][0]["max_version"], "1.0.0");
    for _ in 0..2 {
        let undo = app.ask("PUT", "/api/v1/crates/foo/1.1.0/unyank").token("alice-token");
        let reply =
            undo.header("content-type", "application/json").header("content-length", "0").send().await;
        assert_eq!(reply.expect(200).json(), json!({"ok": true}));
    }
    assert_eq!(app.get("/3/f/foo").await.lines(), before);
    for path in ["/api/v1/crates/foo/9.0.0/yank", "/api/v1/crates/none/1.0.0/yank"] {
        app.ask("DELETE", path).token("alice-token").send().await.expect(404);
    }
}

#[tokio::test]
async fn checklist_45_what_is_deleted_stays_so() {
    let app = Setup::new().build();
    app.publish("Foo", "1.0.0").await;
    app.publish("Foo", "1.1.0").await;
    let delete = async |path: &str| app.ask("DELETE", path).token("alice-token").send().await;
    assert_eq!(delete("/api/v1/crates/foo/1.1.0").await.expect(200).json(), json!({"ok": true}));
    delete("/api/v1/crates/foo/1.1.0").await.expect(404);
    app.get("/api/v1/crates/foo/1.1.0/download").await.expect(404);
    assert_eq!(app.get("/3/f/foo").await.lines().len(), 1);
    for version in ["1.1.0", "1.1.0+again"] {
        let error = app.put(Upload::new("Foo", version).bytes()).await.expect(409).error();
        assert!(error.contains("deleted"), "{error}");
    }
    delete("/api/v1/crates/foo").await.expect(200);
    app.get("/3/f/foo").await.expect(404);
    app.get("/api/v1/crates/foo").await.expect(404);
    assert_eq!(app.get("/api/v1/crates?q=foo").await.json()["meta"]["total"], 0);
    app.put(Upload::new("foo", "2.0.0").bytes()).await.expect(409);
    app.publish("Foo", "2.0.0").await;
    assert_eq!(app.get("/3/f/foo").await.lines().len(), 1);

    let mut setup = Setup::new();
    setup.config.allow_delete = false;
    let app = setup.build();
    app.publish("foo", "1.0.0").await;
    app.ask("DELETE", "/api/v1/crates/foo").token("alice-token").send().await.expect(403);
    app.get("/3/f/foo").await.expect(200);
}

#[tokio::test]
async fn checklist_22_owners() {
    let app = Setup::new().build();
    app.publish("foo", "1.0.0").await;
    let path = "/api/v1/crates/foo/owners";
    let change = async |method: &str, users: serde_json::Value| {
        app.ask(method, path).token("alice-token").json(&json!({"users": users})).send().await
    };
    let owners = async || {
        let body = app.get(path).await.expect(200).json();
        let users = body["users"].as_array().unwrap().clone();
        assert!(users.iter().all(|user| user["id"].as_u64().is_some_and(|id| u32::try_from(id).is_ok())));
        users.iter().map(|user| user["login"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(owners().await, ["alice"]);
    change("DELETE", json!(["alice"])).await.expect(400);
    change("PUT", json!(["nobody"])).await.expect(400);
    let added = change("PUT", json!(["bob"])).await.expect(200).json();
    assert!(added["ok"] == true && added["msg"].as_str().unwrap().contains("bob"), "{added}");
    assert_eq!(owners().await, ["alice", "bob"]);
    change("PUT", json!(["bob"])).await.expect(400);
    change("DELETE", json!(["alice", "bob"])).await.expect(400);
    change("DELETE", json!(["nobody"])).await.expect(400);
    let removed = change("DELETE", json!(["alice"])).await.expect(200).json();
    assert!(removed["ok"] == true && removed["msg"].is_string());
    assert_eq!(owners().await, ["bob"]);
    change("PUT", json!([])).await.expect(400);
    // A proxy that takes the body of a DELETE away.
    let error = app.ask("DELETE", path).token("alice-token").send().await.expect(400).error();
    assert!(error.contains("body"), "{error}");
    app.ask("PUT", "/api/v1/crates/none/owners")
        .token("alice-token")
        .json(&json!({"users": ["bob"]}))
        .send()
        .await
        .expect(404);
}
