//! Publishing: what is taken, what is refused, and that a refusal leaves nothing.

use serde_json::json;

use crate::app::{App, Client as _, Document, Setup, tarball};

/// Publishes a document that must be refused and leave the store as it was.
#[track_caller]
fn refused<'a>(
    app: &'a App,
    document: &Document,
    status: u16,
    says: &'a str,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    let document = document.clone();
    async move {
        let before = app.objects().await;
        let path = format!("/{}", document.name.replace('/', "%2f"));
        let reply = app.ask("PUT", &path).token("alice-token").json(&document.value).send().await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status.as_u16(), status, "at {caller}: {text}");
        assert!(reply.error().contains(says), "at {caller}: {text}");
        assert_eq!(app.objects().await, before, "at {caller}: something was stored");
    }
}

#[tokio::test]
async fn a_published_version_is_there() {
    let app = Setup::new().build();
    let document = Document::with("@acme/lib", "1.0.0", json!({"dependencies": {"a": "^1"}}));
    let reply = app.publish(&document).await.json();
    assert_eq!(reply["ok"], true);
    assert_eq!(reply["success"], true);
    assert_eq!(reply["id"], "@acme/lib");
    let packument = app.packument("@acme/lib").await;
    assert_eq!(packument["_rev"], reply["rev"]);
    assert_eq!(packument["versions"]["1.0.0"]["_nodeVersion"], "22.0.0");
    assert_eq!(packument["versions"]["1.0.0"]["dist"]["fileCount"], 2);
    assert_eq!(packument["versions"]["1.0.0"]["_npmUser"]["name"], "alice");
    assert_eq!(packument["maintainers"], json!([{"name": "alice", "email": ""}]));
    let keys = app.keys().await;
    assert_eq!(keys.len(), 2);
    assert!(keys[0].starts_with("npm/packages/@acme/lib/-/lib-1.0.0.tgz~"), "{keys:?}");
    assert_eq!(keys[1], "npm/packages/@acme/lib/packument.json");
}

#[tokio::test]
async fn checklist_4_the_tarball_is_served_as_it_was_published() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    app.publish(&document).await;
    let reply = app.get("/lib/-/lib-1.0.0.tgz").await.expect(200);
    assert_eq!(reply.body, document.tarball);
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    let dist = &app.packument("lib").await["versions"]["1.0.0"]["dist"];
    let sent = &document.value["versions"]["1.0.0"]["dist"];
    assert_eq!((&dist["integrity"], &dist["shasum"]), (&sent["integrity"], &sent["shasum"]));
}

#[tokio::test]
async fn checklist_5_what_does_not_match_is_refused() {
    let app = Setup::new().build();
    let good = Document::new("lib", "1.0.0");
    for (field, value, says) in [
        ("shasum", json!("0".repeat(40)), "dist.shasum"),
        ("integrity", json!(format!("sha512-{}==", "A".repeat(86))), "dist.integrity"),
        ("integrity", json!("sha512"), "dist.integrity"),
    ] {
        let mut bad = good.clone();
        bad.manifest()["dist"][field] = value;
        refused(&app, &bad, 400, says).await;
    }
    let mut bad = good.clone();
    bad.attachment()["length"] = json!(1);
    refused(&app, &bad, 400, "length").await;
    for data in ["not base64", "QUJD", "QUJ"] {
        let mut bad = good.clone();
        bad.attachment()["data"] = json!(data);
        bad.attachment()["length"] = json!(null);
        let says = if data == "QUJD" { "tarball" } else { "base64" };
        refused(&app, &bad, 400, says).await;
    }
    app.get("/lib").await.expect(404);
}

#[tokio::test]
async fn checklist_6_a_version_is_published_once() {
    let app = Setup::new().build();
    let first = Document::new("lib", "1.0.0");
    app.publish(&first).await;
    let text = "cannot publish over the previously published versions: 1.0.0.";
    refused(&app, &first, 403, text).await;
    refused(&app, &Document::with("lib", "1.0.0", json!({"x": 1})), 403, text).await;
    assert_eq!(app.get("/lib/-/lib-1.0.0.tgz").await.body, first.tarball);
}

