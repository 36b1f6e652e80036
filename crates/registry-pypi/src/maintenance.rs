//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use async_trait::async_trait;
use registry_core::{
    Maintenance,
    maintenance::{GcRun, VerifyRun},
    storage::{StorageError, WantedDigests},
};

use crate::{
    registry::PypiRegistry,
    store::{
        Projects,
        project::{File, Project},
    },
};

#[async_trait]
impl Maintenance for PypiRegistry {
    /// Removes the bytes of files that were deleted a grace ago, and bytes that no document names.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        self.projects().folders().collect_garbage::<Project>(run).await?;
        self.upstreams().collect_garbage(run).await
    }

    /// Reads every document and hashes everything that one names.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let projects = self.projects();
        for key in projects.folders().documents().await? {
            let Some(project) = run.read::<Project>(projects.store(), &key).await? else { continue };
            for release in project.releases.values() {
                run.report.examined();
                let info = &release.info;
                run.check_data(projects.store(), info.key.as_str(), info, WantedDigests::default()).await?;
                for file in &release.files {
                    verify_file(projects, run, file).await?;
                }
            }
            for burned in project.burned.values() {
                for data in &burned.data {
                    run.check_data(projects.store(), data.key.as_str(), data, WantedDigests::default())
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Tells the catalog of every project.
    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let folders = self.projects().folders();
        for key in folders.documents().await? {
            if let Some(document) = folders.read::<Project>(&key).await? {
                self.tell_catalog(&document);
            }
        }
        Ok(())
    }
}

async fn verify_file(projects: &Projects, run: &VerifyRun, file: &File) -> Result<(), StorageError> {
    run.report.examined();
    let wanted = WantedDigests { md5: true, blake2b_256: true, ..WantedDigests::default() };
    let what = file.data.key.as_str();
    if let Some(found) = run.check_data(projects.store(), what, &file.data, wanted).await?
        && (found.md5.as_ref() != Some(&file.md5) || found.blake2b_256.as_ref() != Some(&file.blake2b_256))
    {
        run.report.fault(format!("{what}: its MD5 or BLAKE2b-256 is not what its project's document says"));
    }
    for data in [&file.metadata].into_iter().chain(&file.signature).chain(&file.provenance) {
        run.check_data(projects.store(), data.key.as_str(), data, WantedDigests::default()).await?;
    }
    Ok(())
}
