//! Publishing, and what the index says afterwards.

use registry_core::Body;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{BASE, Client as _, IndexFile as _, Setup, Upload};

#[tokio::test]
async fn checklist_1_what_is_published_is_in_the_index_and_downloads() {
    let app = Setup::new().build();
    let upload = Upload::new("Bar_b", "1.0.0");
    let reply = app.put(upload.bytes()).await.expect(200);
    assert_eq!(
        reply.json(),
        json!({"warnings": {"invalid_categories": [], "invalid_badges": [], "other": []}})
    );
    let lines = app.get("/ba/r_/bar_b").await.expect(200).lines();
    let cksum = hex::encode(Sha256::digest(&upload.krate));
    assert_eq!(
        lines,
        [json!({
            "name": "Bar_b", "vers": "1.0.0", "deps": [], "cksum": cksum, "features": {}, "yanked": false, "links": null,
            "rust_version": null, "pubtime": "2026-03-04T05:06:07Z",
        })]
    );
    // checklist 9: the bytes are those that were sent.
    let file = app.get("/api/v1/crates/Bar_b/1.0.0/download").await.expect(200);
    assert_eq!(file.body, upload.krate);
    assert_eq!(app.keys().await.len(), 2, "a document and a file: {:?}", app.keys().await);
}

#[tokio::test]
async fn checklist_2_a_renamed_dependency_and_a_feature_that_names_it() {
    let app = Setup::new().build();
    let rest = format!(
        "links = \"z\"\nrust-version = \"1.60\"\n[dependencies.renamed]\nversion = \"0.1\"\npackage = \"foo\"\n\
         registry-index = \"sparse+{BASE}/\"\noptional = true\n[dependencies.serde]\nversion = \"1\"\n\
         [features]\nf = [\"renamed/x\", \"dep:renamed\"]"
    );
    let deps = json!([
        {"name": "foo", "version_req": "^0.1", "explicit_name_in_toml": "renamed", "features": [], "optional": true,
         "default_features": true, "target": null, "kind": "normal"},
        {"name": "serde", "version_req": "^1", "kind": "normal", "registry": "https://public.example.com/index"},
    ]);
    app.put(Upload::with("a", "1.0.0", &rest, deps).bytes()).await.expect(200);
    let line = app.get("/1/a").await.expect(200).lines().remove(0);
    assert_eq!(
        line["deps"],
        json!([
            {"name": "renamed", "req": "^0.1", "features": [], "optional": true, "default_features": true, "target": null,
             "kind": "normal", "registry": null, "package": "foo"},
            {"name": "serde", "req": "^1", "features": [], "optional": false, "default_features": true, "target": null,
             "kind": "normal", "registry": "https://public.example.com/index", "package": null},
        ])
    );
    assert_eq!(line["features"], json!({"f": ["renamed/x", "dep:renamed"]}));
    assert_eq!((&line["v"], &line["links"], &line["rust_version"]), (&json!(2), &json!("z"), &json!("1.60")));
}

#[tokio::test]
async fn checklist_7_another_spelling_is_refused() {
    let app = Setup::new().build();
    app.publish("Foo-Bar", "1.0.0").await;
    let before = app.keys().await;
    for other in ["foo-bar", "Foo_Bar", "FOO_BAR"] {
        let error = app.put(Upload::new(other, "1.1.0").bytes()).await.expect(409).error();
        assert!(error.contains("\"Foo-Bar\""), "{error}");
        app.get(&format!("/api/v1/crates/{other}/1.1.0/download")).await.expect(404);
    }
    assert_eq!(app.keys().await, before);
    app.get("/fo/o_/foo_bar").await.expect(404);
    app.get("/fo/o-/foo-bar").await.expect(200);
}

#[tokio::test]
async fn checklist_8_a_version_is_published_once() {
    let app = Setup::new().build();
    let upload = app.publish("foo", "1.0.0").await;
    let before = (app.get("/3/f/foo").await.body, app.keys().await);
    let again = app.put(upload.bytes()).await.expect(200).json();
    assert!(again["warnings"]["other"][0].as_str().unwrap().contains("already published"), "{again}");
    let other = Upload::with("foo", "1.0.0", "links = 'x'", json!([]));
    let error = app.put(other.bytes()).await.expect(409).error();
    assert!(error.contains("1.0.0") && error.contains("already published"), "{error}");
    app.put(Upload::new("foo", "1.0.0+b").bytes()).await.expect(409);
    assert_eq!((app.get("/3/f/foo").await.body, app.keys().await), before);
    app.publish("foo", "1.0.1+b").await;
    app.put(Upload::new("foo", "1.0.1").bytes()).await.expect(409);
    app.put(Upload::new("foo", "1.0.1+c").bytes()).await.expect(409);
    app.publish("foo", "1.0.1-rc").await;
    assert_eq!(app.get("/3/f/foo").await.lines().len(), 3);
}

