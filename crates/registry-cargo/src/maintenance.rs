//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use chrono::{DateTime, Utc};
use registry_core::{
    PackageRegistry as _,
    maintenance::{GcRun, PackageDocument, PackageFolders, VerifyRun},
    storage::{DataRef, StorageError, WantedDigests},
};

use crate::{
    registry::CargoRegistry,
    store::{Crates, DOCUMENT, document::CrateDocument},
    wire::catalog::catalog_entry,
};

impl PackageDocument for CrateDocument {
    fn live_data(&self) -> Vec<&DataRef> {
        self.releases.values().map(|release| &release.data).collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        self.removed.values().filter_map(|removed| Some((removed.at, removed.data.as_ref()?))).collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        for removed in self.removed.values_mut().filter(|removed| is_over(removed.at)) {
            removed.data = None;
        }
    }
}

fn folders(crates: &Crates) -> PackageFolders {
    PackageFolders::new(crates.store(), crates.root(), DOCUMENT)
}

/// Removes the bytes of versions that were deleted a grace ago, and bytes that no document names.
pub(crate) async fn collect_garbage(crates: &Crates, run: &GcRun) -> Result<(), StorageError> {
    folders(crates).collect_garbage::<CrateDocument>(run).await
}

/// Reads every document and hashes every file again.
pub(crate) async fn verify(crates: &Crates, run: &VerifyRun) -> Result<(), StorageError> {
    for key in folders(crates).documents().await? {
        let Some(document) = run.read::<CrateDocument>(crates.store(), &key).await? else { continue };
        if crates.key(&document.name) != key {
            run.report.fault(format!("{key}: it is the document of \"{}\"", document.name));
        }
        let live = document.releases.iter().map(|(version, release)| (version, &release.data));
        let removed =
            document.removed.iter().filter_map(|(version, gone)| Some((version, gone.data.as_ref()?)));
        for (version, data) in live.chain(removed) {
            run.report.examined();
            let what = format!("{} (version {version})", data.key);
            run.check_data(crates.store(), &what, data, WantedDigests::default()).await?;
        }
    }
    Ok(())
}

/// Tells the catalog of every crate.
pub(crate) async fn rebuild_catalog(registry: &CargoRegistry) -> Result<(), StorageError> {
    let crates = registry.crates();
    for key in folders(crates).documents().await? {
        match crates.store().read::<CrateDocument>(&key).await {
            Ok(Some(document)) => {
                let catalog = &registry.services().catalog;
                catalog.changed(&registry.instance().name, document.name.as_str(), catalog_entry(&document));
            }
            Ok(None) => {}
            // A damaged document is `verify`'s to report; the others are still to be found.
            Err(StorageError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
