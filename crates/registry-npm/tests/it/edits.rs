//! Deprecating, starring, owners and access.

use serde_json::{Value, json};

use crate::app::{App, Client as _, Document, Setup};

async fn app() -> App {
    let app = Setup::new().build();
    app.publish(&Document::new("shared", "1.0.0")).await;
    app.publish(&Document::new("shared", "1.1.0")).await;
    app
}

async fn put(app: &App, path: &str, token: &str, body: &Value) -> crate::app::Reply {
    app.ask("PUT", path).token(token).json(body).send().await
}

#[tokio::test]
async fn checklist_18_deprecating_and_back() {
    let app = app().await;
    let before = app.packument("shared").await;
    let mut document = before.clone();
    document["versions"]["1.0.0"]["deprecated"] = json!("use 1.1.0");
    put(&app, "/shared", "writer-token", &document).await.expect(201);
    let after = app.packument("shared").await;
    assert_eq!(after["versions"]["1.0.0"]["deprecated"], "use 1.1.0");
    assert_eq!(after["versions"]["1.0.0"]["dist"], before["versions"]["1.0.0"]["dist"]);
    let accept = "application/vnd.npm.install-v1+json";
    let short = app.ask("GET", "/shared").token("alice-token").header("accept", accept).send().await.json();
    assert_eq!(short["versions"]["1.0.0"]["deprecated"], "use 1.1.0");
    assert!(short["versions"]["1.1.0"].get("deprecated").is_none());
    let mut document = after;
    document["versions"]["1.0.0"]["deprecated"] = json!("");
    put(&app, "/shared", "writer-token", &document).await.expect(201);
    assert!(app.packument("shared").await["versions"]["1.0.0"].get("deprecated").is_none());
}

#[tokio::test]
async fn a_patch_without_a_revision_changes_only_what_it_names() {
    let app = app().await;
    let patch = json!({"versions": {"1.0.0": {"deprecated": "a"}}});
    put(&app, "/shared", "alice-token", &patch).await.expect(201);
    let patch = json!({"versions": {"1.1.0": {"deprecated": "b"}, "1.0.0": {}}});
    put(&app, "/shared", "alice-token", &patch).await.expect(201);
    let versions = &app.packument("shared").await["versions"];
    assert_eq!(
        (&versions["1.0.0"]["deprecated"], &versions["1.1.0"]["deprecated"]),
        (&json!("a"), &json!("b"))
    );
    put(&app, "/shared", "alice-token", &json!({"versions": {"7.0.0": {"deprecated": "x"}}}))
        .await
        .expect(400);
    put(&app, "/absent", "alice-token", &patch).await.expect(404);
}

#[tokio::test]
async fn checklist_19_owners_by_the_old_route() {
    let app = app().await;
    let before = app.packument("shared").await;
    let path = format!("/shared/-rev/{}", before["_rev"].as_str().unwrap());
    let body = json!({"_id": "shared", "_rev": before["_rev"],
                      "maintainers": [{"name": "alice", "email": ""}, {"name": "bob", "email": "b@example.com"}]});
    let reply = put(&app, &path, "writer-token", &body).await.expect(201);
    assert_eq!(reply.json()["success"], true);
    let after = app.packument("shared").await;
    assert_eq!(after["versions"].as_object().unwrap().len(), 2, "versions stay");
    assert_eq!(after["maintainers"], json!([{"name": "alice", "email": ""}, {"name": "bob", "email": ""}]));
    let path = format!("/shared/-rev/{}", after["_rev"].as_str().unwrap());
    put(&app, &path, "alice-token", &json!({"maintainers": []})).await.expect(400);
    put(&app, &path, "alice-token", &json!({"maintainers": [{"name": "nobody"}]})).await.expect(400);
    assert_eq!(app.packument("shared").await["_rev"], after["_rev"]);
}

