//! Who may do what.

use serde_json::json;

use crate::app::{Client as _, Setup, package};

#[tokio::test]
async fn checklist_2_a_private_repository_asks_for_credentials_everywhere() {
    let app = Setup::new().build();
    let dist = app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201).json();
    let archive = format!("/dists/acme/lib/{}.zip", dist["dist"]["reference"].as_str().unwrap());
    for path in [
        "/packages.json",
        "/p2/acme/lib.json",
        "/p2/acme/none.json",
        &archive,
        "/packages/list.json",
        "/search.json",
        "/providers/x.json",
        "/api/security-advisories",
    ] {
        let reply = app.ask("GET", path).send().await.expect(401);
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"smartregistry\""), "{path}");
        app.ask("GET", path).token("wrong").send().await.expect(401);
    }
    // token:reader-token
    let basic = "Basic dG9rZW46cmVhZGVyLXRva2Vu";
    for path in ["/packages.json", "/p2/acme/lib.json", &archive] {
        app.ask("GET", path).header("authorization", basic).send().await.expect(200);
        app.ask("GET", path).token("reader-token").send().await.expect(200);
        app.ask("GET", path).token("other-token").send().await.expect(403);
    }
}

#[tokio::test]
async fn checklist_20_one_package_is_never_403() {
    let app = Setup::new().build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    app.upload("acme/shared", "1.0", package("acme/shared", &json!({}), "")).await.expect(201);
    app.ask("GET", "/p2/acme/lib.json").token("bob-token").send().await.expect(404);
    app.ask("GET", "/p2/acme/shared.json").token("bob-token").send().await.expect(200);
    let app = Setup::new().anonymous(&["composer:package:acme/shared:read"]).build();
    app.ask("GET", "/p2/acme/lib.json").send().await.expect(404);
    app.ask("GET", "/packages.json").send().await.expect(200);
}

#[tokio::test]
async fn checklist_21_writing_and_deleting_need_their_rights() {
    let app = Setup::new().anonymous(&["composer:package:*:read"]).build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    let stored = app.objects().await;
    let bytes = package("acme/lib", &json!({}), "two");
    for (token, status) in
        [(None, 401), (Some("wrong"), 401), (Some("reader-token"), 403), (Some("bob-token"), 403)]
    {
        for (method, path) in [
            ("PUT", "/packages/upload/acme/lib/2.0"),
            ("PUT", "/packages/acme/lib?version=2.0"),
            ("DELETE", "/packages/acme/lib/1.0"),
            ("DELETE", "/packages/acme/lib"),
            ("PUT", "/packages/acme/lib/abandoned"),
        ] {
            let ask = app.ask(method, path).body(bytes.clone());
            let ask = match token {
                Some(token) => ask.token(token),
                None => ask,
            };
            ask.send().await.expect(status);
        }
    }
    app.ask("DELETE", "/packages/acme/lib/1.0").token("writer-token").send().await.expect(403);
    assert_eq!(app.objects().await, stored);
    assert_eq!(app.versions("acme/lib").await.len(), 1);
}
