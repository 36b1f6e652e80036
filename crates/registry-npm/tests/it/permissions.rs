//! Who may do what, and what others are told.

use registry_core::{Instance, PackageRegistry as _, Protocol};
use registry_npm::{NpmConfig, NpmRegistry};
use serde_json::json;

use crate::app::{App, Client as _, Document, Setup};

#[tokio::test]
async fn checklist_9_who_may_read() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    app.publish(&document).await;
    for path in [
        "/lib",
        "/lib?write=true",
        "/lib/1.0.0",
        "/lib/-/lib-1.0.0.tgz",
        "/-/package/lib/dist-tags",
        "/absent",
    ] {
        let anonymous = app.ask("GET", path).send().await.expect(401);
        assert_eq!(anonymous.header("www-authenticate"), Some("Bearer"), "{path}");
        app.ask("GET", path).token("unknown").send().await.expect(401);
        app.ask("GET", path).token("bob-token").send().await.expect(404);
        app.ask("GET", path).header("authorization", "Basic !!!").send().await.expect(401);
        if path != "/absent" {
            app.ask("GET", path).token("reader-token").send().await.expect(200);
        }
    }
}

#[tokio::test]
async fn checklist_9_a_wrong_token_is_never_taken_for_none() {
    let app = Setup::open().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    app.ask("GET", "/lib").send().await.expect(200);
    app.ask("GET", "/lib").token("unknown").send().await.expect(401);
    app.ask("GET", "/absent").send().await.expect(404);
}

#[tokio::test]
async fn checklist_9_and_60_who_may_write() {
    let app = Setup::open().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    let before = app.objects().await;
    let new = Document::new("lib", "1.1.0");
    let first = Document::new("@acme/new", "1.0.0");
    for document in [&new, &first] {
        for token in ["bob-token", "reader-token"] {
            let reply = app.put(document, token, 403).await;
            assert!(!reply.error().contains("bob") && !reply.error().contains("reader"), "{}", reply.error());
        }
        let path = format!("/{}", document.name.replace('/', "%2f"));
        let anonymous = app.ask("PUT", &path).json(&document.value).send().await.expect(401);
        assert_eq!(anonymous.header("www-authenticate"), Some("Bearer"));
    }
    for (method, path, body) in [
        ("PUT", "/-/package/lib/dist-tags/x", json!("1.0.0")),
        ("DELETE", "/-/package/lib/dist-tags/latest", json!(null)),
        ("PUT", "/lib/-rev/1-x", json!({"maintainers": []})),
        ("DELETE", "/lib/-rev/undefined", json!(null)),
        ("DELETE", "/lib/-/lib-1.0.0.tgz/-rev/x", json!(null)),
        ("POST", "/-/package/lib/access", json!({"access": "public"})),
        ("PUT", "/-/package/lib/owners", json!({"user": "bob"})),
        ("DELETE", "/-/package/lib/owners/alice", json!(null)),
    ] {
        app.ask(method, path).token("reader-token").json(&body).send().await.expect(403);
        app.ask(method, path).json(&body).send().await.expect(401);
    }
    assert_eq!(app.objects().await, before);
    app.put(&Document::new("@bob/own", "1.0.0"), "bob-token", 201).await;
}

#[tokio::test]
async fn two_registries_side_by_side_share_nothing() {
    let app = Setup::new().build();
    let name = "npm-internal".parse().unwrap();
    let instance = Instance::new(name, Protocol::Npm, vec!["/npm-internal".parse().unwrap()]);
    let internal = App {
        registry: NpmRegistry::new(instance.clone(), app.services.clone(), NpmConfig::default()),
        services: app.services.clone(),
        clock: std::sync::Arc::clone(&app.clock),
        instance,
        prefix: "/npm-internal",
    };
    app.publish(&Document::new("lib", "1.0.0")).await;
    internal.get("/lib").await.expect(404);
    internal.publish(&Document::new("lib", "2.0.0")).await;
    let version = |packument: serde_json::Value| packument["dist-tags"]["latest"].clone();
    assert_eq!(version(app.packument("lib").await), "1.0.0");
    assert_eq!(version(internal.packument("lib").await), "2.0.0");
    let tarball = internal.packument("lib").await["versions"]["2.0.0"]["dist"]["tarball"].clone();
    assert_eq!(tarball, "http://registry.example.com/npm-internal/lib/-/lib-2.0.0.tgz");
    let found = internal.get("/-/v1/search?text=lib").await.json();
    assert_eq!(found["total"], 1);
    assert!(internal.keys().await.iter().all(|key| key.starts_with("npm-internal/")));
}

#[tokio::test]
async fn a_registry_at_the_root() {
    let mut setup = Setup::new();
    setup.bases = &[""];
    setup.prefix = "";
    let app = setup.build();
    app.publish(&Document::new("@s/n", "1.0.0")).await;
    let tarball = app.packument("@s/n").await["versions"]["1.0.0"]["dist"]["tarball"].clone();
    assert_eq!(tarball, "http://registry.example.com/@s/n/-/n-1.0.0.tgz");
    app.get("/@s/n/-/n-1.0.0.tgz").await.expect(200);
    assert!(
        app.registry
            .client_settings("https://registry.example.com/")
            .contains("//registry.example.com/:_authToken")
    );
}
