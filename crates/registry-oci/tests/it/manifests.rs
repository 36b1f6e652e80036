//! Manifests: pushed, read, checked, tagged, deleted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Method;
use serde_json::{Value, json};

use crate::bench::*;

/// Checklist 2 and 7.
#[tokio::test]
async fn bytes_in_are_bytes_out() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a/b", "x").await;
    // Formatted as no serializer of ours would.
    let bytes = format!(" {}\n\n", serde_json::to_string_pretty(&manifest).unwrap().replace(": ", " :\t"))
        .into_bytes();
    let digest = sha256(&bytes);
    let put =
        bench.put("/v2/a/b/manifests/v1").header("content-type", IMAGE).body(bytes.clone()).send().await;
    put.expect(201);
    assert_eq!(put.location(), format!("/v2/a/b/manifests/{digest}"));
    assert_eq!(put.header("docker-content-digest"), digest);
    for reference in ["v1", &digest] {
        let uri = format!("/v2/a/b/manifests/{reference}");
        let get =
            bench.get(&uri).header("accept-encoding", "gzip").header("accept", "text/plain").send().await;
        get.expect(200);
        assert!(get.body == bytes);
        for answer in [get, bench.head(&uri).send().await] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type"), IMAGE);
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            assert_eq!(answer.header("content-encoding"), "");
        }
        let not_modified = bench.get(&uri).header("if-none-match", format!("\"{digest}\"")).send().await;
        not_modified.expect(304);
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 6.
#[tokio::test]
async fn missing_content_is_named_and_nothing_is_stored() {
    let bench = Bench::new();
    let (old, _) = bench.image("a", "v1", "old").await;
    let mut manifest = bench.image_manifest("a", "new").await;
    let missing = [sha256(b"missing 1"), sha256(b"missing 2")];
    for digest in &missing {
        manifest["layers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"mediaType": "a/b", "digest": digest, "size": 9}));
    }
    let before = bench.stored().await;
    let answer = bench.put("/v2/a/manifests/v1").json(&manifest).send().await;
    answer.refused(404, "MANIFEST_BLOB_UNKNOWN");
    let body = answer.json();
    let named: Vec<&str> =
        body["errors"].as_array().unwrap().iter().map(|e| e["detail"]["digest"].as_str().unwrap()).collect();
    assert_eq!(named, missing);
    assert_eq!(bench.stored().await, before);
    let tag = bench.head("/v2/a/manifests/v1").send().await;
    assert_eq!(tag.header("docker-content-digest"), old);
    // A blob of another repository is missing too.
    let elsewhere = bench.image_manifest("b", "elsewhere").await;
    bench.put("/v2/a/manifests/v2").json(&elsewhere).send().await.refused(404, "MANIFEST_BLOB_UNKNOWN");
}

/// Checklist 28.
#[tokio::test]
async fn large_manifests() {
    let bench = Bench::new();
    let mut manifest = bench.image_manifest("a", "x").await;
    let annotations: serde_json::Map<String, Value> =
        (0..390).map(|n| (format!("org.example.{n}"), Value::from("x".repeat(10_000)))).collect();
    manifest["annotations"] = annotations.into();
    let (digest, bytes) = bench.manifest("a", "big", &manifest).await;
    assert!(bytes.len() > 3_900_000);
    for reference in ["big", &digest] {
        let answer = bench.get(&format!("/v2/a/manifests/{reference}")).send().await;
        assert!(answer.body == bytes);
        assert_eq!(answer.header("content-type"), IMAGE);
        let head = bench.head(&format!("/v2/a/manifests/{reference}")).send().await;
        assert_eq!(head.header("content-length"), bytes.len().to_string());
    }
    // Again: no second copy.
    bench.manifest("a", "big", &manifest).await;
    assert_eq!(bench.data_objects().await, 1);
    assert_eq!(bench.faults().await, Vec::<String>::new());
    let before = bench.stored().await;
    let limit = 4 * 1024 * 1024;
    let uri = "/v2/a/manifests/huge";
    bench.put(uri).body(vec![b' '; limit + 1]).send().await.refused(413, "SIZE_INVALID");
    bench.put(uri).stream(vec![Ok(vec![b' '; limit + 1].into())]).send().await.refused(413, "SIZE_INVALID");
    bench.put(uri).body(vec![b' '; limit]).send().await.refused(400, "MANIFEST_INVALID");
    assert_eq!(bench.stored().await, before);
}

/// Checklist 29.
#[tokio::test]
async fn bad_references_and_digests() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    let before = bench.stored().await;
    let wrong = sha256(b"wrong");
    for (reference, code) in [
        ("sha256:baddigeststring", "DIGEST_INVALID"),
        (wrong.as_str(), "DIGEST_INVALID"),
        (&wrong.to_uppercase(), "DIGEST_INVALID"),
        (".tag", "MANIFEST_INVALID"),
        (&"t".repeat(129), "MANIFEST_INVALID"),
    ] {
        bench.put(&format!("/v2/a/manifests/{reference}")).json(&manifest).send().await.refused(400, code);
    }
    bench.get("/v2/a/manifests/sha256:baddigeststring").send().await.refused(400, "DIGEST_INVALID");
    bench.get(&format!("/v2/a/manifests/{wrong}")).send().await.refused(404, "MANIFEST_UNKNOWN");
    bench.get("/v2/a/manifests/nothing").send().await.refused(404, "MANIFEST_UNKNOWN");
    bench.get("/v2/nothing/manifests/v1").send().await.refused(404, "NAME_UNKNOWN");
    assert_eq!(bench.stored().await, before);
}

