//! Documents and keys.
//!
//! ```text
//! <instance>/packages/<name>/gem.json           the arbiter of everything about a gem
//! <instance>/packages/<name>/-/<full name>.gem~… a version's file, named by its gem's document
//! <instance>/pending/<name>~…                   a gem whose document is about to change: its line may be missing in the log
//! <instance>/index/versions/log.json            the head of the log that /versions is
//! <instance>/index/versions/-/segment~…         a part of the log, named by its head
//! ```
//!
//! A push writes the file, a pending marker, the gem's document (which is the commit), and the log's head; then the marker goes. Every
//! state on the way is legal: a file that no document names is invisible and collected once it is an hour old; a document that the log does
//! not know of yet is seen in `/info`, and the marker tells any process to complete the log: servers look for markers every few seconds
//! while lists are read of them.

pub(crate) mod announce;
pub(crate) mod changes;
pub(crate) mod digests;
pub(crate) mod gem;
#[cfg(test)]
mod growth;
pub(crate) mod index;
pub(crate) mod log;
pub(crate) mod pending;
pub(crate) mod sorted;

use std::sync::Arc;

use registry_core::{
    clock::Clock,
    maintenance::PackageFolders,
    storage::{Key, StorageError, Store, Versioned},
};
use tokio_util::task::TaskTracker;

use self::{announce::Announcer, changes::is_called, gem::Gem};
use crate::names::{GemName, Platform, full_name};
use crate::version::Version;

/// The file name of a gem's document.
const DOCUMENT: &str = "gem.json";

/// An instance's gems.
#[derive(Clone, Debug)]
pub(crate) struct Gems {
    store: Store,
    announcer: Arc<Announcer>,
}

impl Gems {
    /// `tasks` are waited for before the process ends.
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, tasks: TaskTracker, log_bytes: u64) -> Self {
        let announcer = Arc::new(Announcer::new(store.clone(), clock, tasks, log_bytes));
        Self { store, announcer }
    }

    /// The store below.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The log of what is published.
    pub(crate) fn announcer(&self) -> &Arc<Announcer> {
        &self.announcer
    }

    /// All gems' folders.
    pub(crate) fn folders(&self) -> PackageFolders {
        folders(&self.store)
    }

    /// Where a gem's document is: one place for names that differ only in case.
    pub(crate) fn key(&self, name: &GemName) -> Key {
        key(&self.store, name)
    }

    /// Where a version's file is; its data object has a random suffix.
    pub(crate) fn file_key(&self, name: &GemName, version: &Version, platform: &Platform) -> Key {
        let file = format!("{}.gem", full_name(name, version, platform));
        root(&self.store).child().segment(&name.folded()).fixed("-").segment(&file).build()
    }

    /// Where files lie whose name is not known before all of them was read.
    pub(crate) fn incoming_key(&self) -> Key {
        root(&self.store).child().fixed("_incoming").fixed("-").fixed("gem").build()
    }

    /// What there is at the place of a name, in whatever case; that nothing is there is never told from an old state.
    pub(crate) async fn state(&self, name: &GemName) -> Result<Option<Arc<Versioned<Gem>>>, StorageError> {
        self.store.read_unless(&self.key(name), |gem: &Gem| gem.releases.is_empty()).await
    }

    /// A gem of exactly this name.
    pub(crate) async fn load(&self, name: &GemName) -> Result<Option<Arc<Versioned<Gem>>>, StorageError> {
        let document = self.store.read::<Gem>(&self.key(name)).await?;
        Ok(document.filter(|document| is_called(document, name)))
    }
}

fn root(store: &Store) -> Key {
    store.key().fixed("packages").build()
}

fn folders(store: &Store) -> PackageFolders {
    PackageFolders::new(store, root(store), DOCUMENT)
}

fn key(store: &Store, name: &GemName) -> Key {
    root(store).child().segment(&name.folded()).fixed(DOCUMENT).build()
}
