//! `maven-metadata.xml`: made from what is stored, whatever clients upload.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    http::{Refusal, respond_empty},
    storage::Versioned,
};

use super::{
    call::Call,
    foreign,
    rendered::{self, ReadablePlugins},
};
use crate::{
    error::Error,
    names::{ArtifactName, Folder, VersionName},
    store::plugins::{Plugin, Plugins},
    upstream,
    wire::{checksum::Algorithm, metadata::Uploaded},
};

/// The largest document that is taken.
const MAX_DOCUMENT: u64 = 5 << 20;
/// The largest checksum that is taken.
pub(super) const MAX_CHECKSUM: u64 = 4096;

/// `GET <folder>/maven-metadata.xml`, also with the ending of a checksum.
pub(crate) async fn get(
    call: &Call<'_>,
    folder: Folder<'_>,
    checksum: Option<Algorithm>,
) -> Result<Response, Error> {
    if let Some(version) = folder.version().filter(VersionName::is_snapshot) {
        let actor = call.reader(version.artifact()).await?;
        if let Some(route) = upstream::of_version(call.registry, &actor, &version).await? {
            return foreign::snapshot(call, &route, &version, checksum).await;
        }
        return Ok(rendered::snapshot(call, &version).await?.answer(&call.parts, checksum));
    }
    let actor = call.actor().await?;
    let name = folder.artifact();
    let artifacts = call.registry.artifacts();
    let (access, document) = match &name {
        Some(name) => (call.allows(&actor, name, Action::Read).await, artifacts.any_artifact(name).await?),
        None => (Ok(()), None),
    };
    // Nearly no folder is an artifact's and a group's of plugins at once, and this is what clients ask for most.
    let may_have_plugins =
        name.is_none() || document.as_ref().is_some_and(|document| document.group_has_plugins);
    let group = match folder.group().filter(|_| may_have_plugins) {
        Some(group) => artifacts.plugins(&group).await?,
        None => None,
    };
    let plugins = match group {
        Some(group) => readable_plugins(call, &actor, group).await,
        None => None,
    };
    let artifact = document.filter(|document| access.is_ok() && !document.versions.is_empty());
    if access.is_ok()
        && let Some(route) = upstream::of_folder(call.registry, &actor, folder).await?
    {
        // Only what is shown beside what upstreams have is here.
        let hosted = foreign::Beside { artifact, plugins };
        return foreign::metadata(call, &actor, route, folder, hosted, checksum).await;
    }
    if artifact.is_none() && plugins.is_none() {
        // Who may read nothing here is asked for credentials, or told that nothing is there.
        call.somebody().await?;
        return Err(match access {
            Err(AuthError::Forbidden(_)) => call.unreadable("these artifacts"),
            Err(error) => error.into(),
            Ok(()) => Error::no_file(),
        });
    }
    match rendered::of_folder(call, artifact, plugins).await? {
        Some(document) => Ok(document.answer(&call.parts, checksum)),
        None => Err(Error::no_file()),
    }
}

/// The plugins of a group that the actor may read, if there are any.
async fn readable_plugins(
    call: &Call<'_>,
    actor: &Actor,
    group: Arc<Versioned<Plugins>>,
) -> Option<ReadablePlugins> {
    let mut hidden = BTreeSet::new();
    for artifact in group.by_artifact.keys() {
        let name = format!("{}:{artifact}", group.group).parse::<ArtifactName>();
        let readable = match &name {
            Ok(name) => call.allows(actor, name, Action::Read).await.is_ok(),
            Err(_) => false,
        };
        if !readable {
            hidden.insert(artifact.clone());
        }
    }
    (hidden.len() < group.by_artifact.len()).then_some(ReadablePlugins { group, hidden })
}

/// `PUT <folder>/maven-metadata.xml` and its checksums. Of the document only what a repository cannot know is used: which versions
/// the client takes for complete, and the prefixes of plugins. Its checksums are of other bytes than those that are served, so
/// they are not compared.
pub(crate) async fn put(
    call: &mut Call<'_>,
    folder: Folder<'_>,
    checksum: Option<Algorithm>,
) -> Result<Response, Error> {
    let actor = call.writer().await?;
    call.open_for_writing()?;
    if let Some(algorithm) = checksum {
        let body = call.read(MAX_CHECKSUM).await?;
        algorithm.parse(&body)?;
        return Ok(respond_empty(StatusCode::CREATED));
    }
    let version = folder.version().filter(VersionName::is_snapshot);
    let name = match &version {
        Some(version) => Some(version.artifact().clone()),
        None => folder.artifact(),
    };
    let body = call.read(MAX_DOCUMENT).await?;
    let uploaded = Uploaded::parse(&body).map_err(|source| Error::Xml { what: "metadata", source })?;
    let own = match &name {
        Some(name) => call.allows(&actor, name, Action::Write).await.is_ok(),
        None => false,
    };
    let mut plugins = Vec::new();
    let group = folder.group().filter(|_| version.is_none());
    for plugin in group.iter().flat_map(|_| &uploaded.plugins) {
        let group = group.as_deref().unwrap_or_default();
        let Ok(name) = format!("{group}:{}", plugin.artifact).parse::<ArtifactName>() else { continue };
        if call.allows(&actor, &name, Action::Write).await.is_ok() {
            plugins.push((name, plugin.clone()));
        }
    }
    if !own && plugins.is_empty() {
        let what = folder.segments().join("/");
        return Err(Refusal::Forbidden(format!("you do not have permission to deploy to {what}")).into());
    }
    let (artifacts, now) = (call.registry.artifacts(), call.now());
    if let (true, Some(name), None) = (own, &name, &version) {
        let versions: BTreeSet<String> = uploaded.versions.into_iter().collect();
        if let Some(artifact) = artifacts.artifact(name).await?
            && artifact
                .versions
                .iter()
                .any(|(version, entry)| entry.listed.is_none() && versions.contains(version))
        {
            artifacts.complete(name, versions, now).await?;
        }
    }
    let mut known = Vec::new();
    for (name, plugin) in plugins {
        // Only what is here has a prefix here.
        if artifacts.artifact(&name).await?.is_some() {
            let (prefix, title) = (plugin.prefix, plugin.name);
            let title = if title.is_empty() { plugin.artifact.clone() } else { title };
            known.push((plugin.artifact, Plugin { name: title, prefix }));
        }
    }
    if let (Some(group), false) = (group, known.is_empty()) {
        artifacts.set_plugins(&group, known, false, now).await?;
    }
    Ok(respond_empty(StatusCode::CREATED))
}
