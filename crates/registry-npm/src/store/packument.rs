//! The packument: one document a package, and the arbiter of everything that happens to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, SubsecRound, Utc};
use indexmap::IndexMap;
use registry_core::storage::{DataRef, Document, UnknownFields};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    config::AccessLevel,
    names::{PackageName, Tag},
    version::Version,
};

/// A package: its versions, tags and everything else that clients see of it, and where its bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Packument {
    /// The name.
    pub(crate) name: PackageName,
    /// The revision that clients see (`_rev`): how often the document changed, and a random part.
    pub(crate) rev: String,
    /// Who may read.
    pub(crate) access: AccessLevel,
    /// When the name was first published.
    pub(crate) created: DateTime<Utc>,
    /// When the document last changed.
    pub(crate) modified: DateTime<Utc>,
    /// Tags. `latest` is among them while there is a version.
    pub(crate) tags: BTreeMap<Tag, Version>,
    /// The versions, in the order of their publishing.
    pub(crate) releases: IndexMap<Version, Arc<Release>>,
    /// Versions that were unpublished: their numbers are never used again.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) removed: IndexMap<Version, Removed>,
    /// The owners, called maintainers by clients. Never empty while there is a version.
    pub(crate) owners: Vec<Person>,
    /// Who starred it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) stars: BTreeSet<String>,
    /// The readme of the version published last under `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) readme: Option<Arc<str>>,
    /// The readme's file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) readme_file: Option<String>,
    /// When the package was unpublished as a whole, until something is published again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unpublished: Option<DateTime<Utc>>,
    /// Whether the administrator gave the name free: all that is known of it is over, and it reads as never published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forgotten: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Document for Packument {
    const SCHEMA: u32 = 1;
}

/// A published version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    /// The part of the manifest that installers read, a JSON object.
    pub(crate) install: Box<RawValue>,
    /// The other part of it, a JSON object.
    pub(crate) rest: Box<RawValue>,
    /// What clients check the tarball against.
    pub(crate) dist: Dist,
    /// The tarball.
    pub(crate) data: DataRef,
    /// When it was published.
    pub(crate) published: DateTime<Utc>,
    /// Who published it.
    pub(crate) publisher: Person,
    /// Why it should not be used any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deprecated: Option<String>,
    /// Its attestation bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attestation: Option<Attestation>,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Release {
    /// About how many bytes of JSON it takes.
    pub(crate) fn weight(&self) -> usize {
        let deprecated = self.deprecated.as_ref().map_or(0, String::len);
        let predicate = self.attestation.as_ref().map_or(0, |found| found.predicate_type.len());
        self.install.get().len() + self.rest.get().len() + deprecated + predicate + 512
    }
}

/// What clients check a tarball against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dist {
    /// SHA-512, `sha512-<base64>`.
    pub(crate) integrity: String,
    /// SHA-1 in hex.
    pub(crate) shasum: String,
    /// How many files it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file_count: Option<u64>,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unpacked_size: Option<u64>,
}

/// A version's attestation bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attestation {
    /// What the bundle attests.
    pub(crate) predicate_type: String,
    /// The bundle, JSON.
    pub(crate) data: DataRef,
}

/// A user as packuments name one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// The user's name.
    pub(crate) name: String,
    /// The e-mail address; empty where it is not known, because clients print it unasked.
    pub(crate) email: String,
}

/// An unpublished version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Its data objects, until they are collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) data: Vec<DataRef>,
}

/// The time and the random part of one change, fixed before it is tried (perhaps more than once).
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// When it happens.
    pub(crate) now: DateTime<Utc>,
    nonce: String,
}

impl Change {
    /// A change that happens at `now`.
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        Self { now: now.trunc_subsecs(3), nonce: uuid::Uuid::new_v4().simple().to_string() }
    }
}

impl Packument {
    /// A package nobody has published to yet.
    pub(crate) fn new(name: PackageName, access: AccessLevel, change: &Change) -> Self {
        Self {
            name,
            rev: String::new(),
            access,
            created: change.now,
            modified: change.now,
            tags: BTreeMap::new(),
            releases: IndexMap::new(),
            removed: IndexMap::new(),
            owners: Vec::new(),
            stars: BTreeSet::new(),
            readme: None,
            readme_file: None,
            unpublished: None,
            forgotten: false,
            unknown: UnknownFields::default(),
        }
    }

    /// What is left of a package whose name is given free, or that begins anew under such a name. Its revision and time go on:
    /// clients may remember the old ones.
    pub(crate) fn anew(&self, access: AccessLevel, change: &Change) -> Self {
        let new = Self::new(self.name.clone(), access, change);
        Self { rev: self.rev.clone(), modified: self.modified.max(new.modified), ..new }
    }

    /// About how many bytes of JSON the document takes: what grows with what clients send.
    pub(crate) fn weight(&self) -> usize {
        let releases: usize = self.releases.values().map(|release| release.weight()).sum();
        let tags: usize = self.tags.iter().map(|(t, v)| t.as_str().len() + v.as_str().len() + 8).sum();
        let people: usize = self.stars.iter().map(|user| user.len() + 8).sum();
        releases + tags + people + self.removed.len() * 128 + self.readme.as_ref().map_or(0, |r| r.len())
    }

    /// Marks the document as changed.
    pub(crate) fn touch(&mut self, change: &Change) {
        let count: u64 = self.rev.split('-').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        self.rev = format!("{}-{}", count.saturating_add(1), change.nonce);
        self.modified = change.now.max(self.modified);
    }

    /// Whether clients see a package: it has a version.
    pub(crate) fn is_live(&self) -> bool {
        !self.releases.is_empty()
    }

