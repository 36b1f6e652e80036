//! Checks of documents.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use super::{Bench, Ledger, ledger_key, store};
use crate::storage::{ArtifactSpec, Created, Draft, Key, StorageError, Store, UpdateError};

/// Adds an entry; never refused.
async fn add(store: &Store, key: &Key, entry: u64) {
    let change = move |draft: &mut Draft<Ledger>| {
        draft.edit_or_insert_with(Ledger::default).entries.push(entry);
        Ok::<_, StorageError>(())
    };
    store.update(key, change).await.unwrap();
}

pub(super) async fn a_document_lives(bench: Bench) {
    let store = bench.store();
    let key = ledger_key(&store);
    assert!(store.read::<Ledger>(&key).await.unwrap().is_none());
    add(&store, &key, 1).await;
    let first = store.read::<Ledger>(&key).await.unwrap().unwrap();
    assert_eq!(first.entries, [1]);
    add(&store, &key, 2).await;
    let second = store.read::<Ledger>(&key).await.unwrap().unwrap();
    assert_eq!(second.entries, [1, 2]);
    assert_ne!(first.revision, second.revision);
    assert_eq!(store.read::<Ledger>(&key).await.unwrap().unwrap().revision, second.revision);

    // Back to an earlier value: still another revision.
    let set = |draft: &mut Draft<Ledger>| {
        draft.set(Ledger { entries: vec![1], ..Ledger::default() });
        Ok::<_, StorageError>(())
    };
    let ((), third) = store.update(&key, set).await.unwrap();
    let third = third.unwrap();
    assert_eq!(third.value, first.value);
    assert_ne!(third.revision, first.revision);

    let ((), same) = store.update(&key, |_: &mut Draft<Ledger>| Ok::<_, StorageError>(())).await.unwrap();
    assert_eq!(same.unwrap().revision, third.revision, "a change that changes nothing writes nothing");
    store.remove(&key).await.unwrap();
    assert!(store.read::<Ledger>(&key).await.unwrap().is_none());
    store.remove(&key).await.unwrap();
}

pub(super) async fn what_says_that_nothing_is_here_counts_as_nothing(bench: Bench) {
    let store = bench.store();
    let key = ledger_key(&store);
    let is_gone = |ledger: &Ledger| ledger.entries.is_empty();
    assert!(store.read_unless(&key, is_gone).await.unwrap().is_none());
    let set = async |store: &Store, entries: Vec<u64>| {
        let change = move |draft: &mut Draft<Ledger>| {
            draft.set(Ledger { entries: entries.clone(), ..Ledger::default() });
            Ok::<_, StorageError>(())
        };
        store.update(&key, change).await.unwrap();
    };
    set(&store, Vec::new()).await;
    assert!(store.read::<Ledger>(&key).await.unwrap().is_some());
    assert!(store.read_unless(&key, is_gone).await.unwrap().is_none());
    // The other process makes it somebody's while this one has the old state in memory.
    set(&super::store(&bench.other().await), vec![1]).await;
    assert_eq!(store.read_unless(&key, is_gone).await.unwrap().unwrap().entries, [1]);
}

