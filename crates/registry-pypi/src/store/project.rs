//! A project: one document, and the arbiter of everything that happens to it.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use registry_core::{
    catalog::CatalogEntry,
    maintenance::PackageDocument,
    storage::{DataRef, Document, UnknownFields},
};
use serde::{Deserialize, Serialize};

use crate::{
    names::{FileKind, ProjectName},
    version::Version,
};

/// A project: its releases and their files, and where the bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Project {
    /// The name in its normal form.
    pub(crate) name: ProjectName,
    /// The name as the newest upload spelt it.
    pub(crate) display: String,
    /// When the first file came.
    pub(crate) created: DateTime<Utc>,
    /// When the document last changed; it grows with every change.
    pub(crate) modified: DateTime<Utc>,
    /// Whether it is maintained, and served (PEP 792).
    #[serde(default)]
    pub(crate) status: Status,
    /// Why it has that status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status_reason: Option<String>,
    /// The releases, oldest version first.
    pub(crate) releases: BTreeMap<Version, Arc<Release>>,
    /// Names of files that were deleted: they are never used again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) burned: BTreeMap<String, Burned>,
    /// Whether the whole project was deleted, until something is uploaded again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    /// Whether the administrator gave the name free: all that is known of it is over, and it reads as never uploaded to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forgotten: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Document for Project {
    const SCHEMA: u32 = 1;
}

/// A project's status (PEP 792).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Files are taken and served.
    #[default]
    Active,
    /// Files are served, and none taken.
    Archived,
    /// As active; people are told to use something else.
    Deprecated,
    /// Nothing is served or taken.
    Quarantined,
}

impl Status {
    /// As the API names it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::Deprecated => "deprecated",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A release.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    /// The metadata of its first file, which is what the release's page tells.
    pub(crate) info: DataRef,
    /// A line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<String>,
    /// Its keywords.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keywords: Vec<String>,
    /// The files in the order of their names. Never empty.
    pub(crate) files: Vec<File>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Release {
    /// Whether every file is yanked, so that nobody takes the release unasked.
    pub(crate) fn is_yanked(&self) -> bool {
        self.files.iter().all(|file| file.yanked.is_some())
    }
}

/// A file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct File {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: FileKind,
    /// The Python that it is for.
    pub(crate) python: String,
    /// Its bytes.
    pub(crate) data: DataRef,
    /// Its MD5 in hex.
    pub(crate) md5: String,
    /// Its BLAKE2b-256 in hex.
    pub(crate) blake2b_256: String,
    /// The metadata that was found in it.
    pub(crate) metadata: DataRef,
    /// Whether that metadata is served on its own: always of a wheel.
    pub(crate) metadata_served: bool,
    /// Which versions of Python it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requires_python: Option<String>,
    /// A signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<DataRef>,
    /// The attestations that came with it, as they are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provenance: Option<DataRef>,
    /// Why nobody should take it unasked, if that is so; the reason may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) yanked: Option<String>,
    /// When it came.
    pub(crate) uploaded: DateTime<Utc>,
    /// Who sent it.
    pub(crate) uploader: String,
    /// What was said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl File {
    /// The SHA-256 in hex.
    pub(crate) fn sha256(&self) -> &str {
        self.data.sha256.as_deref().unwrap_or_default()
    }

    fn all_data(&self) -> impl Iterator<Item = &DataRef> {
        [&self.data, &self.metadata].into_iter().chain(&self.signature).chain(&self.provenance)
    }
}

/// A deleted file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Burned {
    /// When it was deleted.
    pub(crate) at: DateTime<Utc>,
    /// Its data objects, until they are collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) data: Vec<DataRef>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Burned {
    /// Of a file that goes now. What the release still tells of itself stays.
    pub(crate) fn now(file: &File, at: DateTime<Utc>, kept: Option<&DataRef>) -> Self {
        let data = file.all_data().filter(|data| kept != Some(*data)).cloned().collect();
        Self { at, data, unknown: UnknownFields::default() }
    }
}

impl Project {
    /// A project that nobody has uploaded to yet.
    pub(crate) fn new(name: ProjectName, now: DateTime<Utc>) -> Self {
        Self {
            display: name.as_str().to_owned(),
            name,
            created: now,
            modified: now,
            status: Status::default(),
            status_reason: None,
            releases: BTreeMap::new(),
            burned: BTreeMap::new(),
            deleted: false,
            forgotten: false,
            unknown: UnknownFields::default(),
        }
    }

    /// What is left of a project whose name is given free, or that begins anew under such a name. Its time goes on: clients may
    /// remember the old one.
    pub(crate) fn anew(&self, now: DateTime<Utc>) -> Self {
        let new = Self::new(self.name.clone(), now);
        Self { modified: self.modified.max(now), ..new }
    }

    /// A file by its name, with its release.
    pub(crate) fn file(&self, name: &str) -> Option<(&Version, &File)> {
        self.releases.iter().find_map(|(version, release)| {
            Some((version, release.files.iter().find(|file| file.name == name)?))
        })
    }

    /// Whether a file of this name is or was here.
    pub(crate) fn has_had(&self, name: &str) -> bool {
        self.burned.contains_key(name) || self.file(name).is_some()
    }

    /// Whether attestations came with some file.
    pub(crate) fn has_provenance(&self) -> bool {
        self.releases.values().any(|release| release.files.iter().any(|file| file.provenance.is_some()))
    }

    /// The release that people mean when they name none: the highest final one that is not yanked, else the highest pre-release that is
    /// not, else the highest.
    pub(crate) fn latest(&self) -> Option<(&Version, &Arc<Release>)> {
        let wanted = |final_only: bool| {
            let fits = move |(version, release): &(&Version, &Arc<Release>)| {
                !release.is_yanked() && (!final_only || !version.is_prerelease())
            };
            self.releases.iter().rev().find(fits)
        };
        wanted(true).or_else(|| wanted(false)).or_else(|| self.releases.last_key_value())
    }

    /// The project as lists show it.
    pub(crate) fn catalog_entry(&self) -> Option<CatalogEntry> {
        if self.deleted {
            return None;
        }
        let mut entry = CatalogEntry::new(self.name.as_str(), self.modified);
        if let Some((version, release)) = self.latest() {
            entry.latest = Some(version.to_string());
            entry.summary.clone_from(&release.summary);
            entry.keywords.clone_from(&release.keywords);
        }
        entry.details = serde_json::json!({ "display": self.display });
        Some(entry)
    }
}

impl PackageDocument for Project {
    fn live_data(&self) -> Vec<&DataRef> {
        let releases = self.releases.values();
        releases
            .flat_map(|release| release.files.iter().flat_map(File::all_data).chain([&release.info]))
            .collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        self.burned.values().flat_map(|burned| burned.data.iter().map(|data| (burned.at, data))).collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        for burned in self.burned.values_mut().filter(|burned| is_over(burned.at)) {
            burned.data.clear();
        }
    }
}
