//! Every change to a gem, as pure functions of its document as it stands: they decide, then change it.
//!
//! They run inside the store's update and may run several times; a refusal leaves the document untouched.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use registry_core::{
    administration::AdministrationError,
    http::Refusal,
    storage::{Draft, UnknownFields},
};

use super::gem::{Gem, Release, Yanked};
use crate::{
    error::Error,
    names::{GemName, Platform, full_name},
    version::Version,
    wire::spec::Spec,
};

/// The most owners of a gem.
const MAX_OWNERS: usize = 100;

/// Whether a version with these bytes can be added. `false`: it is there already, the same.
pub(crate) fn check_new(gem: Option<&Gem>, spec: &Spec, sha256: Option<&str>) -> Result<bool, Error> {
    let Some(gem) = gem else { return Ok(true) };
    if gem.releases.is_empty() {
        // Everything was forgotten, the name's case too.
        return Ok(true);
    }
    if gem.name != spec.name {
        return Err(Error::Case(gem.name.to_string()));
    }
    if let Some(found) = gem.find(&spec.version, &spec.platform) {
        if !found.is_visible() {
            return Err(Error::Yanked(full_name(&spec.name, &spec.version, &spec.platform)));
        }
        return match sha256 {
            Some(sha256) if found.sha256 == sha256 => Ok(false),
            // Its bytes are not known yet.
            None => Ok(true),
            Some(_) => Err(Error::Repush),
        };
    }
    let same = |release: &&Arc<Release>| {
        release.spec.platform == spec.platform && release.spec.version.is_same_as(&spec.version)
    };
    if let Some(found) = gem.releases.iter().find(same) {
        return Err(Refusal::Conflict(format!(
            "There was a problem saving your gem: version {} is the same as {}, which has been pushed already.",
            spec.version, found.spec.version
        )).into());
    }
    Ok(true)
}

/// Adds a version. `false`: it was there already, the same.
pub(crate) fn add(draft: &mut Draft<Gem>, release: &Release, max_versions: usize) -> Result<bool, Error> {
    let spec = &release.spec;
    if !check_new(draft.get(), spec, Some(&release.sha256))? {
        return Ok(false);
    }
    let versions = draft.get().map_or(0, |gem| gem.releases.len());
    if versions >= max_versions {
        return Err(Error::Unprocessable(format!(
            "There was a problem saving your gem: it has {versions} versions, the most that this registry keeps of one."
        )));
    }
    let gem = draft.edit_or_insert_with(|| Gem {
        name: spec.name.clone(),
        created: release.created,
        modified: release.created,
        owners: vec![release.pusher.clone()],
        releases: Vec::new(),
        unknown: UnknownFields::default(),
    });
    if gem.releases.is_empty() {
        gem.name.clone_from(&spec.name);
        gem.owners = vec![release.pusher.clone()];
    }
    gem.releases.push(Arc::new(release.clone()));
    touch(gem, release.created);
    Ok(true)
}

/// Yanks a version.
pub(crate) fn yank(
    draft: &mut Draft<Gem>,
    version: &Version,
    platform: &Platform,
    keep: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let found = find(draft.get(), version, platform)?;
    if !found.is_visible() {
        return Err(Error::Unprocessable(format!("The version {} has already been yanked.", found.slug())));
    }
    let until = now.checked_add_signed(keep).unwrap_or(now);
    change(draft, version, platform, now, |release| {
        release.yanked = Some(Yanked { at: now, until, deleted: false });
    });
    Ok(())
}

/// Takes a yank back.
pub(crate) fn unyank(
    draft: &mut Draft<Gem>,
    version: &Version,
    platform: &Platform,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let found = find(draft.get(), version, platform)?;
    if found.is_visible() {
        return Err(Error::Unprocessable(format!("The version {} is not yanked.", found.slug())));
    }
    if !found.can_come_back() {
        return Err(Refusal::Gone(format!(
            "The file of version {} is no longer kept: push a new version.",
            found.slug()
        ))
        .into());
    }
    change(draft, version, platform, now, |release| release.yanked = None);
    Ok(())
}