#[tokio::test]
async fn checklist_45_owners_by_the_new_route() {
    let app = app().await;
    let path = "/-/package/shared/owners";
    put(&app, path, "alice-token", &json!({"user": "bob"})).await.expect(200);
    let owners = app.get(path).await.expect(200).json();
    assert_eq!(owners[1]["username"], "bob");
    let remove = |user: &str| app.ask("DELETE", &format!("{path}/{user}")).token("alice-token").send();
    remove("alice").await.expect(200);
    remove("alice").await.expect(404);
    remove("bob").await.expect(400);
    put(&app, path, "alice-token", &json!({"user": "nobody"})).await.expect(404);
    app.ask("PUT", &format!("{path}/alice")).token("writer-token").send().await.expect(200);
    put(&app, path, "reader-token", &json!({"user": "bob"})).await.expect(403);
    assert_eq!(app.get(path).await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn checklist_45_stars_by_the_old_route() {
    let app = app().await;
    // bob may only read it.
    let read = app.ask("GET", "/shared?write=true").token("bob-token").send().await.expect(200).json();
    let mut body = json!({"_id": "shared", "_rev": read["_rev"], "users": read["users"]});
    body["users"]["bob"] = json!(true);
    body["users"]["alice"] = json!(true);
    put(&app, "/shared", "bob-token", &body).await.expect(201);
    let after = app.packument("shared").await;
    assert_eq!(after["users"], json!({"bob": true}), "only one's own star");
    let view = app.ask("GET", "/-/_view/starredByUser?key=%22bob%22").token("alice-token").send().await;
    assert_eq!(view.expect(200).json(), json!({"rows": [{"value": "shared"}]}));
    let body = json!({"_id": "shared", "_rev": after["_rev"], "users": {}});
    put(&app, "/shared", "bob-token", &body).await.expect(201);
    assert_eq!(app.packument("shared").await["users"], json!({}));
    let more = json!({"users": {"bob": true}, "dist-tags": {"latest": "1.0.0"}});
    put(&app, "/shared", "bob-token", &more).await.expect(403);
    let publish = Document::new("shared", "2.0.0");
    app.put(&publish, "bob-token", 403).await;
}

#[tokio::test]
async fn checklist_45_stars_by_the_new_route() {
    let app = app().await;
    let body = json!({"name": "shared", "package": "shared"});
    put(&app, "/-/user/v1/star", "bob-token", &body).await.expect(200);
    let own = app.ask("GET", "/-/user/v1/star").token("bob-token").send().await.expect(200);
    assert_eq!(own.json(), json!(["shared"]));
    assert_eq!(app.get("/-/user/bob/stars").await.expect(200).json(), json!(["shared"]));
    app.ask("DELETE", "/-/user/v1/star").token("bob-token").json(&body).send().await.expect(200);
    assert_eq!(app.get("/-/user/bob/stars").await.json(), json!([]));
    app.publish(&Document::new("hidden", "1.0.0")).await;
    put(&app, "/-/user/v1/star", "bob-token", &json!({"package": "hidden"})).await.expect(404);
    put(&app, "/-/user/v1/star", "bob-token", &json!({})).await.expect(400);
    app.ask("PUT", "/-/user/v1/star").json(&body).send().await.expect(401);
}

#[tokio::test]
async fn checklist_44_access_is_set_and_shown() {
    let app = Setup::open().build();
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    let visibility = async || app.get("/-/package/@s%2fn/visibility").await.expect(200).json();
    assert_eq!(visibility().await, json!({"public": false}));
    app.ask("GET", "/@s%2fn").send().await.expect(401);
    app.ask("GET", "/@s/n/-/n-1.0.0.tgz").send().await.expect(401);
    app.ask("GET", "/@s%2fn").token("reader-token").send().await.expect(200);
    let set = async |body: Value, status: u16| {
        app.ask("POST", "/-/package/@s%2fn/access")
            .token("alice-token")
            .json(&body)
            .send()
            .await
            .expect(status);
    };
    set(json!({"access": "public"}), 200).await;
    assert_eq!(visibility().await, json!({"public": true}));
    app.ask("GET", "/@s%2fn").send().await.expect(200);
    set(json!({"access": "private"}), 200).await;
    assert_eq!(visibility().await, json!({"public": false}));
    set(json!({"access": "everyone"}), 400).await;
    set(json!({"publish_requires_tfa": true}), 400).await;
    set(json!({"publish_requires_tfa": false}), 200).await;
    set(json!({}), 400).await;
    app.publish(&Document::new("plain", "1.0.0")).await;
    let restrict = app.ask("POST", "/-/package/plain/access").token("alice-token");
    restrict.json(&json!({"access": "restricted"})).send().await.expect(400);
}

#[tokio::test]
async fn checklist_57_lists_of_packages_and_collaborators() {
    let app = app().await;
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    app.put(&Document::new("@bob/x", "1.0.0"), "bob-token", 201).await;
    assert_eq!(
        app.get("/-/package/shared/collaborators").await.expect(200).json(),
        json!({"alice": "write"})
    );
    assert_eq!(app.get("/-/package/shared/collaborators?user=bob").await.json(), json!({}));
    assert_eq!(app.get("/-/org/s/package").await.expect(200).json(), json!({"@s/n": "write"}));
    let read = app.ask("GET", "/-/org/@s/package").token("reader-token").send().await.expect(200);
    assert_eq!(read.json(), json!({"@s/n": "read"}));
    // No such organisation: npm asks for the user of that name next.
    app.get("/-/org/alice/package").await.expect(404);
    assert_eq!(app.get("/-/user/alice/package").await.json(), json!({"shared": "write", "@s/n": "write"}));
    let bobs = app.ask("GET", "/-/user/alice/package").token("bob-token").send().await.expect(200);
    assert_eq!(bobs.json(), json!({"shared": "write"}), "only what bob may read");
    app.ask("GET", "/-/user/alice/package").send().await.expect(401);
}
