//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use async_trait::async_trait;
use registry_core::{
    Maintenance,
    maintenance::{GcRun, VerifyRun},
    storage::{StorageError, WantedDigests},
};

use crate::{
    registry::RubygemsRegistry,
    store::{announce::Announcer, digests::ContentDigests, gem::Gem},
};

#[async_trait]
impl Maintenance for RubygemsRegistry {
    /// Removes the bytes of versions that were yanked long ago, segments of the log that were replaced a grace ago, and bytes that no
    /// document names. Completes first what crashes interrupted.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        let gems = self.gems();
        if !run.dry_run {
            gems.announcer().recover(run.now).await?;
        }
        gems.folders().collect_garbage::<Gem>(run).await?;
        gems.announcer().collect_garbage(run).await
    }

    /// Reads every document, hashes everything that one names, and compares the log with the documents.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError> {
        let gems = self.gems();
        let announcer = gems.announcer();
        let key = announcer.key();
        let Some(log) = run.read::<crate::store::log::Log>(gems.store(), &key).await? else { return Ok(()) };
        for data in &log.segments {
            run.report.examined();
            run.check_data(gems.store(), data.key.as_str(), data, WantedDigests::default()).await?;
        }
        let checked = async {
            let text = announcer.text(&log).await?;
            let digests = log.content_digests(&key)?;
            Ok::<_, StorageError>(ContentDigests::of(text.as_bytes()) == digests)
        };
        match checked.await {
            Ok(true) => {}
            Ok(false) => run.report.fault(format!("{key}: the log's digests are not those of its content")),
            Err(error @ StorageError::Unavailable { .. }) => return Err(error),
            Err(error) => run.report.fault(format!("{key}: {error}")),
        }
        for document in gems.folders().documents().await? {
            let Some(gem) = run.read::<Gem>(gems.store(), &document).await? else { continue };
            for release in &gem.releases {
                run.report.examined();
                let Some(data) = &release.data else { continue };
                run.check_data(gems.store(), data.key.as_str(), data, WantedDigests::default()).await?;
                if data.sha256.as_ref() != Some(&release.sha256) {
                    run.report.fault(format!(
                        "{document}: the SHA-256 of {} is not that of its file",
                        release.slug()
                    ));
                }
            }
            // A push that came meanwhile is in neither or in both, so a difference is looked at again.
            match announcer.stored().await {
                Ok(snapshot) => {
                    let newest = gems.store().read::<Gem>(&document).await?;
                    if let Some(gem) = newest
                        && Announcer::lacks(&snapshot, &gem).is_some()
                        && Announcer::lacks(&announcer.stored().await?, &gem).is_some()
                    {
                        run.report
                            .fault(format!("{document}: /versions does not say what the document says"));
                    }
                }
                Err(error @ StorageError::Unavailable { .. }) => return Err(error),
                Err(error) => {
                    run.report.fault(format!("{key}: {error}"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Tells the catalog of every gem, and the log where it lacks something.
    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let (folders, announcer) = (self.gems().folders(), self.gems().announcer());
        for key in folders.documents().await? {
            if let Some(gem) = folders.read::<Gem>(&key).await? {
                self.tell_catalog(&gem);
                let snapshot = announcer.stored().await?;
                if Announcer::lacks(&snapshot, &gem).is_some() {
                    announcer.announce(&gem.name).await?;
                }
            }
        }
        Ok(())
    }
}
