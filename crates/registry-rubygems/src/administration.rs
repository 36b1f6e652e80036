//! What an operator does past the protocol, by the same changes that the handler makes.

use async_trait::async_trait;
use registry_core::{
    Actor, Administration,
    administration::{AdministrationError, PackageDetails, VersionDetails, VersionState, Yank},
    hooks::Operation,
    storage::Draft,
};

use crate::{
    error::Error,
    names::{GemName, Platform, parse_slug},
    registry::RubygemsRegistry,
    store::{
        changes,
        gem::{Gem, Release},
    },
    version::Version,
};

#[async_trait]
impl Administration for RubygemsRegistry {
    /// A gem with its versions, the newest first.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let name = parse_name(name)?;
        let gem = self.gems().load(&name).await?.filter(|gem| !gem.releases.is_empty());
        let gem = gem.ok_or_else(Error::no_gem)?;
        let mut details = PackageDetails::new(gem.name.as_str(), gem.modified);
        details.latest = gem.latest().map(|release| release.slug());
        details.add_fact("owners", gem.owners.join(", "));
        let mut releases: Vec<_> = gem.releases.iter().collect();
        releases.sort_by(|a, b| {
            b.spec.version.cmp(&a.spec.version).then_with(|| a.spec.platform.cmp(&b.spec.platform))
        });
        details.versions = releases.into_iter().map(|release| version(release)).collect();
        Ok(details)
    }

    /// Yanks a version, or takes that back. Done already is done. RubyGems knows no reasons.
    async fn yank_version(
        &self,
        actor: &Actor,
        name: &str,
        version: &str,
        yank: &Yank,
    ) -> Result<(), AdministrationError> {
        let (name, (version, platform)) = (parse_name(name)?, parse_version(version)?);
        let keep = self.keep_yanked();
        let now = self.services().clock.now();
        let (number, of) = (version.clone(), platform.clone());
        let is_yanked = move |gem: Option<&Gem>| {
            gem.and_then(|gem| gem.find(&number, &of)).is_some_and(|release| !release.is_visible())
        };
        let (operation, set) = match yank {
            Yank::Set(reason) if !reason.is_empty() => {
                return Err(AdministrationError::Invalid("rubygems keeps no reason of a yank".to_owned()));
            }
            Yank::Set(_) => (Operation::Delete, true),
            Yank::Undo => (Operation::Put, false),
        };
        let slug = crate::names::slug(&version, &platform);
        let change = move |draft: &mut Draft<Gem>| match (set, is_yanked(draft.get())) {
            (true, true) => Ok(()),
            (true, false) => changes::yank(draft, &version, &platform, keep, now),
            (false, true) => changes::unyank(draft, &version, &platform, now),
            (false, false) => changes::find(draft.get(), &version, &platform).map(|_| ()),
        };
        self.change(actor, operation, (&name, Some(&slug)), change).await.map_err(|error: Error| error.into())
    }

    /// Deletes a version, or the gem with all of them.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, wanted) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let change = move |draft: &mut _| changes::delete(draft, wanted.as_ref(), now);
        Ok(self.change::<Error>(actor, Operation::Delete, (&name, version), change).await?)
    }

    /// Clears the tombstone of a deleted version, or of a gem of which everything was deleted.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let (name, wanted) = (parse_name(name)?, version.map(parse_version).transpose()?);
        let now = self.services().clock.now();
        let gem = name.clone();
        let change = move |draft: &mut _| changes::forget(draft, &gem, wanted.as_ref(), now);
        self.change(actor, Operation::Delete, (&name, version), change).await
    }
}

fn version(release: &Release) -> VersionDetails {
    let mut details = VersionDetails::new(release.slug());
    details.published = Some(release.created);
    details.bytes = release.data.as_ref().map(|data| data.size);
    details.digest = Some(format!("sha256:{}", release.sha256));
    details.state = match &release.yanked {
        None => VersionState::Live,
        Some(_) if release.can_come_back() => VersionState::Yanked(String::new()),
        Some(yanked) => VersionState::Deleted(Some(yanked.at)),
    };
    details
}

fn parse_name(text: &str) -> Result<GemName, AdministrationError> {
    text.parse().map_err(|error| AdministrationError::from(Error::Name(error)))
}

/// A version with its platform, as indexes write them: `1.0`, `1.0-java`.
fn parse_version(text: &str) -> Result<(Version, Platform), AdministrationError> {
    parse_slug(text).ok_or_else(|| {
        AdministrationError::Invalid("a version is 1.0, or 1.0-java with a platform".to_owned())
    })
}