/// Checklist 34.
#[tokio::test]
async fn content_type_and_media_type() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    let uri = "/v2/a/manifests/v1";
    let put = |content_type: &str| bench.put(uri).header("content-type", content_type).json(&manifest);
    put("application/vnd.docker.distribution.manifest.v2+json").send().await.refused(400, "MANIFEST_INVALID");
    put(&format!("{IMAGE}; charset=utf-8")).send().await.expect(201);
    assert_eq!(bench.get(uri).send().await.header("content-type"), IMAGE);
    let gzip = bench.put(uri).header("content-encoding", "gzip").json(&manifest).send().await;
    gzip.refused(415, "MANIFEST_INVALID");
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    bench
        .put(uri)
        .header("content-type", signed)
        .json(&json!({}))
        .send()
        .await
        .refused(415, "MANIFEST_INVALID");
}

/// Checklist 33.
#[tokio::test]
async fn unknown_manifests_round_trip() {
    let bench = Bench::new();
    let custom = "application/vnd.example.thing.v7+json";
    let bytes = br#"{"anything": ["goes", {"here": null}], "config": 7}"#;
    bench
        .put("/v2/a/manifests/v1")
        .header("content-type", custom)
        .body(bytes.to_vec())
        .send()
        .await
        .expect(201);
    let answer = bench.get("/v2/a/manifests/v1").send().await;
    assert_eq!((answer.header("content-type"), &answer.body[..]), (custom, &bytes[..]));
    let mut manifest = bench.image_manifest("a", "x").await;
    manifest["org.example.custom"] = json!({"a": [1, 2, 3]});
    manifest["config"]["extra"] = json!("kept");
    let (digest, bytes) = bench.manifest("a", "v2", &manifest).await;
    assert!(bench.get(&format!("/v2/a/manifests/{digest}")).send().await.body == bytes);
}

/// Checklist 32.
#[tokio::test]
async fn indexes() {
    let bench = Bench::new();
    let (image, image_bytes) = bench.image("a", "v1", "x").await;
    let child = json!({"mediaType": IMAGE, "digest": image, "size": image_bytes.len(), "platform": {"os": "linux", "architecture": "amd64"}});
    let index = |children: Value| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
    let (inner, inner_bytes) = bench.manifest("a", "index", &index(json!([child]))).await;
    let nested = json!({"mediaType": INDEX, "digest": inner, "size": inner_bytes.len()});
    bench.manifest("a", "nested", &index(json!([nested]))).await;
    bench.manifest("a", "empty", &index(json!([]))).await;
    let missing = json!({"mediaType": IMAGE, "digest": sha256(b"missing"), "size": 7});
    let bad = index(json!([child, missing]));
    bench.put("/v2/a/manifests/bad").json(&bad).send().await.refused(404, "MANIFEST_BLOB_UNKNOWN");
    // A build cache: an index of layers.
    let layer = bench.blob("a", "a cached layer").await;
    let cache = index(
        json!([{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 14}]),
    );
    bench.manifest("a", "cache", &cache).await;
    let sparse = Bench::configured(json!({"allow_sparse": true}));
    sparse.manifest("a", "sparse", &bad).await;
    assert_eq!(sparse.faults().await, Vec::<String>::new());
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

#[tokio::test]
async fn foreign_layers_may_be_missing() {
    let bench = Bench::new();
    let mut manifest = bench.image_manifest("a", "x").await;
    manifest["layers"] = json!([{
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": sha256(b"far away"), "size": 8, "urls": ["https://layers.example.com/x"]
    }]);
    bench.manifest("a", "v1", &manifest).await;
}

/// Checklist 23.
#[tokio::test]
async fn a_tag_on_a_sha512_manifest_shows_sha512() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = sha512(&bytes);
    let put = bench.put(&format!("/v2/a/manifests/{digest}?tag=big")).json(&manifest).send().await;
    put.expect(201);
    assert_eq!(put.header("docker-content-digest"), digest);
    for reference in ["big", &digest] {
        let answer = bench.get(&format!("/v2/a/manifests/{reference}")).send().await;
        assert_eq!(answer.header("docker-content-digest"), digest);
    }
    bench.delete(&format!("/v2/a/manifests/{digest}")).send().await.expect(202);
    assert!(!bench.has_manifest("a", "big").await);
}