pub(super) async fn one_creator_wins(bench: Bench) {
    let store = bench.store();
    let key = ledger_key(&store);
    let mut racers = JoinSet::new();
    for entry in 0..20 {
        let (store, key) = (store.clone(), key.clone());
        racers.spawn(async move {
            let value = Ledger { entries: vec![entry], ..Ledger::default() };
            (entry, store.create(&key, value).await.unwrap())
        });
    }
    let mut winners = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(result) = racers.join_next().await {
        let (entry, created) = result.unwrap();
        let (Created::Now(document) | Created::Exists(document)) = &created;
        seen.insert(document.entries.clone());
        if matches!(created, Created::Now(_)) {
            winners.push(entry);
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(seen, BTreeSet::from([winners]), "everybody sees the winner's document");
}

pub(super) async fn eight_writers_lose_nothing(bench: Bench) {
    let other = bench.other().await;
    contend(&[bench.store(), store(&other)], 8, 25).await;
}

pub(super) async fn two_processes_lose_nothing(bench: Bench) {
    let (one, two) = (bench.other().await, bench.other().await);
    contend(&[bench.store(), store(&one), store(&two)], 6, 10).await;
}

async fn contend(stores: &[Store], writers: u64, each: u64) {
    let key = ledger_key(&stores[0]);
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let store = stores[usize::try_from(writer).unwrap() % stores.len()].clone();
        let key = key.clone();
        tasks.spawn(async move {
            for number in 0..each {
                add(&store, &key, writer * each + number).await;
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    for store in stores {
        let mut entries = store.read::<Ledger>(&key).await.unwrap().unwrap().entries.clone();
        entries.sort_unstable();
        assert_eq!(entries, (0..writers * each).collect::<Vec<_>>());
    }
}

pub(super) async fn a_refusal_changes_nothing(bench: Bench) {
    let store = bench.store();
    let key = ledger_key(&store);
    add(&store, &key, 1).await;
    let before = store.read::<Ledger>(&key).await.unwrap().unwrap();
    // Others succeed in the same batches.
    let mut tasks = JoinSet::new();
    for number in 0..20_u64 {
        let (store, key) = (store.clone(), key.clone());
        tasks.spawn(async move {
            let change = move |draft: &mut Draft<Ledger>| {
                if number.is_multiple_of(2) {
                    return Err(UpdateError::Refused("even"));
                }
                draft.edit().unwrap().entries.push(number);
                Ok(number)
            };
            match store.update(&key, change).await {
                Ok((value, document)) => {
                    assert_eq!(value, number);
                    assert!(document.unwrap().entries.contains(&number));
                }
                Err(UpdateError::Refused(reason)) => {
                    assert_eq!(reason, "even");
                    assert!(number.is_multiple_of(2));
                }
                Err(UpdateError::Storage(error)) => panic!("{error}"),
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    let after = store.read::<Ledger>(&key).await.unwrap().unwrap();
    assert_eq!(after.entries.len(), before.entries.len() + 10);
}

pub(super) async fn a_change_outlives_its_caller(bench: Bench) {
    let store = bench.store();
    let key = ledger_key(&store);
    let runs = Arc::new(AtomicUsize::new(0));
    for entry in 0..10 {
        let runs = Arc::clone(&runs);
        let change = move |draft: &mut Draft<Ledger>| {
            runs.fetch_add(1, Ordering::SeqCst);
            draft.edit_or_insert_with(Ledger::default).entries.push(entry);
            Ok::<_, StorageError>(())
        };
        let mut update = Box::pin(store.update(&key, change));
        // Polled once, then dropped.
        let _pending = futures_util::poll!(&mut update);
    }
    bench.storage.drained().await;
    let document = store.read::<Ledger>(&key).await.unwrap().unwrap();
    assert_eq!(document.entries.len(), 10);
    assert!(runs.load(Ordering::SeqCst) >= 10);
}

pub(super) async fn children_are_sorted_and_paged(bench: Bench) {
    let store = bench.store();
    let root = store.key().fixed("packages").build();
    for name in ["b", "a", "a-b", "@s/x", "@s/y", "Z"] {
        let key = root.child().segments(name).fixed("package.json").build();
        add(&store, &key, 0).await;
    }
    add(&store, &root.child().fixed("list.json").build(), 0).await;
    let data = root.child().segment("b").build();
    store.write_artifact_bytes(&data, "x".into(), ArtifactSpec::default()).await.unwrap().keep();

    let all = store.children(&root, None, 100).await.unwrap();
    assert_eq!(all, ["%5a/", "@s/", "a-b/", "a/", "b/", "list.json"]);
    let mut paged = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.children(&root, after.as_deref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert_eq!(store.children(&root.child().fixed("@s").build(), None, 9).await.unwrap(), ["x/", "y/"]);
}

pub(super) async fn documents_of_another_process_are_seen(bench: Bench) {
    let (store, other) = (bench.store(), store(&bench.other().await));
    let key = ledger_key(&store);
    for entry in 0..20 {
        let (writer, reader) = if entry % 2 == 0 { (&store, &other) } else { (&other, &store) };
        add(writer, &key, entry).await;
        let document = reader.read::<Ledger>(&key).await.unwrap().unwrap();
        assert_eq!(document.entries.last(), Some(&entry));
    }
}
