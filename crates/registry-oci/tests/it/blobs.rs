//! Blobs: read, shared, mounted, deleted.

use http::Method;
use registry_core::storage::Storage;

use crate::bench::*;

/// Sizes around the limits at which a blob's place changes, or a bucket's smallest part ends.
const SIZES: [usize; 11] = [
    0,
    1,
    65_535,
    65_536,
    65_537,
    262_145,
    1 << 20,
    3 * (1 << 20) + 1,
    5 * (1 << 20) - 1,
    5 * (1 << 20),
    5 * (1 << 20) + 1,
];

/// Checklist 4 and 24.
#[tokio::test]
async fn blobs_of_all_sizes_round_trip() {
    let bench = Bench::new();
    for (seed, size) in SIZES.into_iter().enumerate() {
        let bytes = noise(size, seed as u64);
        let digest = bench.blob("a/b", bytes.clone()).await;
        let uri = format!("/v2/a/b/blobs/{digest}");
        let answer = bench.get(&uri).send().await;
        answer.expect(200);
        assert!(answer.body == bytes, "{size}");
        for answer in [answer, bench.head(&uri).send().await] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-length"), size.to_string());
            assert_eq!(answer.header("content-type"), "application/octet-stream");
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert_eq!(answer.header("accept-ranges"), "bytes");
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            assert_eq!(answer.header("content-encoding"), "");
            assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
        }
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 25.
#[tokio::test]
async fn ranges() {
    let bench = Bench::new();
    for bytes in [noise(5000, 1), noise(200_000, 2)] {
        let digest = bench.blob("a", bytes.clone()).await;
        let uri = format!("/v2/a/blobs/{digest}");
        let size = bytes.len();
        for (range, from, to) in [
            ("bytes=500-1499", 500, 1500),
            ("bytes=500-", 500, size),
            ("bytes=-500", size - 500, size),
            ("bytes=0-", 0, size),
            (&format!("bytes={}-{}", size - 10, size + 3000), size - 10, size),
            (&format!("bytes=-{}", size * 2), 0, size),
        ] {
            let answer = bench.get(&uri).header("range", range).send().await;
            answer.expect(206);
            assert!(answer.body == bytes.slice(from..to), "{range}");
            assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/{size}", to - 1));
        }
        for range in ["bytes=500-0", &format!("bytes={size}-{}", size + 10)] {
            let answer = bench.get(&uri).header("range", range).send().await;
            answer.refused(416, "RANGE_INVALID");
            assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
        }
        let several = bench.get(&uri).header("range", "bytes=0-9,20-29").send().await;
        several.expect(206);
        let boundary =
            several.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
        assert!(boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b':'), "{boundary}");
        assert!(several.body.windows(10).any(|window| window == &bytes[20..30]));
    }
}

/// Checklist 51.
#[tokio::test]
async fn if_none_match_is_not_modified() {
    let bench = Bench::new();
    let digest = bench.blob("a", "hello").await;
    let uri = format!("/v2/a/blobs/{digest}");
    let answer = bench.get(&uri).header("if-none-match", format!("\"{digest}\"")).send().await;
    answer.expect(304);
    assert!(answer.body.is_empty());
}

