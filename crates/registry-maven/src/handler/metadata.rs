//! `maven-metadata.xml`: made from what is stored, whatever clients upload.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode};
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    http::{Representation, respond_empty},
    storage::{Digests, Versioned, WantedDigests},
};

use super::{
    call::Call,
    files::{add_checksums, common, etag, small},
};
use crate::{
    error::Error,
    names::{ArtifactName, Folder, VersionName},
    store::{
        artifact::Artifact,
        plugins::{Plugin, Plugins},
    },
    wire::{
        checksum::{Algorithm, Checksums},
        metadata::{self, Uploaded},
    },
};

/// The largest document that is taken.
const MAX_DOCUMENT: u64 = 5 << 20;
/// The largest checksum that is taken.
pub(super) const MAX_CHECKSUM: u64 = 4096;
/// A document with more versions than this is rendered on a thread of its own.
const LARGE: usize = 500;

/// A document ready to be answered.
#[derive(Debug)]
struct Rendered {
    checksums: Checksums,
    form: Arc<Representation>,
    modified: SystemTime,
}

impl Rendered {
    fn new(text: String, modified: DateTime<Utc>) -> Self {
        let wanted = WantedDigests { md5: true, sha1: true, sha512: true, ..WantedDigests::default() };
        let body = Bytes::from(text);
        let checksums = Checksums::from(&Digests::of(&body, wanted));
        let mut headers = common("no-cache");
        add_checksums(&mut headers, &checksums);
        let xml = HeaderValue::from_static("application/xml");
        let modified = SystemTime::from(modified);
        let form = Representation::verbatim(xml, body, etag(&checksums), Some(modified), headers);
        Self { checksums, form: Arc::new(form), modified }
    }

    fn weight(&self) -> usize {
        self.form.weight() + 512
    }

    fn answer(&self, call: &Call<'_>, checksum: Option<Algorithm>) -> Response {
        match checksum {
            None => self.form.respond(&call.parts),
            Some(algorithm) => {
                let digits = self.checksums.get(algorithm).unwrap_or_default();
                small(call, digits, Some(self.modified), "no-cache")
            }
        }
    }
}

/// `GET <folder>/maven-metadata.xml`, also with the ending of a checksum.
pub(crate) async fn get(
    call: &Call<'_>,
    folder: Folder<'_>,
    checksum: Option<Algorithm>,
) -> Result<Response, Error> {
    if let Some(version) = folder.version().filter(VersionName::is_snapshot) {
        call.reader(version.artifact()).await?;
        return Ok(snapshot(call, &version).await?.answer(call, checksum));
    }
    let actor = call.actor().await?;
    let name = folder.artifact();
    let access = match &name {
        Some(name) => call.allows(&actor, name, Action::Read).await,
        None => Ok(()),
    };
    let artifacts = call.registry.artifacts();
    let group = match folder.group() {
        Some(group) => artifacts.plugins(&group).await?,
        None => None,
    };
    let plugins = match &group {
        Some(group) => readable_plugins(call, &actor, group).await,
        None => Vec::new(),
    };
    let artifact = match (&name, &access) {
        (Some(name), Ok(())) => artifacts.artifact(name).await?,
        _ => None,
    };
    if artifact.is_none() && plugins.is_empty() {
        // Who may read nothing here is asked for credentials, or told that nothing is there.
        call.somebody().await?;
        return Err(match access {
            Err(AuthError::Forbidden(_)) => call.unreadable("these artifacts"),
            Err(error) => error.into(),
            Ok(()) => Error::no_file(),
        });
    }
    match rendered(call, artifact, group, plugins).await? {
        Some(document) => Ok(document.answer(call, checksum)),
        None => Err(Error::no_file()),
    }
}

/// The plugins of a group that the actor may read.
async fn readable_plugins(call: &Call<'_>, actor: &Actor, group: &Plugins) -> Vec<metadata::Plugin> {
    let mut readable = Vec::new();
    for (artifact, plugin) in &group.by_artifact {
        let Ok(name) = format!("{}:{artifact}", group.group).parse::<ArtifactName>() else { continue };
        if call.allows(actor, &name, Action::Read).await.is_ok() {
            readable.push(metadata::Plugin {
                artifact: artifact.clone(),
                prefix: plugin.prefix.clone(),
                name: plugin.name.clone(),
            });
        }
    }
    readable
}

/// The document of a folder, made once for each state of what it is made of. `None`: there is nothing to tell yet.
async fn rendered(
    call: &Call<'_>,
    artifact: Option<Arc<Versioned<Artifact>>>,
    group: Option<Arc<Versioned<Plugins>>>,
    plugins: Vec<metadata::Plugin>,
) -> Result<Option<Arc<Rendered>>, Error> {
    let (now, policy) = (call.now(), call.registry.config().latest);
    let artifacts = call.registry.artifacts();
    let Some(artifact) = artifact else {
        let Some(group) = group else { return Ok(None) };
        return Ok(Some(Arc::new(Rendered::new(metadata::render(None, &plugins), group.modified))));
    };
    let key = artifacts.artifact_key(&artifact.name);
    // Beside the document it is made of the time (versions that nobody announced), and of the plugins if there are any.
    let variant = format!("metadata {}", artifact.listed_count(now));
    let cached = plugins.is_empty();
    if cached && let Some(found) = artifacts.store().derived_cached(&key, &artifact.revision, &variant) {
        return Ok(Some(found));
    }
    let large = artifact.versions.len() > LARGE;
    let store = artifacts.store().clone();
    let make = move || {
        let versions = artifact.metadata(policy, now);
        if versions.is_none() && plugins.is_empty() {
            return None;
        }
        let updated = versions.as_ref().map(|versions| versions.updated);
        let modified = updated.max(group.filter(|_| !plugins.is_empty()).map(|group| group.modified));
        let document = || {
            Rendered::new(
                metadata::render(versions.as_ref(), &plugins),
                modified.unwrap_or(artifact.modified),
            )
        };
        Some(if cached {
            store.derived(&key, &artifact.revision, &variant, || {
                let document = document();
                let weight = document.weight();
                (document, weight)
            })
        } else {
            Arc::new(document())
        })
    };
    if !large {
        return Ok(make());
    }
    // At most a few at once, and whoever waited finds what the one before made.
    let internal = |error: Box<dyn std::error::Error + Send + Sync>| Error::Internal(error);
    let _turn = call.registry.renderers().acquire().await.map_err(|error| internal(error.into()))?;
    tokio::task::spawn_blocking(make).await.map_err(|error| internal(error.into()))
}

/// The document of a snapshot, made once for each state of it.
async fn snapshot(call: &Call<'_>, version: &VersionName) -> Result<Arc<Rendered>, Error> {
    let artifacts = call.registry.artifacts();
    let document = artifacts.version(version).await?.ok_or_else(Error::no_file)?;
    let key = artifacts.version_key(version);
    Ok(artifacts.store().derived(&key, &document.revision, "metadata", || {
        let rendered = Rendered::new(document.snapshot(version).render(), document.modified);
        let weight = rendered.weight();
        (rendered, weight)
    }))
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
        return Err(Error::Forbidden(format!("you do not have permission to deploy to {what}")));
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
