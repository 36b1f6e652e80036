//! Documents and keys.
//!
//! ```text
//! <instance>/packages/<name>/packument.json             the arbiter of everything about a package
//! <instance>/packages/<name>/-/<base>-<version>.tgz~…   a tarball, named by its packument
//! <instance>/packages/<name>/-/<base>-<version>.sigstore~…  an attestation bundle, named by its packument
//! <instance>/_logins/<id>.json                          a web login that was granted and not yet collected
//! ```
//!
//! Every state on the way is legal: a tarball without a packument that names it is invisible, and collected once it is
//! an hour old; a version leaves its packument before its tarball goes.

pub(crate) mod changes;
pub(crate) mod login;
pub(crate) mod packument;

use std::sync::Arc;

use registry_core::{
    maintenance::PackageFolders,
    storage::{Key, StorageError, Store, Versioned},
};

use self::packument::Packument;
use crate::names::PackageName;

/// The file name of a package's document.
const PACKUMENT: &str = "packument.json";

/// An instance's packages.
#[derive(Clone, Debug)]
pub(crate) struct Packages {
    store: Store,
}

impl Packages {
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

    /// All packages' folders.
    pub(crate) fn folders(&self) -> PackageFolders {
        PackageFolders::new(&self.store, self.root(), PACKUMENT)
    }

    /// Where a package's document is.
    pub(crate) fn key(&self, name: &PackageName) -> Key {
        self.store.key().fixed("packages").segments(name.as_str()).fixed(PACKUMENT).build()
    }

    /// Where a file of a package's is; its data object has a random suffix.
    pub(crate) fn file_key(&self, name: &PackageName, file: &str) -> Key {
        self.store.key().fixed("packages").segments(name.as_str()).fixed("-").segment(file).build()
    }

    /// A package that has a version.
    pub(crate) async fn load(
        &self,
        name: &PackageName,
    ) -> Result<Option<Arc<Versioned<Packument>>>, StorageError> {
        let document = self.store.read::<Packument>(&self.key(name)).await?;
        Ok(document.filter(|document| document.is_live()))
    }

    /// What was ever published under a name, deleted or not: what makes it hosted. That nothing was is never told from an old state.
    pub(crate) async fn state(
        &self,
        name: &PackageName,
    ) -> Result<Option<Arc<Versioned<Packument>>>, StorageError> {
        self.store.read_unless(&self.key(name), |document: &Packument| document.forgotten).await
    }

    /// Where granted web logins are.
    pub(crate) fn logins(&self) -> Key {
        self.store.key().fixed("_logins").build()
    }
}
