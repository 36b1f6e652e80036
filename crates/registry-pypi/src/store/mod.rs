//! Documents and keys.
//!
//! ```text
//! <instance>/packages/<name>/project.json        the arbiter of everything about a project
//! <instance>/packages/<name>/-/<file>~…          a file, named by its project's document
//! <instance>/packages/<name>/-/<file>.metadata~… the metadata that was found in it
//! <instance>/packages/<name>/-/<file>.asc~…      a signature that came with it
//! <instance>/packages/<name>/-/<file>.provenance~… the attestations that came with it and were verified
//! ```
//!
//! Every state on the way is legal: bytes that no document names are invisible, and collected once they are an hour old; a file leaves its
//! project's document before its bytes go.

pub(crate) mod changes;
pub(crate) mod project;

use std::sync::Arc;

use registry_core::{
    maintenance::PackageFolders,
    storage::{Key, StorageError, Store, Versioned},
};

use self::project::Project;
use crate::names::ProjectName;

/// The file name of a project's document.
const DOCUMENT: &str = "project.json";

/// An instance's projects.
#[derive(Clone, Debug)]
pub(crate) struct Projects {
    store: Store,
}

impl Projects {
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

    /// All projects' folders.
    pub(crate) fn folders(&self) -> PackageFolders {
        PackageFolders::new(&self.store, self.root(), DOCUMENT)
    }

    /// Where a project's document is.
    pub(crate) fn key(&self, name: &ProjectName) -> Key {
        self.root().child().segment(name.as_str()).fixed(DOCUMENT).build()
    }

    /// Where a file of a project's is; its data object has a random suffix.
    pub(crate) fn file_key(&self, name: &ProjectName, file: &str) -> Key {
        self.root().child().segment(name.as_str()).fixed("-").segment(file).build()
    }

    /// What there is under a name, even if all of it was deleted. Nothing, where the name was given free.
    pub(crate) async fn read(
        &self,
        name: &ProjectName,
    ) -> Result<Option<Arc<Versioned<Project>>>, StorageError> {
        let document = self.store.read::<Project>(&self.key(name)).await?;
        Ok(document.filter(|document| !document.forgotten))
    }

    /// What was ever uploaded under a name, deleted or not: what makes it hosted. That nothing was is never told from an old state.
    pub(crate) async fn state(
        &self,
        name: &ProjectName,
    ) -> Result<Option<Arc<Versioned<Project>>>, StorageError> {
        self.store.read_unless(&self.key(name), |document: &Project| document.forgotten).await
    }

    /// A project that was not deleted.
    pub(crate) async fn load(
        &self,
        name: &ProjectName,
    ) -> Result<Option<Arc<Versioned<Project>>>, StorageError> {
        Ok(self.read(name).await?.filter(|document| !document.deleted))
    }
}
