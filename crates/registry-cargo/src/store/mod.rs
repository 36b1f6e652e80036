//! Documents and keys.
//!
//! ```text
//! <instance>/packages/<key>/crate.json                   the arbiter of everything about a crate
//! <instance>/packages/<key>/-/<name>-<version>.crate~…   a .crate file, named by its crate's document
//! ```
//!
//! `<key>` is the name in lowercase with `-` as `_`, so that names which must not exist beside each other have one arbiter.
//! Every state on the way is legal: bytes that no document names are invisible, and collected once they are an hour old; a
//! version leaves its document before its bytes go.

pub(crate) mod changes;
pub(crate) mod document;

use std::sync::Arc;

use registry_core::{
    maintenance::PackageFolders,
    storage::{Key, StorageError, Store, Versioned},
};

use self::document::CrateDocument;
use crate::{names::CrateName, version::Version};

/// The file name of a crate's document.
const DOCUMENT: &str = "crate.json";

/// An instance's crates.
#[derive(Clone, Debug)]
pub(crate) struct Crates {
    store: Store,
}

impl Crates {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store below.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn root(&self) -> Key {
        self.store.key().fixed("packages").build()
    }

    /// All crates' folders.
    pub(crate) fn folders(&self) -> PackageFolders {
        PackageFolders::new(&self.store, self.root(), DOCUMENT)
    }

    /// Where a crate's document is.
    pub(crate) fn key(&self, name: &CrateName) -> Key {
        self.root().child().segment(&name.collision_key()).fixed(DOCUMENT).build()
    }

    /// Where a version's bytes are; the data object has a random suffix.
    pub(crate) fn file_key(&self, name: &CrateName, version: &Version) -> Key {
        let file = format!("{name}-{version}.crate");
        self.root().child().segment(&name.collision_key()).fixed("-").segment(&file).build()
    }

    /// [`Crates::read`], and that nothing is there is never told from an old state.
    pub(crate) async fn state(
        &self,
        name: &CrateName,
    ) -> Result<Option<Arc<Versioned<CrateDocument>>>, StorageError> {
        self.store.read_unless(&self.key(name), |document: &CrateDocument| document.forgotten).await
    }

    /// What there is at the place of a name, however it is spelled, with or without versions. Nothing, where it was given free.
    pub(crate) async fn read(
        &self,
        name: &CrateName,
    ) -> Result<Option<Arc<Versioned<CrateDocument>>>, StorageError> {
        let document = self.store.read::<CrateDocument>(&self.key(name)).await?;
        Ok(document.filter(|document| !document.forgotten))
    }

    /// A crate of this name (in any case) that has a version.
    pub(crate) async fn load(
        &self,
        name: &CrateName,
    ) -> Result<Option<Arc<Versioned<CrateDocument>>>, StorageError> {
        let document = self.read(name).await?;
        Ok(document.filter(|document| document.is_live() && document.name.is_spelled_as(name)))
    }
}
