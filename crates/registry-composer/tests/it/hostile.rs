//! What is meant to do harm, and leaves nothing.

use registry_core::testing::archives::zip;
use serde_json::json;

use crate::app::{Client as _, Setup, package};

#[tokio::test]
async fn checklist_22_paths_lead_nowhere() {
    let app = Setup::new().build();
    app.upload("acme/lib", "1.0", package("acme/lib", &json!({}), "")).await.expect(201);
    let stored = app.objects().await;
    for path in [
        "/p2/acme/..%2f..%2fpackages.json",
        "/p2/../packages/acme/lib.json",
        "/p2/%2e%2e/lib.json",
        "/p2/acme%5clib/x.json",
        "/p2/acme/lib%00.json",
        "/p2/acme/con.json",
        "/p2/Acme/lib.json",
        "/dists/acme/lib/package.json",
        "/dists/acme/lib/..%2fpackage.json",
        "/dists/acme/lib/.zip",
        "/p2/acme/%ff.json",
        "/dists/acme/lib/x.tar",
        "/",
        "/p2",
    ] {
        app.get(path).await.expect(404);
    }
    let bytes = package("acme/lib", &json!({}), "two");
    for (name, version, status) in [
        ("Acme/lib", "1.0", 422),
        ("acme/nul", "1.0", 422),
        ("acme/..", "1.0", 422),
        ("acme/lib.json", "1.0", 422),
        ("acme/lib", "dev-..%2f..%2fx", 422),
        ("acme/lib", "dev-%0a", 422),
        ("acme/lib", "%00", 400),
        ("acme/lib", "%", 400),
    ] {
        app.upload(name, version, bytes.clone()).await.expect(status);
    }
    assert_eq!(app.objects().await, stored);
}

#[tokio::test]
async fn checklist_23_hostile_archives_are_refused() {
    let app = Setup::new().build();
    let manifest: &[u8] = br#"{"name": "acme/lib"}"#;
    let good = zip(&[("composer.json", manifest)]);
    let mut mismatch = good.clone();
    // The local header's name, not the directory's.
    mismatch[30] = b'x';
    let mut broken = good.clone();
    broken[45] ^= 1;
    let mut encrypted = good.clone();
    encrypted[6] |= 1;
    let at = encrypted.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    encrypted[at + 8] |= 1;
    for (what, bytes) in [
        ("no archive", b"hello".to_vec()),
        ("cut", good[..good.len() - 5].to_vec()),
        ("two names", mismatch),
        ("wrong checksum", broken),
        ("encrypted", encrypted),
        ("outside", zip(&[("composer.json", manifest), ("../x", b"")])),
        ("absolute", zip(&[("composer.json", manifest), ("/x", b"")])),
        ("twice", zip(&[("composer.json", manifest), ("composer.json", manifest)])),
        ("backslash", zip(&[("composer.json", manifest), ("a\\b", b"")])),
        ("no JSON", zip(&[("composer.json", b"<?php")])),
        (
            "large",
            zip(&[(
                "composer.json",
                format!("{{\"name\":\"acme/lib\",\"x\":\"{}\"}}", "y".repeat(1 << 20)).as_bytes(),
            )]),
        ),
    ] {
        let reply = app.upload("acme/lib", "1.0", bytes).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{what}: {reply:?}");
    }
    assert!(app.objects().await.is_empty());
    app.upload("acme/lib", "1.0", good).await.expect(201);
}
