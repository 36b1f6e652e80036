//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use registry_core::{
    Maintenance,
    maintenance::{GcRun, PackageDocument, VerifyRun},
    storage::{DataRef, StorageError, WantedDigests},
};

use crate::{
    registry::NpmRegistry,
    store::{
        Packages,
        login::Login,
        packument::{Packument, Release},
    },
    version::Version,
};

impl PackageDocument for Packument {
    fn live_data(&self) -> Vec<&DataRef> {
        self.releases.values().flat_map(|release| data_of(release)).collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        self.removed.values().flat_map(|removed| removed.data.iter().map(|data| (removed.at, data))).collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        for removed in self.removed.values_mut().filter(|removed| is_over(removed.at)) {
            removed.data.clear();
        }
    }
}

fn data_of(release: &Release) -> impl Iterator<Item = &DataRef> {
    std::iter::once(&release.data).chain(release.attestation.as_ref().map(|attestation| &attestation.data))
}

#[async_trait]
impl Maintenance for NpmRegistry {
    /// Removes the bytes of versions that were unpublished a grace ago, bytes that no document names and that are older than
    /// the run's minimum age (an hour while a server may be at work), and logins that are over.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        let packages = self.packages();
        packages.folders().collect_garbage::<Packument>(run).await?;
        for entry in packages.store().list(&packages.logins()).await? {
            run.report.examined();
            // Its client may still come for it, whether a server is at work now or not.
            if entry.age(run.now) > GcRun::MINIMUM_AGE {
                run.remove(packages.store(), &entry).await?;
            }
        }
        self.upstreams().collect_garbage(run).await
    }

    /// Reads every document and hashes every tarball again.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let packages = self.packages();
        for key in packages.folders().documents().await? {
            let Some(document) = run.read::<Packument>(packages.store(), &key).await? else { continue };
            for (tag, version) in &document.tags {
                if !document.releases.contains_key(version) {
                    run.report.fault(format!("{key}: the tag {tag} names {version}, which is not there"));
                }
            }
            for (version, release) in &document.releases {
                run.report.examined();
                verify_release(packages, run, version, release).await?;
            }
            for removed in document.removed.values() {
                for data in &removed.data {
                    check(packages, run, data).await?;
                }
            }
        }
        for entry in packages.store().list(&packages.logins()).await? {
            if let Err(error) = packages.store().read::<Login>(&entry.key).await {
                run.report.fault(format!("{}: {error}", entry.key));
            }
        }
        Ok(())
    }

    /// Tells the catalog of every package.
    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let folders = self.packages().folders();
        for key in folders.documents().await? {
            if let Some(document) = folders.read::<Packument>(&key).await? {
                self.tell_catalog(&document);
            }
        }
        Ok(())
    }
}

async fn verify_release(
    packages: &Packages,
    run: &VerifyRun,
    version: &Version,
    release: &Release,
) -> Result<(), StorageError> {
    let what = format!("{} (version {version})", release.data.key);
    let wanted = WantedDigests { sha512: true, sha1: true, ..WantedDigests::default() };
    if let Some(found) = run.check_data(packages.store(), &what, &release.data, wanted).await? {
        let integrity = found.sha512.and_then(|hex| hex::decode(hex).ok());
        let integrity = integrity.map(|bytes| format!("sha512-{}", STANDARD.encode(bytes)));
        if found.sha1.as_ref() != Some(&release.dist.shasum)
            || integrity.as_ref() != Some(&release.dist.integrity)
        {
            run.report.fault(format!("{what}: it is not the tarball that its packument describes"));
        }
    }
    match &release.attestation {
        Some(attestation) => check(packages, run, &attestation.data).await,
        None => Ok(()),
    }
}

async fn check(packages: &Packages, run: &VerifyRun, data: &DataRef) -> Result<(), StorageError> {
    run.check_data(packages.store(), data.key.as_str(), data, WantedDigests::default()).await.map(drop)
}
