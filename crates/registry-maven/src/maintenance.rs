//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Maintenance,
    maintenance::{GcRun, PackageFolders, VerifyRun},
    storage::{Key, StorageError, Versioned, WantedDigests},
};

use crate::{
    names::VersionName,
    registry::MavenRegistry,
    store::{artifact::Artifact, changes, sync::change, version::Version},
    wire::checksum::Checksums,
};

#[async_trait]
impl Maintenance for MavenRegistry {
    /// Takes builds of snapshots away that need not stay, and removes the bytes of what was deleted, replaced or cleaned up a grace
    /// ago, and bytes that no document names.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        let (artifacts, config) = (self.artifacts(), self.config());
        let versions = artifacts.versions();
        if !run.dry_run && (config.keep_snapshot_builds != 0 || config.keep_snapshot_days != 0) {
            for key in versions.documents().await? {
                let Some((name, _)) = read(&versions, &key).await? else { continue };
                if name.is_snapshot() {
                    let (keep, now) = (config.into(), run.now);
                    change::<Version>(artifacts.store(), &key, move |draft| {
                        changes::clean_up(draft, &name, keep, now);
                    })
                    .await?;
                }
            }
        }
        versions.collect_garbage::<Version>(run).await
    }

    /// Reads every document and hashes everything that one names.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let artifacts = self.artifacts();
        let wanted = WantedDigests { md5: true, sha1: true, sha512: true, ..WantedDigests::default() };
        let store = artifacts.store();
        for key in artifacts.versions().documents().await? {
            let Some(version) = run.read::<Version>(store, &key).await? else { continue };
            for file in version.files.values() {
                run.report.examined();
                let what = file.data.key.as_str();
                if let Some(found) = run.check_data(store, what, &file.data, wanted).await?
                    && let Some(algorithm) = file.checksums().differs(&Checksums::from(&found))
                    && algorithm != crate::wire::checksum::Algorithm::Sha256
                {
                    run.report.fault(format!(
                        "{what}: its {} is not what its version's document says",
                        algorithm.name()
                    ));
                }
            }
            let deleted = version.deleted.values().filter_map(|gone| gone.data.as_ref());
            for data in deleted.chain(version.replaced.iter().map(|gone| &gone.data)) {
                run.check_data(store, data.key.as_str(), data, WantedDigests::default()).await?;
            }
        }
        for key in artifacts.artifacts().documents().await? {
            let Some(artifact) = run.read::<Artifact>(store, &key).await? else { continue };
            for version in artifact.versions.keys() {
                let name = VersionName::new(artifact.name.clone(), version);
                let there = match &name {
                    Some(name) => artifacts.version(name).await.is_ok_and(|version| version.is_some()),
                    None => false,
                };
                if !there {
                    run.report.fault(format!("{key}: it lists the version {version}, which has no files"));
                }
            }
        }
        Ok(())
    }

    /// Tells every artifact of its versions, where a server that died could not, and the catalog of every artifact.
    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let (artifacts, now) = (self.artifacts(), self.services().clock.now());
        let versions = artifacts.versions();
        for key in versions.documents().await? {
            if let Some((name, document)) = read(&versions, &key).await? {
                artifacts.tell(&name, Some(document), now).await?;
            }
        }
        let folders = artifacts.artifacts();
        for key in folders.documents().await? {
            if let Some(artifact) = folders.read::<Artifact>(&key).await? {
                self.tell_catalog(&artifact.name, &artifact);
            }
        }
        Ok(())
    }
}

/// A version's document with its name. `None` where it is damaged or gone.
async fn read(
    versions: &PackageFolders,
    key: &Key,
) -> Result<Option<(VersionName, Arc<Versioned<Version>>)>, StorageError> {
    let document = versions.read::<Version>(key).await?;
    Ok(document.and_then(|document| {
        let name = VersionName::new(document.artifact.clone(), &document.folder)?;
        Some((name, document))
    }))
}
