//! Keeps the catalog in memory and in the store in step.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use super::{
    CatalogEntry,
    reading::FOLLOW,
    shelves::{Change, Shelves},
};
use crate::{
    InstanceName, PackageRegistry,
    clock::Clock,
    storage::{Storage, StorageError, Store},
};

/// Local calls for one package that come in the wrong order do so within this time.
const OUT_OF_ORDER: i64 = 10_000_000;

tokio::task_local! {
    /// Since when the rescan runs that this task is part of.
    pub(super) static RESCAN: i64;
}

/// The catalog of a process.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: RwLock<State>,
    /// `None`: the catalog lives in memory only.
    pub(super) stored: Option<Stored>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// `None` until somebody asks.
    pub(super) shelves: Option<Shelves>,
    /// The newest stamp that was given or seen.
    pub(super) newest: i64,
    /// What is not written yet, by instance and name.
    pub(super) pending: BTreeMap<(InstanceName, Arc<str>), Change>,
    /// What is being written.
    pub(super) writing: Vec<Change>,
    /// What changed since a load began.
    pub(super) since_load: Option<Vec<Change>>,
    /// Names that were told of since a rescan began.
    pub(super) seen: Option<HashMap<InstanceName, BTreeSet<Arc<str>>>>,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) storage: Storage,
    pub(super) store: Store,
    pub(super) node: String,
    pub(super) next_segment: AtomicU64,
    /// Segments that were read or written since the newest snapshot.
    pub(super) since_snapshot: AtomicUsize,
    /// The newest snapshot's generation, as far as it is known here.
    pub(super) generation: Mutex<Option<String>>,
    pub(super) followed: Mutex<Option<Instant>>,
    /// Whether anybody asked: what only a snapshot needed is dropped after it.
    pub(super) asked: AtomicBool,
    /// Whether the streams cannot be trusted to be whole.
    pub(super) rescan_wanted: AtomicBool,
    pub(super) registries: Mutex<Vec<Weak<dyn PackageRegistry>>>,
    /// One at a time loads or follows; writes; makes a snapshot or a rescan.
    pub(super) reading: tokio::sync::Mutex<()>,
    pub(super) writing: tokio::sync::Mutex<()>,
    pub(super) tending: tokio::sync::Mutex<()>,
    pub(super) news: Arc<Notify>,
    pub(super) task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

impl Keeper {
    pub(super) fn memory() -> Self {
        let state = State { shelves: Some(Shelves::default()), ..State::default() };
        Self { clock: Arc::new(crate::clock::SystemClock), state: RwLock::new(state), stored: None }
    }

    pub(super) fn stored(storage: &Storage, clock: Arc<dyn Clock>) -> Self {
        let stored = Stored {
            storage: storage.clone(),
            store: storage.system(),
            node: uuid::Uuid::now_v7().simple().to_string(),
            next_segment: AtomicU64::new(0),
            since_snapshot: AtomicUsize::new(0),
            generation: Mutex::default(),
            followed: Mutex::default(),
            asked: AtomicBool::new(false),
            rescan_wanted: AtomicBool::new(false),
            registries: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            tending: tokio::sync::Mutex::default(),
            news: Arc::default(),
            task: Mutex::default(),
        };
        Self { clock, state: RwLock::default(), stored: Some(stored) }
    }

    // ----- changes and questions

    pub(super) fn changed(
        self: &Arc<Self>,
        instance: &InstanceName,
        name: &str,
        entry: Option<CatalogEntry>,
    ) {
        let rescan = RESCAN.try_with(|since| *since).ok();
        let now = self.clock.now().timestamp_micros();
        {
            let mut state = self.state.write();
            let name: Arc<str> = name.into();
            if let Some(seen) = &mut state.seen {
                seen.entry(instance.clone()).or_default().insert(Arc::clone(&name));
            }
            if state.knows_better(instance, &name, entry.as_ref(), rescan, now) {
                return;
            }
            let change = Change {
                instance: instance.clone(),
                name,
                stamp: state.next_stamp(now),
                entry: entry.map(Arc::new),
            };
            state.take(change, self.stored.is_some());
        }
        if let Some(stored) = &self.stored {
            stored.news.notify_one();
            self.tend(stored);
        }
    }

    /// Answers a question with what is known, loaded and followed as far as needed.
    pub(super) async fn ask<T>(&self, question: impl Fn(&Shelves) -> T + Send) -> Result<T, StorageError> {
        if let Some(stored) = &self.stored {
            stored.asked.store(true, Ordering::Relaxed);
        }
        for _ in 0..3 {
            if self.is_fresh()
                && let Some(shelves) = &self.state.read().shelves
            {
                return Ok(question(shelves));
            }
            self.refresh().await?;
        }
        // Dropped each time before it was read: never in practice.
        Ok(question(&Shelves::default()))
    }

    pub(super) fn is_fresh(&self) -> bool {
        let Some(stored) = &self.stored else { return true };
        let followed = *stored.followed.lock();
        followed.is_some_and(|followed| followed.elapsed() <= FOLLOW)
    }
}

impl State {
    pub(super) fn next_stamp(&mut self, now: i64) -> i64 {
        self.newest = now.max(self.newest.saturating_add(1));
        self.newest
    }

    /// Whether what is told is old news.
    fn knows_better(
        &self,
        instance: &InstanceName,
        name: &str,
        told: Option<&CatalogEntry>,
        rescan: Option<i64>,
        now: i64,
    ) -> bool {
        let slot = self.shelves.as_ref().and_then(|shelves| shelves.slot(instance, name));
        let known = slot.and_then(|slot| slot.entry.as_deref());
        if known == told && (told.is_some() || rescan.is_some()) {
            return true;
        }
        let Some(slot) = slot else { return false };
        match rescan {
            // The registry read this before or while it changed; what was told of the change itself is newer.
            Some(since) => slot.stamp >= since,
            // Two publishes at the same time may tell of themselves in the other order than they were committed.
            None => {
                slot.local
                    && now.saturating_sub(slot.stamp) < OUT_OF_ORDER
                    && told
                        .zip(slot.entry.as_deref())
                        .is_some_and(|(told, known)| told.changed < known.changed)
            }
        }
    }

    fn take(&mut self, change: Change, write: bool) {
        if let Some(shelves) = &mut self.shelves {
            shelves.apply(&change, true);
        }
        if let Some(since_load) = &mut self.since_load {
            since_load.push(change.clone());
        }
        if write {
            self.pending.insert((change.instance.clone(), Arc::clone(&change.name)), change);
        }
    }
}