#[tokio::test]
async fn checklist_17_18_publishes_at_the_same_time() {
    let app = Setup::new().build();
    let versions = (0..20).map(|n| Upload::new("foo", &format!("1.{n}.0")));
    let crates = (0..30).map(|n| Upload::new(&format!("crate-{n}"), "1.0.0"));
    let replies =
        futures_util::future::join_all(versions.chain(crates).map(|upload| app.put(upload.bytes()))).await;
    for reply in replies {
        reply.expect(200);
    }
    let lines = app.get("/3/f/foo").await.expect(200).lines();
    let found: std::collections::BTreeSet<_> = lines.iter().map(|line| line["vers"].to_string()).collect();
    assert_eq!(found.len(), 20);
    for n in 0..30 {
        app.get(&format!("/cr/at/crate-{n}")).await.expect(200);
    }
    // The same version with different bytes: one wins, and its bytes are served.
    let uploads: Vec<Upload> =
        (0..8).map(|n| Upload::with("bar", "1.0.0", &format!("links = '{n}'"), json!([]))).collect();
    let replies = futures_util::future::join_all(uploads.iter().map(|upload| app.put(upload.bytes()))).await;
    let winners: Vec<usize> = (0..8).filter(|n| replies[*n].status == 200).collect();
    assert_eq!(winners.len(), 1);
    assert!(replies.iter().all(|reply| matches!(reply.status.as_u16(), 200 | 409)));
    assert_eq!(app.get("/api/v1/crates/bar/1.0.0/download").await.body, uploads[winners[0]].krate);
    assert_eq!(app.keys().await.iter().filter(|key| key.starts_with("cargo/packages/bar/-/")).count(), 1);
}

#[tokio::test]
async fn checklist_28_the_manifest_must_be_the_one_announced() {
    let app = Setup::new().build();
    let dep = json!([{"name": "serde", "version_req": "^1", "registry": "https://public.example.com/index"}]);
    let mut other_name = Upload::new("foo", "1.0.0");
    other_name.metadata["name"] = json!("fop");
    let mut other_version = Upload::new("foo", "1.0.0");
    other_version.metadata["vers"] = json!("1.0.1");
    let missing = Upload::with("foo", "1.0.0", "", dep.clone());
    let unannounced = Upload::with("foo", "1.0.0", "[dependencies]\nserde = '1'", json!([]));
    let other_req = Upload::with("foo", "1.0.0", "[dependencies]\nserde = '2'", dep);
    let mut other_features = Upload::with("foo", "1.0.0", "[features]\na = []", json!([]));
    other_features.metadata["features"] = json!({"b": []});
    for upload in [other_name, other_version, missing, unannounced, other_req, other_features] {
        app.put(upload.bytes()).await.expect(400);
    }
    assert_eq!(app.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn checklist_30_31_sizes_and_content_types() {
    let app = Setup::new().build();
    let mut state = 1_u64;
    let mut noise = vec![0_u8; 3 << 20];
    for byte in &mut noise {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[0];
    }
    let manifest = b"[package]\nname = 'foo'\nversion = '1.0.0'\n";
    let mut large = Upload::of("foo", "1.0.0", json!([]), &[("Cargo.toml", manifest), ("noise", &noise)]);
    assert!(large.krate.len() > 2 << 20, "{}", large.krate.len());
    // In pieces, of unknown length, and with the type that newer cargos send.
    let pieces: Vec<_> = large
        .bytes()
        .chunks(10_000)
        .map(|piece| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let ask = app.ask("PUT", "/api/v1/crates/new").token("alice-token");
    ask.header("content-type", "application/octet-stream").body(body).send().await.expect(200);
    large.krate.resize(5 << 20, 0);
    large.metadata["vers"] = json!("1.0.1");
    let error = app.put(large.bytes()).await.expect(413).error();
    assert!(error.contains("4194304"), "{error}");
    let mut talkative = Upload::new("foo", "1.0.2");
    talkative.metadata["readme"] = Value::String("x".repeat(70_000));
    app.put(talkative.bytes()).await.expect(413);
    assert_eq!(app.get("/3/f/foo").await.lines().len(), 1);
}

#[tokio::test]
async fn a_document_has_a_limit() {
    let mut setup = Setup::new();
    setup.config.max_document_bytes = 2000;
    let app = setup.build();
    app.publish("foo", "1.0.0").await;
    app.publish("foo", "1.0.1").await;
    let before = app.keys().await;
    app.put(
        Upload::with("foo", "1.0.2", &format!("documentation = 'https://{}'", "x".repeat(1500)), json!([]))
            .bytes(),
    )
    .await
    .expect(413);
    assert_eq!(app.keys().await, before);
}