/// Deletes a version, or all: they do not come back, and their numbers stay used.
pub(crate) fn delete(
    draft: &mut Draft<Gem>,
    wanted: Option<&(Version, Platform)>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let gem = draft.get().filter(|gem| !gem.releases.is_empty()).ok_or_else(Error::no_gem)?;
    let goes = |release: &Release| match (&release.yanked, wanted) {
        (Some(yanked), _) if yanked.deleted => false,
        (_, None) => true,
        (_, Some((version, platform))) => {
            release.spec.version == *version && release.spec.platform == *platform
        }
    };
    if !gem.releases.iter().any(|release| goes(release)) {
        return Err(match wanted {
            Some((version, platform)) => no_version(version, platform),
            None => Error::no_gem(),
        });
    }
    if let Some(gem) = draft.edit() {
        for release in &mut gem.releases {
            if goes(release) {
                Arc::make_mut(release).yanked = Some(Yanked { at: now, until: now, deleted: true });
            }
        }
        touch(gem, now);
    }
    Ok(())
}

/// Clears the tombstones of a deleted version, or of all where everything was deleted.
pub(crate) fn forget(
    draft: &mut Draft<Gem>,
    name: &GemName,
    wanted: Option<&(Version, Platform)>,
    now: DateTime<Utc>,
) -> Result<(), AdministrationError> {
    let slug = wanted.map(|(version, platform)| crate::names::slug(version, platform));
    let nothing = || AdministrationError::nothing_to_forget(name.as_str(), slug.as_deref());
    let gem = draft.get().filter(|gem| gem.name == *name && !gem.releases.is_empty()).ok_or_else(nothing)?;
    let can_be_had = |release: &Release| release.is_visible() || release.can_come_back();
    if let Some((version, platform)) = wanted {
        let found = gem.find(version, platform).ok_or_else(nothing)?;
        if can_be_had(found) {
            return Err(AdministrationError::version_is_live(name.as_str(), &found.slug()));
        }
    } else {
        let live = gem.releases.iter().filter(|release| can_be_had(release)).count();
        if live > 0 {
            return Err(AdministrationError::package_is_live(name.as_str(), live));
        }
    }
    if let Some(gem) = draft.edit() {
        gem.releases.retain(|release| {
            wanted.is_some_and(|(version, platform)| {
                release.spec.version != *version || release.spec.platform != *platform
            })
        });
        touch(gem, now);
    }
    Ok(())
}

/// Adds an owner. One that is there already stays.
pub(crate) fn add_owner(draft: &mut Draft<Gem>, owner: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let gem = draft.get().ok_or_else(Error::no_gem)?;
    if gem.owners.iter().any(|known| known == owner) {
        return Err(Error::Unprocessable("User is already an owner of this gem.".to_owned()));
    }
    if gem.owners.len() >= MAX_OWNERS {
        return Err(Error::Unprocessable(format!("A gem has at most {MAX_OWNERS} owners.")));
    }
    if let Some(gem) = draft.edit() {
        gem.owners.push(owner.to_owned());
        touch(gem, now);
    }
    Ok(())
}

/// Removes an owner; the last one stays.
pub(crate) fn remove_owner(draft: &mut Draft<Gem>, owner: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let gem = draft.get().ok_or_else(Error::no_gem)?;
    if !gem.owners.iter().any(|known| known == owner) {
        return Err(Refusal::NotFound("Owner could not be found.".to_owned()).into());
    }
    if gem.owners.len() <= 1 {
        return Err(Refusal::Forbidden(
            "Unable to remove the last owner of a gem: add another one first.".to_owned(),
        )
        .into());
    }
    if let Some(gem) = draft.edit() {
        gem.owners.retain(|known| known != owner);
        touch(gem, now);
    }
    Ok(())
}

/// A version that is there, yanked or not.
pub(crate) fn find<'g>(
    gem: Option<&'g Gem>,
    version: &Version,
    platform: &Platform,
) -> Result<&'g Arc<Release>, Error> {
    let found = gem.ok_or_else(Error::no_gem)?.find(version, platform);
    found.ok_or_else(|| no_version(version, platform))
}

/// A version that is not there.
pub(crate) fn no_version(version: &Version, platform: &Platform) -> Error {
    Refusal::NotFound(format!("The version {} does not exist.", crate::names::slug(version, platform))).into()
}

fn change(
    draft: &mut Draft<Gem>,
    version: &Version,
    platform: &Platform,
    now: DateTime<Utc>,
    edit: impl Fn(&mut Release),
) {
    let Some(gem) = draft.edit() else { return };
    for release in &mut gem.releases {
        if release.spec.version == *version && release.spec.platform == *platform {
            edit(Arc::make_mut(release));
        }
    }
    touch(gem, now);
}

fn touch(gem: &mut Gem, now: DateTime<Utc>) {
    gem.modified = now.max(gem.modified + TimeDelta::microseconds(1));
}

/// Whether a document is that of a gem with exactly this name.
pub(crate) fn is_called(gem: &Gem, name: &GemName) -> bool {
    gem.name == *name
}
