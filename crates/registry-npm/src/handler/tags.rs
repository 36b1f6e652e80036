//! dist-tags.

use http::StatusCode;
use indexmap::IndexMap;
use registry_core::{Actor, Response, auth::Action, hooks::Operation, http::Refusal};

use super::{
    call::{Call, done},
    foreign,
};
use crate::{
    error::{Error, json_bytes},
    names::{PackageName, Tag},
    store::changes::{self, TagChange},
    upstream::Found,
    version::Version,
    wire::packument::render_tags,
};

/// `GET /-/package/<package>/dist-tags`.
pub(crate) async fn list(call: &Call<'_>, name: &PackageName) -> Result<Response, Error> {
    match call.find_package(name).await?.1 {
        Found::Hosted(document) => Ok(json_bytes(StatusCode::OK, render_tags(&document))),
        Found::Foreign(package) => Ok(foreign::tags(&package)),
        Found::Both(document, package) => {
            let mut tags = package.index.tags(&package.sifted);
            tags.extend(document.tags.iter().map(|(tag, version)| (tag.to_string(), version.to_string())));
            Ok(json_bytes(StatusCode::OK, crate::wire::foreign::render_tags(&tags)))
        }
    }
}

/// `PUT` or `POST …/dist-tags/<tag>` with the version as a JSON string.
pub(crate) async fn set(call: &mut Call<'_>, name: &PackageName, tag: &str) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let tag: Tag = tag.parse()?;
    let version: String = call.json().await?;
    let version: Version = version.parse()?;
    commit(call, &actor, name, Some(tag.clone()), TagChange::Merge(IndexMap::from([(tag, version)]))).await
}

/// `DELETE …/dist-tags/<tag>`.
pub(crate) async fn remove(call: &Call<'_>, name: &PackageName, tag: &str) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let not_found = || Refusal::NotFound(format!("\"{name}\" has no such dist-tag"));
    let tag: Tag = tag.parse().map_err(|_| not_found())?;
    commit(call, &actor, name, Some(tag.clone()), TagChange::Remove(tag)).await
}

/// `PUT …/dist-tags` with the whole map.
pub(crate) async fn replace(call: &mut Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let map = read_map(call).await?;
    commit(call, &actor, name, None, TagChange::Replace(map)).await
}

/// `POST …/dist-tags` with tags to be set.
pub(crate) async fn merge(call: &mut Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let map = read_map(call).await?;
    commit(call, &actor, name, None, TagChange::Merge(map)).await
}

async fn read_map(call: &mut Call<'_>) -> Result<IndexMap<Tag, Version>, Error> {
    let map: IndexMap<String, String> = call.json().await?;
    map.into_iter().map(|(tag, version)| Ok((tag.parse()?, version.parse()?))).collect()
}

async fn commit(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    tag: Option<Tag>,
    wanted: TagChange,
) -> Result<Response, Error> {
    let (owned, change) = (name.clone(), call.registry.new_change());
    let most = call.registry.config().max_packument_bytes;
    let change = move |draft: &mut _| changes::change_tags(draft, &owned, &wanted, most, &change);
    let what = (name, tag.as_ref().map(Tag::as_str));
    let written = call.registry.change(actor, Operation::Put, what, change).await?;
    Ok(done(StatusCode::OK, name, written.as_deref().map(|written| &written.value)))
}
