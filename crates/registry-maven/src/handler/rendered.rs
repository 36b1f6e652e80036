//! Documents of metadata as they are answered: made once for each state of what they tell, and kept with their checksums.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, request::Parts};
use registry_core::{
    Response,
    http::{Refusal, Representation},
    storage::{Digests, Key, Revision, Versioned, WantedDigests},
};

use super::{
    call::Call,
    files::{add_checksums, common, etag, small},
};
use crate::{
    config::LatestPolicy,
    error::Error,
    names::VersionName,
    store::{Artifacts, artifact::Artifact, plugins::Plugins},
    wire::{
        checksum::{Algorithm, Checksums},
        metadata,
    },
};

/// A document with more versions than this is rendered on a thread of its own.
const LARGE: usize = 500;

/// A document and its checksums, ready to be answered.
#[derive(Debug)]
pub(super) struct Rendered {
    document: Arc<Representation>,
    /// In the order of [`Algorithm::ALL`].
    checksums: [Arc<Representation>; 4],
}

impl Rendered {
    pub(super) fn new(text: impl Into<Bytes>, modified: DateTime<Utc>) -> Self {
        let wanted = WantedDigests { md5: true, sha1: true, sha512: true, ..WantedDigests::default() };
        let body = text.into();
        let checksums = Checksums::from(&Digests::of(&body, wanted));
        let mut headers = common("no-cache");
        add_checksums(&mut headers, &checksums);
        let xml = HeaderValue::from_static("application/xml");
        let modified = Some(SystemTime::from(modified));
        let document = Representation::verbatim(xml, body, etag(&checksums), modified, headers);
        let beside = |algorithm| small(checksums.get(algorithm).unwrap_or_default(), modified, "no-cache");
        Self { document: Arc::new(document), checksums: Algorithm::ALL.map(beside) }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let checksums = self.checksums.iter().map(|checksum| checksum.weight());
        checksums.fold(self.document.weight(), usize::saturating_add)
    }

    /// The answer: the document, or one of its checksums.
    pub(super) fn answer(&self, request: &Parts, checksum: Option<Algorithm>) -> Response {
        let checksum = checksum.and_then(|wanted| {
            let mut all = Algorithm::ALL.iter().zip(&self.checksums);
            all.find_map(|(algorithm, form)| (*algorithm == wanted).then_some(form))
        });
        checksum.unwrap_or(&self.document).respond(request)
    }
}

/// The plugins of a group without those that a reader may not know of.
#[derive(Debug)]
pub(super) struct ReadablePlugins {
    pub(super) group: Arc<Versioned<Plugins>>,
    /// By their artifacts; others remain.
    pub(super) hidden: BTreeSet<String>,
}

impl ReadablePlugins {
    /// Those that remain.
    pub(super) fn told(&self) -> Vec<metadata::Plugin> {
        let readable = self.group.by_artifact.iter().filter(|(artifact, _)| !self.hidden.contains(*artifact));
        let told = readable.map(|(artifact, plugin)| metadata::Plugin {
            artifact: artifact.clone(),
            prefix: plugin.prefix.clone(),
            name: plugin.name.clone(),
        });
        told.collect()
    }
}

/// What the document of a folder is made of: an artifact's versions, a group's plugins, or both.
#[derive(Debug)]
struct Sources {
    artifact: Option<Arc<Versioned<Artifact>>>,
    plugins: Option<ReadablePlugins>,
}

impl Sources {
    /// Under what it is kept: the document that changes with it, and what else it depends on. `None`: it is one reader's own, or of
    /// nothing.
    fn kept_as(&self, artifacts: &Artifacts, now: DateTime<Utc>) -> Option<(Key, Revision, String)> {
        let of_all = self.plugins.as_ref().is_none_or(|plugins| plugins.hidden.is_empty());
        match (&self.artifact, &self.plugins) {
            (Some(artifact), plugins) if of_all => {
                let key = artifacts.artifact_key(&artifact.name);
                // Versions that nobody announced come in with time.
                let due = artifacts.store().derived(&key, &artifact.revision, "due", || {
                    let due = artifact.due();
                    let weight = due.len().saturating_mul(size_of::<DateTime<Utc>>());
                    (due, weight)
                });
                let in_time = due.partition_point(|due| *due <= now);
                let variant = match plugins {
                    None => format!("metadata {in_time}"),
                    Some(plugins) => format!("metadata {in_time} {}", plugins.group.revision),
                };
                Some((key, artifact.revision.clone(), variant))
            }
            (None, Some(plugins)) if of_all => {
                let key = artifacts.plugins_key(&plugins.group.group);
                Some((key, plugins.group.revision.clone(), "metadata".to_owned()))
            }
            _ => None,
        }
    }

    fn is_large(&self) -> bool {
        let versions = self.artifact.as_ref().map_or(0, |artifact| artifact.versions.len());
        let plugins = self.plugins.as_ref().map_or(0, |plugins| plugins.group.by_artifact.len());
        versions.saturating_add(plugins) > LARGE
    }

    /// `None`: there is nothing to tell yet.
    fn render(&self, policy: LatestPolicy, now: DateTime<Utc>) -> Option<Rendered> {
        let versions = self.artifact.as_ref().and_then(|artifact| artifact.metadata(policy, now));
        let told = self.plugins.as_ref().map(ReadablePlugins::told).unwrap_or_default();
        let updated = versions.as_ref().map(|versions| versions.updated);
        let modified = updated.max(self.plugins.as_ref().map(|plugins| plugins.group.modified))?;
        Some(Rendered::new(metadata::render(versions.as_ref(), &told), modified))
    }
}

/// The document of a folder. `None`: there is nothing to tell yet.
pub(super) async fn of_folder(
    call: &Call<'_>,
    artifact: Option<Arc<Versioned<Artifact>>>,
    plugins: Option<ReadablePlugins>,
) -> Result<Option<Arc<Rendered>>, Error> {
    let (now, policy) = (call.now(), call.registry.config().latest);
    let artifacts = call.registry.artifacts();
    let sources = Sources { artifact, plugins };
    let store = artifacts.store().clone();
    let kept_as = sources.kept_as(artifacts, now);
    if let Some((key, revision, variant)) = &kept_as
        && let Some(found) = store.derived_cached(key, revision, variant)
    {
        return Ok(Some(found));
    }
    let large = sources.is_large();
    let make = move || {
        let Some((key, revision, variant)) = kept_as else {
            return sources.render(policy, now).map(Arc::new);
        };
        // Whoever waited for a turn finds what the one before made.
        if let Some(found) = store.derived_cached(&key, &revision, &variant) {
            return Some(found);
        }
        let rendered = sources.render(policy, now)?;
        let weight = rendered.weight();
        Some(store.derived(&key, &revision, &variant, || (rendered, weight)))
    };
    if !large {
        return Ok(make());
    }
    // At most a few at once.
    let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
    Ok(tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?)
}

/// The document of a snapshot.
pub(super) async fn snapshot(call: &Call<'_>, version: &VersionName) -> Result<Arc<Rendered>, Error> {
    let artifacts = call.registry.artifacts();
    let document = artifacts.version(version).await?.ok_or_else(Error::no_file)?;
    let key = artifacts.version_key(version);
    Ok(artifacts.store().derived(&key, &document.revision, "metadata", || {
        let rendered = Rendered::new(document.snapshot(version).render(), document.modified);
        let weight = rendered.weight();
        (rendered, weight)
    }))
}
