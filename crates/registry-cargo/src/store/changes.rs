//! Every change to a crate's document, as pure functions of the document as it stands: they decide, then change it.
//!
//! They run inside the store's update and may run several times; a refusal leaves the document untouched.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use registry_core::{administration::AdministrationError, http::Refusal, storage::Draft};

use super::document::{CrateDocument, Release, Removed};
use crate::{error::Error, names::CrateName, version::Version};

/// The most owners of a crate.
const MAX_OWNERS: usize = 100;

/// A version to be published.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) name: CrateName,
    pub(crate) version: Version,
    pub(crate) release: Arc<Release>,
    pub(crate) max_bytes: u64,
    pub(crate) now: DateTime<Utc>,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The version is new.
    New,
    /// The same bytes were there already: a client that lost the first answer.
    Already,
}

/// Whether a version can be published as things stand: the release that has its number, if that may be the same. Also asked
/// before its bytes are stored.
pub(crate) fn check_free<'d>(
    document: Option<&'d CrateDocument>,
    name: &CrateName,
    version: &Version,
) -> Result<Option<&'d Arc<Release>>, Error> {
    let Some(document) = document.filter(|document| !document.forgotten) else { return Ok(None) };
    if document.name != *name {
        return Err(Refusal::Conflict(format!(
            "the name \"{name}\" is taken: there is a crate \"{}\", which differs only in case, `-` or `_`",
            document.name
        ))
        .into());
    }
    if let Some(release) = document.releases.get(version) {
        return Ok(Some(release));
    }
    let plain = version.without_build();
    if let Some(other) = document.releases.keys().find(|other| other.without_build() == plain) {
        return Err(Refusal::Conflict(format!(
            "version {other} of \"{name}\" exists: build metadata does not make {version} another version"
        ))
        .into());
    }
    if document.removed.keys().any(|other| other.without_build() == plain) {
        return Err(Refusal::Conflict(format!(
            "version {version} of \"{name}\" was deleted: its number cannot be used again"
        ))
        .into());
    }
    Ok(None)
}

/// Publishes a version.
pub(crate) fn publish(draft: &mut Draft<CrateDocument>, publish: &Publish) -> Result<Published, Error> {
    let current = draft.get();
    if let Some(release) = check_free(current, &publish.name, &publish.version)? {
        if release.data.sha256.is_some() && release.data.sha256 == publish.release.data.sha256 {
            return Ok(Published::Already);
        }
        return Err(Refusal::Conflict(format!(
            "version {} of \"{}\" is already published: publish the change under another version",
            publish.version, publish.name
        ))
        .into());
    }
    let weight = current.map_or(0, CrateDocument::weight) + publish.release.weight();
    if weight as u64 > publish.max_bytes {
        return Err(Refusal::TooLarge {
            what: "crate's document, with all its versions,",
            limit: publish.max_bytes,
        }
        .into());
    }
    let document = draft.edit_or_insert_with(|| CrateDocument::new(publish.name.clone(), publish.now));
    if document.forgotten {
        *document = document.anew(publish.name.clone(), publish.now);
    }
    if !document.is_live() {
        document.owners = vec![publish.release.publisher.clone()];
    }
    document.releases.insert(publish.version.clone(), Arc::clone(&publish.release));
    document.touch(publish.now);
    Ok(Published::New)
}

fn live<'d>(draft: &'d Draft<CrateDocument>, name: &CrateName) -> Result<&'d CrateDocument, Error> {
    draft
        .get()
        .filter(|document| document.is_live() && document.name.is_spelled_as(name))
        .ok_or_else(|| Error::no_crate(name))
}

/// Sets whether a version is passed over by new resolutions. Done already is done.
pub(crate) fn yank(
    draft: &mut Draft<CrateDocument>,
    name: &CrateName,
    version: &Version,
    yanked: bool,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    let release = current.releases.get(version).ok_or_else(|| Error::no_version(name, version))?;
    if release.yanked == yanked {
        return Ok(());
    }
    let release = Release { yanked, ..(**release).clone() };
    if let Some(document) = draft.edit() {
        document.releases.insert(version.clone(), Arc::new(release));
        document.touch(now);
    }
    Ok(())
}

