//! Referrers.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::bench::*;

const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A manifest that refers to a subject.
async fn artifact(bench: &Bench, name: &str, subject: &str, seed: &str) -> Value {
    bench.blob(name, "{}").await;
    bench.blob(name, seed.to_owned()).await;
    json!({
        "schemaVersion": 2, "mediaType": IMAGE, "artifactType": format!("application/vnd.example.{seed}"),
        "config": descriptor(EMPTY, b"{}"), "layers": [descriptor("text/plain", seed.as_bytes())],
        "subject": {"mediaType": IMAGE, "digest": subject, "size": 7}, "annotations": {"seed": seed},
    })
}

async fn listed(bench: &Bench, name: &str, subject: &str, query: &str) -> Vec<Value> {
    let answer = bench.get(&format!("/v2/{name}/referrers/{subject}{query}")).send().await;
    answer.expect(200);
    assert_eq!(answer.header("content-type"), INDEX);
    let body = answer.json();
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(INDEX)));
    body["manifests"].as_array().unwrap().clone()
}

/// Checklist 15.
#[tokio::test]
async fn unknown_subjects_have_an_empty_list() {
    let bench = Bench::new();
    bench.image("a", "v1", "x").await;
    let zeros = format!("sha256:{}", "0".repeat(64));
    for name in ["a", "nothing"] {
        assert_eq!(listed(&bench, name, &zeros, "").await, Vec::<Value>::new());
    }
    let answer = bench.get(&format!("/v2/a/referrers/{zeros}")).send().await;
    assert_eq!(answer.header("oci-filters-applied"), "");
    bench.get("/v2/a/referrers/sha256:bad").send().await.refused(400, "DIGEST_INVALID");
}

/// Checklist 15 and 17.
#[tokio::test]
async fn a_referrer_is_listed_before_and_after_its_subject_until_it_is_deleted() {
    let bench = Bench::new();
    let image = bench.image_manifest("a", "x").await;
    let subject = sha256(&serde_json::to_vec(&image).unwrap());
    let manifest = artifact(&bench, "a", &subject, "sig").await;
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = sha256(&bytes);
    for reference in ["sig", &digest] {
        let put = bench.put(&format!("/v2/a/manifests/{reference}")).body(bytes.clone()).send().await;
        put.expect(201);
        assert_eq!(put.header("oci-subject"), subject);
    }
    let want = json!({
        "mediaType": IMAGE, "size": bytes.len(), "digest": digest,
        "artifactType": "application/vnd.example.sig", "annotations": {"seed": "sig"},
    });
    assert_eq!(listed(&bench, "a", &subject, "").await, std::slice::from_ref(&want));
    bench.manifest("a", "v1", &image).await;
    assert_eq!(listed(&bench, "a", &subject, "").await, std::slice::from_ref(&want));
    // A referrer of the referrer.
    let second = artifact(&bench, "a", &digest, "sbom").await;
    bench.manifest("a", "sbom", &second).await;
    assert_eq!(listed(&bench, "a", &digest, "").await.len(), 1);
    assert_eq!(bench.faults().await, Vec::<String>::new());
    bench.delete(&format!("/v2/a/manifests/{digest}")).send().await.expect(202);
    assert_eq!(listed(&bench, "a", &subject, "").await, Vec::<Value>::new());
    bench.manifest("a", "sig", &manifest).await;
    assert_eq!(listed(&bench, "a", &subject, "").await, [want]);
}

/// Checklist 15.
#[tokio::test]
async fn the_filter_is_exact_and_announced() {
    let bench = Bench::new();
    let (subject, _) = bench.image("a", "v1", "x").await;
    for seed in ["one", "two", "three"] {
        let manifest = artifact(&bench, "a", &subject, seed).await;
        bench.manifest("a", seed, &manifest).await;
    }
    // An image without an artifact type goes by its config's, an index by none.
    let mut image = bench.image_manifest("a", "y").await;
    image["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": 1});
    bench.manifest("a", "image", &image).await;
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": image["subject"]});
    bench.manifest("a", "index", &index).await;
    assert_eq!(listed(&bench, "a", &subject, "").await.len(), 5);
    let filter = |text: &str| format!("?artifactType={}", text.replace('+', "%2B"));
    assert_eq!(listed(&bench, "a", &subject, &filter("application/vnd.example.two")).await.len(), 1);
    assert_eq!(listed(&bench, "a", &subject, &filter("application/vnd.example.tw")).await.len(), 0);
    let config = filter("application/vnd.oci.image.config.v1+json");
    assert_eq!(listed(&bench, "a", &subject, &config).await.len(), 1);
    let answer = bench.get(&format!("/v2/a/referrers/{subject}{config}")).send().await;
    assert_eq!(answer.header("oci-filters-applied"), "artifactType");
    let bare = listed(&bench, "a", &subject, "").await.into_iter().find(|m| m["mediaType"] == INDEX).unwrap();
    assert_eq!(bare.get("artifactType"), None);
}

