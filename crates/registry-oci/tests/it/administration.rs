//! What an operator does past the protocol, and what clients see of it.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use registry_core::{
    Actor, Administration as _,
    administration::{AdministrationError, Yank},
    hooks::{Denied, HookEvent, Hooks, StorageHooks},
    storage::StorageOptions,
};
use registry_oci::OciConfig;
use serde_json::json;

use crate::bench::*;

fn operator() -> Actor {
    Actor::user("operator")
}

async fn delete(bench: &Bench, version: Option<&str>) -> Result<(), AdministrationError> {
    bench.registry.delete_package(&operator(), "team/app", version).await
}

async fn listed(bench: &Bench) -> serde_json::Value {
    bench.get("/v2/_catalog").send().await.json()["repositories"].clone()
}

#[tokio::test]
async fn a_repository_is_shown_with_tags_and_manifests() {
    let bench = Bench::new();
    let (old, bytes) = bench.image("team/app", "1.0", "one").await;
    bench.clock.advance(std::time::Duration::from_secs(5));
    let (new, _) = bench.image("team/app", "1.1", "two").await;
    let details = bench.registry.show_package("team/app").await.unwrap();
    assert_eq!((details.name.as_str(), details.latest.as_deref()), ("team/app", Some("1.1")));
    assert_eq!(details.facts, [("tags", "2".to_owned()), ("manifests", "2".to_owned())]);
    let versions: Vec<_> = details.versions.iter().map(|v| v.version.as_str()).collect();
    assert_eq!(versions, ["1.1", "1.0", &new, &old]);
    assert_eq!(details.versions[1].digest.as_ref(), Some(&old));
    // The manifest with the configuration and the layer that it names.
    let content = r#"{"config":"one"}"#.len() + "layer of one".len();
    assert_eq!(details.versions[3].bytes, Some((bytes.len() + content) as u64));
    for (name, usage) in [("team", false), ("none", false), ("Team/App", true)] {
        let error = bench.registry.show_package(name).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
}

#[tokio::test]
async fn a_tag_a_manifest_and_a_repository_are_deleted() {
    // What clients may not do, the operator may.
    let bench = Bench::configured(json!({"delete": {"tags": false, "manifests": false}}));
    let (one, _) = bench.image("team/app", "1.0", "one").await;
    bench.image("team/app", "latest", "one").await;
    let (two, _) = bench.image("team/app", "2.0", "two").await;
    bench.image("team/app", "3.0", "three").await;
    bench.image("team/other", "1.0", "one").await;
    bench.delete("/v2/team/app/manifests/1.0").send().await.refused(405, "UNSUPPORTED");
    delete(&bench, Some("1.0")).await.unwrap();
    assert_eq!(bench.tags("team/app").await, ["2.0", "3.0", "latest"]);
    assert!(bench.has_manifest("team/app", &one).await);
    delete(&bench, Some(&one)).await.unwrap();
    assert!(!bench.has_manifest("team/app", &one).await);
    assert_eq!(bench.tags("team/app").await, ["2.0", "3.0"]);
    for (version, usage) in [(Some("1.0"), false), (Some(one.as_str()), false), (Some("sha256:x"), true)] {
        let error = delete(&bench, version).await.unwrap_err();
        assert_eq!(error.is_usage(), usage, "{error}");
    }
    assert_eq!(listed(&bench).await, json!(["team/app", "team/other"]));
    delete(&bench, None).await.unwrap();
    assert!(!bench.has_manifest("team/app", &two).await && !bench.has_manifest("team/app", "3.0").await);
    assert!(bench.tags("team/app").await.is_empty());
    assert_eq!(listed(&bench).await, json!(["team/other"]));
    assert!(bench.has_manifest("team/other", "1.0").await);
    assert!(matches!(delete(&bench, None).await, Err(AdministrationError::NotFound(_))));
    // Nothing is used up.
    bench.image("team/app", "1.0", "four").await;
    assert_eq!(listed(&bench).await, json!(["team/app", "team/other"]));
    assert!(bench.faults().await.is_empty());
}

#[tokio::test]
async fn what_other_protocols_have_is_not_offered() {
    let bench = Bench::new();
    bench.image("team/app", "1.0", "one").await;
    let before = bench.stored().await;
    let yank = bench.registry.yank_version(&operator(), "team/app", "1.0", &Yank::Set(String::new())).await;
    let forget = bench.registry.forget_package(&operator(), "team/app", Some("1.0")).await;
    for (result, what) in [(yank, "oci has no yank: "), (forget, "oci has no tombstones to forget: ")] {
        let error = result.unwrap_err();
        assert!(error.is_usage() && error.to_string().starts_with(what), "{error}");
    }
    assert_eq!(bench.stored().await, before);
}

/// Refuses that what it names is deleted.
#[derive(Debug, Default)]
struct Keeps(Mutex<Option<String>>);

#[async_trait]
impl StorageHooks for Keeps {
    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        assert_eq!(event.actor.name(), "operator");
        if event.digest == *self.0.lock() { Err(Denied::new("this one stays")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_refused_manifest_keeps_the_whole_repository() {
    let keeps = Arc::new(Keeps::default());
    let mut options = StorageOptions::default();
    options.hooks = Hooks::new(vec![Arc::<Keeps>::clone(&keeps)]);
    let bench = Bench::with(OciConfig::default(), options);
    let (one, _) = bench.image("team/app", "1.0", "one").await;
    let (two, _) = bench.image("team/app", "2.0", "two").await;
    for digest in [one, two] {
        *keeps.0.lock() = Some(digest);
        let before = bench.stored().await;
        assert_eq!(delete(&bench, None).await.unwrap_err().to_string(), "this one stays");
        assert_eq!(bench.stored().await, before);
        assert_eq!(bench.tags("team/app").await, ["1.0", "2.0"]);
    }
    *keeps.0.lock() = None;
    delete(&bench, None).await.unwrap();
    assert!(bench.tags("team/app").await.is_empty());
}
