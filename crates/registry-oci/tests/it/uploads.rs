//! Uploads: chunks, resumption, other nodes, refusals.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;

use crate::bench::*;

/// Checklist 3.
#[tokio::test]
async fn post_patch_put() {
    let bench = Bench::new();
    let bytes = noise(1000, 1);
    let opened = bench.post("/v2/a/blobs/uploads/").header("content-type", "application/json").send().await;
    opened.expect(202);
    let location = opened.location();
    let id = opened.header("docker-upload-uuid");
    assert_eq!(location, format!("/v2/a/blobs/uploads/{id}"));
    assert_eq!(opened.header("range"), "0-0");
    assert_eq!(opened.header("content-length"), "0");
    let patched = bench.patch(&location).body(bytes.clone()).send().await;
    patched.expect(202);
    assert_eq!(patched.header("range"), "0-999");
    assert_eq!(patched.location(), location);
    assert_eq!(patched.header("docker-upload-uuid"), id);
    let digest = sha256(&bytes);
    let put = bench.put(&with_digest(&location, &digest)).send().await;
    put.expect(201);
    assert_eq!(put.location(), format!("/v2/a/blobs/{digest}"));
    assert_eq!(put.header("docker-content-digest"), digest);
    assert!(bench.get(&put.location()).send().await.body == bytes);
    bench.get(&location).send().await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    bench.patch(&location).body("x").send().await.refused(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Checklist 4.
#[tokio::test]
async fn one_request() {
    let bench = Bench::new();
    for bytes in [noise(0, 0), noise(10, 1), noise(70_000, 2), noise(2 << 20, 3)] {
        for digest in [sha256(&bytes), sha512(&bytes)] {
            let uri = format!("/v2/a/blobs/uploads/?digest={}", digest.replace(':', "%3A"));
            let answer = bench.post(&uri).body(bytes.clone()).send().await;
            answer.expect(201);
            assert_eq!(answer.location(), format!("/v2/a/blobs/{digest}"));
            assert!(bench.get(&answer.location()).send().await.body == bytes);
        }
    }
    assert!(bench.stored().await.keys().all(|key| !key.contains("_uploads")));
}

/// The durable writes that docs/oci.md promises.
#[tokio::test]
async fn durable_writes_are_counted() {
    let bench = Bench::new();
    bench.session("a").await;
    assert_eq!(bench.stored().await.len(), 0, "a session is not written before it holds bytes");
    bench.blob("a", "small").await;
    assert_eq!(bench.stored().await.len(), 1, "a small blob is its link");
    bench.blob("a", noise(70_000, 1)).await;
    assert_eq!(bench.stored().await.len(), 4, "a large blob is data, descriptor and link");
    bench.image("b", "v1", "x").await;
    assert_eq!(bench.stored().await.len(), 8, "a small image is two links, a record and a tag");
}

/// Checklist 5.
#[tokio::test]
async fn a_wrong_digest_is_refused_and_leaves_nothing() {
    for bytes in [noise(10, 1), noise(300_000, 2)] {
        let bench = Bench::new();
        let (right, wrong) = (sha256(&bytes), sha256(b"other"));
        let location = bench.session("a").await;
        let put = bench.put(&with_digest(&location, &wrong)).body(bytes.clone());
        put.send().await.refused(400, "DIGEST_INVALID");
        let uri = format!("/v2/a/blobs/uploads/?digest={wrong}");
        bench.post(&uri).body(bytes.clone()).send().await.refused(400, "DIGEST_INVALID");
        assert!(bench.stored().await.is_empty());
        assert!(!bench.has_blob("a", &right).await && !bench.has_blob("a", &wrong).await);

        let patched = bench.session("a").await;
        bench.patch(&patched).body(bytes.clone()).send().await.expect(202);
        let before = bench.stored().await;
        for more in [noise(0, 0), noise(4, 4), noise(300_000, 5)] {
            let put = bench.put(&with_digest(&patched, &wrong)).body(more);
            put.send().await.refused(400, "DIGEST_INVALID");
            assert_eq!(bench.stored().await, before);
        }
        // Both sessions live on.
        bench.put(&with_digest(&patched, &right)).send().await.expect(201);
        bench.put(&with_digest(&location, &right)).body(bytes.clone()).send().await.expect(201);
    }
}

/// Clients put the digest where they like, encoded or not, and bring parameters of their own.
#[tokio::test]
async fn the_digest_may_stand_anywhere_in_the_query() {
    let bench = Bench::new();
    let digest = sha256(b"x");
    let encoded = digest.replace(':', "%3A");
    for query in [
        format!("digest={digest}"),
        format!("digest={encoded}&_state=abc"),
        format!("_state=a%20b&digest={digest}&x"),
        format!("a=1&b=2&digest={encoded}"),
    ] {
        let location = bench.session("a").await;
        let put = bench.put(&format!("{location}?{query}")).body("x").send().await;
        put.expect(201);
        assert_eq!(put.location(), format!("/v2/a/blobs/{digest}"));
    }
}

#[tokio::test]
async fn a_missing_or_bad_digest_is_refused() {
    let bench = Bench::new();
    let location = bench.session("a").await;
    bench.put(&location).body("x").send().await.refused(400, "DIGEST_INVALID");
    for bad in ["sha256:bad", "", "latest", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        bench.put(&with_digest(&location, bad)).body("x").send().await.refused(400, "DIGEST_INVALID");
        bench
            .post(&format!("/v2/a/blobs/uploads/?digest={bad}"))
            .body("x")
            .send()
            .await
            .refused(400, "DIGEST_INVALID");
    }
    bench.post("/v2/a/blobs/uploads/?digest-algorithm=md5").send().await.refused(400, "DIGEST_INVALID");
    assert!(bench.stored().await.is_empty());
}

/// Checklist 18.
#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_session_lives() {
    let bench = Bench::new();
    let bytes = noise(300, 1);
    let location = bench.session("a").await;
    let chunk = |from: usize, to: usize| {
        bench
            .patch(&location)
            .header("content-range", format!("{from}-{}", to - 1))
            .body(bytes.slice(from..to))
    };
    let refused = |answer: &Answer, range: &str| {
        answer.refused(416, "RANGE_INVALID");
        assert_eq!(answer.header("range"), range);
        assert_eq!(answer.location(), location);
    };
    refused(&chunk(100, 200).send().await, "0-0");
    chunk(0, 100).send().await.expect(202);
    refused(&chunk(0, 100).send().await, "0-99");
    refused(&chunk(200, 300).send().await, "0-99");
    let lies =
        bench.patch(&location).header("content-range", "100-150").body(bytes.slice(100..200)).send().await;
    refused(&lies, "0-99");
    let backwards =
        bench.patch(&location).header("content-range", "100-50").body(bytes.slice(100..200)).send().await;
    refused(&backwards, "0-99");
    let garbage = bench.patch(&location).header("content-range", "a-b").body("x").send().await;
    garbage.refused(400, "BLOB_UPLOAD_INVALID");
    // What the suite asks next, with the digest still in the URL.
    let put = with_digest(&location, &sha256(&bytes));
    let wrong = bench.put(&put).header("content-range", "200-299").body(bytes.slice(200..300)).send().await;
    refused(&wrong, "0-99");
    let status = bench.get(&put).send().await;
    status.expect(204);
    assert_eq!((status.header("range"), status.location()), ("0-99", location.clone()));
    chunk(100, 200).send().await.expect(202);
    bench.put(&put).header("content-range", "200-299").body(bytes.slice(200..300)).send().await.expect(201);
    assert!(bench.has_blob("a", &sha256(&bytes)).await);
}

/// Checklist 19.
#[tokio::test]
async fn a_fresh_session_stands_at_zero() {
    let bench = Bench::new();
    let location = bench.session("a").await;
    for method in [Method::GET, Method::HEAD] {
        let answer = bench.call(method, &location).token(ALL).send().await;
        answer.expect(204);
        assert_eq!(answer.header("range"), "0-0");
        assert!(!answer.header("docker-upload-uuid").is_empty());
    }
}

/// Checklist 20.
#[tokio::test]
async fn tiny_chunks() {
    let bench = Bench::new();
    for (size, count) in [(1, 2000), (1024, 700)] {
        let bytes = noise(size * count, 3);
        let location = bench.session("a").await;
        for chunk in bytes.chunks(size) {
            bench.patch(&location).body(Bytes::copy_from_slice(chunk)).send().await.expect(202);
        }
        let put = bench.put(&with_digest(&location, &sha256(&bytes))).send().await;
        put.expect(201);
        assert!(bench.get(&put.location()).send().await.body == bytes);
    }
    // Two parts of 256 KiB and the rest, not 700 objects.
    assert!(bench.data_objects().await <= 3);
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 21.
#[tokio::test]
async fn another_node_continues() {
    let bench = Bench::new();
    let (second, third) = (bench.another(), bench.another());
    for size in [3000, 900_000] {
        let bytes = noise(size, 4);
        let location = bench.session("a").await;
        bench.patch(&location).body(bytes.slice(..size / 3)).send_to(&second).await.expect(202);
        let status = bench.get(&location).send_to(&third).await;
        assert_eq!(status.header("range"), format!("0-{}", size / 3 - 1));
        bench.patch(&location).body(bytes.slice(size / 3..size / 2)).send_to(&third).await.expect(202);
        let put = bench.put(&with_digest(&location, &sha256(&bytes))).body(bytes.slice(size / 2..));
        let put = put.send_to(&second).await;
        put.expect(201);
        assert!(bench.get(&put.location()).send_to(&third).await.body == bytes);
        bench.get(&location).send_to(&third).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

/// Checklist 22: a connection that breaks keeps what came.
#[tokio::test]
async fn a_broken_chunk_keeps_what_came() {
    let bench = Bench::new();
    for size in [1000, 800_000] {
        let bytes = noise(size, 5);
        let location = bench.session("a").await;
        let half = size / 2;
        let pieces = vec![Ok(bytes.slice(..half)), Err(io::Error::other("reset"))];
        bench.patch(&location).stream(pieces).send().await.refused(400, "BLOB_UPLOAD_INVALID");
        let status = bench.get(&location).send().await;
        assert_eq!(status.header("range"), format!("0-{}", half - 1));
        bench.patch(&location).body(bytes.slice(half..)).send().await.expect(202);
        bench.put(&with_digest(&location, &sha256(&bytes))).send().await.expect(201);
        // A broken last request changes nothing.
        let location = bench.session("a").await;
        let pieces = vec![Ok(bytes.slice(..half)), Err(io::Error::other("reset"))];
        let before = bench.stored().await;
        let digest = sha256(&bytes);
        bench
            .put(&with_digest(&location, &digest))
            .stream(pieces)
            .send()
            .await
            .refused(400, "BLOB_UPLOAD_INVALID");
        assert_eq!(bench.stored().await, before);
    }
}

/// Checklist 23.
#[tokio::test]
async fn sha512_by_every_route() {
    let bench = Bench::new();
    for (n, size) in [10, 100_000].into_iter().enumerate() {
        let bytes = noise(size, 6 + n as u64);
        let digest = sha512(&bytes);
        let uri = format!("/v2/a/blobs/{digest}");
        for hint in ["", "?digest-algorithm=sha512"] {
            for chunked in [false, true] {
                let opened = bench.post(&format!("/v2/a/blobs/uploads/{hint}")).send().await;
                opened.expect(202);
                let put = bench.put(&with_digest(&opened.location(), &digest));
                if chunked {
                    bench.patch(&opened.location()).body(bytes.slice(..size / 2)).send().await.expect(202);
                    put.body(bytes.slice(size / 2..)).send().await.expect(201);
                } else {
                    put.body(bytes.clone()).send().await.expect(201);
                }
                let answer = bench.get(&uri).send().await;
                assert!(answer.body == bytes);
                assert_eq!(answer.header("docker-content-digest"), digest);
                bench.delete(&uri).send().await.expect(202);
            }
        }
        // A hint binds nobody.
        let opened = bench.post("/v2/a/blobs/uploads/?digest-algorithm=sha512").send().await;
        bench.patch(&opened.location()).body(bytes.clone()).send().await.expect(202);
        bench.put(&with_digest(&opened.location(), &sha256(&bytes))).send().await.expect(201);
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 24.
#[tokio::test]
async fn the_empty_blob_by_every_route() {
    let bench = Bench::new();
    let digest = sha256(b"");
    let uri = format!("/v2/a/blobs/{digest}");
    let gone = || async {
        bench.delete(&uri).send().await.expect(202);
        assert!(!bench.has_blob("a", &digest).await);
    };
    let location = bench.session("a").await;
    bench.put(&with_digest(&location, &digest)).send().await.expect(201);
    gone().await;
    bench.post(&format!("/v2/a/blobs/uploads/?digest={digest}")).send().await.expect(201);
    gone().await;
    let location = bench.session("a").await;
    let patched = bench.patch(&location).stream(vec![]).send().await;
    patched.expect(202);
    assert_eq!(patched.header("range"), "0-0");
    bench.put(&with_digest(&location, &digest)).header("content-length", "0").send().await.expect(201);
    let answer = bench.get(&uri).send().await;
    answer.expect(200);
    assert_eq!(answer.header("content-length"), "0");
}

/// Checklist 39.
#[tokio::test]
async fn a_cancelled_session_is_gone_with_its_parts() {
    let bench = Bench::new();
    let scope = ["repository:a:pull,push"];
    let push = bench.token(Some(ALL), &scope).await;
    let opened = bench.post("/v2/a/blobs/uploads/").token(&push).send().await;
    let location = opened.location();
    bench.patch(&location).token(&push).body(noise(600_000, 1)).send().await.expect(202);
    assert_eq!(bench.data_objects().await, 1);
    bench.delete(&location).token(&push).send().await.expect(204);
    assert_eq!(bench.data_objects().await, 0);
    for answer in [
        bench.delete(&location).token(&push).send().await,
        bench.patch(&location).token(&push).body("x").send().await,
        bench.get(&location).token(&push).send().await,
        bench.put(&with_digest(&location, &sha256(b"x"))).token(&push).body("x").send().await,
    ] {
        answer.refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    // One that nothing was sent to can be cancelled, too.
    let fresh = bench.session("a").await;
    bench.delete(&fresh).send().await.expect(204);
    bench.get(&fresh).send_to(&bench.another()).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Checklist 48.
#[tokio::test]
async fn a_repeated_last_request_succeeds() {
    let bench = Bench::new();
    for size in [100, 400_000] {
        let bytes = noise(size, size as u64);
        let digest = sha256(&bytes);
        let location = bench.session("a").await;
        bench.patch(&location).body(bytes.clone()).send().await.expect(202);
        let put = with_digest(&location, &digest);
        bench.put(&put).send().await.expect(201);
        let before = bench.stored().await;
        bench.put(&put).send().await.expect(201);
        bench.put(&put).send_to(&bench.another()).await.expect(201);
        assert_eq!(bench.stored().await, before);
        bench.put(&with_digest(&location, &sha256(b"x"))).send().await.refused(404, "BLOB_UPLOAD_UNKNOWN");
        let whole = bench.session("a").await;
        let put = with_digest(&whole, &digest);
        bench.put(&put).body(bytes.clone()).send().await.expect(201);
        bench.put(&put).send().await.expect(201);
    }
}

/// Checklist 59.
#[tokio::test]
async fn a_session_is_of_one_repository_and_principal() {
    let bench = Bench::new();
    let location = bench.session("bob/x").await;
    bench.patch(&location).body("hello").send().await.expect(202);
    let elsewhere = location.replace("bob/x", "bob/y");
    for answer in [
        bench.get(&elsewhere).send().await,
        bench.patch(&elsewhere).body("x").send().await,
        bench.get(&location).token(BOB).send().await,
        bench.delete(&location).token(BOB).send().await,
        bench.get("/v2/bob/x/blobs/uploads/nonsense").send().await,
    ] {
        answer.refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(bench.get(&location).send().await.header("range"), "0-4");
}

/// Of two chunks for one place one wins.
#[tokio::test(flavor = "multi_thread")]
async fn two_chunks_at_once_have_one_winner() {
    let bench = Arc::new(Bench::new());
    for size in [100usize, 400_000] {
        let location = bench.session("a").await;
        let tasks: Vec<_> = (0..8u64)
            .map(|n| {
                let (bench, location) = (Arc::clone(&bench), location.clone());
                tokio::spawn(async move {
                    let range = format!("0-{}", size - 1);
                    let patch = bench.patch(&location).header("content-range", range).body(noise(size, n));
                    (n, patch.send().await)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            let (n, answer) = task.await.unwrap();
            if answer.status == 202 {
                winners.push(n);
            } else {
                answer.refused(416, "RANGE_INVALID");
                assert_eq!(answer.header("range"), format!("0-{}", size - 1));
            }
        }
        assert_eq!(winners.len(), 1);
        let digest = sha256(&noise(size, winners[0]));
        bench.put(&with_digest(&location, &digest)).send().await.expect(201);
    }
    assert_eq!(bench.data_objects().await, 1);
}

#[tokio::test]
async fn a_session_expires() {
    let bench = Bench::new();
    let fresh = bench.session("a").await;
    let used = bench.session("a").await;
    bench.patch(&used).body("x").send().await.expect(202);
    bench.clock.advance(Duration::from_hours(23));
    bench.patch(&used).body("y").send().await.expect(202);
    bench.clock.advance(Duration::from_hours(2));
    bench.get(&fresh).send().await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    bench.get(&used).send().await.expect(204);
    bench.clock.advance(Duration::from_hours(23));
    bench.get(&used).send().await.refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn blobs_have_a_limit_where_one_is_set() {
    let bench = Bench::configured(serde_json::json!({"max_blob_bytes": 1000, "min_chunk_bytes": 10}));
    let opened = bench.post("/v2/a/blobs/uploads/").send().await;
    assert_eq!(opened.header("oci-chunk-min-length"), "10");
    let bytes = noise(1001, 1);
    let put = with_digest(&opened.location(), &sha256(&bytes));
    bench.put(&put).body(bytes.clone()).send().await.refused(413, "SIZE_INVALID");
    bench.put(&put).stream(vec![Ok(bytes.clone())]).send().await.refused(413, "SIZE_INVALID");
    bench.patch(&opened.location()).body(bytes.slice(..600)).send().await.expect(202);
    bench.patch(&opened.location()).body(bytes.slice(600..)).send().await.refused(413, "SIZE_INVALID");
    bench.patch(&opened.location()).body(bytes.slice(600..1000)).send().await.expect(202);
    bench.put(&with_digest(&opened.location(), &sha256(&bytes[..1000]))).send().await.expect(201);
}

/// Checklist 62.
#[tokio::test]
async fn the_base_path_of_the_request_is_carried() {
    let bench = Bench::new();
    let opened = bench.post("/oci/a/blobs/uploads/").send().await;
    assert!(opened.location().starts_with("/oci/a/blobs/uploads/"));
    let put = bench.put(&with_digest(&opened.location(), &sha256(b"x"))).body("x").send().await;
    assert_eq!(put.location(), format!("/oci/a/blobs/{}", sha256(b"x")));
    let denied = bench.call(Method::GET, "/oci/").send().await;
    assert!(denied.header("www-authenticate").contains("realm=\"http://registry.example.com/oci/token\""));
    for tag in ["a", "b"] {
        bench.image("a", tag, "x").await;
    }
    let list = bench.get("/oci/a/tags/list?n=1").send().await;
    assert_eq!(list.header("link"), "</oci/a/tags/list?n=1&last=a>; rel=\"next\"");
    let list = bench.get("/v2/a/tags/list?n=1").send().await;
    assert_eq!(list.header("link"), "</v2/a/tags/list?n=1&last=a>; rel=\"next\"");
    let absolute = Bench::configured(serde_json::json!({"absolute_location": true}));
    assert!(absolute.session("a").await.starts_with("http://registry.example.com/v2/a/blobs/uploads/"));
}