/// Deletes a version, or all of them: their numbers stay used.
pub(crate) fn delete(
    draft: &mut Draft<CrateDocument>,
    name: &CrateName,
    version: Option<&Version>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    let versions: Vec<Version> = match version {
        Some(version) if current.releases.contains_key(version) => vec![version.clone()],
        Some(version) => return Err(Error::no_version(name, version)),
        None => current.releases.keys().cloned().collect(),
    };
    if let Some(document) = draft.edit() {
        for version in versions {
            if let Some(release) = document.releases.shift_remove(&version) {
                let (data, sha256) = (Some(release.data.clone()), release.data.sha256.clone());
                document.removed.insert(version, Removed { at: now, sha256, data });
            }
        }
        if !document.is_live() {
            document.owners.clear();
        }
        document.touch(now);
    }
    Ok(())
}

/// Clears a deleted version's tombstone, or gives the whole name free where nothing of it can be had.
pub(crate) fn forget(
    draft: &mut Draft<CrateDocument>,
    name: &CrateName,
    version: Option<&Version>,
    now: DateTime<Utc>,
) -> Result<(), AdministrationError> {
    let text = version.map(ToString::to_string);
    let nothing = || AdministrationError::nothing_to_forget(name.as_str(), text.as_deref());
    let current = draft.get().filter(|document| !document.forgotten && document.name.is_spelled_as(name));
    let current = current.ok_or_else(nothing)?;
    let Some(version) = version else {
        if current.is_live() {
            return Err(AdministrationError::package_is_live(name.as_str(), current.releases.len()));
        }
        let mut forgotten = current.anew(current.name.clone(), now);
        forgotten.forgotten = true;
        forgotten.touch(now);
        draft.set(forgotten);
        return Ok(());
    };
    // The number is used whatever its build metadata was.
    let is_it = |other: &Version| other.without_build() == version.without_build();
    if !current.removed.keys().any(is_it) {
        if let Some(live) = current.releases.keys().find(|other| is_it(other)) {
            return Err(AdministrationError::version_is_live(name.as_str(), &live.to_string()));
        }
        return Err(nothing());
    }
    if let Some(document) = draft.edit() {
        document.removed.retain(|other, _| !is_it(other));
        document.touch(now);
    }
    Ok(())
}

/// Adds owners.
pub(crate) fn add_owners(
    draft: &mut Draft<CrateDocument>,
    name: &CrateName,
    logins: &[String],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    if let Some(login) = logins.iter().find(|login| current.owners.contains(login)) {
        return Err(Error::bad(format!("\"{login}\" is an owner of \"{name}\" already")));
    }
    if current.owners.len() + logins.len() > MAX_OWNERS {
        return Err(Error::bad(format!("a crate has at most {MAX_OWNERS} owners")));
    }
    if let Some(document) = draft.edit() {
        for login in logins {
            if !document.owners.contains(login) {
                document.owners.push(login.clone());
            }
        }
        document.touch(now);
    }
    Ok(())
}

/// Removes owners; one stays.
pub(crate) fn remove_owners(
    draft: &mut Draft<CrateDocument>,
    name: &CrateName,
    logins: &[String],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    if let Some(login) = logins.iter().find(|login| !current.owners.contains(login)) {
        let login: String = login.chars().take(128).collect();
        return Err(Error::bad(format!("\"{login}\" is no owner of \"{name}\"")));
    }
    if current.owners.iter().all(|owner| logins.contains(owner)) {
        return Err(Error::bad(format!("\"{name}\" would be left without an owner: add another one first")));
    }
    if let Some(document) = draft.edit() {
        document.owners.retain(|owner| !logins.contains(owner));
        document.touch(now);
    }
    Ok(())
}
