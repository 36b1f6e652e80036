//! What an operator does past the protocol, by the same changes that the handler makes.

use async_trait::async_trait;
use registry_core::{
    Actor, Administration, Protocol,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    hooks::Operation,
};

use crate::{error::Error, names::CrateName, registry::CargoRegistry, store::changes, version::Version};

#[async_trait]
impl Administration for CargoRegistry {
    /// A crate with its versions, the newest first.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let asked = parse_name(name)?;
        let document = self.crates().read(&asked).await?.filter(|found| found.name.is_spelled_as(&asked));
        let document = document.ok_or_else(|| Error::no_crate(&asked))?;
        let mut details = PackageDetails::new(document.name.as_str(), document.modified);
        details.latest = document.highest().map(|(version, _)| version.to_string());
        details.add_fact("owners", document.owners.join(", "));
        let live = document.releases.iter().map(|(version, release)| {
            let mut details = VersionDetails::new(version.to_string());
            details.published = Some(release.published);
            details.bytes = Some(release.data.size);
            details.digest = release.data.digest();
            if release.yanked {
                details.state = VersionState::Yanked(String::new());
            }
            (version, details)
        });
        let removed = document.removed.iter().map(|(version, removed)| {
            let mut details = VersionDetails::new(version.to_string());
            details.digest = removed.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
            details.state = VersionState::Deleted(Some(removed.at));
            (version, details)
        });
        let mut versions: Vec<_> = live.chain(removed).collect();
        versions.sort_by(|(a, _), (b, _)| b.compare(a));
        details.versions = versions.into_iter().map(|(_, details)| details).collect();
        Ok(details)
    }

    /// Yanks a version, or takes that back.
    async fn yank_version(
        &self,
        actor: &Actor,
        name: &str,
        version: &str,
        yank: &Yank,
    ) -> Result<(), AdministrationError> {
        if matches!(yank, Yank::Set(reason) if !reason.is_empty()) {
            let instead = "an index line has no place for one, so leave it out";
            return Err(AdministrationError::not_offered(Protocol::Cargo, "reason for a yank", instead));
        }
        let (name, version, yanked) =
            (parse_name(name)?, parse_version(version)?, matches!(yank, Yank::Set(_)));
        let now = self.services().clock.now();
        let (krate, wanted) = (name.clone(), version.clone());
        let change = move |draft: &mut _| changes::yank(draft, &krate, &wanted, yanked, now);
        Ok(self.change(actor, Operation::Put, (&name, Some(&version)), change).await?)
    }

    /// Deletes a version, or the crate.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let (krate, wanted) = (name.clone(), version.clone());
        let change = move |draft: &mut _| changes::delete(draft, &krate, wanted.as_ref(), now);
        Ok(self.change(actor, Operation::Delete, (&name, version.as_ref()), change).await?)
    }

    /// Clears the tombstone of a version, or of the crate.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, version) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let (krate, wanted) = (name.clone(), version.clone());
        let change = move |draft: &mut _| changes::forget(draft, &krate, wanted.as_ref(), now);
        self.change(actor, Operation::Delete, (&name, version.as_ref()), change).await
    }
}

fn parse_name(text: &str) -> Result<CrateName, AdministrationError> {
    Ok(text.parse().map_err(Error::Name)?)
}

fn parse_version(text: &str) -> Result<Version, AdministrationError> {
    Ok(text.parse().map_err(Error::Version)?)
}
