//! Lists, searches, and what clients ask and tell beside.

use serde_json::json;

use crate::app::{App, Client as _, Setup, package};

async fn filled() -> App {
    let app = Setup::new().build();
    for (name, more) in [
        (
            "acme/zebra",
            json!({"keywords": ["stripes"], "type": "symfony-bundle", "provide": {"psr/log-implementation": "1.0"}}),
        ),
        ("acme/shared", json!({"support": {"source": "https://git.example.com/shared"}})),
        ("bob/zebra", json!({})),
    ] {
        app.upload(name, "1.0", package(name, &more, "")).await.expect(201);
    }
    app
}

#[tokio::test]
async fn checklist_28_lists_are_filtered_and_show_what_may_be_read() {
    let app = filled().await;
    for (query, want) in [
        ("", vec!["acme/shared", "acme/zebra", "bob/zebra"]),
        ("?filter=acme/*", vec!["acme/shared", "acme/zebra"]),
        ("?filter=*zebra", vec!["acme/zebra", "bob/zebra"]),
        ("?vendor=bob", vec!["bob/zebra"]),
        ("?vendor=acme&filter=acme/z*", vec!["acme/zebra"]),
        ("?type=symfony-bundle", vec!["acme/zebra"]),
    ] {
        let reply = app.get(&format!("/packages/list.json{query}")).await.expect(200);
        assert_eq!(reply.json(), json!({"packageNames": want}), "{query}");
    }
    let fields =
        app.get("/packages/list.json?vendor=acme&fields[]=type&fields[]=abandoned").await.expect(200).json();
    assert_eq!(fields["packages"]["acme/zebra"], json!({"type": "symfony-bundle", "abandoned": false}));
    app.get("/packages/list.json?fields[]=secrets").await.expect(400);
    app.get("/packages/list.json?filter=a%20b").await.expect(400);
    let bob = app.ask("GET", "/packages/list.json").token("bob-token").send().await.expect(200).json();
    assert_eq!(bob, json!({"packageNames": ["acme/shared", "bob/zebra"]}));
}

#[tokio::test]
async fn searches_have_pages() {
    let app = filled().await;
    let found = app.get("/search.json?q=zebra&type=&per_page=1").await.expect(200).json();
    assert_eq!((&found["total"], &found["results"][0]["name"]), (&json!(2), &json!("acme/zebra")));
    let next = found["next"].as_str().unwrap();
    let next = next.strip_prefix("http://registry.example.com/composer").unwrap();
    let found = app.get(next).await.expect(200).json();
    assert_eq!(found["results"][0]["name"], "bob/zebra");
    assert!(found.get("next").is_none());
    let found = app.get("/search.json?q=shared").await.json();
    assert_eq!(found["results"][0]["repository"], "https://git.example.com/shared");
    assert_eq!(app.get("/search.json?q=stripes").await.json()["total"], 1);
    assert_eq!(app.get("/search.json?q=nothing").await.json()["results"], json!([]));
    for bad in ["per_page=0", "per_page=101", "page=0", "page=x"] {
        let reply = app.get(&format!("/search.json?{bad}")).await.expect(400).json();
        assert_eq!(reply["status"], "error");
    }
    let bob = app.ask("GET", "/search.json?q=zebra").token("bob-token").send().await.expect(200).json();
    assert_eq!(bob["total"], 1);
}

#[tokio::test]
async fn providers_are_found() {
    let app = filled().await;
    let found = app.get("/providers/psr/log-implementation.json").await.expect(200).json();
    assert_eq!(
        found,
        json!({"providers": [{"name": "acme/zebra", "description": "about acme/zebra", "type": "symfony-bundle"}]})
    );
    app.get("/providers/ext-json.json").await.expect(404);
}

#[tokio::test]
async fn checklist_30_installs_are_taken_note_of() {
    let app = filled().await;
    let post = |body: &'static str| app.ask("POST", "/downloads").token("reader-token").body(body).send();
    let one = post(r#"{"downloads":[{"name":"acme/zebra","version":"1.0.0.0"}]}"#).await.expect(201);
    assert_eq!(one.json(), json!({"status": "success"}));
    let two = r#"{"downloads":[{"name":"acme/zebra","version":"1.0.0.0"},{"name":"x/y","version":"1"}]}"#;
    assert_eq!(post(two).await.expect(200).json()["status"], "partial");
    assert_eq!(
        post(r#"{"downloads":[{"name":"x/y","version":"1"}]}"#).await.expect(200).json()["status"],
        "error"
    );
    for bad in ["", "[]", r#"{"downloads":{}}"#, r#"{"downloads":[{"name":1}]}"#] {
        post(bad).await.expect(400);
    }
}

#[tokio::test]
async fn checklist_31_advisories_are_answered_for_what_is_here() {
    let app = filled().await;
    let form = "packages%5B0%5D=acme%2Fzebra&packages%5B1%5D=other%2Flib&packages[]=bob/zebra&packages[]=x";
    let post =
        app.ask("POST", "/api/security-advisories").token("alice-token").body(form).send().await.expect(200);
    assert_eq!(post.json(), json!({"advisories": {"acme/zebra": [], "bob/zebra": []}}));
    let get =
        app.ask("GET", "/api/security-advisories?packages[]=acme/zebra").token("bob-token").send().await;
    assert_eq!(get.expect(200).json(), json!({"advisories": {}}));
}
