//! What every storage has to do, run on memory, on a folder and, where it is given, on a bucket.
//!
//! A check takes a [`Bench`]: a fresh storage, and the means to open it again as another process would.

mod artifacts;
mod careless;
mod crash;
mod documents;
mod faults;
mod hooks;
mod model;
mod places;

use serde::{Deserialize, Serialize};

use super::{Document, Key, ProcessRole, Storage, StorageOptions, Store, UnknownFields};
use crate::{Instance, Protocol};

/// A storage under test.
struct Bench {
    storage: Storage,
    place: Place,
}

enum Place {
    #[cfg(feature = "test-s3")]
    Bucket(super::StorageLocation, super::Connection),
    Folder(tempfile::TempDir),
    Memory,
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

    /// A storage of its own in the bucket that `TEST_S3_*` name.
    #[cfg(feature = "test-s3")]
    async fn s3() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("set {name}"));
        let secret = |name: &str| Some(secrecy::SecretString::from(variable(name)));
        let prefix = uuid::Uuid::new_v4().simple();
        let location = format!("s3://{}/suite/{prefix}", variable("TEST_S3_BUCKET")).parse().unwrap();
        let connection = super::Connection {
            endpoint: Some(variable("TEST_S3_ENDPOINT")),
            region: Some("us-east-1".to_owned()),
            access_key_id: secret("TEST_S3_ACCESS_KEY_ID"),
            secret_access_key: secret("TEST_S3_SECRET_ACCESS_KEY"),
            allow_http: true,
            ..super::Connection::default()
        };
        let options = StorageOptions::default();
        let storage = Storage::connect(&location, ProcessRole::Server, &connection, options).await.unwrap();
        Self { storage, place: Place::Bucket(location, connection) }
    }

    fn store(&self) -> Store {
        store(&self.storage)
    }

    /// The same storage as another process sees it.
    async fn other(&self) -> Storage {
        match &self.place {
            #[cfg(feature = "test-s3")]
            Place::Bucket(location, connection) => {
                let options = StorageOptions::default();
                Storage::connect(location, ProcessRole::Command, connection, options).await.unwrap()
            }
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
        #[cfg(feature = "test-s3")]
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                super::$module::$check(super::Bench::s3().await).await;
            })*
        }
    };
}

on_every_storage! {
    documents::a_document_lives,
    documents::what_says_that_nothing_is_here_counts_as_nothing,
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
    artifacts::what_was_served_is_served_from_memory_until_it_is_removed,
    artifacts::what_is_stored_can_be_looked_into,
}

async fn keys(storage: &Storage, store: &Store) -> Vec<String> {
    storage.drained().await;
    let all = store.list(&store.key().build()).await.unwrap();
    all.into_iter().map(|entry| entry.key.to_string()).collect()
}
