//! Artefacts: streamed while they are stored, and kept only when they are right.

use super::*;
use crate::testing::Canned;

#[tokio::test]
async fn an_artifact_is_fetched_once_and_kept() {
    let fake = FakeUpstream::start().await;
    let bytes = content(3 << 20);
    fake.serve("/file", Canned::ok(bytes.clone()).header("content-type", "application/gzip"));
    let bench = Bench::new(vec![config(&fake)]);
    let first = found(bench.artifact("file", sha256(&bytes)).await);
    assert_eq!((first.size(), first.provenance().state), (Some(3 << 20), CacheState::Miss));
    assert!(read(&first).await.unwrap() == bytes);
    let keys = bench.keys().await;
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("npm/_cache/up/anon/files/file/_artifact")), "{keys:?}");
    fake.stop().await;
    let second = found(bench.artifact("file", sha256(&bytes)).await);
    assert_eq!((second.provenance().state, second.media_type()), (CacheState::Hit, Some("application/gzip")));
    assert!(read(&second).await.unwrap() == bytes);
    assert_eq!(fake.total(), 1);
    assert_eq!(fake.seen()[0].header("accept-encoding"), "identity");
}

#[tokio::test]
async fn checklist_6_many_wait_for_one_fetch_and_the_first_may_leave() {
    let fake = FakeUpstream::start().await;
    let bytes = content(2 << 20);
    fake.serve("/file", Canned::ok(bytes.clone()).drip(128 << 10, Duration::from_millis(5)));
    let bench = Bench::new(vec![config(&fake)]);
    let first = found(bench.artifact("file", sha256(&bytes)).await);
    let mut body = first.open(None).await.unwrap();
    body.frame().await.unwrap().unwrap();
    drop((first, body));
    let all = (0..100).map(|_| async {
        let artifact = found(bench.artifact("file", sha256(&bytes)).await);
        read(&artifact).await.unwrap()
    });
    for body in futures_util::future::join_all(all).await {
        assert!(body == bytes);
    }
    assert_eq!(fake.total(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_when_everybody_leaves() {
    let fake = FakeUpstream::start().await;
    let bytes = content(1 << 20);
    fake.serve("/file", Canned::ok(bytes.clone()).drip(128 << 10, Duration::from_millis(5)));
    let bench = Bench::new(vec![config(&fake)]);
    drop(found(bench.artifact("file", sha256(&bytes)).await));
    assert_eq!(bench.keys().await.len(), 2);
    assert_eq!(found(bench.artifact("file", sha256(&bytes)).await).provenance().state, CacheState::Hit);
}

#[tokio::test]
async fn checklist_1_wrong_bytes_have_no_clean_end_and_are_not_kept() {
    let fake = FakeUpstream::start().await;
    let bytes = content(300_000);
    let mut wrong = bytes.clone();
    wrong[150_000] ^= 1;
    for bad in
        [Canned::ok(wrong.clone()), Canned::ok(wrong).chunked(), Canned::ok(content(200_000)).chunked()]
    {
        fake.serve_each("/file", [bad, Canned::ok(bytes.clone())]);
        let bench = Bench::new(vec![config(&fake)]);
        let artifact = found(bench.artifact("file", sha256(&bytes)).await);
        let error = read(&artifact).await.unwrap_err();
        assert!(error.contains("metadata promises (sha256)"), "{error}");
        assert_eq!(bench.keys().await.len(), 0);
        let artifact = found(bench.artifact("file", sha256(&bytes)).await);
        assert!(read(&artifact).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn checklist_2_what_breaks_off_is_continued_or_leaves_nothing() {
    let fake = FakeUpstream::start().await;
    let bytes = content(400_000);
    let whole = || Canned::ok(bytes.clone()).etag("\"e\"").ranges();
    for (name, answers, right) in [
        ("resumed", vec![whole().cut_after(150_000), whole()], true),
        ("no validator", vec![Canned::ok(bytes.clone()).ranges().cut_after(150_000), whole()], false),
        ("no ranges", vec![whole().cut_after(150_000), Canned::ok(bytes.clone())], false),
        ("changed", vec![whole().cut_after(150_000), Canned::status(500)], false),
        ("longer than announced", vec![Canned::ok(bytes.clone()).announcing(500_000)], false),
        ("cut chunks", vec![Canned::ok(bytes.clone()).chunked().cut_after(150_000)], false),
    ] {
        fake.serve_each("/file", answers);
        let mut config = config(&fake);
        config.retries = 0;
        let bench = Bench::new(vec![config]);
        let artifact = found(bench.artifact("file", sha256(&bytes)).await);
        let body = read(&artifact).await;
        assert_eq!(body.is_ok(), right, "{name}");
        if right {
            assert!(body.unwrap() == bytes, "{name}");
        }
        assert_eq!(bench.keys().await.len(), if right { 2 } else { 0 }, "{name}");
    }
    let resumed = fake.seen().into_iter().find(|seen| !seen.header("range").is_empty()).unwrap();
    assert_eq!((resumed.header("range"), resumed.header("if-range")), ("bytes=150000-", "\"e\""));
}

#[tokio::test]
async fn checklist_31_other_bytes_for_what_is_kept_are_an_alarm() {
    let fake = FakeUpstream::start().await;
    let (old, new) = (content(1000), content(1001));
    fake.serve("/file", Canned::ok(old.clone()));
    let bench = Bench::new(vec![config(&fake)]);
    read(&found(bench.artifact("file", sha256(&old)).await)).await.unwrap();
    bench.keys().await;
    fake.serve("/file", Canned::ok(new.clone()));
    assert_eq!(failed(bench.artifact("file", sha256(&new)).await), FailureKind::Integrity("sha256"));
    let kept = found(bench.artifact("file", sha256(&old)).await);
    assert!(read(&kept).await.unwrap() == old);
}

#[tokio::test]
async fn what_has_no_length_and_no_digest_is_passed_on_and_not_kept() {
    let fake = FakeUpstream::start().await;
    let bytes = content(1000);
    fake.serve("/file", Canned::ok(bytes.clone()).undelimited());
    let bench = Bench::new(vec![config(&fake)]);
    let artifact = found(bench.artifact("file", Expected::default()).await);
    assert_eq!(artifact.size(), None);
    assert!(read(&artifact).await.unwrap() == bytes);
    assert_eq!(bench.keys().await.len(), 0);
    fake.serve("/other", Canned::ok(bytes.clone()).undelimited());
    let artifact = found(bench.artifact("other", sha256(&bytes)).await);
    assert!(read(&artifact).await.unwrap() == bytes);
    assert_eq!(bench.keys().await.len(), 2);
}

#[tokio::test]
async fn checklist_32_a_range_of_what_is_on_its_way() {
    let fake = FakeUpstream::start().await;
    let bytes = content(1 << 20);
    fake.serve("/file", Canned::ok(bytes.clone()).drip(256 << 10, Duration::from_millis(10)));
    let bench = Bench::new(vec![config(&fake)]);
    let artifact = found(bench.artifact("file", sha256(&bytes)).await);
    let request = http::Request::get("/").header("range", "bytes=500000-500999").body(()).unwrap();
    let head = ArtifactHead { content_type: None, etag: None, headers: http::HeaderMap::new() };
    let response = artifact.respond(&request.into_parts().0, head).await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(response.headers()["cache-status"], "smartregistry; fwd=uri-miss; stored; detail=\"up\"");
    let part = response.into_body().collect().await.unwrap().to_bytes();
    assert!(part == bytes[500_000..501_000]);
    assert_eq!(bench.keys().await.len(), 2, "the whole is kept");
}

#[tokio::test]
async fn checklist_35_a_hooks_refusal_comes_before_the_first_byte() {
    let recorder = crate::testing::Recorder::new();
    recorder.refuse(Some("not today"));
    let options = StorageOptions { hooks: recorder.hooks(), ..StorageOptions::default() };
    let fake = FakeUpstream::start().await;
    fake.serve("/file", Canned::ok("abc"));
    let bench = Bench::on(Storage::memory(options), vec![config(&fake)]);
    let Lookup::Denied(denial) = bench.artifact("file", Expected::default()).await else { panic!() };
    assert_eq!((denial.reason.as_str(), denial.by), ("not today", DeniedBy::Host));
    assert_eq!((fake.total(), bench.keys().await.len()), (0, 0));
}

#[tokio::test]
async fn an_artifact_has_a_limit() {
    let fake = FakeUpstream::start().await;
    let bytes = content(2000);
    let mut config = config(&fake);
    config.max_artifact = 1000;
    let bench = Bench::new(vec![config]);
    fake.serve("/file", Canned::ok(bytes.clone()));
    assert_eq!(failed(bench.artifact("file", Expected::default()).await), FailureKind::TooLarge(1000));
    fake.serve("/chunks", Canned::ok(bytes).chunked());
    let artifact = found(bench.artifact("chunks", Expected::default()).await);
    assert!(read(&artifact).await.unwrap_err().contains("1000 bytes"));
    assert_eq!(bench.keys().await.len(), 0);
}

#[tokio::test]
async fn checklist_33_a_head_fetches_no_body() {
    let fake = FakeUpstream::start().await;
    fake.serve("/file", Canned::ok(content(5000)).header("content-type", "text/x"));
    let bench = Bench::new(vec![config(&fake)]);
    let parts = http::Request::head("/").body(()).unwrap().into_parts().0;
    let respond = async |bench: &Bench| {
        let request = artifact("file", sha256(&content(5000))).method(&parts.method);
        let artifact = found(bench.route("file").await.artifact(&request).await);
        let head = ArtifactHead { content_type: None, etag: None, headers: http::HeaderMap::new() };
        artifact.respond(&parts, head).await.unwrap()
    };
    let response = respond(&bench).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "5000");
    assert_eq!(fake.seen()[0].method, "HEAD");
    assert!(bench.keys().await.is_empty());
    // One that knows no HEAD is asked with GET, and left alone after the headers.
    fake.serve_each("/file", [Canned::status(405), Canned::ok(content(5000))]);
    assert_eq!(respond(&bench).await.headers()["content-length"], "5000");
    assert!(bench.keys().await.is_empty());
}

#[tokio::test]
async fn checklist_39_what_is_kept_is_counted_and_dropped_by_name() {
    let fake = FakeUpstream::start().await;
    let bytes = content(1000);
    for name in ["a", "ab", "s/a"] {
        fake.serve(&format!("/{name}"), Canned::ok(bytes.clone()));
    }
    let bench = Bench::new(vec![config(&fake)]);
    for name in ["a", "ab", "s/a"] {
        read(&found(bench.artifact(name, sha256(&bytes)).await)).await.unwrap();
    }
    assert_eq!(bench.keys().await.len(), 6);
    let kept = bench.upstreams.kept().await.unwrap();
    assert_eq!((kept["up"].artifacts, kept["up"].documents), (3, 0));
    assert!(kept["up"].bytes > 3000);
    let of_a = bench.upstreams.kept_of("a").await.unwrap();
    assert_eq!((of_a.len(), of_a[0].upstream.as_str(), of_a[0].kept.artifacts), (1, "up", 1));
    let (count, _) = bench.upstreams.purge(&Purge::everything().named("a")).await.unwrap();
    assert_eq!((count, bench.keys().await.len()), (2, 4));
    let other = "other".parse().unwrap();
    assert_eq!(bench.upstreams.purge(&Purge::everything().of(other)).await.unwrap().0, 0);
    let again = found(bench.artifact("a", sha256(&bytes)).await);
    assert_eq!(again.provenance().state, CacheState::Miss);
    read(&again).await.unwrap();
    bench.keys().await;
    assert_eq!(bench.upstreams.purge(&Purge::everything()).await.unwrap().0, 6);
    assert!(bench.keys().await.is_empty());
}

#[tokio::test]
async fn checklist_3_bytes_without_a_record_are_collected() {
    let fake = FakeUpstream::start().await;
    let bytes = content(1000);
    fake.serve("/file", Canned::ok(bytes.clone()));
    let bench = Bench::new(vec![config(&fake)]);
    read(&found(bench.artifact("file", sha256(&bytes)).await)).await.unwrap();
    bench.keys().await;
    // What a process leaves that dies before it commits.
    let store = bench.services.storage.store(&bench.instance);
    let key = Resource::new("files")
        .segment("file")
        .data_key(&store, &bench.route("x").await.sources()[0].upstream);
    let spec = crate::storage::ArtifactSpec::default();
    let _left = store.write_artifact_bytes(&key, bytes.clone().into(), spec).await.unwrap().keep();
    assert_eq!(bench.keys().await.len(), 3);
    let collect = async |now| {
        let run = crate::maintenance::GcRun::new(now, Duration::from_hours(24), false);
        bench.upstreams.collect_garbage(&run).await.unwrap();
        bench.keys().await.len()
    };
    let now = chrono::Utc::now();
    assert_eq!(collect(now).await, 3, "it may be on its way");
    assert_eq!(collect(now + chrono::TimeDelta::hours(2)).await, 2);
    assert_eq!(found(bench.artifact("file", sha256(&bytes)).await).provenance().state, CacheState::Hit);
}