    /// The version that `latest` names.
    pub(crate) fn latest(&self) -> Option<(&Version, &Arc<Release>)> {
        self.tags.get(&Tag::latest()).and_then(|version| self.releases.get_key_value(version))
    }

    /// A version by its number or by a tag.
    pub(crate) fn resolve(&self, wanted: &str) -> Option<(&Version, &Arc<Release>)> {
        let version = match wanted.parse::<Version>() {
            Ok(version) => version,
            Err(_) => self.tags.get(&wanted.parse::<Tag>().ok()?)?.clone(),
        };
        self.releases.get_key_value(&version)
    }

    /// Whether the number was ever used.
    pub(crate) fn is_used(&self, version: &Version) -> bool {
        self.releases.contains_key(version) || self.removed.contains_key(version)
    }

    /// Takes versions away: their numbers stay used, their tags go, and `latest` moves on.
    pub(crate) fn remove(&mut self, versions: &[Version], change: &Change) {
        for version in versions {
            if let Some(release) = self.releases.shift_remove(version) {
                let attestation = release.attestation.as_ref().map(|a| a.data.clone());
                let data = std::iter::once(release.data.clone()).chain(attestation).collect();
                self.removed.insert(version.clone(), Removed { at: change.now, data });
            }
        }
        self.mend_tags();
        if self.releases.is_empty() {
            self.unpublished = Some(change.now);
            self.owners.clear();
            self.stars.clear();
            self.readme = None;
            self.readme_file = None;
        }
    }

    /// Drops tags of versions that are not there, and makes sure of `latest`.
    pub(crate) fn mend_tags(&mut self) {
        let releases = &self.releases;
        self.tags.retain(|_, version| releases.contains_key(version));
        if !self.tags.contains_key(&Tag::latest())
            && let Some(version) = Version::default_latest(self.releases.keys())
        {
            self.tags.insert(Tag::latest(), version.clone());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use registry_core::storage::KeyBuilder;

    use super::*;

    /// A packument with these versions, without any I/O.
    pub(crate) fn packument(name: &str, versions: &[&str]) -> Packument {
        let change = Change::at("2026-01-02T03:04:05.678Z".parse().unwrap());
        let name: PackageName = name.parse().unwrap();
        let mut document = Packument::new(name.clone(), AccessLevel::Public, &change);
        let alice = Person { name: "alice".into(), email: "alice@example.com".into() };
        document.owners.push(alice.clone());
        for version in versions {
            let version: Version = version.parse().unwrap();
            let raw = |text: String| RawValue::from_string(text).unwrap();
            let release = Release {
                install: raw(format!(
                    r#"{{"name":"{name}","version":"{version}","dependencies":{{"a":"^1"}}}}"#
                )),
                rest: raw(format!(
                    r#"{{"description":"about {version}","scripts":{{}},"license":"MIT","keywords":["k"]}}"#
                )),
                dist: Dist {
                    integrity: "sha512-x".into(),
                    shasum: "y".into(),
                    file_count: Some(2),
                    unpacked_size: Some(3),
                },
                data: DataRef { key: KeyBuilder::root().segment("d").build(), size: 1, sha256: None },
                published: change.now,
                publisher: alice.clone(),
                deprecated: None,
                attestation: None,
                unknown: UnknownFields::default(),
            };
            document.releases.insert(version, Arc::new(release));
        }
        document.mend_tags();
        document.touch(&change);
        document
    }

    #[test]
    fn the_document_survives_being_stored() {
        let mut document = packument("@acme/lib", &["1.0.0", "2.0.0"]);
        document.remove(&["2.0.0".parse().unwrap()], &Change::at(Utc::now()));
        let mut text = serde_json::to_string(&document).unwrap();
        text.insert_str(1, r#""later":{"x":1},"#);
        let back: Packument = serde_json::from_str(&text).unwrap();
        assert_eq!(back.unknown.0["later"]["x"], 1);
        assert_eq!(
            serde_json::to_value(&back).unwrap(),
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        );
        assert_eq!(back.releases[0].install.get(), document.releases[0].install.get());
    }

    #[test]
    fn removing_mends_tags_and_keeps_the_numbers() {
        let mut document = packument("lib", &["1.0.0", "2.0.0", "3.0.0-rc.1"]);
        document.tags.insert("next".parse().unwrap(), "3.0.0-rc.1".parse().unwrap());
        assert_eq!(document.latest().unwrap().0.as_str(), "2.0.0");
        let change = Change::at(Utc::now());
        document.remove(&["2.0.0".parse().unwrap(), "3.0.0-rc.1".parse().unwrap()], &change);
        assert_eq!(document.tags.len(), 1);
        assert_eq!(document.latest().unwrap().0.as_str(), "1.0.0");
        assert!(document.is_used(&"2.0.0".parse().unwrap()));
        document.remove(&["1.0.0".parse().unwrap()], &change);
        assert!(!document.is_live() && document.unpublished.is_some() && document.tags.is_empty());
    }

    #[test]
    fn revisions_count() {
        let mut document = packument("lib", &["1.0.0"]);
        let first = document.rev.clone();
        document.touch(&Change::at(Utc::now()));
        assert!(first.starts_with("1-") && document.rev.starts_with("2-"), "{first} {}", document.rev);
    }

    #[test]
    fn versions_and_tags_resolve() {
        let document = packument("lib", &["1.0.0", "1.1.0"]);
        let found = |wanted: &str| document.resolve(wanted).map(|(version, _)| version.to_string());
        assert_eq!(found("latest").as_deref(), Some("1.1.0"));
        assert_eq!(found("v1.0.0").as_deref(), Some("1.0.0"));
        for none in ["next", "^1", "1", "a/b", "%", ""] {
            assert_eq!(found(none), None, "{none}");
        }
    }
}
