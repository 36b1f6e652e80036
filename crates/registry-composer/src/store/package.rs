//! A package: one document, and the arbiter of everything that happens to it.

use std::sync::Arc;

use chrono::{DateTime, Duration, SubsecRound as _, Utc};
use indexmap::IndexMap;
use registry_core::storage::{DataRef, Document, UnknownFields};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::names::PackageName;

/// A package: its versions, what became of others, and where its bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: PackageName,
    /// When the name was first published.
    pub(crate) created: DateTime<Utc>,
    /// What clients know the state of the metadata by: whole seconds, and later with every change, because they have
    /// nothing finer to tell two states apart.
    pub(crate) modified: DateTime<Utc>,
    /// The versions by their identity, in the order of their publishing.
    pub(crate) releases: IndexMap<String, Arc<Release>>,
    /// Versions that were deleted.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) removed: IndexMap<String, Removed>,
    /// Archives of branches that others replaced, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaced: Vec<Replaced>,
    /// Whether it should not be used any more, and what in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) abandoned: Option<Abandoned>,
    /// Whether the administrator gave the name free: all that is known of it is over, and it reads as never published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forgotten: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Document for Package {
    const SCHEMA: u32 = 1;
}

/// A published version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    /// As its author wrote it.
    pub(crate) version: String,
    /// As clients compare it.
    pub(crate) normalized: String,
    /// What composer.json says to consumers.
    pub(crate) fields: IndexMap<String, Box<RawValue>>,
    /// Where its sources are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Source>,
    /// When it was released, as its author says.
    pub(crate) time: DateTime<Utc>,
    /// When it was published here.
    pub(crate) published: DateTime<Utc>,
    /// Who published it.
    pub(crate) publisher: String,
    /// Its archive.
    pub(crate) dist: Dist,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Release {
    /// About how many bytes of JSON it takes.
    pub(crate) fn weight(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum();
        fields + self.version.len() + self.normalized.len() + self.publisher.len() + 1024
    }
}

/// An archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dist {
    /// What names these bytes in URLs and lock files: the first 40 digits of their SHA-256.
    pub(crate) reference: String,
    /// SHA-1 in hex: what clients check.
    pub(crate) shasum: String,
    /// The bytes.
    pub(crate) data: DataRef,
}

impl Dist {
    /// The archive of these bytes.
    pub(crate) fn new(sha256: &str, shasum: String, data: DataRef) -> Self {
        Self { reference: sha256.chars().take(40).collect(), shasum, data }
    }

    /// Whether it has the same bytes.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.data.sha256 == other.data.sha256 && self.shasum == other.shasum
    }
}

/// Where sources are, as the publisher says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) url: String,
    pub(crate) reference: String,
}

/// A deleted version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) at: DateTime<Utc>,
    /// The SHA-256 of its archive: only these bytes may be published again.
    pub(crate) sha256: Option<String>,
    /// Its archives, until they are collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dists: Vec<Dist>,
}

/// An archive of a branch that another replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replaced {
    /// The identity of the version.
    pub(crate) version: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) dist: Dist,
}

/// That a package is abandoned, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Abandoned {
    For(PackageName),
    Simply(bool),
}

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::For(name) => write!(f, "\"{name}\""),
            Self::Simply(is) => write!(f, "{is}"),
        }
    }
}

impl Package {
    /// A package nobody has published to yet.
    pub(crate) fn new(name: PackageName, now: DateTime<Utc>) -> Self {
        Self {
            name,
            created: now,
            modified: now.trunc_subsecs(0) - Duration::seconds(1),
            releases: IndexMap::new(),
            removed: IndexMap::new(),
            replaced: Vec::new(),
            abandoned: None,
            forgotten: false,
            unknown: UnknownFields::default(),
        }
    }

    /// What is left of a package whose name is given free, or that begins anew under such a name. Its time goes on: clients may
    /// remember the old one.
    pub(crate) fn anew(&self, now: DateTime<Utc>) -> Self {
        let new = Self::new(self.name.clone(), now);
        Self { modified: self.modified.max(new.modified), ..new }
    }

    /// Marks the document as changed.
    pub(crate) fn touch(&mut self, now: DateTime<Utc>) {
        let next = self.modified.checked_add_signed(Duration::seconds(1)).unwrap_or(self.modified);
        self.modified = now.trunc_subsecs(0).max(next);
    }

    /// About how many bytes of JSON the document takes.
    pub(crate) fn weight(&self) -> usize {
        let releases: usize = self.releases.values().map(|release| release.weight()).sum();
        releases + (self.removed.len() + self.replaced.len()) * 512
    }

    /// Whether a version is here or was.
    pub(crate) fn has_had(&self, identity: &str) -> bool {
        self.releases.contains_key(identity) || self.removed.contains_key(identity)
    }

    /// An archive by the reference that URLs and lock files have.
    pub(crate) fn dist(&self, reference: &str) -> Option<&Dist> {
        let live = self.releases.values().map(|release| &release.dist);
        let replaced = self.replaced.iter().rev().map(|replaced| &replaced.dist);
        let removed = self.removed.values().flat_map(|removed| &removed.dists);
        live.chain(replaced).chain(removed).find(|dist| dist.reference == reference)
    }
}
