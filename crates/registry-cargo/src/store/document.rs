//! The document of a crate: the arbiter of everything that happens to it.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Duration, SubsecRound as _, Utc};
use indexmap::IndexMap;
use registry_core::storage::{DataRef, Document, UnknownFields};
use serde::{Deserialize, Serialize};

use crate::{names::CrateName, version::Version, wire::index::IndexDependency};

/// A crate: its versions and owners, and where its bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CrateDocument {
    /// The name as it was first published.
    pub(crate) name: CrateName,
    /// When the name was first published.
    pub(crate) created: DateTime<Utc>,
    /// When the document last changed; in whole seconds, later with each change.
    pub(crate) modified: DateTime<Utc>,
    /// The versions, in the order of their publishing.
    pub(crate) releases: IndexMap<Version, Arc<Release>>,
    /// Versions that were deleted: their numbers are never used again.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) removed: IndexMap<Version, Removed>,
    /// The owners. Never empty while there is a version.
    pub(crate) owners: Vec<String>,
    /// Whether the administrator gave the name free: all that is known of it is over, and it reads as never published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forgotten: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Document for CrateDocument {
    const SCHEMA: u32 = 1;
}

/// A published version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    /// What its manifest says.
    pub(crate) facts: Facts,
    /// The `.crate` file; its SHA-256 is the index's checksum.
    pub(crate) data: DataRef,
    /// When it was published, in whole seconds.
    pub(crate) published: DateTime<Utc>,
    /// Who published it.
    pub(crate) publisher: String,
    /// Whether new resolutions pass it over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) yanked: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// What a version's manifest says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) deps: Vec<IndexDependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) links: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rust_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) documentation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keywords: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Release {
    /// About how many bytes of JSON it takes.
    pub(crate) fn weight(&self) -> usize {
        let Facts {
            deps, features, links, description, homepage, documentation, repository, license, ..
        } = &self.facts;
        let texts = [links, description, homepage, documentation, repository, license];
        let words = self.facts.keywords.iter().chain(&self.facts.categories);
        let lists = |list: &Vec<String>| list.iter().map(|text| text.len() + 4).sum::<usize>();
        deps.iter().map(IndexDependency::weight).sum::<usize>()
            + features.iter().map(|(name, values)| name.len() + lists(values) + 8).sum::<usize>()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + words.map(|word| word.len() + 4).sum::<usize>()
            + 512
    }
}

/// A deleted version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// The checksum of what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Its bytes, until they are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<DataRef>,
}

impl CrateDocument {
    /// A crate nobody has published to yet.
    pub(crate) fn new(name: CrateName, now: DateTime<Utc>) -> Self {
        Self {
            name,
            created: now.trunc_subsecs(0),
            // The first touch is later.
            modified: now.trunc_subsecs(0) - Duration::seconds(1),
            releases: IndexMap::new(),
            removed: IndexMap::new(),
            owners: Vec::new(),
            forgotten: false,
            unknown: UnknownFields::default(),
        }
    }

    /// What is left of a crate whose name is given free, or that begins anew under such a name. Its times go on: clients may
    /// remember the old ones.
    pub(crate) fn anew(&self, name: CrateName, now: DateTime<Utc>) -> Self {
        let new = Self::new(name, now);
        Self { modified: self.modified.max(new.modified), ..new }
    }

    /// Marks the document as changed: clients compare whole seconds.
    pub(crate) fn touch(&mut self, now: DateTime<Utc>) {
        self.modified = now.trunc_subsecs(0).max(self.modified + Duration::seconds(1));
    }

    /// Whether a version, or one that must not exist beside it, is here or was.
    pub(crate) fn has_had(&self, version: &Version) -> bool {
        let same = |other: &Version| other.without_build() == version.without_build();
        self.releases.keys().any(same) || self.removed.keys().any(same)
    }

    /// Whether clients see a crate: it has a version.
    pub(crate) fn is_live(&self) -> bool {
        !self.releases.is_empty()
    }

    /// About how many bytes of JSON the document takes.
    pub(crate) fn weight(&self) -> usize {
        self.releases.values().map(|release| release.weight()).sum::<usize>()
            + self.removed.len() * 256
            + self.owners.iter().map(|owner| owner.len() + 4).sum::<usize>()
    }

    /// The version that lists show: the highest that is not yanked, a prerelease only where there is nothing else.
    pub(crate) fn highest(&self) -> Option<(&Version, &Arc<Release>)> {
        self.releases.iter().max_by(|(a, a_release), (b, b_release)| {
            (!a_release.yanked, !a.is_prerelease())
                .cmp(&(!b_release.yanked, !b.is_prerelease()))
                .then_with(|| a.compare(b))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use registry_core::storage::KeyBuilder;

    use super::*;

    pub(crate) fn release(at: DateTime<Utc>) -> Release {
        let dependency = IndexDependency {
            name: "alias".into(),
            req: "^1".into(),
            features: vec!["f".into()],
            optional: true,
            default_features: false,
            target: Some("cfg(unix)".into()),
            kind: crate::wire::index::DependencyKind::Dev,
            registry: None,
            package: Some("real".into()),
            unknown: UnknownFields::default(),
        };
        Release {
            facts: Facts { deps: vec![dependency], description: Some("about".into()), ..Facts::default() },
            data: DataRef {
                key: KeyBuilder::root().segment("d").build(),
                size: 1,
                sha256: Some("aa".into()),
            },
            published: at,
            publisher: "alice".into(),
            yanked: false,
            unknown: UnknownFields::default(),
        }
    }

    /// A document with these versions, without any I/O.
    pub(crate) fn document(name: &str, versions: &[&str]) -> CrateDocument {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut document = CrateDocument::new(name.parse().unwrap(), now);
        document.owners.push("alice".into());
        for version in versions {
            document.releases.insert(version.parse().unwrap(), Arc::new(release(now)));
        }
        document.touch(now);
        document
    }

    #[test]
    fn the_document_survives_being_stored() {
        let document = document("Foo-x", &["1.0.0", "1.1.0+b"]);
        let mut text = serde_json::to_string(&document).unwrap();
        text.insert_str(1, r#""later":{"x":1},"#);
        let back: CrateDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(back.unknown.0["later"]["x"], 1);
        assert_eq!(
            serde_json::to_value(&back).unwrap(),
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        );
    }

    #[test]
    fn the_highest_version_is_stable_and_not_yanked() {
        let mut document = document("a", &["2.0.0-rc.1", "1.0.0", "1.10.0", "1.9.0"]);
        let highest = |document: &CrateDocument| document.highest().unwrap().0.to_string();
        assert_eq!(highest(&document), "1.10.0");
        let mut yank = |version: &str| {
            let release = document.releases.get_mut(&version.parse::<Version>().unwrap()).unwrap();
            Arc::make_mut(release).yanked = true;
            document.highest().unwrap().0.to_string()
        };
        assert_eq!(yank("1.10.0"), "1.9.0");
        yank("1.9.0");
        assert_eq!(yank("1.0.0"), "2.0.0-rc.1");
        assert_eq!(yank("2.0.0-rc.1"), "1.10.0");
    }

    #[test]
    fn every_change_is_a_second_later() {
        let now: DateTime<Utc> = "2026-01-02T03:04:05.9Z".parse().unwrap();
        let mut document = document("a", &["1.0.0"]);
        let before = document.modified;
        document.touch(now);
        assert_eq!(document.modified, before + Duration::seconds(1));
    }
}
