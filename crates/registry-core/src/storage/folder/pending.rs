//! Changes that are visible in the folder but not durable yet.
//!
//! A change is seen by everybody from the rename on, but it is durable only after the folder was synced.
//! Whoever reads such a key waits, so that nothing is ever built (or answered) on a state that a power cut
//! could take back.

use std::{
    collections::HashMap,
    io,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use parking_lot::{Condvar, Mutex};

/// The keys that wait for their folder's sync.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    keys: Mutex<HashMap<String, usize>>,
    count: AtomicUsize,
    settled: Condvar,
    failed: AtomicBool,
}

impl Pending {
    /// Notes that `key` is about to change visibly. To be called with the key's stripe held.
    pub(crate) fn begin(&self, key: &str) -> Change<'_> {
        let mut keys = self.keys.lock();
        self.count.fetch_add(1, Ordering::SeqCst);
        match keys.get_mut(key) {
            Some(changes) => *changes = changes.saturating_add(1),
            None => drop(keys.insert(key.to_owned(), 1)),
        }
        Change { pending: self, key: key.to_owned(), settled: false }
    }

    /// Waits until no change of `key` is pending.
    pub(crate) fn wait(&self, key: &str) -> io::Result<()> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let mut keys = self.keys.lock();
        while keys.contains_key(key) {
            self.check()?;
            self.settled.wait(&mut keys);
        }
        Ok(())
    }

    /// An error once a sync has failed: what the folder then holds after a power cut is unknown, and an
    /// operating system may report the same pages as written when it is asked again.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier change could not be made durable; check the disk and start the server again",
            ));
        }
        Ok(())
    }
}

/// A change on its way; unless it is settled, the store takes no more writes.
#[derive(Debug)]
#[must_use]
pub(crate) struct Change<'a> {
    pending: &'a Pending,
    key: String,
    settled: bool,
}

impl Change<'_> {
    /// The change is durable, or it did not happen.
    pub(crate) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut keys = self.pending.keys.lock();
        if self.settled {
            match keys.get_mut(&self.key) {
                Some(changes) if *changes > 1 => *changes = changes.saturating_sub(1),
                _ => drop(keys.remove(&self.key)),
            }
            self.pending.count.fetch_sub(1, Ordering::SeqCst);
        } else {
            // The key stays pending: its readers get the error too.
            self.pending.failed.store(true, Ordering::Release);
        }
        drop(keys);
        self.pending.settled.notify_all();
    }
}