#[tokio::test]
async fn checklist_7_concurrent_publishes_all_survive() {
    let app = Setup::new().build();
    let documents: Vec<Document> = (0..20).map(|n| Document::new("lib", &format!("1.{n}.0"))).collect();
    let replies =
        futures_util::future::join_all(documents.iter().map(|document| app.publish(document))).await;
    assert_eq!(replies.len(), 20);
    assert_eq!(app.packument("lib").await["versions"].as_object().unwrap().len(), 20);
    assert_eq!(app.keys().await.len(), 21);
}

#[tokio::test]
async fn checklist_7_of_the_same_version_one_wins() {
    let app = Setup::new().build();
    let documents: Vec<Document> =
        (0..16).map(|n| Document::with("lib", "1.0.0", json!({"description": format!("{n}")}))).collect();
    let replies = futures_util::future::join_all(
        documents.iter().map(|d| app.ask("PUT", "/lib").token("alice-token").json(&d.value).send()),
    )
    .await;
    let winners: Vec<usize> = (0..16).filter(|&n| replies[n].status == 201).collect();
    assert_eq!(winners.len(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status.as_u16(), 201 | 403)));
    let description = format!("{}", winners[0]);
    assert_eq!(app.packument("lib").await["versions"]["1.0.0"]["description"], description);
    assert_eq!(app.get("/lib/-/lib-1.0.0.tgz").await.body, documents[winners[0]].tarball);
    assert_eq!(app.keys().await.len(), 2);
}

#[tokio::test]
async fn checklist_20_a_document_smuggles_nothing() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0")).await;

    let mut no_attachment = Document::new("lib", "2.0.0");
    no_attachment.value["_attachments"] = json!({});
    refused(&app, &no_attachment, 400, "does not exist").await;
    let mut two_versions = Document::new("lib", "2.0.0");
    two_versions.value["versions"]["3.0.0"] = json!({"name": "lib", "version": "3.0.0"});
    refused(&app, &two_versions, 400, "3.0.0").await;
    let mut other_name = Document::new("lib", "2.0.0");
    other_name.value["name"] = json!("other");
    refused(&app, &other_name, 400, "other").await;
    let mut other_manifest = Document::new("lib", "2.0.0");
    other_manifest.manifest()["name"] = json!("other");
    refused(&app, &other_manifest, 400, "other").await;
    let mut other_file = Document::new("lib", "2.0.0");
    let attachment = other_file.attachment().clone();
    other_file.value["_attachments"] = json!({"other-2.0.0.tgz": attachment});
    refused(&app, &other_file, 400, "other-2.0.0.tgz").await;
    let mut two_files = Document::new("lib", "2.0.0");
    let attachment = two_files.attachment().clone();
    two_files.value["_attachments"]["lib-3.0.0.tgz"] = attachment;
    refused(&app, &two_files, 400, "one tarball").await;
    let mut tag = Document::new("lib", "2.0.0");
    tag.value["dist-tags"]["old"] = json!("0.9.0");
    refused(&app, &tag, 400, "0.9.0").await;
    let mut range = Document::new("lib", "2.0.0");
    range.value["dist-tags"] = json!({"1.x": "2.0.0"});
    refused(&app, &range, 400, "dist-tag").await;

    let before = app.packument("lib").await;
    let mut altered = before.clone();
    altered["versions"]["1.0.0"]["dependencies"] = json!({"evil": "1"});
    altered["versions"]["1.0.0"]["dist"]["tarball"] = json!("http://evil.example.com/x.tgz");
    app.ask("PUT", "/lib").token("alice-token").json(&altered).send().await.expect(201);
    assert_eq!(app.packument("lib").await["versions"], before["versions"]);
    altered["versions"]["1.0.0"]["dist"]["shasum"] = json!("0".repeat(40));
    app.ask("PUT", "/lib").token("alice-token").json(&altered).send().await.expect(400);
}

