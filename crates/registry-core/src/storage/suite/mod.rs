//! What every storage has to do, run on memory, on a folder and, where it is given, on a bucket.
//!
//! A check takes a [`Bench`]: a fresh storage, and the means to open it again as another process would.

mod artifacts;
mod crash;
mod documents;

use serde::{Deserialize, Serialize};

use super::{Document, Key, ProcessRole, Storage, StorageOptions, Store, UnknownFields};
use crate::{Instance, Protocol};

/// A storage under test.
struct Bench {
    storage: Storage,
    place: Place,
}

enum Place {
    Memory,
    Folder(tempfile::TempDir),
}

impl Bench {
    fn memory() -> Self {
        Self { storage: Storage::memory(StorageOptions::default()), place: Place::Memory }
    }

    async fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage =
            Storage::folder(folder.path(), ProcessRole::Server, StorageOptions::default()).await.unwrap();
        Self { storage, place: Place::Folder(folder) }
    }

    fn store(&self) -> Store {
        store(&self.storage)
    }

    /// The same storage as another process sees it.
    async fn other(&self) -> Storage {
        match &self.place {
            Place::Memory => self.storage.clone(),
            Place::Folder(folder) => {
                Storage::folder(folder.path(), ProcessRole::Command, StorageOptions::default()).await.unwrap()
            }
        }
    }
}

fn store(storage: &Storage) -> Store {
    storage.store(&Instance::new(Protocol::Npm.into(), Protocol::Npm, Vec::new()))
}

/// The document of the checks: who added what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ledger {
    entries: Vec<u64>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Ledger {
    const SCHEMA: u32 = 1;
}

fn ledger_key(store: &Store) -> Key {
    store.key().fixed("ledgers").segment("one").fixed("ledger.json").build()
}

/// Runs checks on every storage.
macro_rules! on_every_storage {
    ($($module:ident::$check:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                super::$module::$check(super::Bench::memory()).await;
            })*
        }
        mod folder {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                super::$module::$check(super::Bench::folder().await).await;
            })*
        }
    };
}

on_every_storage! {
    documents::a_document_lives,
    documents::one_creator_wins,
    documents::eight_writers_lose_nothing,
    documents::two_processes_lose_nothing,
    documents::a_refusal_changes_nothing,
    documents::a_change_outlives_its_caller,
    documents::children_are_sorted_and_paged,
    documents::documents_of_another_process_are_seen,
    artifacts::bytes_go_in_and_out,
    artifacts::wrong_bytes_leave_nothing,
    artifacts::bytes_share_the_fate_of_their_commit,
    artifacts::parts_read_as_one,
}

async fn keys(storage: &Storage, store: &Store) -> Vec<String> {
    storage.drained().await;
    let all = store.list(&store.key().build()).await.unwrap();
    all.into_iter().map(|entry| entry.key.to_string()).collect()
}
