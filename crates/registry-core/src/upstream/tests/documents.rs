//! Documents: freshness, revalidation, what is stale, what is not there.

use serde_json::json;

use super::*;
use crate::testing::Canned;

fn v(version: u32) -> Canned {
    Canned::json(&json!({"v": version}))
}

fn version(document: &UpstreamDocument) -> u64 {
    serde_json::from_slice::<serde_json::Value>(document.raw()).unwrap()["v"].as_u64().unwrap()
}

#[tokio::test]
async fn a_document_is_kept_while_it_is_fresh() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", v(1).header("set-cookie", "a=b"));
    let bench = Bench::new(vec![config(&fake)]);
    let first = found(bench.document("lib").await);
    assert_eq!((version(&first), first.provenance().state), (1, CacheState::Miss));
    bench.later(59);
    let second = found(bench.document("lib").await);
    assert_eq!(second.provenance().state, CacheState::Hit);
    assert_eq!(second.provenance().age, Some(Duration::from_secs(59)));
    assert_eq!(fake.total(), 1);
    let seen = &fake.seen()[0];
    assert_eq!((seen.header("accept"), seen.header("accept-encoding")), ("application/json", "gzip"));
    assert_eq!(bench.keys().await, ["npm/_cache/up/anon/documents/lib/_document.json"]);
}

#[tokio::test]
async fn checklist_10_a_stale_document_is_served_while_one_request_refreshes_it() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [v(1), v(2).after(Duration::from_millis(200))]);
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    bench.later(61);
    let started = std::time::Instant::now();
    for _ in 0..20 {
        let stale = found(bench.document("lib").await);
        assert_eq!((version(&stale), stale.provenance().state), (1, CacheState::StaleWhileRevalidate));
    }
    assert!(started.elapsed() < Duration::from_millis(190), "nobody waited");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while version(&found(bench.document("lib").await)) == 1 {
        assert!(std::time::Instant::now() < deadline, "never refreshed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fake.total(), 2);
}

#[tokio::test]
async fn checklist_11_an_unchanged_document_is_fresh_again() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", v(1).etag("\"one\""));
    let bench = Bench::new(vec![config(&fake)]);
    let first = found(bench.document("lib").await);
    bench.later(60 + 600 + 1);
    let again = found(bench.document("lib").await);
    assert_eq!(again.provenance().state, CacheState::Revalidated);
    assert_eq!(again.sha256(), first.sha256());
    assert_eq!(fake.seen()[1].header("if-none-match"), "\"one\"");
    assert_eq!(found(bench.document("lib").await).provenance().state, CacheState::Hit);
    assert_eq!(fake.total(), 2);
}

#[tokio::test]
async fn what_never_changes_is_kept_whatever_settings_and_headers_say() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", v(1).header("cache-control", "max-age=10"));
    let mut short = config(&fake);
    short.ttl = Some(Duration::from_secs(1));
    let bench = Bench::new(vec![short]);
    let mut request = document("lib").immutable();
    request.ttl = Duration::from_hours(24 * 365);
    found(bench.route("lib").await.document(&request).await);
    bench.later(60 * 60 * 24 * 30);
    let kept = found(bench.route("lib").await.document(&request).await);
    assert_eq!(kept.provenance().state, CacheState::Hit);
    assert_eq!(fake.total(), 1);
}

#[tokio::test]
async fn checklist_9_a_dead_upstream_leaves_the_stale_copy() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", v(1));
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    fake.stop().await;
    for seconds in [661, 3 * 24 * 3600] {
        bench.later(seconds);
        let stale = found(bench.document("lib").await);
        assert_eq!((version(&stale), stale.provenance().state), (1, CacheState::StaleIfError));
    }
    bench.later(5 * 24 * 3600);
    assert_eq!(failed(bench.document("lib").await), FailureKind::Unreachable);
}

#[tokio::test]
async fn a_slow_upstream_does_not_hold_up_who_has_a_copy() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [v(1), v(2).after(Duration::from_millis(900))]);
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    bench.later(661);
    let stale = found(bench.document("lib").await);
    assert_eq!((version(&stale), stale.provenance().state), (1, CacheState::StaleIfError));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(version(&found(bench.document("lib").await)), 2, "the refresh went on");
    assert_eq!(fake.total(), 2);
}

#[tokio::test]
async fn checklist_12_not_there_is_remembered_for_a_while_and_nothing_else_is() {
    let fake = FakeUpstream::start().await;
    let bench = Bench::new(vec![config(&fake)]);
    for _ in 0..3 {
        assert!(matches!(bench.document("none").await, Lookup::Absent));
    }
    assert_eq!(fake.total(), 1);
    bench.later(31);
    fake.serve("/none", v(1));
    found(bench.document("none").await);
    fake.serve("/secret", Canned::status(403));
    for _ in 0..2 {
        assert!(matches!(bench.document("secret").await, Lookup::Denied(_)));
    }
    assert_eq!(fake.count("/secret"), 2);
    assert_eq!(bench.keys().await.len(), 1, "names that are not there are not written down");
}

