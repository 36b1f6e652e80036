//! What is kept, and where.
//!
//! ```text
//! packages/<vendor>/<package>/package.json          the document of a package: the arbiter of what happens to it
//! packages/<vendor>/<package>/-/<file>.zip~<random> an archive, named by the document alone
//! _vendors.json                                     the vendors that ever had a package here
//! ```
//!
//! A publish writes the archive, then (for a vendor's first package) the vendor, then the package's document. A vendor without a
//! package is harmless: clients ask for names that are not there.

pub(crate) mod changes;
pub(crate) mod package;

use std::{collections::BTreeSet, sync::Arc};

use registry_core::{
    maintenance::PackageFolders,
    storage::{Document, Key, StorageError, Store, UnknownFields, Versioned},
};
use serde::{Deserialize, Serialize};

use self::package::Package;
use crate::names::PackageName;

/// The file name of a package's document.
const PACKAGE: &str = "package.json";

/// The vendors that ever had a package here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Vendors {
    pub(crate) vendors: BTreeSet<String>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Vendors {
    const SCHEMA: u32 = 1;
}

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
        PackageFolders::new(&self.store, self.root(), PACKAGE)
    }

    /// Where a package's document is.
    pub(crate) fn key(&self, name: &PackageName) -> Key {
        self.root().child().segments(name.as_str()).fixed(PACKAGE).build()
    }

    /// Where a version's archive is; its data object has a random suffix.
    pub(crate) fn archive_key(&self, name: &PackageName, version: Option<&str>) -> Key {
        let file = match version {
            Some(version) => format!("{}-{version}.zip", name.package()),
            None => format!("{}.zip", name.package()),
        };
        self.root().child().segments(name.as_str()).fixed("-").segment(&file).build()
    }

    /// A name that was ever published, with or without versions. Nothing, where it was given free.
    pub(crate) async fn load(
        &self,
        name: &PackageName,
    ) -> Result<Option<Arc<Versioned<Package>>>, StorageError> {
        let document = self.store.read::<Package>(&self.key(name)).await?;
        Ok(document.filter(|document| !document.forgotten))
    }

    /// [`Packages::load`], and that nothing is there is never told from an old state.
    pub(crate) async fn state(
        &self,
        name: &PackageName,
    ) -> Result<Option<Arc<Versioned<Package>>>, StorageError> {
        self.store.read_unless(&self.key(name), |document: &Package| document.forgotten).await
    }

    /// Where the vendors are noted.
    pub(crate) fn vendors_key(&self) -> Key {
        self.store.key().fixed("_vendors.json").build()
    }

    /// The vendors that ever had a package here.
    pub(crate) async fn vendors(&self) -> Result<BTreeSet<String>, StorageError> {
        let found = self.store.read::<Vendors>(&self.vendors_key()).await?;
        Ok(found.map(|found| found.vendors.clone()).unwrap_or_default())
    }

    /// Notes a vendor, so that clients are told to ask for its names from the moment a package is there.
    pub(crate) async fn note_vendor(&self, vendor: &str) -> Result<(), StorageError> {
        let key = self.vendors_key();
        let known = self.store.read::<Vendors>(&key).await?;
        if known.is_some_and(|known| known.vendors.contains(vendor)) {
            return Ok(());
        }
        let vendor = vendor.to_owned();
        self.store
            .update::<Vendors, (), StorageError, _>(&key, move |draft| {
                if !draft.get().is_some_and(|known| known.vendors.contains(&vendor)) {
                    draft.edit_or_insert_with(Vendors::default).vendors.insert(vendor.clone());
                }
                Ok(())
            })
            .await
            .map(drop)
    }
}
