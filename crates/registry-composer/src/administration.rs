//! What an operator does past the protocol, by the same changes that the handler makes.

use async_trait::async_trait;
use registry_core::{
    Actor, Administration, Protocol,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    hooks::Operation,
};

use crate::{
    error::Error,
    names::PackageName,
    registry::ComposerRegistry,
    store::{changes, package::Abandoned},
    version::Version,
    wire::listing::catalog_entry,
};

#[async_trait]
impl Administration for ComposerRegistry {
    /// A package with its versions, the last published first, deleted ones at the end.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let name = parse_name(name)?;
        let package = self.packages().load(&name).await?.ok_or_else(|| Error::no_package(name.as_str()))?;
        let mut details = PackageDetails::new(package.name.as_str(), package.modified);
        details.latest = catalog_entry(&package).and_then(|entry| entry.latest);
        match &package.abandoned {
            Some(Abandoned::For(other)) => details.add_fact("abandoned", format!("use {other}")),
            Some(Abandoned::Simply(true)) => details.add_fact("abandoned", "yes"),
            Some(Abandoned::Simply(false)) | None => {}
        }
        details.versions.extend(package.releases.values().rev().map(|release| {
            let mut details = VersionDetails::new(release.version.as_str());
            details.published = Some(release.published);
            details.bytes = Some(release.dist.data.size);
            details.digest = release.dist.data.digest();
            details
        }));
        details.versions.extend(package.removed.iter().rev().map(|(version, removed)| {
            let mut details = VersionDetails::new(version.as_str());
            details.digest = removed.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
            details.state = VersionState::Deleted(Some(removed.at));
            details
        }));
        Ok(details)
    }

    async fn yank_version(&self, _: &Actor, _: &str, _: &str, _: &Yank) -> Result<(), AdministrationError> {
        let instead = "mark the package as abandoned (see the protocol's page), or delete the version";
        Err(AdministrationError::not_offered(Protocol::Composer, "yank", instead))
    }

    /// Deletes a version, or the package.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let identity = version.as_ref().map(Version::identity);
        let change = move |draft: &mut _| changes::remove(draft, identity.as_deref(), now);
        let what = (&name, version.as_ref().map(Version::as_str));
        Ok(self.change(actor, Operation::Delete, what, change).await?)
    }

    /// Clears the tombstone of a version, or of the package.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let name = parse_name(name)?;
        let now = self.services().clock.now();
        let (package, wanted) = (name.clone(), version.map(str::to_owned));
        let change = move |draft: &mut _| changes::forget(draft, &package, wanted.as_deref(), now);
        self.change(actor, Operation::Delete, (&name, version), change).await
    }
}

fn parse_name(text: &str) -> Result<PackageName, AdministrationError> {
    Ok(text.parse().map_err(Error::Name)?)
}

fn parse_version(text: &str) -> Result<Version, AdministrationError> {
    Ok(text.parse().map_err(Error::Version)?)
}