/// Checklist 8 and 9.
#[tokio::test]
async fn a_blob_is_of_its_repository_until_it_is_mounted() {
    let bench = Bench::new();
    for bytes in [noise(10, 1), noise(100_000, 2)] {
        let digest = bench.blob("a", bytes.clone()).await;
        bench.get(&format!("/v2/bob/x/blobs/{digest}")).send().await.refused(404, "BLOB_UNKNOWN");
        let mount = format!("/v2/bob/x/blobs/uploads/?mount={digest}&from=a");
        let answer = bench.post(&mount).token(BOB).send().await;
        answer.expect(201);
        assert_eq!(answer.location(), format!("/v2/bob/x/blobs/{digest}"));
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert!(bench.get(&format!("/v2/bob/x/blobs/{digest}")).token(BOB).send().await.body == bytes);
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 8 and 9.
#[tokio::test]
async fn a_mount_that_cannot_be_is_a_session() {
    let bench = Bench::new();
    let secret = bench.blob("secret", noise(100_000, 1)).await;
    let absent = sha256(b"absent");
    for query in [
        format!("mount={secret}&from=secret"),
        format!("mount={secret}"),
        format!("mount={absent}&from=a"),
        format!("mount={secret}&from=NOT%20A%20NAME"),
        "mount=nonsense&from=a".to_owned(),
    ] {
        let answer = bench.post(&format!("/v2/bob/x/blobs/uploads/?{query}")).token(BOB).send().await;
        answer.expect(202);
        let location = answer.location();
        let bytes = query.clone().into_bytes();
        let put = bench.put(&with_digest(&location, &sha256(&bytes))).token(BOB).body(bytes).send().await;
        put.expect(201);
    }
    assert!(!bench.has_blob("bob/x", &secret).await);
}

/// Checklist 9: automatic content discovery.
#[tokio::test]
async fn a_mount_without_a_source_finds_one() {
    let bench = Bench::new();
    for bytes in [noise(10, 1), noise(100_000, 2)] {
        let digest = bench.blob("a", bytes).await;
        let uri = format!("/v2/bob/y/blobs/uploads/?mount={digest}");
        bench.post(&uri).token(BOB).send().await.expect(201);
        assert!(bench.has_blob("bob/y", &digest).await);
    }
}

/// Checklist 37.
#[tokio::test]
async fn a_deleted_blob_stays_in_other_repositories() {
    let bench = Bench::new();
    for bytes in [noise(10, 1), noise(100_000, 2)] {
        let digest = bench.blob("a", bytes.clone()).await;
        bench.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).send().await.expect(201);
        let uri = format!("/v2/a/blobs/{digest}");
        bench.delete(&uri).send().await.expect(202);
        bench.head(&uri).send().await.expect(404);
        bench.delete(&uri).send().await.refused(404, "BLOB_UNKNOWN");
        bench.gc_all().await;
        // Pushed again it is there again.
        bench.blob("a", bytes.clone()).await;
        assert!(bench.get(&uri).send().await.body == bytes);
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 53.
#[tokio::test]
async fn deletes_can_be_off() {
    let off = serde_json::json!({"delete": {"blobs": false, "manifests": false, "tags": false}});
    let bench = Bench::configured(off);
    let digest = bench.blob("a", "x").await;
    let (manifest, _) = bench.image("a", "v1", "x").await;
    let before = bench.stored().await;
    for path in [format!("blobs/{digest}"), format!("manifests/{manifest}"), "manifests/v1".to_owned()] {
        let answer = bench.delete(&format!("/v2/a/{path}")).send().await;
        answer.refused(405, "UNSUPPORTED");
        assert!(!answer.header("allow").contains("DELETE") && !answer.header("allow").is_empty());
    }
    assert_eq!(bench.stored().await, before);
}

/// Checklist 47.
#[tokio::test(flavor = "multi_thread")]
async fn one_digest_pushed_at_once_is_one_object() {
    let bench = std::sync::Arc::new(Bench::new());
    let bytes = noise(300_000, 7);
    let pushes = (0..8).map(|n| {
        let (bench, bytes) = (std::sync::Arc::clone(&bench), bytes.clone());
        tokio::spawn(async move { bench.blob(if n % 2 == 0 { "a" } else { "b" }, bytes).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap();
    }
    assert_eq!(bench.data_objects().await, 1);
    for name in ["a", "b"] {
        let uri = format!("/v2/{name}/blobs/{}", sha256(&bytes));
        assert!(bench.get(&uri).send().await.body == bytes);
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 29 and 30: nothing is looked up for what is no name or digest.
#[tokio::test]
async fn bad_names_and_digests_are_refused() {
    let bench = Bench::new();
    let digest = sha256(b"x");
    for (path, status, code) in [
        (format!("A/b/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("a//b/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("-a/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("{}/blobs/{digest}", "a".repeat(256)), 400, "NAME_INVALID"),
        ("a/blobs/sha256:baddigest".to_owned(), 400, "DIGEST_INVALID"),
        (format!("a/blobs/{}", digest.to_uppercase()), 400, "DIGEST_INVALID"),
        (format!("a/blobs/blake3:{}", "0".repeat(64)), 400, "DIGEST_INVALID"),
        ("a/b/c".to_owned(), 404, "NAME_UNKNOWN"),
    ] {
        bench.get(&format!("/v2/{path}")).send().await.refused(status, code);
    }
    bench.call(Method::PUT, "/v2/a/tags/list").token(ALL).send().await.refused(405, "UNSUPPORTED");
    assert!(bench.stored().await.is_empty());
}

/// Checklist 26.
#[tokio::test]
async fn head_errors_have_no_body() {
    let bench = Bench::new();
    for uri in [format!("/v2/a/blobs/{}", sha256(b"x")), "/v2/a/manifests/x".to_owned(), "/v2/A/x".to_owned()]
    {
        let head = bench.head(&uri).send().await;
        let get = bench.get(&uri).send().await;
        assert_eq!((head.status, head.body.len()), (get.status, 0));
        assert_eq!(head.header("content-length"), get.body.len().to_string());
    }
}

/// HEAD is GET without the body, on every route.
#[tokio::test]
async fn head_has_the_headers_of_get() {
    let bench = Bench::new();
    let (manifest, _) = bench.image("a", "v1", "x").await;
    let blob = bench.blob("a", noise(100_000, 1)).await;
    for uri in [
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/a/tags/list".to_owned(),
        "/v2/a/manifests/v1".to_owned(),
        format!("/v2/a/manifests/{manifest}"),
        format!("/v2/a/blobs/{blob}"),
        format!("/v2/a/referrers/{manifest}"),
        "/v2/_oci/ext/discover".to_owned(),
    ] {
        let (get, mut head) = (bench.get(&uri).send().await, bench.head(&uri).send().await);
        get.expect(200);
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{uri}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{uri}");
        // A server adds this one to a GET by itself.
        if !get.headers.contains_key("content-length") {
            head.headers.remove("content-length");
        }
        assert_eq!(head.headers, get.headers, "{uri}");
    }
}

/// Checklist 31.
#[tokio::test]
async fn repositories_named_like_routes() {
    let bench = Bench::new();
    for name in ["x/blobs/uploads", "x/manifests/y", "tags/list", "token", "referrers/blobs"] {
        let (digest, bytes) = bench.image(name, "v1", name).await;
        let answer = bench.get(&format!("/v2/{name}/manifests/v1")).send().await;
        assert_eq!((answer.header("docker-content-digest"), &answer.body[..]), (digest.as_str(), &bytes[..]));
        assert_eq!(bench.tags(name).await, ["v1"]);
    }
}

/// Checklist 55: while the store fails the answer is 503 and says nothing of it; afterwards the upload goes on.
#[tokio::test]
async fn a_store_that_fails_for_a_while_costs_no_upload() {
    let folder = tempfile::tempdir().unwrap();
    let role = registry_core::storage::ProcessRole::Server;
    let storage = Storage::folder(folder.path(), role, registry_core::storage::StorageOptions::default());
    let bench = Bench::over(storage.await.unwrap(), registry_oci::OciConfig::default(), &[]);
    let bytes = noise(600_000, 1);
    let location = bench.session("a").await;
    bench.patch(&location).body(bytes.slice(..1000)).send().await.expect(202);
    let down = |answer: Answer| {
        answer.refused(503, "UNAVAILABLE");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("_uploads") && !text.contains("os error"), "{text}");
        assert!(!answer.header("retry-after").is_empty());
    };
    // No folder can be made or written where a file lies.
    let broken = |path: &str| {
        let path = folder.path().join("oci").join(path);
        let aside = folder.path().join("aside");
        if path.exists() {
            std::fs::rename(&path, &aside).unwrap();
        }
        std::fs::write(&path, "").unwrap();
        move || {
            std::fs::remove_file(&path).unwrap();
            if aside.exists() {
                std::fs::rename(&aside, &path).unwrap();
            }
        }
    };
    let mend = broken("repositories");
    down(bench.post(&format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x"))).body("x").send().await);
    mend();
    let day = std::fs::read_dir(folder.path().join("oci/_uploads")).unwrap().next().unwrap().unwrap();
    let mend = broken(&format!("_uploads/{}", day.file_name().to_str().unwrap()));
    down(bench.patch(&location).body(bytes.slice(1000..)).send().await);
    mend();
    assert_eq!(bench.get(&location).send().await.header("range"), "0-999");
    bench.patch(&location).body(bytes.slice(1000..)).send().await.expect(202);
    let put = bench.put(&with_digest(&location, &sha256(&bytes))).send().await;
    put.expect(201);
    assert!(bench.get(&put.location()).send().await.body == bytes);
}

/// A folder keeps what memory keeps.
#[tokio::test]
async fn on_a_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let role = registry_core::storage::ProcessRole::Server;
    let open = || Storage::folder(folder.path(), role, registry_core::storage::StorageOptions::default());
    let bytes = noise(300_000, 1);
    let digest = {
        let bench = Bench::over(open().await.unwrap(), registry_oci::OciConfig::default(), &[]);
        bench.image("a", "v1", "x").await;
        let digest = bench.blob("a", bytes.clone()).await;
        bench.storage.drained().await;
        digest
    };
    let bench = Bench::over(open().await.unwrap(), registry_oci::OciConfig::default(), &[]);
    assert!(bench.get(&format!("/v2/a/blobs/{digest}")).send().await.body == bytes);
    assert!(bench.has_manifest("a", "v1").await);
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 8: who pushes with a token that names the target alone mounts what they may pull, and nothing else.
#[tokio::test]
async fn a_push_token_mounts_what_its_owner_may_pull() {
    let bench = Bench::new();
    let [mine, public, secret] =
        [("a", 1), ("public/p", 2), ("secret", 3)].map(|(name, seed)| (name, noise(100, seed)));
    for (name, bytes) in [&mine, &public, &secret] {
        bench.blob(name, bytes.clone()).await;
    }
    let bob = bench.token(Some(BOB), &["repository:bob/x:pull,push"]).await;
    for ((name, bytes), want) in [(&mine, 201), (&public, 201), (&secret, 202)] {
        for from in [format!("&from={name}"), String::new()] {
            let digest = sha256(bytes);
            let mount = format!("/v2/bob/x/blobs/uploads/?mount={digest}{from}");
            bench.post(&mount).token(&bob).send().await.expect(want);
            bench.get(&format!("/v2/{name}/blobs/{digest}")).token(&bob).send().await.expect(401);
        }
    }
    // To pull is not to push.
    let pull = bench.token(Some(BOB), &["repository:bob/x:pull"]).await;
    let mount = format!("/v2/bob/x/blobs/uploads/?mount={}&from=a", sha256(&mine.1));
    bench.post(&mount).token(&pull).send().await.expect(401);
}