#[tokio::test]
async fn checklist_37_names_that_nobody_may_publish() {
    let app = Setup::new().build();
    for name in [
        "Lib",
        ".lib",
        "_lib",
        "fs",
        "node_modules",
        "favicon.ico",
        "__proto__",
        "a~b",
        "@S/lib",
        "@s/.lib",
        &"a".repeat(215),
    ] {
        let document = Document::new("x", "1.0.0");
        let path = format!("/{}", name.replace('/', "%2f"));
        let reply = app.ask("PUT", &path).token("alice-token").json(&document.value).send().await.expect(400);
        assert!(reply.error().contains("invalid package name"), "{name}: {}", reply.error());
    }
    for path in ["/..", "/%2e%2e", "/a%00b", "/@s/", "/@/n", "/%2f", "/..%2f..%2fx", "/a%2fb/c"] {
        let reply = app.ask("PUT", path).token("alice-token").json(&json!({})).send().await;
        assert!(matches!(reply.status.as_u16(), 400 | 404 | 405), "{path}: {}", reply.status);
        app.ask("GET", path).token("alice-token").send().await.expect(404);
    }
    assert!(app.keys().await.is_empty());
    let odd = Document::new("constructor", "1.0.0");
    app.publish(&odd).await;
    assert_eq!(app.packument("constructor").await["name"], "constructor");
}

#[tokio::test]
async fn checklist_38_versions() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "v1.0.0")).await;
    assert_eq!(app.packument("lib").await["versions"]["1.0.0"]["version"], "1.0.0");
    refused(&app, &Document::new("lib", "1.0.0+build"), 403, "1.0.0").await;
    refused(&app, &Document::new("lib", "1.0"), 400, "invalid version").await;
    refused(&app, &Document::new("lib", &format!("1.0.0-{}", "a".repeat(251))), 400, "256").await;
}

#[tokio::test]
async fn checklist_43_a_whole_old_document_with_one_attachment_is_taken() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0")).await;
    let mut whole = app.packument("lib").await;
    let new = Document::new("lib", "1.1.0");
    whole["versions"]["1.1.0"] = new.value["versions"]["1.1.0"].clone();
    whole["dist-tags"]["latest"] = json!("1.1.0");
    whole["_attachments"] = new.value["_attachments"].clone();
    app.ask("PUT", "/lib").token("alice-token").json(&whole).send().await.expect(201);
    let packument = app.packument("lib").await;
    assert_eq!(packument["dist-tags"]["latest"], "1.1.0");
    assert_eq!(packument["versions"].as_object().unwrap().len(), 2);
    assert_eq!(app.get("/lib/-/lib-1.1.0.tgz").await.body, new.tarball);
}

#[tokio::test]
async fn attachments_are_found_in_any_order_and_form() {
    let app = Setup::new().build();
    let mut document = Document::new("@s/lib", "1.0.0");
    let attachments = document.value["_attachments"].to_string().replace('/', "\\/");
    // Without the scope in the attachment's name, before everything else, with escaped slashes.
    let attachments = attachments.replace("@s\\/lib-1.0.0.tgz", "lib-1.0.0.tgz");
    document.value.as_object_mut().unwrap().remove("_attachments");
    let rest = document.value.to_string();
    let text = format!("{{\"_attachments\":{attachments},{}", &rest[1..]);
    app.ask("PUT", "/@s/lib").token("alice-token").body(text).send().await.expect(201);
    assert_eq!(app.get("/@s/lib/-/lib-1.0.0.tgz").await.body, document.tarball);
}

#[tokio::test]
async fn checklist_46_a_readme_is_cut_and_private_packages_are_refused() {
    let mut setup = Setup::new();
    setup.config.max_document_bytes = 1 << 20;
    let app = setup.build();
    let mut document = Document::new("lib", "1.0.0");
    document.value["readme"] = json!("é".repeat(40_000));
    document.manifest()["readme"] = json!("in the manifest");
    app.publish(&document).await;
    let packument = app.packument("lib").await;
    assert_eq!(packument["readme"].as_str().unwrap().len(), 64 << 10);
    assert!(packument["versions"]["1.0.0"].get("readme").is_none());
    let mut private = Document::new("lib", "2.0.0");
    private.manifest()["private"] = json!(true);
    refused(&app, &private, 400, "private").await;
}

