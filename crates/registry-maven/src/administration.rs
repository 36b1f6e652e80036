//! What an operator does past the protocol, by the same changes that the handler makes.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, Administration, Protocol,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    hooks::Operation,
    storage::Versioned,
};

use crate::{
    config::LatestPolicy,
    error::Error,
    names::{ArtifactName, VersionName},
    registry::MavenRegistry,
    store::{changes, version::Version},
    version::Comparable,
};

type Found = (VersionName, Arc<Versioned<Version>>);

#[async_trait]
impl Administration for MavenRegistry {
    /// An artifact with its versions, the highest first, deleted ones included.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let name = parse_name(name)?;
        let mut found = versions(self, &name).await?;
        if found.is_empty() {
            return Err(AdministrationError::NotFound(format!("there is no artifact {name}")));
        }
        found.sort_by_cached_key(|(version, _)| Comparable::new(version.version()));
        let artifact = self.artifacts().artifact(&name).await?;
        let changed = found.iter().map(|(_, document)| document.modified).max();
        let mut details = PackageDetails::new(name.to_string(), changed.unwrap_or_default());
        if let Some(artifact) = &artifact {
            let now = self.services().clock.now();
            let told = artifact.metadata(LatestPolicy::Highest, now);
            details.latest = told.and_then(|told| told.release.or(told.latest).map(str::to_owned));
            if let Some(project) = &artifact.project {
                details.add_fact("packaging", &project.packaging);
            }
        }
        if let Some(group) = self.artifacts().plugins(name.group()).await?
            && let Some(plugin) = group.by_artifact.get(name.artifact())
        {
            details.add_fact("prefix", &plugin.prefix);
        }
        details.versions =
            found.iter().rev().map(|(version, document)| describe(version, document)).collect();
        Ok(details)
    }

    async fn yank_version(&self, _: &Actor, _: &str, _: &str, _: &Yank) -> Result<(), AdministrationError> {
        let instead = "deploy a newer version, or delete this one";
        Err(AdministrationError::not_offered(Protocol::Maven, "yank", instead))
    }

    /// Deletes a version, or the artifact with all of them.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let name = parse_name(name)?;
        let artifacts = self.artifacts();
        if let Some(version) = version {
            let version = parse_version(&name, version)?;
            if artifacts.version(&version).await?.is_none() {
                return Err(AdministrationError::NotFound(format!("there is no version {version}")));
            }
            return Ok(self.remove(actor, &version, None).await?);
        }
        let artifact = artifacts.artifact(&name).await?;
        let artifact =
            artifact.ok_or_else(|| AdministrationError::NotFound(format!("there is no artifact {name}")))?;
        Ok(self.remove_all(actor, &artifact).await?)
    }

    /// Frees the names of deleted files: of a version, or of an artifact of which everything was deleted.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let name = parse_name(name)?;
        let wanted: Vec<Found> = if let Some(text) = version {
            let version = parse_version(&name, text)?;
            let document = self.artifacts().any_version(&version).await?;
            document.into_iter().map(|document| (version.clone(), document)).collect()
        } else {
            let all = versions(self, &name).await?;
            let live = all.iter().filter(|(_, document)| !document.files.is_empty()).count();
            if live > 0 {
                return Err(AdministrationError::package_is_live(&name.to_string(), live));
            }
            all
        };
        let mut any = false;
        for (of, document) in wanted {
            if document.deleted.is_empty() {
                if !document.files.is_empty() {
                    return Err(AdministrationError::version_is_live(&name.to_string(), of.version()));
                }
                continue;
            }
            any = true;
            let (store, key) = (self.artifacts().store(), self.artifacts().version_key(&of));
            let event = || {
                let event = store.event(Operation::Delete, &key, actor);
                event.package(name.to_string()).version(of.version())
            };
            let now = self.services().clock.now();
            let forget = move |draft: &mut _| {
                changes::forget(draft, now);
                Ok::<(), Error>(())
            };
            store.change(&key, event, forget).await?;
        }
        if any { Ok(()) } else { Err(AdministrationError::nothing_to_forget(&name.to_string(), version)) }
    }
}

fn describe(version: &VersionName, document: &Version) -> VersionDetails {
    let mut details = VersionDetails::new(version.version());
    if document.files.is_empty() {
        details.state = VersionState::Deleted(document.deleted.values().map(|gone| gone.at).max());
        return details;
    }
    details.published = Some(document.created);
    let sizes = document.files.values().map(|file| file.data.size);
    details.bytes = Some(sizes.fold(0, u64::saturating_add));
    let mut files = document.files.values();
    if let (Some(file), None) = (files.next(), files.next()) {
        details.digest = file.data.digest();
    }
    details
}

/// All versions of an artifact that have files or had some.
async fn versions(registry: &MavenRegistry, name: &ArtifactName) -> Result<Vec<Found>, AdministrationError> {
    let artifacts = registry.artifacts();
    let mut found = Vec::new();
    for version in artifacts.version_folders(name).await? {
        if let Some(document) = artifacts.any_version(&version).await?
            && !(document.files.is_empty() && document.deleted.is_empty())
        {
            found.push((version, document));
        }
    }
    Ok(found)
}

fn parse_name(text: &str) -> Result<ArtifactName, AdministrationError> {
    text.parse().map_err(|_| {
        AdministrationError::Invalid(
            "that is no artifact: write its group and its name with a colon between them, such as com.acme:lib".to_owned(),
        )
    })
}

fn parse_version(name: &ArtifactName, text: &str) -> Result<VersionName, AdministrationError> {
    VersionName::new(name.clone(), text)
        .ok_or_else(|| AdministrationError::Invalid("that is no version".to_owned()))
}
