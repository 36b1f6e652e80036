//! Blobs read from the bucket directly.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use registry_core::{
    hooks::{Denied, HookEvent, Hooks, StorageHooks},
    storage::{PresignRequest, PresignedUrl, Presigner, StorageError, StorageOptions},
};
use serde_json::{Value, json};

use crate::bench::*;

const BUCKET: &str = "https://bucket.example.com/";

/// Signs for a bucket that is not there.
#[derive(Debug, Default)]
struct Signer {
    broken: AtomicBool,
}

#[async_trait]
impl Presigner for Signer {
    async fn presign(&self, object: &PresignRequest<'_>) -> Result<PresignedUrl, StorageError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StorageError::Setup("no credentials".to_owned()));
        }
        let (key, valid) = (object.key, object.valid.as_secs());
        Ok(PresignedUrl::new(format!("{BUCKET}{key}?type={}&for={valid}&sig=secret", object.content_type)))
    }
}

fn bench(config: Value) -> (Bench, Arc<Signer>) {
    let signer = Arc::new(Signer::default());
    let mut options = StorageOptions::default();
    options.presigner = Some(Arc::<Signer>::clone(&signer));
    (Bench::with(serde_json::from_value(config).unwrap(), options), signer)
}

#[track_caller]
fn redirects(answer: &Answer, digest: &str, key: &str) {
    assert_eq!((answer.status.as_u16(), answer.body.len()), (307, 0));
    let signed = format!("{BUCKET}{key}?type=application/octet-stream&for=900&sig=secret");
    assert_eq!(answer.header("location"), signed);
    assert!(answer.headers["location"].is_sensitive() && !format!("{answer:?}").contains("secret"));
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(answer.header("content-length"), "0");
    // The address ends; a cache must not give it out afterwards.
    assert_eq!(answer.header("cache-control"), "no-store");
    for absent in ["content-encoding", "content-type", "etag"] {
        assert!(!answer.headers.contains_key(absent), "{absent}");
    }
}

/// Checklist 52.
#[tokio::test]
async fn a_get_of_a_large_blob_is_redirected_and_a_head_is_not() {
    let (bench, _) = bench(json!({"redirect": true}));
    let bytes = noise(100_000, 1);
    let digest = bench.blob("a", bytes.clone()).await;
    let key = bench.stored().await.into_keys().find(|key| key.contains('~')).unwrap();
    let uri = format!("/v2/a/blobs/{digest}");
    redirects(&bench.get(&uri).header("accept-encoding", "zstd, gzip").send().await, &digest, &key);
    redirects(&bench.get(&uri).header("range", "bytes=500-1499").send().await, &digest, &key);
    let head = bench.head(&uri).send().await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "100000"));
    assert!(!head.headers.contains_key("location") && !head.headers.contains_key("content-encoding"));
    // What the bucket would answer otherwise than we do is answered here.
    let not_modified = bench.get(&uri).header("if-none-match", format!("\"{digest}\"")).send().await;
    not_modified.expect(304);
    bench.get(&uri).header("if-match", "\"x\"").send().await.expect(412);
    bench.get(&uri).header("range", "bytes=100000-").send().await.refused(416, "RANGE_INVALID");
    let several = bench.get(&uri).header("range", "bytes=0-9,20-29").send().await;
    several.expect(206);
    assert!(several.body.windows(10).any(|window| window == &bytes[20..30]));
    // Who may not read is not told where to.
    bench.call(http::Method::GET, &uri).send().await.refused(401, "UNAUTHORIZED");
    bench.get(&format!("/v2/b/blobs/{digest}")).send().await.refused(404, "BLOB_UNKNOWN");
    bench.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).send().await.expect(201);
    redirects(&bench.get(&format!("/v2/b/blobs/{digest}")).send().await, &digest, &key);
}

