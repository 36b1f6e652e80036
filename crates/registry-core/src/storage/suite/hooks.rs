//! Checks of hooks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Ledger, ledger_key, store};
use crate::{
    Actor,
    hooks::{Denied, HookEvent, Hooks, Operation, StorageHooks},
    storage::{ArtifactSpec, Draft, Storage, StorageError, StorageOptions, UpdateError},
};

/// Writes down what it is told, and refuses packages named `secret`.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<String>>);

impl Witness {
    fn saw(&self, what: &str, event: &HookEvent) {
        assert_eq!(event.actor.name(), "ann");
        assert_eq!(event.instance.as_str(), "npm");
        self.0.lock().push(format!("{what} {}", event.package.as_deref().unwrap_or("-")));
    }
}

#[async_trait]
impl StorageHooks for Witness {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        self.saw("before put", event);
        if event.package.as_deref() == Some("secret") { Err(Denied::new("not this one")) } else { Ok(()) }
    }

    async fn after_put(&self, event: &HookEvent) {
        self.saw("after put", event);
    }

    async fn after_get(&self, event: &HookEvent) {
        self.saw("after get", event);
    }

    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        self.saw("before delete", event);
        Ok(())
    }

    async fn after_delete(&self, event: &HookEvent) {
        self.saw("after delete", event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_hear_of_each_operation_once() {
    let witness = Arc::new(Witness::default());
    let hooks = Hooks::new(vec![Arc::<Witness>::clone(&witness)]);
    let storage = Storage::memory(StorageOptions { hooks, ..StorageOptions::default() });
    let store = store(&storage);
    let key = ledger_key(&store);
    let ann = Actor::user("ann");
    assert!(store.has_hooks());
    assert!(!storage.system().has_hooks());

    // Many runs of the closures, one call of each hook.
    let runs = Arc::new(AtomicUsize::new(0));
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..5 {
        let (store, key, ann, runs) = (store.clone(), key.clone(), ann.clone(), Arc::clone(&runs));
        commits.spawn(async move {
            let event = store.event(Operation::Put, &key, &ann).package("lib");
            let permit = store.permit(event).await.unwrap();
            let change = move |draft: &mut Draft<Ledger>| {
                runs.fetch_add(1, Ordering::SeqCst);
                draft.edit_or_insert_with(Ledger::default).entries.push(number);
                Ok::<_, StorageError>(())
            };
            store.commit(&key, permit, change).await.unwrap();
        });
    }
    while let Some(result) = commits.join_next().await {
        result.unwrap();
    }
    let mut seen = std::mem::take(&mut *witness.0.lock());
    seen.sort();
    assert_eq!(seen, [["after put lib"; 5], ["before put lib"; 5]].concat());
    assert!(runs.load(Ordering::SeqCst) >= 5);

    // A refusal by a hook: the reason, and nothing after it.
    let event = store.event(Operation::Put, &key, &ann).package("secret");
    let denied = store.permit(event).await.unwrap_err();
    assert!(matches!(&denied, StorageError::Denied(denied) if denied.reason == "not this one"));
    assert_eq!(std::mem::take(&mut *witness.0.lock()), ["before put secret"]);

    // A refusal by the closure: no call after it.
    let permit =
        store.permit_with(|| store.event(Operation::Delete, &key, &ann).package("lib")).await.unwrap();
    let refused =
        store.commit(&key, permit, |_: &mut Draft<Ledger>| Err::<(), _>(UpdateError::Refused("no"))).await;
    assert!(matches!(refused, Err(UpdateError::Refused("no"))));
    assert_eq!(std::mem::take(&mut *witness.0.lock()), ["before delete lib"]);

    // A read has no commit.
    let permit = store.permit(store.event(Operation::Get, &key, &ann).package("lib")).await.unwrap();
    store.finish(permit).await;
    assert_eq!(std::mem::take(&mut *witness.0.lock()), ["after get lib"]);

    // The caller goes away: what was done is told nevertheless.
    let mut permit = store.permit(store.event(Operation::Put, &key, &ann).package("gone")).await.unwrap();
    let bytes = store.write_artifact_bytes(&key, "bytes".into(), ArtifactSpec::default()).await.unwrap();
    let data = permit.attach(bytes);
    let size = data.size;
    let change = move |draft: &mut Draft<Ledger>| {
        draft.edit().unwrap().entries.push(size);
        Ok::<_, StorageError>(())
    };
    let mut commit = Box::pin(store.commit(&key, permit, change));
    let _pending = futures_util::poll!(&mut commit);
    drop(commit);
    storage.drained().await;
    assert_eq!(std::mem::take(&mut *witness.0.lock()), ["before put gone", "after put gone"]);
    assert_eq!(store.read::<Ledger>(&key).await.unwrap().unwrap().entries.last(), Some(&5));
    assert!(store.read_artifact(&[data], None).await.is_ok());
}
