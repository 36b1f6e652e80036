//! Stores that fail: answers that get lost, full disks, disks that do not sync.

use std::{
    path::Path as FilePath,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{
    Error, ObjectStore, PutMode, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use tokio::task::JoinSet;

use super::{Ledger, ledger_key, store};
use crate::storage::{
    ArtifactSpec, Created, Draft, Key, Storage, StorageError, StorageOptions, Store, UpdateError,
    cache::Rule,
    engine::Place,
    folder::{FolderStore, failing::FailingFiles},
    puts::{PutRule, PutsBy},
};

/// What becomes of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It arrives, the answer is lost.
    AnswerLost,
    /// It arrives, and is then tried again by a client below, which reports a conflict with itself.
    OwnConflict,
    /// It does not arrive.
    RequestLost,
}

/// Every other conditional write goes wrong.
#[derive(Debug)]
struct Unreliable {
    fault: Fault,
    writes: AtomicUsize,
}

#[async_trait]
impl PutRule for Unreliable {
    const NAME: &'static str = "unreliable writer";

    async fn put(
        &self,
        below: &dyn ObjectStore,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let lost = || Error::Generic { store: "unreliable", source: "the connection was reset".into() };
        if options.mode == PutMode::Overwrite || self.writes.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            return below.put_opts(location, payload, options).await;
        }
        if self.fault == Fault::RequestLost {
            return Err(lost());
        }
        let creates = options.mode == PutMode::Create;
        let put = below.put_opts(location, payload, options).await;
        let (path, source) = (location.to_string(), "conflict".into());
        match (self.fault, put, creates) {
            (Fault::AnswerLost | Fault::RequestLost, _, _) => Err(lost()),
            (Fault::OwnConflict, _, true) => Err(Error::AlreadyExists { path, source }),
            (Fault::OwnConflict, _, false) => Err(Error::Precondition { path, source }),
        }
    }
}

fn unreliable(fault: Fault) -> Storage {
    let rule = Unreliable { fault, writes: AtomicUsize::new(0) };
    let object_store: Arc<dyn ObjectStore> = Arc::new(PutsBy::new(rule, Arc::new(InMemory::new())));
    let rule = Rule::Staleness(std::time::Duration::ZERO);
    Storage::assemble(Arc::clone(&object_store), object_store, Place::Bucket, rule, StorageOptions::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_answers_change_nothing_twice_and_lose_nothing() {
    for fault in [Fault::AnswerLost, Fault::OwnConflict, Fault::RequestLost] {
        let storage = unreliable(fault);
        let store = store(&storage);
        let key = ledger_key(&store);
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let (store, key) = (store.clone(), key.clone());
            writers.spawn(async move {
                for number in 0..20 {
                    let entry = writer * 100 + number;
                    let change = move |draft: &mut Draft<Ledger>| {
                        let ledger = draft.get().map(|ledger| &ledger.entries);
                        if ledger.is_some_and(|entries| entries.contains(&entry)) {
                            return Err(UpdateError::Refused("it is there already"));
                        }
                        draft.edit_or_insert_with(Ledger::default).entries.push(entry);
                        Ok(())
                    };
                    store.update(&key, change).await.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
                }
            });
        }
        while let Some(result) = writers.join_next().await {
            result.unwrap();
        }
        assert_eq!(store.read::<Ledger>(&key).await.unwrap().unwrap().entries.len(), 160, "{fault:?}");
    }
}

#[tokio::test]
async fn who_created_a_document_is_told_so_although_the_answer_was_lost() {
    for fault in [Fault::AnswerLost, Fault::OwnConflict, Fault::RequestLost] {
        let storage = unreliable(fault);
        let store = store(&storage);
        let key = ledger_key(&store);
        let created = store.create(&key, Ledger::default()).await.unwrap();
        assert!(matches!(created, Created::Now(_)), "{fault:?}");
        let again = store.create(&key, Ledger::default()).await.unwrap();
        assert!(matches!(again, Created::Exists(_)), "{fault:?}");
    }
}

fn failing(path: &FilePath) -> (Storage, Arc<AtomicU8>) {
    let (files, fault) = FailingFiles::new();
    let folder = FolderStore::open_with(Arc::new(files), path).unwrap();
    let object_store: Arc<dyn ObjectStore> = Arc::new(folder.clone());
    let place = Place::Folder { folder, server: true };
    let options = StorageOptions::default();
    (Storage::assemble(Arc::clone(&object_store), object_store, place, Rule::Epoch, options), fault)
}

async fn add(store: &Store, key: &Key) -> std::result::Result<(), StorageError> {
    let change = |draft: &mut Draft<Ledger>| {
        draft.edit_or_insert_with(Ledger::default).entries.push(1);
        Ok(())
    };
    store.update(key, change).await.map(|((), _)| ())
}

#[tokio::test]
async fn a_full_disk_is_told_apart_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, fault) = failing(folder.path());
    let store = store(&storage);
    let key = ledger_key(&store);
    add(&store, &key).await.unwrap();
    let before = super::keys(&storage, &store).await;

    fault.store(FailingFiles::FULL, Ordering::SeqCst);
    let error = add(&store, &key).await.unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error:?}");
    for length in [10, 3_000_000] {
        let bytes = Bytes::from(vec![0; length]);
        let error = store.write_artifact_bytes(&key, bytes, ArtifactSpec::default()).await.unwrap_err();
        assert!(matches!(error, StorageError::Full { .. }), "{error}");
    }
    assert_eq!(super::keys(&storage, &store).await, before);
    assert_eq!(store.read::<Ledger>(&key).await.unwrap().unwrap().entries, [1]);

    fault.store(FailingFiles::FINE, Ordering::SeqCst);
    add(&store, &key).await.unwrap();
}

#[tokio::test]
async fn what_could_not_be_synced_is_not_read_and_ends_all_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, fault) = failing(folder.path());
    let store = store(&storage);
    let (key, other) = (ledger_key(&store), store.key().segment("other").build());
    add(&store, &key).await.unwrap();
    add(&store, &other).await.unwrap();

    fault.store(FailingFiles::FOLDERS_DO_NOT_SYNC, Ordering::SeqCst);
    let error = add(&store, &key).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    fault.store(FailingFiles::FINE, Ordering::SeqCst);
    // The new state is in the folder, but nobody knows whether it stays.
    assert!(store.read::<Ledger>(&key).await.is_err());
    assert_eq!(store.read::<Ledger>(&other).await.unwrap().unwrap().entries, [1]);
    assert!(add(&store, &other).await.is_err());

    drop((store, storage));
    let (storage, _) = failing(folder.path());
    let entries = &super::store(&storage).read::<Ledger>(&key).await.unwrap().unwrap().value.entries;
    assert_eq!(entries, &[1, 1], "opened again, the folder tells what it has");
}