/// Checklist 52.
#[tokio::test]
async fn without_the_setting_blobs_are_streamed() {
    let (bench, _) = bench(json!({}));
    let bytes = noise(100_000, 1);
    let digest = bench.blob("a", bytes.clone()).await;
    let answer = bench.get(&format!("/v2/a/blobs/{digest}")).header("accept-encoding", "gzip").send().await;
    answer.expect(200);
    assert!(answer.body == bytes && !answer.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn what_lies_in_no_object_of_its_own_is_streamed() {
    let (bench, _) = bench(json!({"redirect": true}));
    let small = noise(1000, 1);
    let empty = noise(0, 2);
    for bytes in [small, empty] {
        let digest = bench.blob("a", bytes.clone()).await;
        let answer = bench.get(&format!("/v2/a/blobs/{digest}")).send().await;
        answer.expect(200);
        assert!(answer.body == bytes);
    }
    let bytes = noise(700_000, 3);
    let location = bench.session("a").await;
    for range in [0..300_000, 300_000..700_000] {
        bench.patch(&location).body(bytes.slice(range)).send().await.expect(202);
    }
    let put = bench.put(&with_digest(&location, &sha256(&bytes))).send().await;
    put.expect(201);
    assert_eq!(bench.data_objects().await, 2);
    let answer = bench.get(&put.location()).send().await;
    answer.expect(200);
    assert!(answer.body == bytes);
}

/// What docker sends in one PATCH is one object.
#[tokio::test]
async fn a_blob_streamed_in_one_chunk_is_redirected() {
    let (bench, _) = bench(json!({"redirect": true}));
    let bytes = noise(700_000, 3);
    let location = bench.session("a").await;
    bench.patch(&location).stream(vec![Ok(bytes.clone())]).send().await.expect(202);
    let put = bench.put(&with_digest(&location, &sha256(&bytes))).send().await;
    put.expect(201);
    assert_eq!(bench.get(&put.location()).send().await.status, 307);
}

#[tokio::test]
async fn where_no_address_can_be_signed_the_blob_is_streamed() {
    let (signing, signer) = bench(json!({"redirect": true}));
    signer.broken.store(true, Ordering::Relaxed);
    // Memory has no addresses at all.
    let plain = Bench::configured(json!({"redirect": true}));
    for bench in [signing, plain] {
        registry_core::PackageRegistry::init(&bench.registry).await.unwrap();
        let bytes = noise(100_000, 1);
        let digest = bench.blob("a", bytes.clone()).await;
        let answer = bench.get(&format!("/v2/a/blobs/{digest}")).send().await;
        answer.expect(200);
        assert!(answer.body == bytes);
    }
}

#[tokio::test]
async fn an_address_holds_as_long_as_it_may() {
    for (seconds, want) in [(0, 60), (300, 300), (30 * 24 * 3600, 7 * 24 * 3600)] {
        let (bench, _) = bench(json!({"redirect": true, "redirect_valid_seconds": seconds}));
        let digest = bench.blob("a", noise(100_000, 1)).await;
        let answer = bench.get(&format!("/v2/a/blobs/{digest}")).send().await;
        assert!(answer.header("location").contains(&format!("&for={want}&")), "{want}");
    }
}

/// Refuses every read, and counts the reads that ended.
#[derive(Debug, Default)]
struct Reads {
    refuse: AtomicBool,
    ended: parking_lot::Mutex<Vec<u64>>,
}

#[async_trait]
impl StorageHooks for Reads {
    async fn before_get(&self, _: &HookEvent) -> Result<(), Denied> {
        if self.refuse.load(Ordering::Relaxed) { Err(Denied::new("not today")) } else { Ok(()) }
    }

    async fn after_get(&self, event: &HookEvent) {
        self.ended.lock().extend(event.size);
    }
}

#[tokio::test]
async fn hooks_are_asked_before_an_address_is_given() {
    let reads = Arc::new(Reads::default());
    let mut options = StorageOptions::default();
    options.presigner = Some(Arc::new(Signer::default()));
    options.hooks = Hooks::new(vec![Arc::<Reads>::clone(&reads)]);
    let bench = Bench::with(serde_json::from_value(json!({"redirect": true})).unwrap(), options);
    let digest = bench.blob("a", noise(100_000, 1)).await;
    let uri = format!("/v2/a/blobs/{digest}");
    assert_eq!(bench.get(&uri).send().await.status, 307);
    assert_eq!(*reads.ended.lock(), [100_000]);
    reads.refuse.store(true, Ordering::Relaxed);
    bench.get(&uri).send().await.refused(403, "DENIED");
    assert_eq!(*reads.ended.lock(), [100_000]);
}

/// Data is not removed while an address for it may hold.
#[tokio::test]
async fn a_deleted_blob_stays_readable_at_an_address_for_a_while() {
    let (bench, _) = bench(json!({"redirect": true}));
    let digest = bench.blob("a", noise(100_000, 1)).await;
    let uri = format!("/v2/a/blobs/{digest}");
    assert_eq!(bench.get(&uri).send().await.status, 307);
    bench.delete(&uri).send().await.expect(202);
    bench.gc(Duration::ZERO, false).await;
    bench.clock.advance(Duration::from_mins(15));
    bench.gc(Duration::ZERO, false).await;
    assert_eq!(bench.data_objects().await, 1);
    bench.get(&uri).send().await.refused(404, "BLOB_UNKNOWN");
}
