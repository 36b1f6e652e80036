//! Publishing.

use registry_core::Body;
use registry_core::testing::archives::zip;
use serde_json::json;
use sha1::{Digest as _, Sha1};

use crate::app::{Client as _, Setup, package};

#[tokio::test]
async fn checklist_1_what_is_uploaded_is_described_and_downloaded() {
    let app = Setup::new().build();
    let bytes = package("acme/lib", &json!({"license": "MIT", "replace": {"acme/old": "self.version"}}), "");
    let reply = app.upload("acme/lib", "v1.0", bytes.clone()).await.expect(201).json();
    assert_eq!((&reply["version"], &reply["version_normalized"]), (&json!("v1.0"), &json!("1.0.0.0")));
    let versions = app.versions("acme/lib").await;
    let version = &versions[0];
    assert_eq!(version["name"], "acme/lib");
    assert_eq!(version["license"], json!(["MIT"]));
    assert_eq!(version["replace"], json!({"acme/old": "self.version"}));
    assert_eq!(version["version"], "v1.0");
    assert_eq!(version["published-time"], "2026-03-04T05:06:07+00:00");
    let dist = &version["dist"];
    assert_eq!(dist, &reply["dist"]);
    assert_eq!(dist["type"], "zip");
    assert_eq!(dist["shasum"], hex::encode(Sha1::digest(&bytes)));
    let url = dist["url"].as_str().unwrap();
    let path = url.strip_prefix("http://registry.example.com/composer").unwrap();
    assert_eq!(path, format!("/dists/acme/lib/{}.zip", dist["reference"].as_str().unwrap()));
    let archive = app.get(path).await.expect(200);
    // checklist 38
    assert_eq!(archive.body, bytes);
    assert_eq!(archive.header("content-type"), Some("application/zip"));
    assert_eq!(archive.header("content-length"), Some(bytes.len().to_string().as_str()));
    let part =
        app.ask("GET", path).token("alice-token").header("range", "bytes=2-5").send().await.expect(206);
    assert_eq!(part.body, bytes[2..6]);
    // Another package's name gives no way to it.
    app.upload("acme/other", "1.0", package("acme/other", &json!({}), "")).await.expect(201);
    app.get(&path.replace("acme/lib", "acme/other")).await.expect(404);
}

#[tokio::test]
async fn checklist_7_releases_never_change() {
    let app = Setup::new().build();
    let first = package("acme/lib", &json!({}), "one");
    app.upload("acme/lib", "1.0", first.clone()).await.expect(201);
    let modified = |reply: crate::app::Reply| reply.header("last-modified").unwrap().to_owned();
    let before = modified(app.get("/p2/acme/lib.json").await);
    let stored = app.objects().await;
    app.upload("acme/lib", "v1.0.0", first.clone()).await.expect(200);
    for version in ["1.0", "v1.0.0", "1.0.0+b7", "01.0"] {
        let reply = app.upload("acme/lib", version, package("acme/lib", &json!({}), "two")).await.expect(409);
        assert!(reply.json()["message"].as_str().unwrap().contains("published already"));
    }
    assert_eq!(modified(app.get("/p2/acme/lib.json").await), before);
    assert_eq!(app.objects().await, stored);
}

#[tokio::test]
async fn checklist_8_parallel_uploads_all_survive() {
    let app = Setup::new().build();
    let uploads = (0..20).map(|n| {
        let app = &app;
        async move {
            app.upload("acme/lib", &format!("1.{n}"), package("acme/lib", &json!({}), &n.to_string())).await
        }
    });
    for reply in futures_util::future::join_all(uploads).await {
        reply.expect(201);
    }
    let versions = app.versions("acme/lib").await;
    let found: Vec<&str> = versions.iter().map(|v| v["version"].as_str().unwrap()).collect();
    let wanted: Vec<String> = (0..20).rev().map(|n| format!("1.{n}")).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn two_uploads_of_one_version_have_one_winner() {
    let app = Setup::new().build();
    let uploads =
        ["a", "b", "c"].map(|salt| app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), salt)));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(uploads).await.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    // The vendors, the package and one archive.
    assert_eq!(app.objects().await.len(), 3);
}

#[tokio::test]
async fn checklist_12_composer_json_is_found_where_composer_finds_it() {
    let app = Setup::new().build();
    let manifest: &[u8] = br#"{"name": "acme/lib"}"#;
    let top = zip(&[("lib-1/composer.json", manifest), ("__MACOSX/x", b""), ("lib-1/a.php", b"")]);
    app.upload("acme/lib", "1.0", top).await.expect(201);
    let both = zip(&[("composer.json", manifest), ("x/composer.json", b"{}"), ("y/z", b"")]);
    app.upload("acme/lib", "1.1", both).await.expect(201);
    let stored = app.objects().await;
    for files in [
        &[("a/composer.json", manifest), ("b/x", b"".as_slice())][..],
        &[("a/composer.json", manifest), ("b/composer.json", manifest)],
        &[("a/b/composer.json", manifest)],
        &[("readme", manifest)],
    ] {
        app.upload("acme/lib", "2.0", zip(files)).await.expect(422);
    }
    assert_eq!(app.objects().await, stored);
}

#[tokio::test]
async fn the_version_comes_from_path_query_or_manifest_and_they_agree() {
    let app = Setup::new().build();
    let own = package("acme/lib", &json!({"version": "1.2.0"}), "");
    let put = |path: &'static str, body: Vec<u8>| {
        let ask = app.ask("PUT", path).token("alice-token").body(body);
        async move { ask.send().await }
    };
    put("/packages/acme/lib", own.clone()).await.expect(201);
    put("/packages/acme/lib?version=v1.2", own.clone()).await.expect(200);
    put("/packages/acme/lib?version=1.3", own).await.expect(422);
    put("/packages/acme/lib", package("acme/lib", &json!({}), "")).await.expect(422);
    put("/packages/acme/lib?version=1.4", package("acme/lib", &json!({}), "")).await.expect(201);
    put("/packages/upload/acme/lib/nonsense", package("acme/lib", &json!({}), "")).await.expect(422);
    put("/packages/upload/acme/lib/2.0", package("acme/other", &json!({}), "")).await.expect(422);
    assert_eq!(app.versions("acme/lib").await.len(), 2);
}

