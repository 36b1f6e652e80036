//! What an operator does past the protocol, by the same changes that the handler makes.

use async_trait::async_trait;
use registry_core::{
    Actor, Administration, Protocol,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    hooks::Operation,
};

use crate::{
    config::AccessLevel,
    error::Error,
    names::PackageName,
    registry::NpmRegistry,
    store::{changes, packument::Packument},
    version::Version,
};

#[async_trait]
impl Administration for NpmRegistry {
    /// A package with its versions, the newest first.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let (name, packages) = (parse_name(name)?, self.packages());
        let document = packages.store().read::<Packument>(&packages.key(&name)).await?;
        let document = document.filter(|document| !document.forgotten);
        let document = document.ok_or_else(|| Error::no_package(name.as_str()))?;
        let mut details = PackageDetails::new(document.name.as_str(), document.modified);
        details.latest = document.latest().map(|(version, _)| version.to_string());
        let owners: Vec<&str> = document.owners.iter().map(|owner| owner.name.as_str()).collect();
        details.add_fact("owners", owners.join(", "));
        let tags: Vec<String> =
            document.tags.iter().map(|(tag, version)| format!("{tag} {version}")).collect();
        details.add_fact("dist-tags", tags.join(", "));
        if document.access == AccessLevel::Restricted {
            details.add_fact("access", "restricted");
        }
        let live = document.releases.iter().map(|(version, release)| {
            let mut details = VersionDetails::new(version.as_str());
            details.published = Some(release.published);
            details.bytes = Some(release.data.size);
            details.digest = release.data.digest();
            if let Some(message) = &release.deprecated {
                details.state = VersionState::Deprecated(message.clone());
            }
            (version, details)
        });
        let removed = document.removed.iter().map(|(version, removed)| {
            let mut details = VersionDetails::new(version.as_str());
            details.state = VersionState::Deleted(Some(removed.at));
            (version, details)
        });
        let mut versions: Vec<_> = live.chain(removed).collect();
        versions.sort_by(|(a, _), (b, _)| b.compare(a));
        details.versions = versions.into_iter().map(|(_, details)| details).collect();
        Ok(details)
    }

    async fn yank_version(
        &self,
        _: &Actor,
        name: &str,
        version: &str,
        _: &Yank,
    ) -> Result<(), AdministrationError> {
        let instead = format!("deprecate it (npm deprecate {name}@{version} MESSAGE), or delete it");
        Err(AdministrationError::not_offered(Protocol::Npm, "yank", &instead))
    }

    /// Unpublishes a version, or the package.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let (owned, wanted, change) = (name.clone(), version.clone(), self.new_change());
        let change = move |draft: &mut _| changes::remove(draft, &owned, wanted.as_ref(), None, &change);
        let what = (&name, version.as_ref().map(Version::as_str));
        self.change::<Error>(actor, Operation::Delete, what, change).await?;
        Ok(())
    }

    /// Clears the tombstone of a version, or of the package.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let (owned, wanted, change) = (name.clone(), version.clone(), self.new_change());
        let change = move |draft: &mut _| changes::forget(draft, &owned, wanted.as_ref(), &change);
        let what = (&name, version.as_ref().map(Version::as_str));
        self.change(actor, Operation::Delete, what, change).await.map(drop)
    }
}

fn parse_name(text: &str) -> Result<PackageName, AdministrationError> {
    Ok(text.parse().map_err(Error::Name)?)
}

fn parse_version(text: &str) -> Result<Version, AdministrationError> {
    Ok(text.parse().map_err(Error::Version)?)
}
