//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use registry_core::{
    Maintenance,
    maintenance::{GcRun, PackageDocument, VerifyRun},
    storage::{DataRef, StorageError, WantedDigests},
};

use crate::{
    registry::ComposerRegistry,
    store::{
        Packages, Vendors,
        package::{Dist, Package},
    },
};

impl PackageDocument for Package {
    fn live_data(&self) -> Vec<&DataRef> {
        let live = self.releases.values().map(|release| &release.dist.data);
        live.chain(self.replaced.iter().map(|replaced| &replaced.dist.data)).collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        self.removed
            .values()
            .flat_map(|removed| removed.dists.iter().map(|dist| (removed.at, &dist.data)))
            .collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        for removed in self.removed.values_mut().filter(|removed| is_over(removed.at)) {
            removed.dists.clear();
        }
    }
}

#[async_trait]
impl Maintenance for ComposerRegistry {
    /// Removes the archives of versions that were deleted a grace ago, and archives that no document names.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        self.packages().folders().collect_garbage::<Package>(run).await
    }

    /// Reads every document and hashes every archive again.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let packages = self.packages();
        for key in packages.folders().documents().await? {
            let Some(package) = run.read::<Package>(packages.store(), &key).await? else { continue };
            for release in package.releases.values() {
                run.report.examined();
                verify_dist(packages, run, &format!("version {}", release.version), &release.dist).await?;
            }
            for replaced in &package.replaced {
                verify_dist(packages, run, &format!("replaced {}", replaced.version), &replaced.dist).await?;
            }
            for (version, removed) in &package.removed {
                for dist in &removed.dists {
                    verify_dist(packages, run, &format!("deleted {version}"), dist).await?;
                }
            }
        }
        run.read::<Vendors>(packages.store(), &packages.vendors_key()).await?;
        Ok(())
    }

    /// Tells the catalog of every package.
    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let folders = self.packages().folders();
        for key in folders.documents().await? {
            if let Some(document) = folders.read::<Package>(&key).await? {
                self.tell_catalog(&document);
            }
        }
        Ok(())
    }
}

async fn verify_dist(
    packages: &Packages,
    run: &VerifyRun,
    version: &str,
    dist: &Dist,
) -> Result<(), StorageError> {
    let what = format!("{} ({version})", dist.data.key);
    let wanted = WantedDigests { sha1: true, ..WantedDigests::default() };
    if let Some(found) = run.check_data(packages.store(), &what, &dist.data, wanted).await?
        && found.sha1.as_ref() != Some(&dist.shasum)
    {
        run.report.fault(format!("{what}: its SHA-1 is not the one that clients check"));
    }
    Ok(())
}
