//! A version: the document that names its files, and the arbiter of what happens to them.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use registry_core::{
    maintenance::PackageDocument,
    storage::{DataRef, Document, UnknownFields},
};
use serde::{Deserialize, Serialize};

use crate::{
    names::{ArtifactName, FileKind, VersionName},
    wire::{checksum::Checksums, metadata::Snapshot, pom::Project},
};

/// A version of an artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    /// Of what it is a version.
    pub(crate) artifact: ArtifactName,
    /// The version, as its folder names it.
    #[serde(rename = "version")]
    pub(crate) folder: String,
    /// When its first file came.
    pub(crate) created: DateTime<Utc>,
    /// When its files last changed: in whole seconds, and later with every change.
    pub(crate) modified: DateTime<Utc>,
    /// Its files by their names.
    pub(crate) files: BTreeMap<String, Arc<File>>,
    /// What its newest POM says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<Project>,
    /// Files that were deleted: their names are kept for their bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) deleted: BTreeMap<String, Deleted>,
    /// Bytes that were replaced or cleaned up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaced: Vec<Replaced>,
    /// Checksums that came before their files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) expected: BTreeMap<String, Expected>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct File {
    /// Its bytes, with their SHA-256.
    pub(crate) data: DataRef,
    pub(crate) md5: String,
    pub(crate) sha1: String,
    pub(crate) sha512: String,
    /// When it came.
    pub(crate) uploaded: DateTime<Utc>,
    /// Who brought it.
    pub(crate) uploader: String,
}

impl File {
    /// All its checksums.
    pub(crate) fn checksums(&self) -> Checksums {
        Checksums {
            md5: Some(self.md5.clone()),
            sha1: Some(self.sha1.clone()),
            sha256: self.data.sha256.clone(),
            sha512: Some(self.sha512.clone()),
        }
    }
}

/// A file that was deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) at: DateTime<Utc>,
    /// The SHA-256 of its bytes: only they may come back.
    pub(crate) sha256: String,
    /// The bytes, until they are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<DataRef>,
}

/// Bytes that no name leads to any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replaced {
    pub(crate) at: DateTime<Utc>,
    pub(crate) data: DataRef,
}

/// Checksums of a file that is yet to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Expected {
    pub(crate) at: DateTime<Utc>,
    pub(crate) checksums: Checksums,
}

impl Document for Version {
    const SCHEMA: u32 = 1;
}

impl Version {
    /// A version without files.
    pub(crate) fn new(name: &VersionName, now: DateTime<Utc>) -> Self {
        Self {
            artifact: name.artifact().clone(),
            folder: name.version().to_owned(),
            created: now,
            modified: now.trunc_subsecs(0) - TimeDelta::seconds(1),
            files: BTreeMap::new(),
            project: None,
            deleted: BTreeMap::new(),
            replaced: Vec::new(),
            expected: BTreeMap::new(),
            unknown: UnknownFields::default(),
        }
    }

    /// Marks the files as changed.
    pub(crate) fn touch(&mut self, now: DateTime<Utc>) {
        self.modified = next_second(self.modified, now);
    }

    /// Whether a file makes the version known to clients.
    pub(crate) fn is_announced(&self, name: &VersionName) -> bool {
        self.files.keys().any(|file| FileKind::of(name, file).announces(file))
    }

    /// What a snapshot's metadata tells.
    pub(crate) fn snapshot<'v>(&'v self, name: &'v VersionName) -> Snapshot<'v> {
        let files = self.files.iter().map(|(file, record)| (file.as_str(), record.uploaded));
        Snapshot::new(name, files, self.modified)
    }

    /// Takes a file away; its bytes stay until they are collected.
    pub(crate) fn drop_file(&mut self, file: &str, now: DateTime<Utc>) -> Option<Arc<File>> {
        let dropped = self.files.remove(file)?;
        self.replaced.push(Replaced { at: now, data: dropped.data.clone() });
        Some(dropped)
    }
}

/// Whole seconds, later than before: clients compare the times of metadata in seconds.
pub(super) fn next_second(before: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let next = before.checked_add_signed(TimeDelta::seconds(1)).unwrap_or(before);
    now.trunc_subsecs(0).max(next)
}

impl PackageDocument for Version {
    fn live_data(&self) -> Vec<&DataRef> {
        self.files.values().map(|file| &file.data).collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        let deleted = self.deleted.values().filter_map(|gone| Some((gone.at, gone.data.as_ref()?)));
        deleted.chain(self.replaced.iter().map(|gone| (gone.at, &gone.data))).collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        for gone in self.deleted.values_mut().filter(|gone| is_over(gone.at)) {
            gone.data = None;
        }
        self.replaced.retain(|gone| !is_over(gone.at));
    }
}
