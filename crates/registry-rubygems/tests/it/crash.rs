//! A server that dies between a gem's document and the log, and the others on its store.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use registry_core::{
    PackageRegistry as _,
    hooks::{HookEvent, Hooks, StorageHooks},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use crate::app::{App, Build, Client, Setup};

/// Hooks that never come back once a gem's document was changed: what follows is not done, as if the process were killed there.
#[derive(Debug)]
struct Deadly {
    reached: Semaphore,
}

#[async_trait]
impl StorageHooks for Deadly {
    async fn after_put(&self, event: &HookEvent) {
        if event.package.as_deref().is_some_and(|name| name.starts_with("lost")) {
            self.reached.add_permits(1);
            std::future::pending::<()>().await;
        }
    }
}

/// Two servers on one store, of which one died after the documents of these gems and before their lines.
async fn died_with(gems: &[Build]) -> (App, Arc<App>) {
    let hooks = Arc::new(Deadly { reached: Semaphore::new(0) });
    let mut setup = Setup::new();
    setup.options.hooks = Hooks::new(vec![Arc::<Deadly>::clone(&hooks)]);
    let dying = Arc::new(setup.build());
    let other = dying.sibling();
    other.push(&Build::new("known", "1.0")).await;
    assert!(other.text("/versions").await.contains("\nknown 1.0 "));
    for gem in gems {
        let (dying, bytes) = (Arc::clone(&dying), gem.bytes());
        let push = tokio::spawn(async move { dying.post(bytes, "alice-token").await });
        tokio::time::timeout(Duration::from_secs(20), hooks.reached.acquire())
            .await
            .unwrap()
            .unwrap()
            .forget();
        push.abort();
    }
    (other, dying)
}

async fn markers(app: &App) -> usize {
    let store = app.services.storage.store(&app.instance);
    store.list(&store.key().fixed("pending").build()).await.unwrap().len()
}

#[tokio::test]
async fn checklist_43_another_server_completes_the_log_while_it_runs() {
    let gems = [Build::new("lost", "1.0"), Build::new("lost-2", "1.0"), Build::new("lost", "1.1")];
    let (other, _dying) = died_with(&gems).await;
    // The documents say so, and nobody has looked for markers yet.
    assert!(other.text("/info/lost").await.contains("\n1.1 |"));
    assert_eq!(markers(&other).await, 3);
    let before = other.text("/versions").await;
    assert!(!before.contains("lost"), "{before}");
    // Lists of every kind are complete as soon as markers are looked for again.
    other.clock.advance(Duration::from_secs(6));
    let names = other.text("/names").await;
    assert_eq!(names, "---\nknown\nlost\nlost-2\n");
    let after = other.text("/versions").await;
    let tail = after.strip_prefix(&before).unwrap();
    assert_eq!(tail.lines().count(), 2, "{tail}");
    assert!(tail.contains("lost 1.0,1.1 ") && tail.contains("lost-2 1.0 "), "{tail}");
    other.check_index().await;
    assert_eq!(other.faults().await, [""; 0]);
}

#[tokio::test]
async fn checklist_43_a_server_that_has_just_come_looks_at_once() {
    let (other, _dying) = died_with(&[Build::new("lost", "1.0")]).await;
    // Not started by its host: the first reader finds it.
    let young = other.sibling();
    assert!(young.text("/versions").await.contains("\nlost 1.0 "));
    // The other one has it as soon as it is in the log.
    other.check_index().await;
    assert!(other.text("/versions").await.contains("\nlost 1.0 "));
    assert_eq!(other.get("/specs.4.8.gz").await.body, young.get("/specs.4.8.gz").await.body);
}

/// Who reads waits for nobody's push: markers of operations that go on are looked at, and a line is written once.
#[tokio::test]
async fn markers_of_what_goes_on_change_nothing() {
    let app = Setup::new().build();
    app.push(&Build::new("a", "1.0")).await;
    let store = app.services.storage.store(&app.instance);
    let key = store.key().fixed("pending").segment("a").build();
    let marker = store.write_artifact_bytes(
        &key,
        bytes::Bytes::from_static(b"a"),
        registry_core::storage::ArtifactSpec::default(),
    );
    let marker = marker.await.unwrap();
    let before = app.text("/versions").await;
    app.clock.advance(Duration::from_secs(6));
    assert_eq!(app.text("/versions").await, before);
    assert_eq!(markers(&app).await, 1);
    drop(marker);
    let begun = Instant::now();
    while markers(&app).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the marker stays");
        sleep(Duration::from_millis(2)).await;
    }
    app.registry.shutdown().await;
}
