//! Every change to a packument, as pure functions of the document as it stands: they decide, then change it.
//!
//! They run inside the store's update and may run several times; a refusal leaves the document untouched.

use std::{collections::BTreeMap, sync::Arc};

use chrono::Duration;
use indexmap::IndexMap;
use registry_core::{administration::AdministrationError, http::Refusal, storage::Draft};

use super::packument::{Change, Packument, Person, Release};
use crate::{
    config::AccessLevel,
    error::Error,
    names::{PackageName, Tag},
    version::Version,
};

/// The longest deprecation message in bytes.
const MAX_DEPRECATION: usize = 4096;

/// Whether a package's document may grow to this. It is read, changed and written as one: a package that grows without end
/// would take everybody's memory.
fn check_size(weight: usize, limit: u64) -> Result<(), Error> {
    if weight as u64 > limit {
        return Err(Refusal::TooLarge { what: "package's document, with all its versions,", limit }.into());
    }
    Ok(())
}

/// Whether a deprecation message has a length that can be kept.
pub(crate) fn check_deprecation(message: &str) -> Result<(), Error> {
    if message.len() > MAX_DEPRECATION {
        return Err(Error::bad(format!("a deprecation message has at most {MAX_DEPRECATION} bytes")));
    }
    Ok(())
}

/// A version to be published.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) name: PackageName,
    pub(crate) version: Version,
    pub(crate) release: Arc<Release>,
    /// The tags sent along: to this version, or to others that must exist.
    pub(crate) tags: IndexMap<Tag, Version>,
    /// Other versions in the client's document: they must exist, and stay as they are.
    pub(crate) others: Vec<Version>,
    /// Who may read, if the client said so.
    pub(crate) access: Option<AccessLevel>,
    /// Who may read a new package where the client did not say.
    pub(crate) default_access: AccessLevel,
    pub(crate) readme: Option<Arc<str>>,
    pub(crate) readme_file: Option<String>,
    /// The most bytes that the document may grow to.
    pub(crate) max_bytes: u64,
    /// How long a name is blocked after its package was unpublished.
    pub(crate) republish_block: Duration,
    pub(crate) change: Change,
}

/// Whether a version can be published as things stand; also asked before its bytes are stored.
pub(crate) fn check_unused(document: Option<&Packument>, version: &Version) -> Result<(), Error> {
    match document {
        Some(document) if document.is_used(version) => Err(Error::AlreadyPublished(version.clone())),
        _ => Ok(()),
    }
}

/// Publishes a version.
pub(crate) fn publish(draft: &mut Draft<Packument>, publish: &Publish) -> Result<(), Error> {
    let current = draft.get();
    check_unused(current, &publish.version)?;
    let exists = |version: &Version| {
        *version == publish.version || current.is_some_and(|document| document.releases.contains_key(version))
    };
    if let Some(other) = publish.others.iter().find(|version| !exists(version)) {
        return Err(Error::bad(format!("version {other} is in the document without its tarball")));
    }
    if let Some((tag, version)) = publish.tags.iter().find(|(_, version)| !exists(version)) {
        return Err(Error::bad(format!(
            "the dist-tag \"{tag}\" names version {version}, which does not exist"
        )));
    }
    let tags: usize = publish.tags.keys().map(|tag| tag.as_str().len()).sum();
    check_size(current.map_or(0, Packument::weight) + publish.release.weight() + tags, publish.max_bytes)?;
    if let Some(at) = current.and_then(|document| document.unpublished)
        && publish.change.now < at + publish.republish_block
    {
        return Err(Refusal::Forbidden(format!(
            "\"{}\" was unpublished at {}: nothing can be published under this name for a while",
            publish.name,
            crate::wire::packument::iso(at)
        ))
        .into());
    }

    let document = draft.edit_or_insert_with(|| {
        Packument::new(publish.name.clone(), publish.default_access, &publish.change)
    });
    if document.forgotten {
        *document = document.anew(publish.default_access, &publish.change);
    }
    if document.is_live() {
        document.access = publish.access.unwrap_or(document.access);
    } else {
        document.access = publish.access.unwrap_or(publish.default_access);
        document.owners = vec![publish.release.publisher.clone()];
        document.unpublished = None;
    }
    document.releases.insert(publish.version.clone(), Arc::clone(&publish.release));
    for (tag, version) in &publish.tags {
        // A client that sends its whole old document must not move tags back that others moved meanwhile.
        if *version == publish.version {
            document.tags.insert(tag.clone(), version.clone());
        }
    }
    document.mend_tags();
    if document.readme.is_none() || document.tags.get(&Tag::latest()) == Some(&publish.version) {
        document.readme.clone_from(&publish.readme);
        document.readme_file.clone_from(&publish.readme_file);
    }
    document.touch(&publish.change);
    Ok(())
}

