//! Garbage collection and verification: what a protocol is asked to do and how it reports.

mod packages;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::{
    catalog,
    storage::{Storage, StorageError},
};

pub use self::packages::{PackageDocument, PackageFolders};

/// What keeps a registry's store in order.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Collects what nobody can reach any more. Safe while serving, and while other nodes collect.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError>;

    /// Reads everything and hashes it again; faults go to the report.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError>;

    /// Tells the catalog anew what exists.
    async fn rebuild_catalog(&self) -> Result<(), StorageError>;
}

/// One run of garbage collection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GcRun {
    /// When the run began.
    pub now: DateTime<Utc>,
    /// How long something stays after it was deleted or lost its last reference.
    pub grace: Duration,
    /// Unreferenced data younger than this is left alone: a write may be under way. [`MINIMUM_AGE`](Self::MINIMUM_AGE), unless
    /// [`without_servers`](Self::without_servers) found that nobody writes.
    pub minimum_age: Duration,
    /// Only report.
    pub dry_run: bool,
    /// Counts and lines.
    pub report: Report,
}

impl GcRun {
    /// Unreferenced data younger than this is never touched while a server may be at work, whatever the grace.
    pub const MINIMUM_AGE: Duration = Duration::from_hours(1);

    /// A run that begins now.
    pub fn new(now: DateTime<Utc>, grace: Duration, dry_run: bool) -> Self {
        Self { now, grace, minimum_age: Self::MINIMUM_AGE, dry_run, report: Report::default() }
    }

    /// Lets a grace shorter than [`MINIMUM_AGE`](Self::MINIMUM_AGE) hold for what is young, too, where no server works on the
    /// store.
    ///
    /// On a folder no server can start then as long as this process has the folder open. Of a bucket it is known by the
    /// markers that servers leave there every minute: one that said nothing for five minutes counts as gone, and nothing keeps
    /// one from starting (which may then refuse a push that relied on what was just collected, but loses nothing).
    pub async fn without_servers(mut self, storage: &Storage) -> Result<Self, StorageError> {
        if self.grace < Self::MINIMUM_AGE {
            let nobody = match storage.exclude_servers().await? {
                Some(excluded) => excluded,
                None => !catalog::servers_live(storage, self.now).await?,
            };
            if nobody {
                self.minimum_age = self.grace;
            }
        }
        Ok(self)
    }
}

/// One run of verification: everything is read and hashed again.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyRun {
    /// Counts, and a line a fault.
    pub report: Report,
}

/// What a run did so far; shared between the run and who watches it.
#[derive(Clone, Debug, Default)]
pub struct Report(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    examined: AtomicU64,
    removed: AtomicU64,
    bytes: AtomicU64,
    lines: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
}

impl Report {
    /// Counts one thing looked at.
    pub fn examined(&self) {
        self.0.examined.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one object removed (or, in a dry run, to be removed) with its size, and says which.
    pub fn removed(&self, what: &str, bytes: u64) {
        self.0.removed.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.lines.lock().push(what.to_owned());
    }

    /// Reports a fault: a line that names the key and what is wrong.
    pub fn fault(&self, line: impl Into<String>) {
        self.0.faults.lock().push(line.into());
    }

    /// How many things were looked at.
    pub fn examined_count(&self) -> u64 {
        self.0.examined.load(Ordering::Relaxed)
    }

    /// How many objects were removed, and their bytes.
    pub fn removed_count(&self) -> (u64, u64) {
        (self.0.removed.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }

    /// Takes the lines of what was removed since the last call.
    pub fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lines.lock())
    }

    /// The faults so far.
    pub fn faults(&self) -> Vec<String> {
        self.0.faults.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{ProcessRole, StorageOptions};

    async fn open(folder: &tempfile::TempDir, role: ProcessRole) -> Result<Storage, StorageError> {
        Storage::folder(folder.path(), role, StorageOptions::default()).await
    }

    async fn minimum_age(storage: &Storage, grace: Duration) -> Duration {
        let run = GcRun::new(Utc::now(), grace, false);
        run.without_servers(storage).await.unwrap().minimum_age
    }

    #[tokio::test]
    async fn a_server_on_a_folder_keeps_young_data() {
        let folder = tempfile::tempdir().unwrap();
        let server = open(&folder, ProcessRole::Server).await.unwrap();
        let command = open(&folder, ProcessRole::Command).await.unwrap();
        for storage in [&server, &command] {
            assert_eq!(minimum_age(storage, Duration::ZERO).await, GcRun::MINIMUM_AGE);
        }
        drop(server);
        for grace in [Duration::ZERO, Duration::from_mins(10)] {
            assert_eq!(minimum_age(&command, grace).await, grace);
        }
        assert_eq!(minimum_age(&command, Duration::from_hours(24)).await, GcRun::MINIMUM_AGE);
    }

    #[tokio::test]
    async fn no_server_starts_while_young_data_is_collected() {
        let folder = tempfile::tempdir().unwrap();
        let command = open(&folder, ProcessRole::Command).await.unwrap();
        // A longer grace keeps nobody out.
        minimum_age(&command, GcRun::MINIMUM_AGE).await;
        drop(open(&folder, ProcessRole::Server).await.unwrap());
        assert_eq!(minimum_age(&command, Duration::ZERO).await, Duration::ZERO);
        let refused = open(&folder, ProcessRole::Server).await.unwrap_err();
        assert!(refused.to_string().contains("`gc` with a short grace"), "{refused}");
        open(&folder, ProcessRole::Command).await.unwrap();
        drop(command);
        open(&folder, ProcessRole::Server).await.unwrap();
    }

    #[tokio::test]
    async fn memory_is_in_use() {
        let storage = Storage::memory(StorageOptions::default());
        assert_eq!(minimum_age(&storage, Duration::ZERO).await, GcRun::MINIMUM_AGE);
    }
}
