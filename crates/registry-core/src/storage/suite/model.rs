//! Documents against a map: after any sequence of operations both hold the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Bench, Ledger, store};
use crate::storage::{Created, Draft, Key, StorageError, Store, UpdateError};

const NAMES: [&str; 4] = ["a", "b", "B", "a/b"];

#[derive(Clone, Debug)]
enum Step {
    Add {
        name: usize,
        entry: u64,
    },
    Replace {
        name: usize,
        entry: u64,
    },
    Refuse {
        name: usize,
    },
    Create {
        name: usize,
        entry: u64,
    },
    Remove {
        name: usize,
    },
    Read {
        name: usize,
    },
    List,
    /// What follows is done by another process.
    ChangeProcess,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => (name.clone(), any::<u64>()).prop_map(|(name, entry)| Step::Add { name, entry }),
        1 => (name.clone(), any::<u64>()).prop_map(|(name, entry)| Step::Replace { name, entry }),
        1 => name.clone().prop_map(|name| Step::Refuse { name }),
        2 => (name.clone(), any::<u64>()).prop_map(|(name, entry)| Step::Create { name, entry }),
        1 => name.clone().prop_map(|name| Step::Remove { name }),
        3 => name.prop_map(|name| Step::Read { name }),
        1 => Just(Step::List),
        1 => Just(Step::ChangeProcess),
    ]
}

fn key(store: &Store, name: usize) -> Key {
    store.key().fixed("ledgers").segment(NAMES[name]).build()
}

fn ledger(entries: Vec<u64>) -> Ledger {
    Ledger { entries, ..Ledger::default() }
}

async fn run(bench: Bench, steps: Vec<Step>) {
    let other = bench.other().await;
    let stores = [bench.store(), store(&other)];
    let mut process = 0;
    let mut model: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for step in steps {
        let store = &stores[process];
        match step {
            Step::Add { name, entry } => {
                let change = move |draft: &mut Draft<Ledger>| {
                    let ledger = draft.edit_or_insert_with(Ledger::default);
                    ledger.entries.push(entry);
                    Ok::<_, StorageError>(ledger.entries.len())
                };
                let (length, document) = store.update(&key(store, name), change).await.unwrap();
                let entries = model.entry(name).or_default();
                entries.push(entry);
                assert_eq!(length, entries.len());
                assert_eq!(&document.unwrap().entries, entries);
            }
            Step::Replace { name, entry } => {
                let change = move |draft: &mut Draft<Ledger>| {
                    draft.set(ledger(vec![entry]));
                    Ok::<_, StorageError>(())
                };
                store.update(&key(store, name), change).await.unwrap();
                model.insert(name, vec![entry]);
            }
            Step::Refuse { name } => {
                let change = |draft: &mut Draft<Ledger>| {
                    Err::<(), _>(UpdateError::Refused(draft.get().map(|l| l.entries.clone())))
                };
                match store.update(&key(store, name), change).await {
                    Err(UpdateError::Refused(entries)) => assert_eq!(entries.as_ref(), model.get(&name)),
                    other => panic!("{other:?}"),
                }
            }
            Step::Create { name, entry } => {
                match (store.create(&key(store, name), ledger(vec![entry])).await.unwrap(), model.get(&name))
                {
                    (Created::Now(document), None) => {
                        assert_eq!(document.entries, [entry]);
                        model.insert(name, vec![entry]);
                    }
                    (Created::Exists(document), Some(entries)) => assert_eq!(&document.entries, entries),
                    (created, expected) => panic!("{created:?} instead of {expected:?}"),
                }
            }
            Step::Remove { name } => {
                store.remove(&key(store, name)).await.unwrap();
                model.remove(&name);
            }
            Step::Read { name } => {
                let document = store.read::<Ledger>(&key(store, name)).await.unwrap();
                assert_eq!(document.as_ref().map(|d| &d.entries), model.get(&name));
            }
            Step::List => {
                let prefix = store.key().fixed("ledgers").build();
                let found: Vec<_> =
                    store.list(&prefix).await.unwrap().into_iter().map(|entry| entry.key).collect();
                let mut expected: Vec<_> = model.keys().map(|name| key(store, *name)).collect();
                expected.sort();
                assert_eq!(found, expected);
            }
            Step::ChangeProcess => process = 1 - process,
        }
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_is_a_map(steps in proptest::collection::vec(step(), 1..60)) {
        block_on(run(Bench::memory(), steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_folder_is_a_map(steps in proptest::collection::vec(step(), 1..40)) {
        block_on(async { run(Bench::folder().await, steps).await });
    }
}