#[tokio::test]
async fn checklist_47_forms_bring_the_source() {
    let app = Setup::new().build();
    let bytes = package("acme/lib", &json!({}), "");
    let mut body = Vec::new();
    for (key, value) in
        [("src-type", "git"), ("src-url", "https://git.example.com/lib.git"), ("src-ref", "abc")]
    {
        body.extend(
            format!("--B\r\ncontent-disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }
    body.extend(b"--B\r\ncontent-disposition: form-data; name=\"package\"; filename=\"x.zip\"\r\n\r\n");
    body.extend(&bytes);
    body.extend(b"\r\n--B--\r\n");
    let post = app.ask("POST", "/packages/upload/acme/lib/1.0").token("alice-token");
    post.header("content-type", "multipart/form-data; boundary=B").body(body).send().await.expect(201);
    let version = app.versions("acme/lib").await.remove(0);
    assert_eq!(
        version["source"],
        json!({"type": "git", "url": "https://git.example.com/lib.git", "reference": "abc"})
    );
    assert_eq!(version["dist"]["shasum"], hex::encode(Sha1::digest(&bytes)));
    for query in [
        "source-url=https://x.example.com",
        "source-type=git&source-url=file:///etc&source-reference=a",
        "source-type=git&source-url=https://x.example.com&source-reference=--upload",
    ] {
        let path = format!("/packages/upload/acme/lib/2.0?{query}");
        app.ask("PUT", &path).token("alice-token").body(bytes.clone()).send().await.expect(422);
    }
}

#[tokio::test]
async fn checklist_26_branches_are_replaced_and_old_archives_stay() {
    let app = Setup::new().build();
    let first = package("acme/lib", &json!({}), "one");
    let one = app.upload("acme/lib", "dev-feature%2Fx", first.clone()).await.expect(201).json();
    let two = app
        .upload("acme/lib", "dev-feature/x", package("acme/lib", &json!({}), "two"))
        .await
        .expect(201)
        .json();
    assert_ne!(one["dist"]["reference"], two["dist"]["reference"]);
    let versions = app.versions("acme/lib~dev").await;
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0]["dist"], two["dist"]);
    assert_eq!(versions[0]["version"], "dev-feature/x");
    // checklist 25: no releases, and still known.
    assert!(app.versions("acme/lib").await.is_empty());
    let old = format!("/dists/acme/lib/{}.zip", one["dist"]["reference"].as_str().unwrap());
    assert_eq!(app.get(&old).await.expect(200).body, first);
    app.ask("DELETE", "/packages/acme/lib/dev-feature%2Fx").token("alice-token").send().await.expect(204);
    assert!(app.versions("acme/lib~dev").await.is_empty());
    app.get(&old).await.expect(200);
}

#[tokio::test]
async fn branches_may_be_refused_and_kept_archives_are_limited() {
    let mut setup = Setup::new();
    setup.config.branches = false;
    let app = setup.build();
    app.upload("acme/lib", "dev-main", package("acme/lib", &json!({}), "")).await.expect(422);
    assert!(app.objects().await.is_empty());
    let mut setup = Setup::new();
    setup.config.replaced_archives = 1;
    let app = setup.build();
    let mut references = Vec::new();
    for salt in ["a", "b", "c"] {
        let reply = app
            .upload("acme/lib", "dev-main", package("acme/lib", &json!({}), salt))
            .await
            .expect(201)
            .json();
        references.push(reply["dist"]["reference"].as_str().unwrap().to_owned());
    }
    for (reference, status) in references.iter().zip([404, 200, 200]) {
        app.get(&format!("/dists/acme/lib/{reference}.zip")).await.expect(status);
    }
}

#[tokio::test]
async fn checklist_24_what_is_too_large_leaves_nothing() {
    let mut setup = Setup::new();
    setup.config.max_archive_bytes = 100;
    let app = setup.build();
    let bytes = package("acme/lib", &json!({}), &"x".repeat(200));
    app.upload("acme/lib", "1.0", bytes.clone()).await.expect(413);
    let pieces = bytes
        .chunks(10)
        .map(|piece| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(piece)))
        .collect::<Vec<_>>();
    let put = app.ask("PUT", "/packages/upload/acme/lib/1.0").token("alice-token");
    put.body(Body::from_stream(futures_util::stream::iter(pieces))).send().await.expect(413);
    let cut = [Ok(bytes::Bytes::from_static(b"PK\x03\x04")), Err(std::io::Error::other("gone"))];
    let put = app.ask("PUT", "/packages/upload/acme/lib/1.0").token("alice-token");
    put.body(Body::from_stream(futures_util::stream::iter(cut))).send().await.expect(400);
    app.upload("acme/lib", "1.0", Vec::new()).await.expect(400);
    assert!(app.objects().await.is_empty());
}

#[tokio::test]
async fn versions_are_limited() {
    let mut setup = Setup::new();
    setup.config.max_versions = 2;
    let app = setup.build();
    for (version, status) in [("1.0", 201), ("dev-main", 201), ("1.1", 422), ("dev-main", 201)] {
        let bytes =
            package("acme/lib", &json!({}), &format!("{version}{status}{}", app.objects().await.len()));
        app.upload("acme/lib", version, bytes).await.expect(status);
    }
}
