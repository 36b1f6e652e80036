//! Hooks: asked before, told after, their refusal leaves nothing.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use registry_core::{
    hooks::{Denied, HookEvent, Hooks, StorageHooks},
    storage::StorageOptions,
};
use registry_oci::OciConfig;

use crate::bench::*;

/// Writes down what happens and refuses what is named `forbidden`.
#[derive(Debug, Default)]
struct Audit {
    seen: Mutex<Vec<String>>,
    max_bytes: u64,
}

impl Audit {
    fn note(&self, when: &str, event: &HookEvent) {
        let what = event.version.as_deref().or(event.digest.as_deref()).unwrap_or("?");
        let what = what.get(..12).unwrap_or(what);
        let package = event.package.as_deref().unwrap_or("?");
        self.seen.lock().push(format!(
            "{when} {} {package} {what} by {}",
            event.operation.as_str(),
            event.actor.name()
        ));
    }

    fn decide(&self, event: &HookEvent) -> Result<(), Denied> {
        self.note("before", event);
        if event.version.as_deref() == Some("forbidden")
            || event.size.is_some_and(|size| size > self.max_bytes)
        {
            return Err(Denied::new("the policy of this place says no"));
        }
        Ok(())
    }
}

#[async_trait]
impl StorageHooks for Audit {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        self.decide(event)
    }

    async fn after_put(&self, event: &HookEvent) {
        self.note("after", event);
    }

    async fn before_get(&self, event: &HookEvent) -> Result<(), Denied> {
        self.decide(event)
    }

    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        self.decide(event)
    }

    async fn after_delete(&self, event: &HookEvent) {
        self.note("after", event);
    }
}

fn bench(max_bytes: u64) -> (Bench, Arc<Audit>) {
    let audit = Arc::new(Audit { max_bytes, ..Audit::default() });
    let mut options = StorageOptions::default();
    options.hooks = Hooks::new(vec![Arc::<Audit>::clone(&audit)]);
    (Bench::with(OciConfig::default(), options), audit)
}

/// Checklist 56.
#[tokio::test]
async fn a_refusal_leaves_nothing() {
    let (bench, _) = bench(100_000);
    let reason = |answer: Answer| {
        answer.refused(403, "DENIED");
        assert_eq!(answer.json()["errors"][0]["message"], "the policy of this place says no");
    };
    let large = noise(200_000, 1);
    let location = bench.session("a").await;
    reason(bench.put(&with_digest(&location, &sha256(&large))).body(large.clone()).send().await);
    reason(
        bench
            .post(&format!("/v2/a/blobs/uploads/?digest={}", sha256(&large)))
            .body(large.clone())
            .send()
            .await,
    );
    assert!(bench.stored().await.is_empty());
    let patched = bench.session("a").await;
    bench.patch(&patched).body(large.slice(..1000)).send().await.expect(202);
    let before = bench.stored().await;
    reason(bench.put(&with_digest(&patched, &sha256(&large))).body(large.slice(1000..)).send().await);
    assert_eq!(bench.stored().await, before);

    let manifest = bench.image_manifest("a", "x").await;
    bench.manifest("a", "v1", &manifest).await;
    let other = bench.image_manifest("a", "y").await;
    let before = bench.stored().await;
    reason(bench.put("/v2/a/manifests/forbidden").json(&other).send().await);
    let digest = sha256(&serde_json::to_vec(&other).unwrap());
    reason(bench.put(&format!("/v2/a/manifests/{digest}?tag=fine&tag=forbidden")).json(&other).send().await);
    assert_eq!(bench.stored().await, before);
    assert_eq!(bench.tags("a").await, ["v1"]);
}

#[tokio::test]
async fn each_operation_is_asked_once_and_told_once() {
    let (bench, audit) = bench(u64::MAX);
    let blob = bench.blob("a", "x").await;
    let manifest = bench.image_manifest("a", "y").await;
    audit.seen.lock().clear();
    let (digest, _) = bench.manifest("a", "v1", &manifest).await;
    bench.has_manifest("a", "v1").await;
    bench.delete("/v2/a/manifests/v1").send().await.expect(202);
    bench.delete(&format!("/v2/a/manifests/{digest}")).send().await.expect(202);
    bench.delete(&format!("/v2/a/blobs/{blob}")).send().await.expect(202);
    let seen = std::mem::take(&mut *audit.seen.lock());
    let (m, b) = (&digest[..12], &blob[..12]);
    assert_eq!(
        seen,
        [
            "before put a v1 by alice".to_owned(),
            "after put a v1 by alice".to_owned(),
            "before get a v1 by alice".to_owned(),
            "before delete a v1 by alice".to_owned(),
            "after delete a v1 by alice".to_owned(),
            format!("before delete a {m} by alice"),
            format!("after delete a {m} by alice"),
            format!("before delete a {b} by alice"),
            format!("after delete a {b} by alice"),
        ]
    );
}

/// What garbage collection removes, hooks see, too.
#[tokio::test]
async fn gc_is_seen() {
    let (bench, audit) = bench(u64::MAX);
    let blob = bench.blob("a", "unreferenced").await;
    audit.seen.lock().clear();
    bench.gc_all().await;
    let seen = audit.seen.lock().clone();
    assert!(seen.contains(&format!("after delete a {} by gc", &blob[..12])), "{seen:?}");
}
