//! Garbage collection.

use std::time::Duration;

use registry_core::{Maintenance as _, maintenance::GcRun};
use serde_json::json;

use crate::bench::*;

const DAY: Duration = Duration::from_hours(24);
const TWO_HOURS: Duration = Duration::from_hours(2);

/// Checklist 35.
#[tokio::test]
async fn what_is_reachable_stays() {
    for config in [json!({}), json!({"delete_untagged_after_seconds": 60})] {
        let bench = Bench::configured(config.clone());
        let mut children = Vec::new();
        for platform in ["amd64", "arm64", "attestation"] {
            let manifest = bench.image_manifest("a", platform).await;
            let bytes = serde_json::to_vec(&manifest).unwrap();
            bench.manifest("a", &sha256(&bytes), &manifest).await;
            children.push(json!({"mediaType": IMAGE, "digest": sha256(&bytes), "size": bytes.len()}));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
        let (index, _) = bench.manifest("a", "multi", &index).await;
        let mut signature = bench.image_manifest("a", "signature").await;
        signature["subject"] = json!({"mediaType": INDEX, "digest": index, "size": 9});
        let bytes = serde_json::to_vec(&signature).unwrap();
        bench.manifest("a", &sha256(&bytes), &signature).await;
        let (untagged, _) = bench.image("a", "soon-gone", "untagged").await;
        bench.delete("/v2/a/manifests/soon-gone").send().await.expect(202);

        bench.gc_all().await;
        for child in &children {
            assert!(bench.has_manifest("a", child["digest"].as_str().unwrap()).await);
        }
        assert!(bench.has_manifest("a", "multi").await && bench.has_manifest("a", &sha256(&bytes)).await);
        for seed in ["amd64", "arm64", "attestation", "signature"] {
            assert!(bench.has_blob("a", &sha256(format!("layer of {seed}").as_bytes())).await, "{seed}");
        }
        let kept = config == json!({});
        assert_eq!(
            bench.has_manifest("a", &untagged).await,
            kept,
            "untagged ones stay unless the policy says otherwise"
        );
        bench.gc_all().await;
        assert_eq!(bench.has_blob("a", &sha256(b"layer of untagged")).await, kept);
        assert_eq!(bench.faults().await, Vec::<String>::new());
    }
}

/// Checklist 35.
#[tokio::test]
async fn a_dry_run_says_what_a_run_does() {
    let bench = Bench::new();
    bench.blob("a", "unreferenced").await;
    bench.blob("a", noise(100_000, 1)).await;
    let abandoned = bench.session("a").await;
    bench.patch(&abandoned).body(noise(400_000, 2)).send().await.expect(202);
    let mut removed = 0;
    for _ in 0..8 {
        bench.clock.advance(DAY);
        let before = bench.stored().await;
        let promised = bench.gc(DAY, true).await;
        assert_eq!(bench.stored().await, before, "a dry run changes nothing");
        let done = bench.gc(DAY, false).await;
        assert_eq!(promised, done);
        removed += done.len();
    }
    assert!(removed >= 5, "{removed}");
    assert_eq!(bench.data_objects().await, 0);
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_young_is_never_touched() {
    let bench = Bench::new();
    let blobs = [bench.blob("a", "young").await, bench.blob("a", noise(100_000, 1)).await];
    let open = bench.session("a").await;
    bench.patch(&open).body(noise(400_000, 2)).send().await.expect(202);
    let before = bench.stored().await;
    for _ in 0..5 {
        bench.clock.advance(Duration::from_secs(700));
        assert_eq!(bench.gc(Duration::ZERO, false).await, Vec::<String>::new());
    }
    assert_eq!(bench.stored().await, before);
    for blob in blobs {
        assert!(bench.has_blob("a", &blob).await);
    }
    bench.get(&open).send().await.expect(204);
}

/// With no server at work and no grace, one run does all there is to do, and a dry run says it.
#[tokio::test]
async fn without_a_server_and_a_grace_what_is_young_goes_at_once() {
    let bench = Bench::configured(json!({"delete_untagged_after_seconds": 0}));
    let (kept, _) = bench.image("a", "kept", "kept").await;
    let shared = noise(200_000, 1);
    let digest = bench.blob("a", shared.clone()).await;
    bench.blob("b", shared.clone()).await;
    bench.blob("a", "small").await;
    let chunked = bench.session("c").await;
    for seed in 2..4 {
        bench.patch(&chunked).body(noise(300_000, seed)).send().await.expect(202);
    }
    let whole = [noise(300_000, 2), noise(300_000, 3)].concat();
    bench.put(&with_digest(&chunked, &sha256(&whole))).send().await.expect(201);
    let mut large = bench.image_manifest("a", "untagged").await;
    large["annotations"] = json!({"big": "x".repeat(100_000)});
    bench.manifest("a", "gone", &large).await;
    bench.delete("/v2/a/manifests/gone").send().await.expect(202);
    let open = bench.session("d").await;
    bench.patch(&open).body(noise(400_000, 5)).send().await.expect(202);
    // What a process left that died while it took a blob in.
    let store = bench.storage.store(&bench.instance);
    let key = store.key().fixed("blobs").fixed("sha256").segment("aa").segment(&"a".repeat(64)).build();
    let lost =
        store.write_artifact_bytes(&key, noise(10, 1), registry_core::storage::ArtifactSpec::default());
    let _lost = lost.await.unwrap().keep();

    // With a server at work all this is too young.
    bench.clock.advance(Duration::from_mins(1));
    assert_eq!(bench.gc(Duration::ZERO, false).await, Vec::<String>::new());
    let before = bench.stored().await;
    let mut promised = bench.gc_alone(true).await;
    assert_eq!(bench.stored().await, before, "a dry run changes nothing");
    let mut done = bench.gc_alone(false).await;
    promised.sort();
    done.sort();
    assert_eq!(promised, done);
    // The open upload goes on, what is tagged stays.
    assert_eq!(bench.data_objects().await, 1);
    assert_eq!(bench.gc_alone(false).await, Vec::<String>::new());
    bench.put(&with_digest(&open, &sha256(&noise(400_000, 5)))).send().await.expect(201);
    assert!(bench.has_manifest("a", &kept).await && bench.has_blob("a", &sha256(b"layer of kept")).await);
    assert!(!bench.has_blob("a", &digest).await && !bench.has_blob("b", &digest).await);
    assert!(!bench.has_blob("a", &sha256(b"layer of untagged")).await);
    assert_eq!(bench.faults().await, Vec::<String>::new());
    // Pushed again, all is there again.
    bench.blob("b", shared.clone()).await;
    assert!(bench.get(&format!("/v2/b/blobs/{digest}")).send().await.body == shared);
}

/// A server that starts while a run without a grace goes on loses nothing that it acknowledges.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_beside_a_run_without_a_grace_are_whole_or_refused() {
    let bench = std::sync::Arc::new(Bench::new());
    let mut kept = 0;
    for round in 0..20 {
        let seed = format!("{round}");
        let manifest = bench.image_manifest("a", &seed).await;
        let collect = bench.gc_alone(false);
        let push = async {
            let uri = format!("/v2/a/manifests/t{seed}");
            bench.put(&uri).json(&manifest).send().await
        };
        let (_, answer) = tokio::join!(collect, push);
        match answer.status.as_u16() {
            201 => kept += 1,
            _ => answer.refused(404, "MANIFEST_BLOB_UNKNOWN"),
        }
    }
    assert_eq!(bench.tags("a").await.len(), kept);
    bench.gc_alone(false).await;
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 36.
#[tokio::test]
async fn a_push_that_skipped_an_upload_wins() {
    let bench = Bench::new();
    for size in [10, 100_000] {
        let layer = noise(size, size as u64);
        let digest = bench.blob("a", layer.clone()).await;
        bench.clock.advance(TWO_HOURS);
        bench.gc(Duration::ZERO, false).await;
        // Condemned now. The client asks, hears that it is there and does not upload it.
        assert!(bench.has_blob("a", &digest).await);
        bench.clock.advance(Duration::from_secs(3500));
        bench.gc(Duration::ZERO, false).await;
        let config = bench.blob("a", "{}").await;
        let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)]});
        bench.manifest("a", &format!("v{size}"), &manifest).await;
        bench.gc_all().await;
        let answer = bench.get(&format!("/v2/a/blobs/{digest}")).send().await;
        assert!(answer.body == layer);
    }
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// A manifest that names what is condemned makes it live again, whoever asked before.
#[tokio::test]
async fn a_manifest_revives_what_it_names() {
    let bench = Bench::new();
    let manifest = bench.image_manifest("a", "x").await;
    bench.clock.advance(TWO_HOURS);
    bench.gc(Duration::ZERO, false).await;
    bench.manifest("a", "v1", &manifest).await;
    bench.gc_all().await;
    assert!(bench.has_blob("a", &sha256(b"layer of x")).await);
}

