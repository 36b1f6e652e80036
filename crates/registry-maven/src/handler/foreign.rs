//! Reading artifacts of other repositories.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use http::{HeaderValue, header};
use registry_core::{
    Actor, Response,
    hooks::Operation,
    storage::Versioned,
    upstream::{ArtifactHead, Route, Unanswered, UpstreamDocument},
};

use super::{
    call::Call,
    files::{add_checksums, cache_control, common, content_type, etag, small},
    rendered::{ReadablePlugins, Rendered},
};
use crate::{
    error::Error,
    names::{ArtifactName, Folder, VersionName},
    store::artifact::Artifact,
    upstream,
    wire::{
        checksum::{Algorithm, Checksums},
        metadata::{self, Plugin, Versions},
    },
};

/// What is hosted and shown beside what upstreams have.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) artifact: Option<Arc<Versioned<Artifact>>>,
    pub(crate) plugins: Option<ReadablePlugins>,
}

/// A file of another repository, or a checksum of one.
pub(crate) async fn file(
    call: &Call<'_>,
    actor: &Actor,
    route: Route,
    version: &VersionName,
    asked: &str,
) -> Result<Response, Error> {
    let (of, algorithm) = Algorithm::split(asked).map_or((asked, None), |(of, one)| (of, Some(one)));
    let newest = upstream::newest(call.registry, &route, version, of).await?;
    let file = newest.as_deref().unwrap_or(of);
    upstream::check(call.registry, &route, version, file).await?;
    if let Some(algorithm) = algorithm {
        let digits =
            upstream::checksum(&route, version, file, algorithm).await?.ok_or_else(Error::no_file)?;
        return Ok(small(&digits, None, cache_control(actor, version, of)).respond(&call.parts));
    }
    told(call, actor, version, file).await?;
    let found = upstream::file(&route, version, file, &call.parts.method).await?;
    let found = found.ok_or_else(Error::no_file)?;
    let mut headers = common(cache_control(actor, version, of));
    let checksums = found.digests().map(Checksums::from);
    if let Some(checksums) = &checksums {
        add_checksums(&mut headers, checksums);
    }
    let head = ArtifactHead {
        content_type: Some(HeaderValue::from_static(content_type(file))),
        etag: checksums.as_ref().map(etag),
        headers,
    };
    Ok(found.respond(&call.parts, head).await?)
}

/// Asks and tells the hooks of a read.
async fn told(call: &Call<'_>, actor: &Actor, version: &VersionName, file: &str) -> Result<(), Error> {
    let artifacts = call.registry.artifacts();
    let store = artifacts.store();
    let event = || {
        store
            .event(Operation::Get, &artifacts.file_key(version, file), actor)
            .package(version.artifact().to_string())
            .version(version.version())
    };
    let permit = store.permit_with(event).await?;
    store.finish(permit).await;
    Ok(())
}

/// The metadata of a snapshot of other repositories.
pub(crate) async fn snapshot(
    call: &Call<'_>,
    route: &Route,
    version: &VersionName,
    checksum: Option<Algorithm>,
) -> Result<Response, Error> {
    let told = upstream::snapshot(call.registry, route, version).await?.ok_or_else(Error::no_file)?;
    let mut response = match told.made {
        None => as_it_is(call, &told.document, checksum),
        Some((text, updated)) => {
            let mut response = Rendered::new(text, updated).answer(&call.parts, checksum);
            told.document.provenance().put_on(response.headers_mut());
            response
        }
    };
    if told.partial {
        keep_nowhere(&mut response);
    }
    Ok(response)
}

