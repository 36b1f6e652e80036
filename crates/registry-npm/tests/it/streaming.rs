//! Large tarballs pass through in pieces.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use registry_core::Body;
use serde_json::json;

use crate::app::{App, Client as _, Document, Setup, tarball};

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn large(app_version: &str, length: usize) -> Document {
    let manifest = json!({"name": "lib", "version": app_version});
    let package = manifest.to_string();
    let bytes = tarball(&[("big.bin", &noise(length)), ("package.json", package.as_bytes())]);
    Document::of("lib", app_version, manifest, bytes)
}

/// Sends a document in small pieces.
async fn send(app: &App, text: String, piece: usize) -> crate::app::Reply {
    let pieces: Vec<Result<Bytes, std::convert::Infallible>> =
        text.as_bytes().chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    app.ask("PUT", "/lib").token("alice-token").body(body).send().await
}

#[tokio::test]
async fn checklist_42_a_large_tarball_streams_into_the_store() {
    let app = Setup::new().build();
    let document = large("1.0.0", 3 << 20);
    send(&app, document.value.to_string(), 10_007).await.expect(201);
    assert_eq!(app.get("/lib/-/lib-1.0.0.tgz").await.expect(200).body, document.tarball);
    let dist = &app.packument("lib").await["versions"]["1.0.0"]["dist"];
    assert_eq!(dist["integrity"], document.value["versions"]["1.0.0"]["dist"]["integrity"]);
    assert_eq!(dist["fileCount"], 2);
}

#[tokio::test]
async fn checklist_42_a_large_tarball_that_is_refused_leaves_nothing() {
    let app = Setup::new().build();
    let good = large("1.0.0", 2 << 20);
    let mut wrong_hash = good.clone();
    wrong_hash.manifest()["dist"]["shasum"] = json!("0".repeat(40));
    let mut wrong_base64 = good.clone();
    let mut text = STANDARD.encode(&good.tarball);
    text.replace_range(2_000_000..2_000_001, "!");
    wrong_base64.attachment()["data"] = json!(text);
    let mut wrong_package = good.clone();
    wrong_package.value["versions"] = json!({"1.0.0": {"name": "other", "version": "1.0.0"}});
    let mut damaged = good.clone();
    let mut bytes = good.tarball.clone();
    bytes[1_800_000] ^= 0xff;
    damaged.attachment()["data"] = json!(STANDARD.encode(bytes));
    for (document, says) in
        [(wrong_hash, "dist.shasum"), (wrong_base64, "base64"), (wrong_package, "other"), (damaged, "tar")]
    {
        let reply = send(&app, document.value.to_string(), 50_000).await.expect(400);
        assert!(reply.error().contains(says), "{}", reply.error());
        assert!(app.keys().await.is_empty());
    }
}

#[tokio::test]
async fn checklist_42_a_body_that_ends_early_leaves_nothing() {
    let app = Setup::new().build();
    let text = large("1.0.0", 2 << 20).value.to_string();
    send(&app, text[..text.len() - 100].to_owned(), 50_000).await.expect(400);
    send(&app, text[..1_900_000].to_owned(), 50_000).await.expect(400);
    assert!(app.keys().await.is_empty());
    let pieces = [Ok(Bytes::from(text[..1_900_000].to_owned())), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    app.ask("PUT", "/lib").token("alice-token").body(body).send().await.expect(400);
    assert!(app.keys().await.is_empty());
}

#[tokio::test]
async fn a_limit_is_kept_while_reading() {
    let mut setup = Setup::new();
    setup.config.max_tarball_bytes = 2 << 20;
    let app = setup.build();
    let document = large("1.0.0", 3 << 20);
    send(&app, document.value.to_string(), 50_000).await.expect(413);
    assert!(app.keys().await.is_empty());
}