#[tokio::test]
async fn an_unreferenced_blob_goes_in_three_steps() {
    let bench = Bench::new();
    let bytes = noise(100_000, 1);
    let digest = bench.blob("a", bytes.clone()).await;
    let location = bench.session("b").await;
    bench.patch(&location).body(noise(100_000, 2)).send().await.expect(202);
    bench.patch(&location).body(noise(200_000, 3)).send().await.expect(202);
    let chunked: Vec<u8> = [noise(100_000, 2), noise(200_000, 3)].concat();
    bench.put(&with_digest(&location, &sha256(&chunked))).send().await.expect(201);
    assert_eq!(bench.data_objects().await, 2);
    bench.gc_all().await;
    assert!(!bench.has_blob("a", &digest).await);
    bench.gc_all().await;
    bench.clock.advance(DAY);
    bench.gc(Duration::ZERO, false).await;
    assert_eq!(bench.data_objects().await, 0);
    // Pushed again, it is there again.
    bench.blob("a", bytes.clone()).await;
    assert!(bench.get(&format!("/v2/a/blobs/{digest}")).send().await.body == bytes);
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

/// Checklist 37.
#[tokio::test]
async fn a_shared_blob_lives_as_long_as_one_repository_needs_it() {
    let bench = Bench::new();
    let layer = noise(200_000, 1);
    let digest = bench.blob("a", layer.clone()).await;
    bench.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).send().await.expect(201);
    let config = bench.blob("b", "{}").await;
    let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)]});
    bench.manifest("b", "v1", &manifest).await;
    bench.delete(&format!("/v2/a/blobs/{digest}")).send().await.expect(202);
    bench.gc_all().await;
    bench.gc_all().await;
    assert!(bench.get(&format!("/v2/b/blobs/{digest}")).send().await.body == layer);
    assert_eq!(bench.faults().await, Vec::<String>::new());
}

