//! Changes without a new version: deprecating, starring, owners, and taking versions or the package away.

use http::StatusCode;
use indexmap::IndexMap;
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    hooks::Operation,
    http::Refusal,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    call::{Call, done, forbidden},
    publish::parse,
};
use crate::{
    error::{Error, json_response},
    names::PackageName,
    store::{
        changes::{self, Edit, VersionEdit},
        packument::{Packument, Person},
    },
    version::Version,
    wire::{
        path::tarball_version,
        publish::{PersonText, PutDocument, ReadmeText, cut_readme, named_rev},
    },
};

/// `PUT /<package>` without a tarball: the document was read and is about this package.
pub(crate) async fn put_document(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    document: PutDocument<'_>,
) -> Result<Response, Error> {
    let rev = named_rev(document.rev.as_deref()).map(str::to_owned);
    let edit = read(call, actor, name, document, rev, false).await?;
    apply(call, actor, name, edit).await
}

/// `PUT /<package>/-rev/<rev>`: versions that are not in the document go; owners change.
pub(crate) async fn put(call: &mut Call<'_>, name: &PackageName, rev: &str) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let (write, delete) = rights(call, &actor, name).await?;
    if !write && !delete {
        return Err(forbidden(name, Action::Write));
    }
    let limit = call.registry.config().max_document_bytes;
    let bytes = call.read(limit).await?;
    let document = parse(&bytes, name)?;
    if document.attachments.as_ref().is_some_and(|attachments| !attachments.is_empty()) {
        return Err(Error::bad("a version is published with PUT /<package>, not with a revision"));
    }
    let rev = named_rev(Some(rev)).map(str::to_owned);
    let edit = read(call, &actor, name, document, rev, true).await?;
    apply(call, &actor, name, edit).await
}

/// `DELETE /<package>/-rev/<rev>`: the whole package goes.
pub(crate) async fn delete(call: &Call<'_>, name: &PackageName, rev: &str) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Delete).await?;
    check_unpublish(call)?;
    let (owned, rev) = (name.clone(), named_rev(Some(rev)).map(str::to_owned));
    let change = call.registry.new_change();
    let change = move |draft: &mut _| changes::remove(draft, &owned, None, rev.as_deref(), &change);
    call.registry.change(&actor, Operation::Delete, (name, None), change).await?;
    Ok(done(StatusCode::OK, name, None))
}

/// `DELETE /<package>/-/<file>/-rev/<rev>`: the second half of a version's unpublishing. The version left with the first
/// half and its tarball with it, so there is nothing to do.
pub(crate) async fn delete_tarball(
    call: &Call<'_>,
    name: &PackageName,
    file: &str,
) -> Result<Response, Error> {
    call.allow(name, Action::Delete).await?;
    check_unpublish(call)?;
    let not_found = || Refusal::NotFound(format!("\"{name}\" has no such file"));
    let version: Version =
        tarball_version(name.base(), file).and_then(|v| v.parse().ok()).ok_or_else(not_found)?;
    let packages = call.registry.packages();
    let document = packages.store().read::<Packument>(&packages.key(name)).await?.ok_or_else(not_found)?;
    if document.releases.contains_key(&version) {
        return Err(Refusal::Forbidden(format!(
            "version {version} is still published: take it out of the package's document first (npm unpublish)"
        )).into());
    }
    if !document.removed.contains_key(&version) {
        return Err(not_found().into());
    }
    Ok(json_response(StatusCode::OK, &serde_json::json!({"ok": true, "success": true})))
}

fn check_unpublish(call: &Call<'_>) -> Result<(), Error> {
    if call.registry.config().unpublish { Ok(()) } else { Err(Refusal::MethodNotAllowed("GET, HEAD").into()) }
}

