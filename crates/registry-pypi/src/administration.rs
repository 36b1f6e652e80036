//! What an operator does past the protocol, by the same changes that the handler makes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use registry_core::{
    Actor, Administration,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    hooks::Operation,
};

use crate::{
    error::Error,
    names::{FileName, ProjectName},
    registry::PypiRegistry,
    store::{
        changes::{self, Target},
        project::{Project, Release, Status},
    },
    version::Version,
};

#[async_trait]
impl Administration for PypiRegistry {
    /// A project with its releases, the newest first.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let project = self.projects().read(&parse_name(name)?).await?.ok_or_else(Error::no_project)?;
        let mut details = PackageDetails::new(project.name.as_str(), project.modified);
        details.latest = project.latest().map(|(version, _)| version.to_string());
        if project.display != project.name.as_str() {
            details.add_fact("spelt", project.display.as_str());
        }
        if project.status != Status::Active {
            let reason = project.status_reason.as_ref().map(|reason| format!(": {reason}"));
            details.add_fact("status", format!("{}{}", project.status.as_str(), reason.unwrap_or_default()));
        }
        let mut versions: BTreeMap<Version, VersionDetails> = project
            .releases
            .iter()
            .map(|(version, release)| (version.clone(), live(version, release)))
            .collect();
        let mut beside = Vec::new();
        for (version, details) in deleted(&project) {
            if project.releases.contains_key(&version) {
                beside.push(version.to_string());
            } else {
                versions.insert(version, details);
            }
        }
        details.add_fact("releases with deleted files", beside.join(", "));
        details.versions = versions.into_values().rev().collect();
        Ok(details)
    }

    /// Yanks a release, or takes that back.
    async fn yank_version(
        &self,
        actor: &Actor,
        name: &str,
        version: &str,
        yank: &Yank,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, parse_version(version)?);
        let (operation, reason) = match yank {
            Yank::Set(reason) => (Operation::Delete, Some(reason.clone())),
            Yank::Undo => (Operation::Put, None),
        };
        changes::check_reason(reason.as_deref().unwrap_or_default())?;
        let now = self.services().clock.now();
        let target = Target { version: Some(version.clone()), file: None };
        let change = move |draft: &mut _| changes::yank(draft, &target, reason.as_deref(), now);
        Ok(self.change(actor, operation, (&name, Some(&version)), change).await?)
    }

    /// Deletes a release, or the project.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let target = Target { version: version.clone(), file: None };
        let change = move |draft: &mut _| changes::delete(draft, &target, now);
        Ok(self.change(actor, Operation::Delete, (&name, version.as_ref()), change).await?)
    }

    /// Clears the tombstones of a release's files, or of the project.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let (project, wanted) = (name.clone(), version.clone());
        let change = move |draft: &mut _| changes::forget(draft, &project, wanted.as_ref(), now);
        self.change(actor, Operation::Delete, (&name, version.as_ref()), change).await
    }
}

fn live(version: &Version, release: &Release) -> VersionDetails {
    let mut details = VersionDetails::new(version.as_str());
    details.published = release.files.iter().map(|file| file.uploaded).min();
    details.bytes = Some(release.files.iter().map(|file| file.data.size).sum());
    if let [file] = release.files.as_slice() {
        details.digest = Some(format!("sha256:{}", file.sha256()));
    }
    if release.is_yanked() {
        let reason = release.files.iter().find_map(|file| file.yanked.clone());
        details.state = VersionState::Yanked(reason.unwrap_or_default());
    }
    details
}

/// The versions of deleted files, by the names that are not used again.
fn deleted(project: &Project) -> BTreeMap<Version, VersionDetails> {
    let mut versions: BTreeMap<Version, VersionDetails> = BTreeMap::new();
    for (file, burned) in &project.burned {
        let Ok(name) = file.parse::<FileName>() else { continue };
        let version = name.version();
        let details =
            versions.entry(version.clone()).or_insert_with(|| VersionDetails::new(version.as_str()));
        let before = match details.state {
            VersionState::Deleted(at) => at,
            _ => None,
        };
        details.state = VersionState::Deleted(before.max(Some(burned.at)));
    }
    versions
}

fn parse_name(text: &str) -> Result<ProjectName, AdministrationError> {
    Ok(text.parse().map_err(Error::ProjectName)?)
}

fn parse_version(text: &str) -> Result<Version, AdministrationError> {
    Ok(text.parse().map_err(Error::Version)?)
}
