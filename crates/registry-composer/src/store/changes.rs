//! Every change to a package, as pure functions of the document as it stands: they decide, then change it.
//!
//! They run inside the store's update and may run several times; a refusal leaves the document untouched.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use registry_core::{administration::AdministrationError, http::Refusal, storage::Draft};

use super::package::{Abandoned, Package, Release, Removed, Replaced};
use crate::{
    error::Error,
    names::PackageName,
    version::{Version, is_dev},
};

/// A version to be published.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) name: PackageName,
    /// What it has in common with versions that are the same to clients.
    pub(crate) identity: String,
    pub(crate) release: Arc<Release>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) max_versions: usize,
    pub(crate) max_bytes: u64,
    pub(crate) replaced_archives: usize,
}

/// What publishing a version comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is new, or replaces what a branch was.
    New,
    /// These very bytes are there under this version: nothing changes.
    Same,
}

/// What publishing a version would come to as things stand; also asked before anything is written.
pub(crate) fn check(package: Option<&Package>, publish: &Publish) -> Result<Published, Error> {
    let Some(package) = package else { return Ok(Published::New) };
    let (release, replaceable) = (&publish.release, is_dev(&publish.release.normalized));
    let existing = package.releases.get(&publish.identity);
    match existing {
        Some(existing) if existing.dist.is_same(&release.dist) => return Ok(Published::Same),
        Some(existing) if !replaceable => return Err(Error::Published(existing.version.clone())),
        Some(_) => {}
        None => {
            if let Some(removed) = package.removed.get(&publish.identity)
                && !replaceable
                && removed.sha256 != release.dist.data.sha256
            {
                return Err(Error::Deleted(release.version.clone()));
            }
            if package.releases.len() >= publish.max_versions {
                return Err(Error::Unprocessable(format!(
                    "\"{}\" has {} versions, the most that this registry takes: delete some first",
                    publish.name, publish.max_versions
                )));
            }
        }
    }
    let freed = existing.map_or(0, |existing| existing.weight());
    if (package.weight() + release.weight()).saturating_sub(freed) as u64 > publish.max_bytes {
        return Err(Refusal::TooLarge {
            what: "package's metadata, with all its versions,",
            limit: publish.max_bytes,
        }
        .into());
    }
    Ok(Published::New)
}

/// Publishes a version.
pub(crate) fn publish(draft: &mut Draft<Package>, publish: &Publish) -> Result<Published, Error> {
    if check(draft.get(), publish)? == Published::Same {
        return Ok(Published::Same);
    }
    let package = draft.edit_or_insert_with(|| Package::new(publish.name.clone(), publish.now));
    if package.forgotten {
        *package = package.anew(publish.now);
    }
    let before = package.releases.insert(publish.identity.clone(), Arc::clone(&publish.release));
    let replaced = before.map(|release| vec![release.dist.clone()]).into_iter().flatten();
    let removed =
        package.removed.shift_remove(&publish.identity).map(|removed| removed.dists).into_iter().flatten();
    for dist in removed.chain(replaced) {
        package.replaced.push(Replaced { version: publish.identity.clone(), at: publish.now, dist });
    }
    let reference = &publish.release.dist.reference;
    package.replaced.retain(|replaced| replaced.dist.reference != *reference);
    let of_version = |replaced: &&Replaced| replaced.version == publish.identity;
    let mut over =
        package.replaced.iter().filter(of_version).count().saturating_sub(publish.replaced_archives);
    package.replaced.retain(|replaced| {
        let goes = over > 0 && replaced.version == publish.identity;
        over -= usize::from(goes);
        !goes
    });
    package.touch(publish.now);
    Ok(Published::New)
}

/// Deletes one version, or all of them.
pub(crate) fn remove(
    draft: &mut Draft<Package>,
    identity: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let nothing = || {
        Refusal::NotFound(match identity {
            Some(_) => "there is no such version".to_owned(),
            None => "the package has no versions".to_owned(),
        })
    };
    let goes: Vec<String> = match (draft.get(), identity) {
        (None, _) => return Err(nothing().into()),
        (Some(package), Some(identity)) => {
            package.releases.keys().filter(|found| *found == identity).cloned().collect()
        }
        (Some(package), None) => package.releases.keys().cloned().collect(),
    };
    if goes.is_empty() {
        return Err(nothing().into());
    }
    let Some(package) = draft.edit() else { return Err(nothing().into()) };
    for identity in goes {
        let Some(release) = package.releases.shift_remove(&identity) else { continue };
        let sha256 = release.dist.data.sha256.clone();
        let mut dists = vec![release.dist.clone()];
        dists.extend(package.replaced.iter().filter(|r| r.version == identity).map(|r| r.dist.clone()));
        package.replaced.retain(|replaced| replaced.version != identity);
        package.removed.insert(identity, Removed { at: now, sha256, dists });
    }
    package.touch(now);
    Ok(())
}

/// Clears a deleted version's tombstone, or gives the whole name free where nothing of it can be had. The version may also be
/// written as its identity, which is all that a tombstone knows of it and need not be read back as the same version.
pub(crate) fn forget(
    draft: &mut Draft<Package>,
    name: &PackageName,
    version: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), AdministrationError> {
    let nothing = || AdministrationError::nothing_to_forget(name.as_str(), version);
    let current = draft.get().filter(|package| !package.forgotten).ok_or_else(nothing)?;
    let Some(version) = version else {
        if !current.releases.is_empty() {
            return Err(AdministrationError::package_is_live(name.as_str(), current.releases.len()));
        }
        let mut forgotten = current.anew(now);
        forgotten.forgotten = true;
        forgotten.touch(now);
        draft.set(forgotten);
        return Ok(());
    };
    let identity = if current.removed.contains_key(version) {
        version.to_owned()
    } else {
        version.parse::<Version>().map_err(Error::Version)?.identity()
    };
    if current.releases.contains_key(&identity) {
        return Err(AdministrationError::version_is_live(name.as_str(), version));
    }
    if !current.removed.contains_key(&identity) {
        return Err(nothing());
    }
    if let Some(package) = draft.edit() {
        package.removed.shift_remove(&identity);
        package.touch(now);
    }
    Ok(())
}

/// Says that a package is abandoned, or no longer.
pub(crate) fn abandon(
    draft: &mut Draft<Package>,
    abandoned: Option<&Abandoned>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let current = draft.get().filter(|package| !package.releases.is_empty());
    let current = current.ok_or_else(|| Refusal::NotFound("the package has no versions".to_owned()))?;
    if current.abandoned.as_ref() == abandoned {
        return Ok(());
    }
    if let Some(package) = draft.edit() {
        package.abandoned = abandoned.cloned();
        package.touch(now);
    }
    Ok(())
}
