//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use registry_core::{
    Maintenance,
    maintenance::{GcRun, PackageDocument, VerifyRun},
    storage::{DataRef, StorageError, WantedDigests},
};

use crate::{registry::CargoRegistry, store::document::CrateDocument};

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

#[async_trait]
impl Maintenance for CargoRegistry {
    /// Removes the bytes of versions that were deleted a grace ago, and bytes that no document names.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        self.crates().folders().collect_garbage::<CrateDocument>(run).await
    }

    /// Reads every document and hashes every file again.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let crates = self.crates();
        for key in crates.folders().documents().await? {
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
    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let folders = self.crates().folders();
        for key in folders.documents().await? {
            if let Some(document) = folders.read::<CrateDocument>(&key).await? {
                self.tell_catalog(&document);
            }
        }
        Ok(())
    }
}