/// What a failing upstream is left out of is nobody's to keep.
fn keep_nowhere(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The list of archetypes of another repository, as it is there.
pub(crate) fn catalog(call: &Call<'_>, document: &UpstreamDocument, checksum: Option<Algorithm>) -> Response {
    as_it_is(call, document, checksum)
}

fn as_it_is(call: &Call<'_>, document: &UpstreamDocument, checksum: Option<Algorithm>) -> Response {
    let rendered = document.derived("as it is", || {
        let rendered = Rendered::new(document.raw().clone(), document.fetched());
        let weight = rendered.weight();
        (rendered, weight)
    });
    let mut response = rendered.answer(&call.parts, checksum);
    document.provenance().put_on(response.headers_mut());
    response
}

/// The metadata of a folder: what all upstreams and, where it is shown beside them, this repository say.
pub(crate) async fn metadata(
    call: &Call<'_>,
    actor: &Actor,
    route: Route,
    folder: Folder<'_>,
    hosted: Beside,
    checksum: Option<Algorithm>,
) -> Result<Response, Error> {
    let told = upstream::told(&route, &folder.segments().join("/")).await?;
    // What is hosted can be told whatever became of an upstream.
    let alone = hosted.artifact.is_none() && hosted.plugins.is_none();
    let told = if alone { told.or_nothing()?.ok_or_else(Error::no_file)? } else { told };
    let (documents, partial) = (told.documents, told.failure.is_some());
    let merged = merge(call, actor, &route, folder, &documents, &hosted).await?;
    let make = || {
        let rendered = merged.render();
        let weight = rendered.weight();
        (rendered, weight)
    };
    // What is made of it depends on all of its sources and on the time: it is told by what comes out.
    let variant = merged.tag(folder);
    let rendered = match documents.first() {
        Some((document, _)) if !partial => document.derived(&variant, make),
        _ => Arc::new(make().0),
    };
    let mut response = rendered.answer(&call.parts, checksum);
    if let Some((document, _)) = documents.first() {
        document.provenance().put_on(response.headers_mut());
    }
    if partial {
        keep_nowhere(&mut response);
    }
    Ok(response)
}

/// What a folder's document is made of.
#[derive(Debug)]
struct Merged {
    name: Option<ArtifactName>,
    versions: BTreeSet<String>,
    plugins: Vec<Plugin>,
    updated: DateTime<Utc>,
}

impl Merged {
    fn render(&self) -> Rendered {
        let versions = self.name.as_ref().filter(|_| !self.versions.is_empty()).map(|name| {
            let all = self.versions.iter().map(String::as_str);
            Versions::highest(name.group(), name.artifact(), all, self.updated)
        });
        Rendered::new(metadata::render(versions.as_ref(), &self.plugins), self.updated)
    }

    fn tag(&self, folder: Folder<'_>) -> String {
        let plugins: Vec<&str> = self.plugins.iter().map(|plugin| plugin.artifact.as_str()).collect();
        let versions: Vec<&str> = self.versions.iter().map(String::as_str).collect();
        let all = format!("{} {}", versions.join("/"), plugins.join("/"));
        let wanted = registry_core::storage::WantedDigests::default();
        let digest = registry_core::storage::Digests::of(all.as_bytes(), wanted).sha256;
        format!("metadata of {} at {} {digest}", folder.segments().join("/"), self.updated)
    }
}

async fn merge(
    call: &Call<'_>,
    actor: &Actor,
    route: &Route,
    folder: Folder<'_>,
    documents: &[(UpstreamDocument, Arc<metadata::Uploaded>)],
    hosted: &Beside,
) -> Result<Merged, Error> {
    let name = folder.artifact();
    let mut versions: BTreeSet<String> =
        documents.iter().flat_map(|(_, found)| found.versions.iter().cloned()).collect();
    let updated = documents.iter().filter_map(|(_, found)| found.updated).max();
    if let Some(name) = &name {
        let (hidden, last) = upstream::hidden(call.registry, route, name, &versions, updated).await?;
        let nothing_left = !versions.is_empty() && hidden.len() == versions.len();
        if let Some(denial) = last.filter(|_| nothing_left && hosted.artifact.is_none()) {
            return Err(Unanswered::from(denial).into());
        }
        versions.retain(|version| !hidden.contains(version));
    }
    let mut newest = updated.or_else(|| documents.iter().map(|(document, _)| document.fetched()).max());
    if let Some(artifact) = &hosted.artifact
        && let Some(told) = artifact.metadata(call.registry.config().latest, call.now())
    {
        versions.extend(told.ascending.iter().map(|version| (*version).to_owned()));
        newest = newest.max(Some(told.updated));
    }
    let mut plugins = BTreeMap::new();
    for plugin in hosted.plugins.iter().flat_map(ReadablePlugins::told) {
        plugins.insert(plugin.prefix.clone(), plugin);
    }
    newest = newest.max(hosted.plugins.as_ref().map(|plugins| plugins.group.modified));
    if let Some(group) = folder.group() {
        for plugin in documents.iter().flat_map(|(_, found)| &found.plugins) {
            // The first one that has a prefix has it.
            if plugins.contains_key(&plugin.prefix) {
                continue;
            }
            let Ok(of) = format!("{group}:{}", plugin.artifact).parse::<ArtifactName>() else { continue };
            let readable = call.allows(actor, &of, registry_core::auth::Action::Read).await.is_ok();
            if readable && upstream::is_foreign(call.registry, actor, &of).await? {
                plugins.insert(plugin.prefix.clone(), plugin.clone());
            }
        }
    }
    let plugins: Vec<Plugin> = plugins.into_values().collect();
    if versions.is_empty() && plugins.is_empty() {
        return Err(Error::no_file());
    }
    Ok(Merged { name, versions, plugins, updated: newest.unwrap_or_default() })
}