/// Checklist 38.
#[tokio::test]
async fn tag_parameters() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    let digest = sha256(&serde_json::to_vec(&manifest).unwrap());
    let put = |query: &str| bench.put(&format!("/v2/a/manifests/{digest}?{query}")).json(&manifest);
    let before = bench.stored().await;
    put("tag=a&tag=.bad").send().await.refused(400, "MANIFEST_INVALID");
    let many: Vec<String> = (0..51).map(|n| format!("tag=t{n}")).collect();
    put(&many.join("&")).send().await.refused(414, "MANIFEST_INVALID");
    assert_eq!(bench.stored().await, before);
    let ten: Vec<String> = ('a'..='j').map(|tag| format!("tag={tag}")).collect();
    let answer = put(&ten.join("&")).send().await;
    answer.expect(201);
    let tags: Vec<&str> = answer.headers.get_all("oci-tag").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(tags, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    assert_eq!(bench.tags("a").await, tags);
}

/// Checklist 14.
#[tokio::test]
async fn deleting_tags_and_manifests() {
    let bench = Bench::new();
    let (digest, _) = bench.image("a", "v1", "x").await;
    for tag in ["v2", "V3_", &"L".repeat(128)] {
        bench.image("a", tag, "x").await;
    }
    let (other, _) = bench.image("a", "other", "y").await;
    assert_eq!(bench.tags("a").await.len(), 5);
    bench.delete("/v2/a/manifests/v1").send().await.expect(202);
    assert!(!bench.has_manifest("a", "v1").await && bench.has_manifest("a", &digest).await);
    bench.delete("/v2/a/manifests/v1").send().await.refused(404, "MANIFEST_UNKNOWN");
    assert!(!bench.tags("a").await.contains(&"v1".to_owned()));
    let uri = format!("/v2/a/manifests/{digest}");
    bench.delete(&uri).send().await.expect(202);
    bench.delete(&uri).send().await.refused(404, "MANIFEST_UNKNOWN");
    for reference in [&digest, "v2", "V3_", &"L".repeat(128)] {
        bench.get(&format!("/v2/a/manifests/{reference}")).send().await.refused(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(bench.tags("a").await, ["other"]);
    assert!(bench.has_manifest("a", &other).await);
    // Pushed again, only the tag that is pushed comes back.
    bench.image("a", "v2", "x").await;
    assert_eq!(bench.tags("a").await, ["other", "v2"]);
    assert!(bench.has_manifest("a", &digest).await);
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 48.
#[tokio::test]
async fn a_repeated_push_changes_nothing() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    bench.manifest("a", "v1", &manifest).await;
    let before = bench.stored().await;
    bench.manifest("a", "v1", &manifest).await;
    assert_eq!(bench.stored().await, before);
}

/// Checklist 13.
#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_tag_is_never_absent() {
    let bench = Arc::new(Bench::new());
    let manifests = [bench.image_manifest("a", "one").await, bench.image_manifest("a", "two").await];
    bench.manifest("a", "v1", &manifests[0]).await;
    let digests: Vec<String> = manifests.iter().map(|m| sha256(&serde_json::to_vec(m).unwrap())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let (bench, stop, digests) = (Arc::clone(&bench), Arc::clone(&stop), digests.clone());
            tokio::spawn(async move {
                let mut reads = 0;
                while !stop.load(Ordering::Relaxed) || reads == 0 {
                    let answer = bench.get("/v2/a/manifests/v1").send().await;
                    answer.expect(200);
                    assert!(digests.contains(&sha256(&answer.body)));
                    reads += 1;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 0..20 {
        bench.manifest("a", "v1", &manifests[n % 2]).await;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn immutable_tags() {
    let bench = Bench::configured(json!({"immutable_tags": ["v*"]}));
    let (digest, _) = bench.image("a", "v1", "x").await;
    bench.image("a", "v1", "x").await;
    bench.image("a", "latest", "x").await;
    let other = bench.image_manifest("a", "y").await;
    let before = bench.stored().await;
    bench.put("/v2/a/manifests/v1").json(&other).send().await.refused(403, "DENIED");
    assert_eq!(bench.stored().await, before);
    bench.manifest("a", "latest", &other).await;
    assert_eq!(bench.head("/v2/a/manifests/v1").send().await.header("docker-content-digest"), digest);
}

/// Concurrent signers can see that somebody was faster.
#[tokio::test]
async fn if_match_guards_a_tag() {
    let bench = Bench::new();
    let (first, _) = bench.image("a", "v1", "x").await;
    let other = bench.image_manifest("a", "y").await;
    let put = |wanted: &str| {
        bench.put("/v2/a/manifests/v1").header("if-match", format!("\"{wanted}\"")).json(&other)
    };
    let before = bench.stored().await;
    put(&sha256(b"else")).send().await.refused(412, "DENIED");
    assert_eq!(bench.stored().await, before);
    put(&first).send().await.expect(201);
    put(&first).send().await.refused(412, "DENIED");
}

#[tokio::test]
async fn methods_that_are_not_there() {
    let bench = Bench::new();
    let answer = bench.call(Method::POST, "/v2/a/manifests/v1").token(ALL).send().await;
    answer.refused(405, "UNSUPPORTED");
    assert_eq!(answer.header("allow"), "GET, HEAD, PUT, DELETE");
}
