//! Keeping an artifact's document, and its group's plugins, in line with the documents of its versions.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use registry_core::storage::{Document, Draft, Key, StorageError, Store, Versioned};

use super::{
    Artifacts,
    artifact::Artifact,
    changes::{self, VersionState},
    plugins::{Plugin, Plugins},
    version::Version,
};
use crate::{
    names::{ArtifactName, VersionName},
    wire::pom::goal_prefix,
};

/// So often a version may change under the hands of who tells of it.
const ATTEMPTS: u32 = 16;

/// [`Store::update`] with a change that refuses nothing.
pub(crate) async fn change<D: Document>(
    store: &Store,
    key: &Key,
    mut change: impl FnMut(&mut Draft<D>) + Send + 'static,
) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
    let changed = store.update(key, move |draft: &mut Draft<D>| {
        change(draft);
        Ok::<(), StorageError>(())
    });
    changed.await.map(|((), document)| document)
}

impl Artifacts {
    /// Tells the artifact's document of a version as its document stands, and looks afterwards whether it still stands so: of
    /// several who change a version at once the last one to look leaves the two in line. Returns the artifact where it
    /// changed.
    pub(crate) async fn tell(
        &self,
        name: &VersionName,
        mut document: Option<Arc<Versioned<Version>>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<Versioned<Artifact>>>, StorageError> {
        let (store, key) = (self.store(), self.artifact_key(name.artifact()));
        let mut told = None;
        for _ in 0..ATTEMPTS {
            let state = VersionState::of(name, document.as_deref().map(|document| &document.value));
            let known = store.read_fresh::<Artifact>(&key).await?;
            if state.is_known(known.as_deref().map(|known| &known.value)) {
                // Whoever changes the version after this looks again.
                return Ok(told);
            }
            let (of, project) = (name.clone(), state.project.clone());
            let artifact =
                change::<Artifact>(store, &key, move |draft| changes::tell(draft, &of, &state, now)).await?;
            if project.is_some_and(|project| project.is_plugin()) {
                self.tell_plugin(name.artifact(), artifact.as_deref(), now).await?;
            }
            told = artifact;
            let fresh = store.read_fresh::<Version>(&self.version_key(name)).await?;
            let revision = |document: &Option<Arc<Versioned<Version>>>| {
                document.as_ref().map(|document| document.revision.clone())
            };
            if revision(&fresh) == revision(&document) {
                return Ok(told);
            }
            document = fresh;
        }
        Err(StorageError::Contended { key: key.to_string(), attempts: ATTEMPTS })
    }

    /// Adds a plugin to its group, or takes it out where it has no versions left.
    async fn tell_plugin(
        &self,
        name: &ArtifactName,
        artifact: Option<&Versioned<Artifact>>,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let id = name.artifact().to_owned();
        if let Some(artifact) = artifact.filter(|artifact| !artifact.versions.is_empty()) {
            let title = artifact.project.as_ref().and_then(|project| project.name.clone());
            let prefix = goal_prefix(&id).to_owned();
            let plugin = Plugin { name: title.unwrap_or_else(|| id.clone()), prefix };
            return self.set_plugins(name.group(), vec![(id, plugin)], true, now).await;
        }
        let key = self.plugins_key(name.group());
        change::<Plugins>(self.store(), &key, move |draft| changes::drop_plugin(draft, &id, now))
            .await
            .map(drop)
    }

    /// Sets plugins of a group. The artifact in whose folder the group lies learns of it first: whoever reads that document finds the
    /// plugins, or they were not there yet.
    pub(crate) async fn set_plugins(
        &self,
        group: &str,
        plugins: Vec<(String, Plugin)>,
        guessed: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        if let Some(name) = ArtifactName::of_group(group) {
            let key = self.artifact_key(&name);
            let mark = move |draft: &mut Draft<Artifact>| changes::mark_group(draft, &name, now);
            change::<Artifact>(self.store(), &key, mark).await?;
        }
        let (key, group) = (self.plugins_key(group), group.to_owned());
        let set = move |draft: &mut Draft<Plugins>| {
            changes::set_plugins(draft, &group, &plugins, guessed, now);
        };
        change::<Plugins>(self.store(), &key, set).await.map(drop)
    }

    /// Lists those of these versions that are there.
    pub(crate) async fn complete(
        &self,
        name: &ArtifactName,
        versions: BTreeSet<String>,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let key = self.artifact_key(name);
        change::<Artifact>(self.store(), &key, move |draft| changes::complete(draft, &versions, now))
            .await
            .map(drop)
    }
}