/// Whether the actor may change the package, and take versions away.
async fn rights(call: &Call<'_>, actor: &Actor, name: &PackageName) -> Result<(bool, bool), Error> {
    let mut rights = [false, false];
    for (right, action) in rights.iter_mut().zip([Action::Write, Action::Delete]) {
        *right = match call.allows(actor, name, action).await {
            Ok(()) => true,
            Err(AuthError::Forbidden(_)) => false,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(rights.into())
}

/// What a document says about a version that exists.
#[derive(Deserialize)]
struct VersionText {
    #[serde(default)]
    deprecated: Option<Deprecated>,
    #[serde(default)]
    dist: Option<DistText>,
}

#[derive(Deserialize)]
struct DistText {
    #[serde(default)]
    shasum: Option<String>,
    #[serde(default)]
    integrity: Option<String>,
}

/// A message, or something else that old clients wrote: `false` for "not deprecated".
#[derive(Deserialize)]
#[serde(untagged)]
enum Deprecated {
    Message(String),
    Flag(bool),
    Other(serde::de::IgnoredAny),
}

impl VersionText {
    fn into_edit(self) -> VersionEdit {
        let deprecated = match self.deprecated {
            Some(Deprecated::Message(message)) => Some(message),
            Some(Deprecated::Flag(false)) => Some(String::new()),
            Some(Deprecated::Flag(true)) => Some("this version is deprecated".to_owned()),
            Some(Deprecated::Other(_)) | None => None,
        };
        let (shasum, integrity) = self.dist.map(|dist| (dist.shasum, dist.integrity)).unwrap_or_default();
        VersionEdit { deprecated, shasum, integrity }
    }
}

/// Reads a document as a change.
async fn read(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    document: PutDocument<'_>,
    rev: Option<String>,
    removes: bool,
) -> Result<Edit, Error> {
    let (may_write, may_delete) = rights(call, actor, name).await?;
    let versions = document.versions.map(read_versions).transpose()?;
    let user = actor.name().to_owned();
    let star = match &document.users {
        None => None,
        // A document with a revision was read whole: a star that is gone from it was taken away.
        Some(users) => {
            users.get(&user).copied().or((rev.is_some() || document.rev.is_some()).then_some(false))
        }
    };
    let owners = match document.maintainers {
        Some(owners) => Some(read_owners(call, name, &owners).await?),
        None => None,
    };
    let readme_bytes = call.registry.config().readme_bytes;
    Ok(Edit {
        rev,
        user,
        may_write,
        may_delete: may_delete && call.registry.config().unpublish,
        removes,
        versions,
        tags: document.dist_tags,
        owners,
        star: star.filter(|_| !actor.is_anonymous() && !actor.read_only),
        readme: document
            .readme
            .and_then(ReadmeText::into_text)
            .map(|text| cut_readme(text, readme_bytes).into()),
        max_bytes: call.registry.config().max_packument_bytes,
        change: call.registry.new_change(),
    })
}

fn read_versions(raw: IndexMap<String, &RawValue>) -> Result<IndexMap<Version, VersionEdit>, Error> {
    raw.into_iter()
        .map(|(version, raw)| {
            let version: Version = version.parse()?;
            let text: VersionText = serde_json::from_str(raw.get())
                .map_err(|error| Error::bad(format!("version {version} cannot be read: {error}")))?;
            Ok((version, text.into_edit()))
        })
        .collect()
}

/// Owners by name: those that the package has, and users that exist.
async fn read_owners(
    call: &Call<'_>,
    name: &PackageName,
    texts: &[PersonText],
) -> Result<Vec<Person>, Error> {
    let current = call.registry.packages().load(name).await?;
    let mut owners: Vec<Person> = Vec::with_capacity(texts.len().min(64));
    for text in texts {
        let user = text.name();
        if owners.iter().any(|owner| owner.name == user) {
            continue;
        }
        let known =
            current.as_ref().and_then(|found| found.owners.iter().find(|owner| owner.name == user).cloned());
        let person = match known {
            Some(person) => person,
            None => call
                .known_person(user)
                .await?
                .ok_or_else(|| Error::bad("an owner must be a user of this registry"))?,
        };
        owners.push(person);
    }
    Ok(owners)
}

/// Commits a change.
async fn apply(call: &Call<'_>, actor: &Actor, name: &PackageName, edit: Edit) -> Result<Response, Error> {
    let current =
        call.registry.packages().load(name).await?.ok_or_else(|| Error::no_package(name.as_str()))?;
    let removals = changes::removals(&current, &edit);
    if !removals.is_empty() && !call.registry.config().unpublish {
        check_unpublish(call)?;
    }
    let operation = if removals.is_empty() { Operation::Put } else { Operation::Delete };
    let version = match removals.as_slice() {
        [version] => Some(version.as_str()),
        _ => None,
    };
    let owned = name.clone();
    let change = move |draft: &mut _| changes::edit(draft, &owned, &edit);
    let written = call.registry.change(actor, operation, (name, version), change).await?;
    Ok(done(StatusCode::CREATED, name, written.as_deref().map(|written| &written.value)))
}
