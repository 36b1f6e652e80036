//! Which folders are durably in place, and the shared syncing of those that are not.
//!
//! A name is durable when its folder was synced after the name appeared, and the folder itself is in the
//! same position in its parent, up to the root. That a folder exists proves nothing: whoever created it
//! may not have synced the parent yet. So the store remembers the folders whose whole chain it has synced
//! itself, and forgets them when a folder is removed, by this process or another.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};
use quick_cache::sync::Cache;

use super::{
    fs_ops::{FileOps, LockFile},
    locks::Locks,
};

/// How many folders are remembered as durable; a forgotten one costs one more sync.
const REMEMBERED_FOLDERS: usize = 16_384;

/// The folders below the store's root.
#[derive(Debug)]
pub(crate) struct Folders {
    files: Arc<dyn FileOps>,
    root: PathBuf,
    durable: Cache<PathBuf, ()>,
    /// Counts removed folders, for all processes.
    removals: Box<dyn LockFile>,
    seen_removals: AtomicU64,
    syncs: Mutex<HashMap<PathBuf, Arc<SharedSync>>>,
}

/// What has to be synced before a name in a folder is durable.
#[derive(Debug)]
#[must_use]
pub(crate) struct Unsynced {
    /// Folders whose entries matter, the name's own folder last.
    folders: Vec<PathBuf>,
    /// Folders that are durable once `folders` are synced.
    then_durable: Vec<PathBuf>,
    removals: u64,
}

impl Folders {
    pub(crate) fn new(
        files: Arc<dyn FileOps>,
        root: PathBuf,
        removals: Box<dyn LockFile>,
    ) -> io::Result<Self> {
        let seen_removals = AtomicU64::new(removals.counter()?);
        Ok(Self {
            files,
            root,
            durable: Cache::new(REMEMBERED_FOLDERS),
            removals,
            seen_removals,
            syncs: Mutex::default(),
        })
    }

    /// Creates what is missing of `folder`. The caller holds a stripe of the locks, so that no folder is
    /// removed meanwhile.
    pub(crate) fn prepare(&self, folder: &Path) -> io::Result<Unsynced> {
        let removals = self.removals.counter()?;
        if self.seen_removals.swap(removals, Ordering::AcqRel) != removals {
            self.durable.clear();
        }
        let mut uncertain = Vec::new();
        let mut at = folder;
        while at != self.root && !self.durable.contains_key(at) {
            uncertain.push(at.to_owned());
            at = at.parent().ok_or(ErrorKind::NotFound)?;
        }
        let mut folders = Vec::with_capacity(uncertain.len().saturating_add(1));
        for folder in uncertain.iter().rev() {
            match self.files.create_dir(folder) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            folders.push(folder.parent().ok_or(ErrorKind::NotFound)?.to_owned());
        }
        folders.push(folder.to_owned());
        Ok(Unsynced { folders, then_durable: uncertain, removals })
    }

    /// What has to be synced after a name was taken out of `folder`.
    pub(crate) fn after_removal(folder: &Path) -> Unsynced {
        Unsynced { folders: vec![folder.to_owned()], then_durable: Vec::new(), removals: 0 }
    }

    /// Syncs what `prepare` said, after the name was put in place. Callers that need the same folder at
    /// the same time share one sync. No lock may be held.
    pub(crate) fn sync(&self, unsynced: &Unsynced, locks: &Locks, key: &str) -> io::Result<()> {
        for folder in unsynced.folders.iter().rev() {
            let mut at = folder.as_path();
            // Where a folder was removed since, that has to be durable in what it was removed from.
            while let Err(error) = self.sync_folder(at) {
                match at.parent() {
                    Some(parent) if error.kind() == ErrorKind::NotFound && at != self.root => at = parent,
                    _ => return Err(error),
                }
            }
        }
        if !unsynced.then_durable.is_empty() {
            let _held = locks.hold(key)?;
            if self.removals.counter()? == unsynced.removals {
                for folder in &unsynced.then_durable {
                    self.durable.insert(folder.clone(), ());
                }
            }
        }
        Ok(())
    }

    /// Trusts no folder any more, because one was not where it should be.
    pub(crate) fn forget_all(&self) {
        self.durable.clear();
    }

    /// Removes `folder` and its parents as far as they are empty.
    pub(crate) fn remove_empty(&self, folder: &Path, locks: &Locks) -> io::Result<()> {
        let _all = locks.hold_all()?;
        let mut at = folder;
        while at != self.root {
            match self.files.remove_dir(at) {
                Ok(()) => {}
                // Not empty (file systems name it differently), or gone already.
                Err(_) => break,
            }
            let current = self.removals.counter()?;
            self.removals.bump()?;
            if self.seen_removals.load(Ordering::Acquire) == current {
                // Nobody else removed anything: only this folder has to be forgotten.
                self.durable.remove(at);
                self.seen_removals.store(current.saturating_add(1), Ordering::Release);
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => break,
            }
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let shared = Arc::clone(self.syncs.lock().entry(folder.to_owned()).or_default());
        let result = shared.run(|| self.files.sync_dir(folder));
        let mut syncs = self.syncs.lock();
        drop(shared);
        if syncs.get(folder).is_some_and(|shared| Arc::strong_count(shared) == 1) {
            syncs.remove(folder);
        }
        result
    }
}

/// Lets callers that want the same folder synced share a sync that starts after all of them asked.
#[derive(Debug, Default)]
struct SharedSync {
    state: Mutex<SyncState>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    started: u64,
    finished: u64,
    running: bool,
    /// The last one that failed, and how.
    failure: Option<(u64, ErrorKind, Option<i32>)>,
}

impl SharedSync {
    fn run(&self, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        // One that is running may have begun before the caller's change.
        let wanted = state.started.saturating_add(1);
        loop {
            if state.finished >= wanted {
                return match state.failure {
                    Some((number, _, Some(code))) if number >= wanted => {
                        Err(io::Error::from_raw_os_error(code))
                    }
                    Some((number, kind, None)) if number >= wanted => Err(kind.into()),
                    _ => Ok(()),
                };
            }
            if state.running {
                self.finished.wait(&mut state);
                continue;
            }
            state.running = true;
            state.started = state.started.saturating_add(1);
            let number = state.started;
            drop(state);
            let result = sync();
            state = self.state.lock();
            state.running = false;
            state.finished = number;
            if let Err(error) = &result {
                state.failure = Some((number, error.kind(), error.raw_os_error()));
            }
            self.finished.notify_all();
            if number >= wanted {
                return result;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn callers_during_a_sync_share_the_next_one() {
        let shared = SharedSync::default();
        let runs = AtomicUsize::new(0);
        let first_runs = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                shared.run(|| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    first_runs.wait();
                    // Long enough for the others to ask.
                    while shared.state.try_lock().is_none() {}
                    thread::sleep(Duration::from_millis(100));
                    Ok(())
                })
            });
            first_runs.wait();
            for _ in 0..8 {
                scope.spawn(|| {
                    shared.run(|| {
                        runs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    })
                });
            }
        });
        assert!(runs.load(Ordering::SeqCst) <= 4, "eight callers took {} syncs", runs.load(Ordering::SeqCst));
        assert!(runs.load(Ordering::SeqCst) >= 2, "a sync that began earlier does not count");
    }

    #[test]
    fn a_failed_sync_fails_its_callers() {
        let shared = SharedSync::default();
        let error = shared.run(|| Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(shared.run(|| Ok(())).is_ok(), "the next one is judged by itself");
    }
}
