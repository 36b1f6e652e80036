//! A gem: one document, and the arbiter of everything that happens to it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use registry_core::{
    catalog::CatalogEntry,
    maintenance::PackageDocument,
    storage::{DataRef, Document, UnknownFields},
};
use serde::{Deserialize, Serialize};

use crate::{
    names::{GemName, Platform},
    version::Version,
    wire::{
        compact,
        spec::{DependencyKind, Spec},
    },
};

/// A gem: its versions, and where the bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Gem {
    /// The name, in the case in which it was first pushed.
    pub(crate) name: GemName,
    /// When the first version came.
    pub(crate) created: DateTime<Utc>,
    /// When the document last changed; it grows with every change.
    pub(crate) modified: DateTime<Utc>,
    /// Whom `gem owner` tells. What somebody may do, their scopes say.
    #[serde(default)]
    pub(crate) owners: Vec<String>,
    /// The versions in the order in which they came, yanked ones too.
    pub(crate) releases: Vec<Arc<Release>>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Document for Gem {
    const SCHEMA: u32 = 1;

    /// What is parsed takes more than its text.
    fn weight(&self, encoded: usize) -> usize {
        encoded.saturating_mul(2)
    }
}

/// A version for one platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    /// What it says of itself.
    pub(crate) spec: Spec,
    /// When it came.
    pub(crate) created: DateTime<Utc>,
    /// Who pushed it.
    pub(crate) pusher: String,
    /// The SHA-256 of its file in hex.
    pub(crate) sha256: String,
    /// Its file; `None` once the bytes of a yanked version are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<DataRef>,
    /// Since when it is yanked, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) yanked: Option<Yanked>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// A yank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Yanked {
    /// When it was done.
    pub(crate) at: DateTime<Utc>,
    /// Until when its bytes are kept.
    pub(crate) until: DateTime<Utc>,
    /// Whether an operator deleted the version, so that it does not come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
}

impl Release {
    /// Version and platform, as indexes write them.
    pub(crate) fn slug(&self) -> String {
        self.spec.slug()
    }

    /// Whether it is yanked, and that can be taken back.
    pub(crate) fn can_come_back(&self) -> bool {
        self.data.is_some() && self.yanked.as_ref().is_some_and(|yanked| !yanked.deleted)
    }

    /// Whether it is listed.
    pub(crate) fn is_visible(&self) -> bool {
        self.yanked.is_none()
    }
}

impl Gem {
    /// A version, yanked or not.
    pub(crate) fn find(&self, version: &Version, platform: &Platform) -> Option<&Arc<Release>> {
        self.releases
            .iter()
            .find(|release| release.spec.version == *version && release.spec.platform == *platform)
    }

    /// The versions that are listed, in the order in which they came.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.releases.iter().filter(|release| release.is_visible())
    }

    /// The version that people mean when they name none: the newest release, else the newest prerelease; the one for every platform
    /// where there are several.
    pub(crate) fn latest(&self) -> Option<&Arc<Release>> {
        self.visible().max_by(|a, b| {
            let rank = |release: &Release| {
                (
                    !release.spec.version.is_prerelease(),
                    release.spec.version.clone(),
                    release.spec.platform.is_ruby(),
                )
            };
            rank(a).cmp(&rank(b))
        })
    }

    /// `/info/<gem>`.
    pub(crate) fn info(&self) -> String {
        let mut out = compact::SEPARATOR.to_owned();
        for release in self.visible() {
            compact::info_line(&release.spec, &release.sha256, release.created, &mut out);
        }
        out
    }

    /// The gem as lists and searches show it; `None` where no version is listed.
    pub(crate) fn catalog_entry(&self) -> Option<CatalogEntry> {
        let latest = self.latest()?;
        let mut entry = CatalogEntry::new(self.name.as_str(), self.modified);
        entry.latest = Some(latest.spec.version.to_string());
        entry.summary = Some(latest.spec.summary.clone());
        let names = |kind| -> Vec<&str> {
            latest.spec.dependencies_of(kind).iter().map(|dependency| dependency.name.as_str()).collect()
        };
        entry.details = serde_json::json!({
            "owners": self.owners,
            "runtime": names(DependencyKind::Runtime),
            "development": names(DependencyKind::Development),
        });
        Some(entry)
    }
}

impl PackageDocument for Gem {
    fn live_data(&self) -> Vec<&DataRef> {
        self.visible().filter_map(|release| release.data.as_ref()).collect()
    }

    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
        let of = |release: &'_ Arc<Release>| Some(release.yanked.as_ref()?.until);
        self.releases.iter().filter_map(|release| Some((of(release)?, release.data.as_ref()?))).collect()
    }

    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
        for release in &mut self.releases {
            if release.yanked.as_ref().is_some_and(|yanked| is_over(yanked.until)) && release.data.is_some() {
                Arc::make_mut(release).data = None;
            }
        }
    }
}