/// A change to a package's document that brings no new version.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// The revision that it is a change of, where the client named one.
    pub(crate) rev: Option<String>,
    /// Who asks.
    pub(crate) user: String,
    /// Whether they may change the package.
    pub(crate) may_write: bool,
    /// Whether they may take versions away.
    pub(crate) may_delete: bool,
    /// Versions that are not listed in `versions` go (the `-rev` form).
    pub(crate) removes: bool,
    /// The versions in the document, each with what it says of deprecation, and of its tarball's hash.
    pub(crate) versions: Option<IndexMap<Version, VersionEdit>>,
    pub(crate) tags: Option<IndexMap<String, String>>,
    /// The owners, known to exist.
    pub(crate) owners: Option<Vec<Person>>,
    /// Whether the user stars the package.
    pub(crate) star: Option<bool>,
    pub(crate) readme: Option<Arc<str>>,
    /// The most bytes that the document may grow to.
    pub(crate) max_bytes: u64,
    pub(crate) change: Change,
}

/// What a document says of a version that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VersionEdit {
    /// The message: `None` where the document has none, empty to take it away.
    pub(crate) deprecated: Option<String>,
    /// `dist.shasum` as it was sent back.
    pub(crate) shasum: Option<String>,
    /// `dist.integrity` as it was sent back.
    pub(crate) integrity: Option<String>,
}