#[tokio::test]
async fn abandoned_uploads_go_with_their_parts() {
    let bench = Bench::new();
    let location = bench.session("a").await;
    bench.patch(&location).body(noise(400_000, 1)).send().await.expect(202);
    bench.clock.advance(Duration::from_hours(23));
    bench.gc(Duration::ZERO, false).await;
    assert_eq!(bench.data_objects().await, 1);
    bench.clock.advance(TWO_HOURS);
    bench.gc(Duration::ZERO, false).await;
    assert_eq!(bench.data_objects().await, 0);
    bench.clock.advance(DAY);
    bench.gc(Duration::ZERO, false).await;
    assert!(bench.stored().await.is_empty());
}

/// Referrers whose subject is not there go after the grace, unless a tag holds them.
#[tokio::test]
async fn orphaned_referrers_go() {
    let bench = Bench::new();
    let (subject, _) = bench.image("a", "v1", "x").await;
    for (seed, tag) in [("tagged", Some("keep")), ("untagged", None)] {
        let mut manifest = bench.image_manifest("a", seed).await;
        manifest["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": 9});
        let digest = sha256(&serde_json::to_vec(&manifest).unwrap());
        bench.manifest("a", tag.unwrap_or(&digest), &manifest).await;
    }
    let count = || async {
        let answer = bench.get(&format!("/v2/a/referrers/{subject}")).send().await;
        answer.json()["manifests"].as_array().unwrap().len()
    };
    bench.gc_all().await;
    assert_eq!(count().await, 2);
    bench.delete(&format!("/v2/a/manifests/{subject}")).send().await.expect(202);
    bench.gc_all().await;
    assert_eq!(count().await, 1);
    assert!(bench.has_manifest("a", "keep").await);
}

