//! What an operator does past the protocol, by the same changes that the handler makes.

use std::sync::Arc;

use registry_core::{
    Actor, PackageRegistry as _,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState},
    hooks::Operation,
    storage::Versioned,
};

use crate::{
    config::LatestPolicy,
    error::Error,
    names::{ArtifactName, VersionName},
    registry::MavenRegistry,
    store::{
        changes::{self, Rules},
        version::Version,
    },
    version::Comparable,
};

type Found = (VersionName, Arc<Versioned<Version>>);

/// An artifact with its versions, the highest first, deleted ones included.
pub(crate) async fn show(
    registry: &MavenRegistry,
    name: &str,
) -> Result<PackageDetails, AdministrationError> {
    let name = parse_name(name)?;
    let mut found = versions(registry, &name).await?;
    if found.is_empty() {
        return Err(AdministrationError::NotFound(format!("there is no artifact {name}")));
    }
    found.sort_by_cached_key(|(version, _)| Comparable::new(version.version()));
    let artifact = registry.artifacts().artifact(&name).await?;
    let changed = found.iter().map(|(_, document)| document.modified).max();
    let mut details = PackageDetails::new(name.to_string(), changed.unwrap_or_default());
    if let Some(artifact) = &artifact {
        let now = registry.services().clock.now();
        let told = artifact.metadata(LatestPolicy::Highest, now);
        details.latest = told.and_then(|told| told.release.or(told.latest).map(str::to_owned));
        if let Some(project) = &artifact.project {
            details.add_fact("packaging", &project.packaging);
        }
    }
    if let Some(group) = registry.artifacts().plugins(name.group()).await?
        && let Some(plugin) = group.by_artifact.get(name.artifact())
    {
        details.add_fact("prefix", &plugin.prefix);
    }
    details.versions = found.iter().rev().map(|(version, document)| describe(version, document)).collect();
    Ok(details)
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
        details.digest = file.data.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
    }
    details
}

/// Deletes a version, or the artifact with all of them.
pub(crate) async fn delete(
    registry: &MavenRegistry,
    actor: &Actor,
    name: &str,
    version: Option<&str>,
) -> Result<(), AdministrationError> {
    let name = parse_name(name)?;
    let artifacts = registry.artifacts();
    if let Some(version) = version {
        let version = parse_version(&name, version)?;
        if artifacts.version(&version).await?.is_none() {
            return Err(AdministrationError::NotFound(format!("there is no version {version}")));
        }
        return Ok(registry.remove(actor, &version, None).await?);
    }
    let artifact = artifacts.artifact(&name).await?;
    let artifact =
        artifact.ok_or_else(|| AdministrationError::NotFound(format!("there is no artifact {name}")))?;
    Ok(registry.remove_all(actor, &artifact).await?)
}

/// Frees the names of deleted files: of a version, or of an artifact of which everything was deleted.
pub(crate) async fn forget(
    registry: &MavenRegistry,
    actor: &Actor,
    name: &str,
    version: Option<&str>,
) -> Result<(), AdministrationError> {
    let name = parse_name(name)?;
    let wanted: Vec<Found> = if let Some(text) = version {
        let version = parse_version(&name, text)?;
        let document = registry.artifacts().any_version(&version).await?;
        document.into_iter().map(|document| (version.clone(), document)).collect()
    } else {
        let all = versions(registry, &name).await?;
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
        let (store, key) = (registry.artifacts().store(), registry.artifacts().version_key(&of));
        let event = || {
            let event = store.event(Operation::Delete, &key, actor);
            event.package(name.to_string()).version(of.version())
        };
        let permit = store.permit_with(event).await?;
        let now = registry.services().clock.now();
        let forgotten = store.commit(&key, permit, move |draft| {
            changes::forget(draft, now);
            Ok::<(), Error>(())
        });
        forgotten.await.map_err(Error::from)?;
    }
    if any { Ok(()) } else { Err(AdministrationError::nothing_to_forget(&name.to_string(), version)) }
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

impl From<Error> for AdministrationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(denied) => Self::Denied(denied),
            Error::Storage(error) => Self::Storage(error),
            error => Self::of_status(error.status(), error.to_string()),
        }
    }
}

impl MavenRegistry {
    /// Deletes a file of a version, or all of them: asks the hooks, commits, tells the artifact and the catalog.
    pub(crate) async fn remove(
        &self,
        actor: &Actor,
        version: &VersionName,
        file: Option<&str>,
    ) -> Result<(), Error> {
        let artifacts = self.artifacts();
        let store = artifacts.store();
        let key = artifacts.version_key(version);
        let permit = store
            .permit_with(|| {
                let at = file.map_or_else(|| key.clone(), |file| artifacts.file_key(version, file));
                store
                    .event(Operation::Delete, &at, actor)
                    .package(version.artifact().to_string())
                    .version(version.version())
            })
            .await?;
        let now = self.services().clock.now();
        let (name, file, rules) = (version.clone(), file.map(str::to_owned), Rules::from(self.config()));
        let ((), document) = store
            .commit(&key, permit, move |draft| changes::remove(draft, &name, file.as_deref(), rules, now))
            .await?;
        if let Some(artifact) = artifacts.tell(version, document, now).await? {
            self.tell_catalog(version.artifact(), &artifact);
        }
        Ok(())
    }

    /// Deletes all versions of an artifact.
    pub(crate) async fn remove_all(
        &self,
        actor: &Actor,
        artifact: &crate::store::artifact::Artifact,
    ) -> Result<(), Error> {
        for version in artifact.versions.keys() {
            let Some(version) = VersionName::new(artifact.name.clone(), version) else { continue };
            match self.remove(actor, &version, None).await {
                // Somebody else was faster.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the catalog what became of an artifact.
    pub(crate) fn tell_catalog(&self, name: &ArtifactName, artifact: &crate::store::artifact::Artifact) {
        let catalog = &self.services().catalog;
        catalog.changed(&self.instance().name, &name.to_string(), artifact.catalog_entry());
    }
}