#[tokio::test]
async fn checklist_51_a_tarball_of_another_package_is_refused() {
    let app = Setup::new().build();
    let manifest = json!({"name": "lib", "version": "1.0.0"});
    for (files, says) in [
        (vec![("package.json", r#"{"name":"other","version":"1.0.0"}"#)], "other@1.0.0"),
        (vec![("package.json", r#"{"name":"lib","version":"1.0.1"}"#)], "lib@1.0.1"),
        (vec![("index.js", "x")], "package.json"),
        (vec![("package.json", "{")], "JSON"),
    ] {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (*p, b.as_bytes())).collect();
        refused(&app, &Document::of("lib", "1.0.0", manifest.clone(), tarball(&files)), 400, says).await;
    }
    for bytes in [b"no archive at all".to_vec(), Vec::new()] {
        refused(&app, &Document::of("lib", "1.0.0", manifest.clone(), bytes), 400, "tar").await;
    }
    let mut setup = Setup::new();
    setup.config.check_tarball = false;
    let lenient = setup.build();
    lenient.publish(&Document::of("lib", "1.0.0", manifest, b"anything".to_vec())).await;
}

#[tokio::test]
async fn checklist_22_a_compressed_request_is_read_and_a_bomb_is_not() {
    let app = Setup::new().build();
    let document = Document::new("lib", "1.0.0");
    let packed = registry_core::testing::archives::gzip(document.value.to_string().as_bytes());
    let ask = |body: Vec<u8>| {
        app.ask("PUT", "/lib").token("alice-token").header("content-encoding", "gzip").body(body).send()
    };
    ask(packed).await.expect(201);
    assert_eq!(app.get("/lib/-/lib-1.0.0.tgz").await.body, document.tarball);
    let bomb = registry_core::testing::archives::gzip(&vec![b' '; 64 << 20]);
    ask(bomb).await.expect(413);
    ask(b"no gzip".to_vec()).await.expect(400);
    let reply = app
        .ask("PUT", "/lib")
        .token("alice-token")
        .header("content-encoding", "br")
        .body(b"x".to_vec())
        .send()
        .await;
    reply.expect(400);
}

#[tokio::test]
async fn limits_are_answered_with_413() {
    let mut setup = Setup::new();
    setup.config.max_document_bytes = 2000;
    setup.config.max_tarball_bytes = 300;
    let app = setup.build();
    let noise: Vec<u8> = (0..2000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let manifest = json!({"name": "lib", "version": "1.0.0"});
    let large = tarball(&[("package.json", br#"{"name":"lib","version":"1.0.0"}"#), ("x", &noise)]);
    refused(&app, &Document::of("lib", "1.0.0", manifest, large), 413, "tarball").await;
    let mut long = Document::new("lib", "1.0.0");
    long.manifest()["x"] = json!("x".repeat(3000));
    refused(&app, &long, 413, "2000 bytes").await;
}

#[tokio::test]
async fn what_is_no_document_is_refused() {
    let app = Setup::new().build();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"versions\":[]}",
        "{\"_attachments\":{\"lib-1.0.0.tgz\":{\"data\":\"QUJD\"}}}",
    ] {
        let reply = app.ask("PUT", "/lib").token("alice-token").body(body).send().await;
        assert!(matches!(reply.status.as_u16(), 400 | 404), "{body}: {}", reply.status);
        reply.clone().expect(reply.status.as_u16());
    }
    assert!(app.keys().await.is_empty());
}

#[tokio::test]
async fn checklist_44_access_of_a_first_publish() {
    let app = Setup::new().build();
    let access =
        async |name: &str| app.get(&format!("/-/package/{name}/access")).await.json()["access"].clone();
    app.publish(&Document::new("lib", "1.0.0")).await;
    assert_eq!(access("lib").await, "public");
    app.publish(&Document::new("@s/a", "1.0.0")).await;
    assert_eq!(access("@s/a").await, "restricted");
    app.publish(&Document::new("@s/b", "1.0.0").access("public")).await;
    assert_eq!(access("@s/b").await, "public");
    app.publish(&Document::new("@s/b", "1.0.1")).await;
    assert_eq!(access("@s/b").await, "public", "nothing said keeps it");
    refused(&app, &Document::new("x", "1.0.0").access("restricted"), 400, "public").await;
    refused(&app, &Document::new("@s/c", "1.0.0").access("everyone"), 400, "access").await;
}

#[tokio::test]
async fn a_first_publish_under_another_tag_is_latest_too() {
    let app = Setup::new().build();
    app.publish(&Document::new("lib", "1.0.0-rc.1").tag("next")).await;
    assert_eq!(
        app.packument("lib").await["dist-tags"],
        json!({"latest": "1.0.0-rc.1", "next": "1.0.0-rc.1"})
    );
    app.publish(&Document::new("lib", "1.0.0-rc.2").tag("next")).await;
    assert_eq!(
        app.packument("lib").await["dist-tags"],
        json!({"latest": "1.0.0-rc.1", "next": "1.0.0-rc.2"})
    );
}