#[tokio::test]
async fn checklist_7_a_failure_is_shared_and_never_absent() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", Canned::status(500).after(Duration::from_millis(50)));
    let bench = Bench::new(vec![config(&fake)]);
    let all = futures_util::future::join_all((0..100).map(|_| bench.document("lib"))).await;
    for lookup in all {
        assert_eq!(failed(lookup), FailureKind::Status(500));
    }
    assert!(fake.total() <= 3, "{}", fake.total());
    assert!(bench.keys().await.is_empty());
}

#[tokio::test]
async fn checklist_29_something_else_with_status_200_is_a_failure_and_the_copy_stays() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [v(1), Canned::ok("<html>log in</html>").header("content-type", "text/html")]);
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    bench.later(661);
    let stale = found(bench.document("lib").await);
    assert_eq!((version(&stale), stale.provenance().state), (1, CacheState::StaleIfError));
    fake.serve("/new", Canned::ok("<html>"));
    assert_eq!(failed(bench.document("new").await), FailureKind::BadBody("no JSON".to_owned()));
    assert_eq!(bench.keys().await.len(), 1);
}

#[tokio::test]
async fn checklist_30_gzip_is_stored_decoded() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(br#"{"v":7}"#).unwrap();
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", Canned::ok(encoder.finish().unwrap()).header("content-encoding", "gzip"));
    let bench = Bench::new(vec![config(&fake)]);
    assert_eq!(version(&found(bench.document("lib").await)), 7);
    assert_eq!(version(&found(bench.document("lib").await)), 7);
}

#[tokio::test]
async fn a_document_is_gone_when_it_is_missed_twice() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [v(1), Canned::status(404)]);
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    bench.later(661);
    assert_eq!(found(bench.document("lib").await).provenance().state, CacheState::StaleIfError);
    bench.later(31);
    assert!(matches!(bench.document("lib").await, Lookup::Absent));
    bench.later(31);
    fake.serve("/lib", v(2));
    assert_eq!(version(&found(bench.document("lib").await)), 2);
}

#[tokio::test]
async fn checklist_14_a_newer_state_is_asked_for_at_most_every_ten_seconds() {
    let fake = FakeUpstream::start().await;
    fake.serve_each("/lib", [v(1), v(2), v(3)]);
    let bench = Bench::new(vec![config(&fake)]);
    found(bench.document("lib").await);
    bench.later(11);
    let hit = found(bench.document("lib").await);
    let newer = found(hit.source().clone().newer(&document("lib"), hit).await);
    assert_eq!(version(&newer), 2);
    let same = found(newer.source().clone().newer(&document("lib"), newer).await);
    assert_eq!((version(&same), fake.total()), (2, 2));
}

#[tokio::test]
async fn checklist_5_a_failing_upstream_ends_the_search_unless_it_is_told_not_to() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    first.serve("/lib", Canned::status(500));
    second.serve("/lib", v(2));
    second.serve("/other", v(3));
    let mut configs = vec![config(&first), config(&second)];
    configs[0].retries = 0;
    configs[1].id = "second".parse().unwrap();
    let bench = Bench::new(configs.clone());
    assert_eq!(failed(bench.document("lib").await), FailureKind::Status(500));
    assert_eq!(second.total(), 0);
    assert_eq!(version(&found(bench.document("other").await)), 3, "absent at the first");
    configs[0].on_error = OnError::Next;
    let bench = Bench::new(configs);
    let found = found(bench.document("lib").await);
    assert_eq!((version(&found), found.source().id().as_str()), (2, "second"));
    first.serve("/nowhere", Canned::status(500));
    assert_eq!(
        failed(bench.document("nowhere").await),
        FailureKind::Status(500),
        "a failure beats an absence"
    );
}

#[tokio::test]
async fn checklist_36_offline_asks_nobody() {
    let fake = FakeUpstream::start().await;
    fake.serve("/lib", v(1));
    let storage = Storage::memory(StorageOptions::default());
    let bench = Bench::on(storage.clone(), vec![config(&fake)]);
    found(bench.document("lib").await);
    let mut offline = config(&fake);
    offline.offline = true;
    let bench = Bench::on(storage, vec![offline]);
    bench.later(30 * 24 * 3600);
    let document = found(bench.document("lib").await);
    assert_eq!((version(&document), document.provenance().state), (1, CacheState::Offline));
    assert_eq!(failed(bench.document("other").await), FailureKind::Offline);
    assert_eq!(failed(bench.artifact("file", Expected::default()).await), FailureKind::Offline);
    assert_eq!(fake.total(), 1);
}

#[tokio::test]
async fn checklist_41_copies_of_another_url_are_none() {
    let (one, two) = (FakeUpstream::start().await, FakeUpstream::start().await);
    one.serve("/lib", v(1));
    two.serve("/lib", v(2));
    let storage = Storage::memory(StorageOptions::default());
    let bench = Bench::on(storage.clone(), vec![config(&one)]);
    assert_eq!(version(&found(bench.document("lib").await)), 1);
    let bench = Bench::on(storage, vec![config(&two)]);
    assert_eq!(version(&found(bench.document("lib").await)), 2);
    assert_eq!(version(&found(bench.document("lib").await)), 2);
    assert_eq!(two.total(), 1);
}