/// Two runs at once, and pushes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn runs_and_pushes_at_once_do_no_harm() {
    let bench = std::sync::Arc::new(Bench::new());
    for round in 0..6 {
        let seeds: Vec<String> = (0..4).map(|n| format!("{round}-{n}")).collect();
        for seed in &seeds {
            bench.image_manifest("a", seed).await;
        }
        bench.clock.advance(TWO_HOURS);
        let other = bench.another();
        let run = GcRun::new(registry_core::clock::Clock::now(&*bench.clock), Duration::ZERO, false);
        let run = &run;
        let bench = &bench;
        let pushes = seeds.iter().map(|seed| async move {
            let manifest = bench.image_manifest("a", seed).await;
            bench.manifest("a", &format!("t{seed}"), &manifest).await;
        });
        let pushes = futures_util::future::join_all(pushes);
        let (first, second, _) =
            tokio::join!(bench.registry.collect_garbage(run), other.collect_garbage(run), pushes);
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(bench.tags("a").await.len(), 24);
    assert_eq!(bench.faults().await, Vec::<String>::new());
    for tag in bench.tags("a").await {
        let manifest = bench.get(&format!("/v2/a/manifests/{tag}")).send().await.json();
        assert!(bench.has_blob("a", manifest["layers"][0]["digest"].as_str().unwrap()).await);
    }
}

/// What cannot be read names, for all we know, everything.
#[tokio::test]
async fn a_damaged_manifest_keeps_all() {
    let bench = Bench::new();
    let unreferenced = bench.blob("a", "unreferenced").await;
    let mut manifest = bench.image_manifest("a", "x").await;
    manifest["annotations"] = json!({"big": "x".repeat(100_000)});
    bench.manifest("a", "v1", &manifest).await;
    let store = bench.storage.store(&bench.instance);
    let data = bench.stored().await.into_keys().find(|key| key.contains('~')).unwrap();
    let entries = store.list(&store.key().build()).await.unwrap();
    let entry = entries.iter().find(|entry| entry.key.as_str() == data).unwrap();
    store.remove(&entry.key).await.unwrap();
    bench.gc_all().await;
    assert!(bench.has_blob("a", &unreferenced).await);
    let faults = bench.faults().await;
    assert_eq!(faults.len(), 1, "{faults:?}");
}

/// Verification finds what is wrong.
#[tokio::test]
async fn verification_finds_missing_data() {
    let bench = Bench::new();
    bench.blob("a", noise(100_000, 1)).await;
    bench.image("a", "v1", "x").await;
    assert_eq!(bench.faults().await, Vec::<String>::new());
    let store = bench.storage.store(&bench.instance);
    for entry in store.list(&store.key().build()).await.unwrap() {
        if entry.key.as_str().contains('~') || entry.key.as_str().ends_with(&sha256(b"layer of x")[7..]) {
            store.remove(&entry.key).await.unwrap();
        }
    }
    let faults = bench.faults().await;
    assert_eq!(faults.len(), 2, "{faults:?}");
}