/// The versions that an edit takes away.
pub(crate) fn removals(document: &Packument, edit: &Edit) -> Vec<Version> {
    match &edit.versions {
        Some(kept) if edit.removes => {
            document.releases.keys().filter(|version| !kept.contains_key(*version)).cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the client's revision is the document's.
pub(crate) fn check_rev(document: &Packument, rev: Option<&str>) -> Result<(), Error> {
    match rev {
        Some(rev) if rev != document.rev => Err(Error::Conflict(rev.chars().take(100).collect())),
        _ => Ok(()),
    }
}

fn live<'d>(draft: &'d Draft<Packument>, name: &PackageName) -> Result<&'d Packument, Error> {
    draft.get().filter(|document| document.is_live()).ok_or_else(|| Error::no_package(name.as_str()))
}

/// Applies an edit.
pub(crate) fn edit(draft: &mut Draft<Packument>, name: &PackageName, edit: &Edit) -> Result<(), Error> {
    let current = live(draft, name)?;
    check_rev(current, edit.rev.as_deref())?;
    let mut next = current.clone();
    let mut written = false;

    for (version, wanted) in edit.versions.iter().flatten() {
        let release = current.releases.get(version).ok_or_else(|| {
            Error::bad(format!(
                "version {version} does not exist: a new version is published with its tarball"
            ))
        })?;
        let dist = &release.dist;
        if wanted.shasum.as_ref().is_some_and(|sent| *sent != dist.shasum)
            || wanted.integrity.as_ref().is_some_and(|sent| *sent != dist.integrity)
        {
            return Err(Error::bad(format!("version {version} is published: its dist cannot be changed")));
        }
        // A document with a revision was read whole: a message that is gone from it was taken away.
        let message = match &wanted.deprecated {
            Some(message) => {
                if release.deprecated.as_ref() != Some(message) {
                    check_deprecation(message)?;
                }
                Some(message.clone()).filter(|message| !message.is_empty())
            }
            None if edit.rev.is_some() => None,
            None => release.deprecated.clone(),
        };
        if message != release.deprecated {
            let changed = Release { deprecated: message, ..(**release).clone() };
            next.releases.insert(version.clone(), Arc::new(changed));
            written = true;
        }
    }

    let removals = removals(current, edit);
    if !removals.is_empty() && !edit.may_delete {
        return Err(Refusal::Forbidden(format!("you do not have permission to unpublish \"{name}\"")).into());
    }
    if let Some(tags) = &edit.tags {
        let mut wanted = if edit.rev.is_some() { BTreeMap::default() } else { next.tags.clone() };
        for (tag, version) in tags {
            let tag: Tag = tag.parse()?;
            let version: Version = version.parse()?;
            if removals.contains(&version) {
                continue;
            }
            if !current.releases.contains_key(&version) {
                return Err(Error::bad(format!(
                    "the dist-tag \"{tag}\" names version {version}, which does not exist"
                )));
            }
            wanted.insert(tag, version);
        }
        if !wanted.contains_key(&Tag::latest())
            && let Some(latest) = current.tags.get(&Tag::latest())
            && !removals.contains(latest)
        {
            wanted.insert(Tag::latest(), latest.clone());
        }
        if wanted != next.tags {
            // Tags that go with their versions are part of the unpublishing.
            written |= removals.is_empty();
            next.tags = wanted;
        }
    }
    if let Some(owners) = &edit.owners {
        if owners.is_empty() {
            return Err(Error::bad("a package keeps at least one owner"));
        }
        if *owners != next.owners {
            next.owners.clone_from(owners);
            written = true;
        }
    }
    if let Some(readme) = &edit.readme
        && next.readme.as_ref().is_some_and(|current| current != readme)
    {
        next.readme = Some(Arc::clone(readme));
        written = true;
    }
    if written && !edit.may_write {
        return Err(Refusal::Forbidden(format!("you do not have permission to change \"{name}\"")).into());
    }
    let starred = star(&mut next, edit);
    if removals.is_empty() {
        next.mend_tags();
    } else {
        next.remove(&removals, &edit.change);
    }
    // One that is too large already may still shrink.
    if written && next.weight() > current.weight() {
        check_size(next.weight(), edit.max_bytes)?;
    }
    if written || starred || !removals.is_empty() {
        next.touch(&edit.change);
        draft.set(next);
    }
    Ok(())
}

/// Sets or takes away the user's own star; whether that changed anything.
fn star(document: &mut Packument, edit: &Edit) -> bool {
    match edit.star {
        Some(true) => document.stars.insert(edit.user.clone()),
        Some(false) => document.stars.remove(&edit.user),
        None => false,
    }
}

/// Takes a version away, or a whole package.
pub(crate) fn remove(
    draft: &mut Draft<Packument>,
    name: &PackageName,
    version: Option<&Version>,
    rev: Option<&str>,
    change: &Change,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    check_rev(current, rev)?;
    let goes: Vec<Version> = match version {
        Some(version) if current.releases.contains_key(version) => vec![version.clone()],
        Some(version) => {
            return Err(Refusal::NotFound(format!("version {version} of \"{name}\" not found")).into());
        }
        None => current.releases.keys().cloned().collect(),
    };
    if let Some(document) = draft.edit() {
        document.remove(&goes, change);
        document.touch(change);
    }
    Ok(())
}

/// Clears an unpublished version's tombstone, or gives the whole name free where nothing of it can be had.
pub(crate) fn forget(
    draft: &mut Draft<Packument>,
    name: &PackageName,
    version: Option<&Version>,
    change: &Change,
) -> Result<(), AdministrationError> {
    let nothing = || AdministrationError::nothing_to_forget(name.as_str(), version.map(Version::as_str));
    let current = draft.get().filter(|document| !document.forgotten).ok_or_else(nothing)?;
    let Some(version) = version else {
        if current.is_live() {
            return Err(AdministrationError::package_is_live(name.as_str(), current.releases.len()));
        }
        let mut forgotten = current.anew(current.access, change);
        forgotten.forgotten = true;
        forgotten.touch(change);
        draft.set(forgotten);
        return Ok(());
    };
    if current.releases.contains_key(version) {
        return Err(AdministrationError::version_is_live(name.as_str(), version.as_str()));
    }
    if !current.removed.contains_key(version) {
        return Err(nothing());
    }
    if let Some(document) = draft.edit() {
        document.removed.shift_remove(version);
        document.touch(change);
    }
    Ok(())
}

/// What to do with tags.
#[derive(Clone, Debug)]
pub(crate) enum TagChange {
    /// Points some tags at versions.
    Merge(IndexMap<Tag, Version>),
    /// Takes a tag away.
    Remove(Tag),
    /// Makes these the only tags; `latest` stays where it is if it is not among them.
    Replace(IndexMap<Tag, Version>),
}

/// Changes tags.
pub(crate) fn change_tags(
    draft: &mut Draft<Packument>,
    name: &PackageName,
    wanted: &TagChange,
    max_bytes: u64,
    change: &Change,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    let mut tags = current.tags.clone();
    match wanted {
        TagChange::Remove(tag) if tag.is_latest() => {
            return Err(Error::bad(
                "the dist-tag \"latest\" cannot be removed, only moved to another version",
            ));
        }
        TagChange::Remove(tag) => {
            if tags.remove(tag).is_none() {
                return Err(Refusal::NotFound(format!("\"{name}\" has no dist-tag \"{tag}\"")).into());
            }
        }
        TagChange::Merge(map) | TagChange::Replace(map) => {
            if let Some((_, version)) =
                map.iter().find(|(_, version)| !current.releases.contains_key(*version))
            {
                return Err(Refusal::NotFound(format!("version {version} of \"{name}\" not found")).into());
            }
            if matches!(wanted, TagChange::Replace(_)) {
                tags.retain(|tag, _| tag.is_latest());
            }
            tags.extend(map.iter().map(|(tag, version)| (tag.clone(), version.clone())));
        }
    }
    if tags.len() > current.tags.len() {
        let added: usize = tags.keys().map(|tag| tag.as_str().len()).sum();
        check_size(current.weight() + added, max_bytes)?;
    }
    if tags != current.tags
        && let Some(document) = draft.edit()
    {
        document.tags = tags;
        document.touch(change);
    }
    Ok(())
}

/// What to do with owners.
#[derive(Clone, Debug)]
pub(crate) enum OwnerChange {
    /// Adds a user who is known to exist.
    Add(Person),
    /// Takes a user away.
    Remove(String),
}

/// Changes one owner.
pub(crate) fn change_owner(
    draft: &mut Draft<Packument>,
    name: &PackageName,
    wanted: &OwnerChange,
    change: &Change,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    let mut owners = current.owners.clone();
    match wanted {
        OwnerChange::Add(person) => {
            if !owners.iter().any(|owner| owner.name == person.name) {
                owners.push(person.clone());
            }
        }
        OwnerChange::Remove(user) => {
            owners.retain(|owner| owner.name != *user);
            if owners.len() == current.owners.len() {
                return Err(Refusal::NotFound(format!("\"{user}\" is no owner of \"{name}\"")).into());
            }
            if owners.is_empty() {
                return Err(Error::bad("a package keeps at least one owner"));
            }
        }
    }
    if owners != current.owners
        && let Some(document) = draft.edit()
    {
        document.owners = owners;
        document.touch(change);
    }
    Ok(())
}

/// Changes who may read.
pub(crate) fn change_access(
    draft: &mut Draft<Packument>,
    name: &PackageName,
    access: AccessLevel,
    change: &Change,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    if name.scope().is_none() && access == AccessLevel::Restricted {
        return Err(Error::bad("an unscoped package is always public"));
    }
    if current.access != access
        && let Some(document) = draft.edit()
    {
        document.access = access;
        document.touch(change);
    }
    Ok(())
}

/// Sets or takes away a user's star.
pub(crate) fn change_star(
    draft: &mut Draft<Packument>,
    name: &PackageName,
    user: &str,
    starred: bool,
    change: &Change,
) -> Result<(), Error> {
    let current = live(draft, name)?;
    if current.stars.contains(user) != starred
        && let Some(document) = draft.edit()
    {
        if starred {
            document.stars.insert(user.to_owned());
        } else {
            document.stars.remove(user);
        }
        document.touch(change);
    }
    Ok(())
}
