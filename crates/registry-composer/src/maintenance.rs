//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use chrono::{DateTime, Utc};
use registry_core::{
    PackageRegistry as _,
    maintenance::{GcRun, PackageDocument, PackageFolders, VerifyRun},
    storage::{DataRef, StorageError, WantedDigests},
};

use crate::{
    registry::ComposerRegistry,
    store::{
        PACKAGE, Packages, Vendors,
        package::{Dist, Package},
    },
    wire::listing::catalog_entry,
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

fn folders(packages: &Packages) -> PackageFolders {
    PackageFolders::new(packages.store(), packages.root(), PACKAGE)
}

/// Removes the archives of versions that were deleted a grace ago, and archives that no document names.
pub(crate) async fn collect_garbage(packages: &Packages, run: &GcRun) -> Result<(), StorageError> {
    folders(packages).collect_garbage::<Package>(run).await
}

/// Reads every document and hashes every archive again.
pub(crate) async fn verify(packages: &Packages, run: &VerifyRun) -> Result<(), StorageError> {
    for key in folders(packages).documents().await? {
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

/// Tells the catalog of every package.
pub(crate) async fn rebuild_catalog(registry: &ComposerRegistry) -> Result<(), StorageError> {
    let packages = registry.packages();
    let instance = &registry.instance().name;
    for key in folders(packages).documents().await? {
        match packages.store().read::<Package>(&key).await {
            Ok(Some(package)) => {
                let entry = catalog_entry(&package);
                registry.services().catalog.changed(instance, package.name.as_str(), entry);
            }
            Ok(None) => {}
            // A damaged document is `verify`'s to report; the others are still to be found.
            Err(error @ StorageError::Damaged { .. }) => {
                tracing::error!(key = key.as_str(), %error, "a package cannot be read and is left out of the catalog");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
