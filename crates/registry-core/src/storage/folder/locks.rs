//! Locks of the folder store: between threads by a mutex, between processes by lock files.
//!
//! A key belongs to one of [`STRIPES`] stripes. Whoever changes a name holds its stripe; whoever removes
//! a folder holds all of them. No lock is held while anything is synced.

use std::{io, path::Path};

use parking_lot::{Mutex, MutexGuard};

use super::fs_ops::{FileOps, LockFile};

/// How many keys can be renamed at the same time; a stripe is held for microseconds.
const STRIPES: usize = 32;

/// The lock files of one folder.
#[derive(Debug)]
pub(crate) struct Locks {
    stripes: Vec<Mutex<Box<dyn LockFile>>>,
}

impl Locks {
    /// Opens the lock files in `folder`, which exists.
    pub(crate) fn open(files: &dyn FileOps, folder: &Path) -> io::Result<Self> {
        let stripes = (0..STRIPES)
            .map(|number| Ok(Mutex::new(files.open_lock(&folder.join(format!("{number:02}")))?)))
            .collect::<io::Result<_>>()?;
        Ok(Self { stripes })
    }

    /// Waits until nobody else, in this process or another, changes `key`.
    pub(crate) fn hold(&self, key: &str) -> io::Result<Held<'_>> {
        let stripe = self.stripes.get(stripe_of(key)).ok_or(io::ErrorKind::NotFound)?;
        Held::lock(stripe.lock())
    }

    /// Waits until nobody else changes anything.
    pub(crate) fn hold_all(&self) -> io::Result<Vec<Held<'_>>> {
        // Always in the same order, so that two who want all cannot block each other.
        self.stripes.iter().map(|stripe| Held::lock(stripe.lock())).collect()
    }
}

/// The stripe of a key by FNV-1a: every process, of whatever version, has to agree on it.
fn stripe_of(key: &str) -> usize {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    usize::try_from(hash % STRIPES as u64).unwrap_or(0)
}

/// A held stripe; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    file: MutexGuard<'a, Box<dyn LockFile>>,
}

impl<'a> Held<'a> {
    fn lock(file: MutexGuard<'a, Box<dyn LockFile>>) -> io::Result<Self> {
        file.lock()?;
        Ok(Self { file })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::error!(error = %error, "could not give a lock file back");
        }
    }
}