/// Checklist 16.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_are_fifty() {
    let bench = Arc::new(Bench::new());
    let (subject, _) = bench.image("a", "v1", "x").await;
    let pushes: Vec<_> = (0..50)
        .map(|n| {
            let (bench, subject) = (Arc::clone(&bench), subject.clone());
            tokio::spawn(async move {
                let manifest = artifact(&bench, "a", &subject, &format!("s{n}")).await;
                let digest = sha256(&serde_json::to_vec(&manifest).unwrap());
                bench.manifest("a", &digest, &manifest).await;
            })
        })
        .collect();
    for push in pushes {
        push.await.unwrap();
    }
    assert_eq!(listed(&bench, "a", &subject, "").await.len(), 50);
}

#[tokio::test]
async fn pages_keep_their_filter() {
    let bench = Bench::configured(json!({"page_size": 4}));
    let (subject, _) = bench.image("a", "v1", "x").await;
    for n in 0..10 {
        let mut manifest = artifact(&bench, "a", &subject, &format!("s{n}")).await;
        manifest["artifactType"] = json!("application/vnd.same+json");
        bench.manifest("a", &format!("s{n}"), &manifest).await;
    }
    let mut uri = format!("/v2/a/referrers/{subject}?artifactType=application/vnd.same%2Bjson");
    let mut seen = Vec::new();
    loop {
        let answer = bench.get(&uri).send().await;
        answer.expect(200);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        let page = answer.json()["manifests"].as_array().unwrap().clone();
        assert!(page.len() <= 4);
        seen.extend(page.iter().map(|m| m["digest"].as_str().unwrap().to_owned()));
        let link = answer.header("link");
        if link.is_empty() {
            break;
        }
        uri = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10);
}

/// A page stays below what clients read of a manifest.
#[tokio::test]
async fn pages_are_bounded_in_bytes() {
    let bench = Bench::new();
    let (subject, _) = bench.image("a", "v1", "x").await;
    for n in 0..3 {
        let mut manifest = artifact(&bench, "a", &subject, &format!("s{n}")).await;
        manifest["annotations"] = json!({"big": "x".repeat(3_000_000)});
        bench.manifest("a", &format!("s{n}"), &manifest).await;
    }
    let answer = bench.get(&format!("/v2/a/referrers/{subject}")).send().await;
    assert!(answer.body.len() <= 4 * 1024 * 1024);
    assert!(!answer.header("link").is_empty());
}

/// Checklist 60.
#[tokio::test]
async fn an_index_at_the_fallback_tag_counts() {
    let bench = Bench::new();
    let (subject, _) = bench.image("a", "v1", "x").await;
    // A manifest that refers, whose mark a registry without referrers would not have.
    let manifest = artifact(&bench, "a", &subject, "sig").await;
    let (digest, bytes) = bench.manifest("a", "sig", &manifest).await;
    let (alien, alien_bytes) = bench.image("a", "v2", "alien").await;
    let marks = bench.stored().await.into_keys().filter(|key| key.contains("_referrers"));
    let store = bench.storage.store(&bench.instance);
    for entry in store.list(&store.key().build()).await.unwrap() {
        if entry.key.as_str().contains("_referrers") {
            store.remove(&entry.key).await.unwrap();
        }
    }
    assert_eq!(marks.count(), 1);
    assert_eq!(listed(&bench, "a", &subject, "").await.len(), 0);
    let entry = |digest: &str, size: usize| json!({"mediaType": IMAGE, "digest": digest, "size": size});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(&digest, bytes.len()), entry(&alien, alien_bytes.len())]});
    bench.manifest("a", &subject.replace(':', "-"), &index).await;
    let found = listed(&bench, "a", &subject, "").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["digest"], digest);
}
