//! Documents and keys.
//!
//! ```text
//! <instance>/artifacts/<group>/<artifact>/<version>/_version.json  the arbiter of the files of a version
//! <instance>/artifacts/<group>/<artifact>/<version>/-/<file>~…     a file, named by its version's document
//! <instance>/artifacts/<group>/<artifact>/_artifact.json           the versions, for maven-metadata.xml
//! <instance>/artifacts/<group>/_plugins.json                       the plugins of a group and their prefixes
//! ```
//!
//! Every state on the way is legal. Bytes that no document names are invisible, and collected once they are an hour old. A file can be
//! fetched when its version's document names it; the version is in the artifact's document a write later, and whoever uploads
//! the file again (as a client does whose upload was not acknowledged), or rebuilds the catalog, makes up for a write that was missed.

pub(crate) mod artifact;
pub(crate) mod changes;
pub(crate) mod plugins;
pub(crate) mod sync;
pub(crate) mod version;

use std::sync::Arc;

use registry_core::{
    maintenance::PackageFolders,
    storage::{Key, KeyBuilder, StorageError, Store, Versioned, decode_segment},
};

use self::{artifact::Artifact, plugins::Plugins, version::Version};
use crate::names::{ArtifactName, VersionName};

/// The longest key that a store is given, in bytes: buckets take 1024, with a prefix and a random ending of ours.
const MAX_KEY: usize = 900;

/// An instance's artifacts.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    store: Store,
}

impl Artifacts {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store below.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn root(&self) -> Key {
        self.store.key().fixed("artifacts").build()
    }

    /// All versions' folders.
    pub(crate) fn versions(&self) -> PackageFolders {
        PackageFolders::new(&self.store, self.root(), "_version.json")
    }

    /// All artifacts' folders.
    pub(crate) fn artifacts(&self) -> PackageFolders {
        PackageFolders::new(&self.store, self.root(), "_artifact.json")
    }

    fn group(&self, group: &str) -> KeyBuilder {
        group.split('.').fold(self.root().child(), KeyBuilder::segment)
    }

    fn folder(&self, version: &VersionName) -> KeyBuilder {
        let name = version.artifact();
        self.group(name.group()).segment(name.artifact()).segment(version.version())
    }

    /// Where a group's plugins are.
    pub(crate) fn plugins_key(&self, group: &str) -> Key {
        self.group(group).fixed("_plugins.json").build()
    }

    /// Where an artifact's document is.
    pub(crate) fn artifact_key(&self, name: &ArtifactName) -> Key {
        self.group(name.group()).segment(name.artifact()).fixed("_artifact.json").build()
    }

    /// Where a version's document is.
    pub(crate) fn version_key(&self, version: &VersionName) -> Key {
        self.folder(version).fixed("_version.json").build()
    }

    /// Where a file is; its data object has a random suffix.
    pub(crate) fn file_key(&self, version: &VersionName, file: &str) -> Key {
        self.folder(version).fixed("-").segment(file).build()
    }

    /// Whether a file's key is one that every store takes.
    pub(crate) fn fits(&self, version: &VersionName, file: &str) -> bool {
        self.file_key(version, file).as_str().len() <= MAX_KEY
    }

    /// A version that has files.
    pub(crate) async fn version(
        &self,
        version: &VersionName,
    ) -> Result<Option<Arc<Versioned<Version>>>, StorageError> {
        let document = self.store.read::<Version>(&self.version_key(version)).await?;
        Ok(document.filter(|document| !document.files.is_empty()))
    }

    /// A version, also one that has no files any more.
    pub(crate) async fn any_version(
        &self,
        version: &VersionName,
    ) -> Result<Option<Arc<Versioned<Version>>>, StorageError> {
        self.store.read::<Version>(&self.version_key(version)).await
    }

    /// The folders below an artifact that can be those of versions. Lists the store: for an operator.
    pub(crate) async fn version_folders(
        &self,
        name: &ArtifactName,
    ) -> Result<Vec<VersionName>, StorageError> {
        let folder = self.group(name.group()).segment(name.artifact()).build();
        let children = self.store.children(&folder, None, usize::MAX).await?;
        let folders = children.iter().filter_map(|child| decode_segment(child.strip_suffix('/')?));
        Ok(folders.filter_map(|folder| VersionName::new(name.clone(), &folder)).collect())
    }

    /// An artifact that has versions.
    pub(crate) async fn artifact(
        &self,
        name: &ArtifactName,
    ) -> Result<Option<Arc<Versioned<Artifact>>>, StorageError> {
        Ok(self.any_artifact(name).await?.filter(|document| !document.versions.is_empty()))
    }

    /// An artifact's document, also of one that has no versions.
    pub(crate) async fn any_artifact(
        &self,
        name: &ArtifactName,
    ) -> Result<Option<Arc<Versioned<Artifact>>>, StorageError> {
        self.store.read::<Artifact>(&self.artifact_key(name)).await
    }

    /// The plugins of a group that has some.
    pub(crate) async fn plugins(&self, group: &str) -> Result<Option<Arc<Versioned<Plugins>>>, StorageError> {
        let document = self.store.read::<Plugins>(&self.plugins_key(group)).await?;
        Ok(document.filter(|document| !document.by_artifact.is_empty()))
    }
}
