//! Uploads that no cargo sends.

use registry_core::testing::archives::{gzip, tar, tar_entry, tar_of};
use serde_json::json;

use crate::app::{Client as _, Setup, Upload};

const MANIFEST: &[u8] = b"[package]\nname = 'foo'\nversion = '1.0.0'\n";

fn entries(more: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut entries = vec![tar_entry(b'0', b"foo-1.0.0/Cargo.toml", b"", MANIFEST)];
    entries.extend(more.iter().map(|(path, flag, bytes)| tar_entry(*flag, path.as_bytes(), b"", bytes)));
    gzip(&tar_of(&entries))
}

#[tokio::test]
async fn checklist_26_archives_that_are_refused() {
    let app = Setup::new().build();
    let file = b'0';
    let mut trailing = entries(&[]);
    trailing.extend_from_slice(b"garbage");
    let mut cut = entries(&[]);
    cut.truncate(cut.len() / 2);
    for (what, krate) in [
        ("no gzip", b"not a gzip".to_vec()),
        ("no tar", gzip(b"not a tar")),
        ("empty tar", gzip(&tar(&[]))),
        ("no manifest", gzip(&tar(&[("foo-1.0.0/src/lib.rs", b"")]))),
        ("manifest below", gzip(&tar(&[("foo-1.0.0/x/Cargo.toml", MANIFEST)]))),
        ("odd manifest", gzip(&tar(&[("foo-1.0.0/cargo.toml", MANIFEST)]))),
        ("bad manifest", gzip(&tar(&[("foo-1.0.0/Cargo.toml", b"[package")]))),
        ("two manifests", entries(&[("foo-1.0.0/Cargo.toml", file, MANIFEST)])),
        ("two cases", entries(&[("foo-1.0.0/CARGO.toml", file, MANIFEST)])),
        ("up", entries(&[("foo-1.0.0/../x", file, b"")])),
        ("up and out", entries(&[("../x", file, b"")])),
        ("absolute", entries(&[("/etc/x", file, b"")])),
        ("backslash", entries(&[("foo-1.0.0/a\\..\\b", file, b"")])),
        ("foreign folder", entries(&[("foo-1.0.1/x", file, b"")])),
        ("longer folder", entries(&[("foo-1.0.00/x", file, b"")])),
        ("dotted folder", entries(&[("./foo-1.0.0/x", file, b"")])),
        ("file as folder", entries(&[("foo-1.0.0", file, b"x")])),
        ("symlink", entries(&[("foo-1.0.0/x", b'2', b"")])),
        ("hard link", entries(&[("foo-1.0.0/x", b'1', b"")])),
        ("device", entries(&[("foo-1.0.0/x", b'3', b"")])),
        ("pipe", entries(&[("foo-1.0.0/x", b'6', b"")])),
        ("trailing bytes", trailing),
        ("cut", cut),
        ("pax size", entries(&[("PaxHeaders/x", b'x', b"12 size=999\n"), ("foo-1.0.0/x", file, b"x")])),
    ] {
        let reply = app.put(Upload::around("foo", "1.0.0", json!([]), krate).bytes()).await;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
        reply.expect(400);
    }
    assert_eq!(app.keys().await, Vec::<String>::new());
    app.get("/3/f/foo").await.expect(404);
}

#[tokio::test]
async fn two_files_of_one_name_are_a_warning() {
    let app = Setup::new().build();
    let file = b'0';
    let krate = entries(&[("foo-1.0.0/README.md", file, b"a"), ("foo-1.0.0/Readme.md", file, b"b")]);
    let reply = app.put(Upload::around("foo", "1.0.0", json!([]), krate).bytes()).await.expect(200);
    assert!(reply.json()["warnings"]["other"][0].as_str().unwrap().contains("two files"));
}

#[tokio::test]
async fn checklist_27_bombs_end_at_the_limit() {
    let app = Setup::new().build();
    let zeros = vec![0; 20 << 20];
    let bomb = entries(&[("foo-1.0.0/zeros", b'0', &zeros)]);
    // Twenty times its size is less than the limit.
    assert!(bomb.len() < 400_000, "{}", bomb.len());
    let error = app.put(Upload::around("foo", "1.0.0", json!([]), bomb).bytes()).await.expect(400).error();
    assert!(error.contains("8388608"), "{error}");
    let paths: Vec<String> = (0..200).map(|n| format!("foo-1.0.0/{n}")).collect();
    let many: Vec<_> = paths.iter().map(|path| (path.as_str(), b'0', &b""[..])).collect();
    app.put(Upload::around("foo", "1.0.0", json!([]), entries(&many)).bytes()).await.expect(400);
    assert_eq!(app.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn checklist_25_lengths_that_lie() {
    let app = Setup::new().build();
    let good = Upload::new("foo", "1.0.0");
    let json = good.metadata.to_string().len();
    let mut cases =
        vec![Vec::new(), vec![0; 3], vec![0xff; 8], vec![0; 64], good.bytes()[..json + 6].to_vec()];
    for claimed in [0, 1, u32::try_from(good.krate.len()).unwrap() + 1, u32::MAX] {
        let mut bytes = good.bytes();
        bytes.splice(4 + json..8 + json, claimed.to_le_bytes());
        cases.push(bytes);
    }
    let mut longer = good.bytes();
    longer.push(0);
    cases.push(longer);
    let mut shorter = good.bytes();
    shorter.pop();
    cases.push(shorter);
    for bytes in cases {
        // With its length announced and without.
        for chunked in [false, true] {
            let body = if chunked {
                let pieces: Vec<_> = bytes
                    .chunks(100)
                    .map(|piece| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(piece)))
                    .collect();
                registry_core::Body::from_stream(futures_util::stream::iter(pieces))
            } else {
                bytes.clone().into()
            };
            let ask = app.ask("PUT", "/api/v1/crates/new").token("alice-token").body(body);
            let reply = ask.send().await;
            assert!(matches!(reply.status.as_u16(), 400 | 413), "{chunked} {reply:?}");
            reply.error();
        }
    }
    assert_eq!(app.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn checklist_24_metadata_that_is_refused() {
    let app = Setup::new().build();
    for (name, version) in [
        ("1a", "1.0.0"),
        ("a.b", "1.0.0"),
        ("std", "1.0.0"),
        ("ä", "1.0.0"),
        ("a", "1.0"),
        ("a", "v1.0.0"),
        ("a", "../1"),
    ] {
        let mut upload = Upload::new("foo", "1.0.0");
        upload.metadata["name"] = json!(name);
        upload.metadata["vers"] = json!(version);
        app.put(upload.bytes()).await.expect(400);
    }
    for metadata in [
        json!({}),
        json!([]),
        json!({"name": 1, "vers": "1.0.0"}),
        json!({"name": "foo", "vers": "1.0.0", "deps": 1}),
    ] {
        let mut upload = Upload::new("foo", "1.0.0");
        upload.metadata = metadata;
        app.put(upload.bytes()).await.expect(400);
    }
    let mut packed = app.ask("PUT", "/api/v1/crates/new").token("alice-token");
    packed = packed.header("content-encoding", "gzip").body(gzip(&Upload::new("foo", "1.0.0").bytes()));
    packed.send().await.expect(400);
    assert_eq!(app.keys().await, Vec::<String>::new());
}
