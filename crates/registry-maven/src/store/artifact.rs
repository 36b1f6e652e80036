//! An artifact: which versions it has, for its `maven-metadata.xml`.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use registry_core::{
    catalog::CatalogEntry,
    storage::{Document, UnknownFields},
};
use serde::{Deserialize, Serialize};

use super::version::next_second;
use crate::{
    config::LatestPolicy,
    names::ArtifactName,
    version::{is_snapshot, sort},
    wire::{metadata::Versions, pom::Project},
};

/// A version that nothing announced is listed so long after its first file.
const LISTED_AFTER: TimeDelta = TimeDelta::minutes(10);

/// An artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Artifact {
    /// Its name.
    pub(crate) name: ArtifactName,
    /// When its versions last changed: in whole seconds, and later with every change.
    pub(crate) modified: DateTime<Utc>,
    /// The versions that have files.
    pub(crate) versions: BTreeMap<String, Entry>,
    /// What the newest POM of its highest version said when that version came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<Project>,
    /// Whether the group of the same folder (`com.acme.lib` where this is `com.acme:lib`) may have plugins: it spares whoever asks
    /// for the folder's metadata a look at a document that nearly never is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) group_has_plugins: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// A version of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When its first file came.
    pub(crate) since: DateTime<Utc>,
    /// When it was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed: Option<DateTime<Utc>>,
}

impl Entry {
    /// When clients were told of it, or will be.
    fn known_from(&self) -> DateTime<Utc> {
        self.listed.unwrap_or_else(|| self.since.checked_add_signed(LISTED_AFTER).unwrap_or(self.since))
    }
}

impl Document for Artifact {
    const SCHEMA: u32 = 1;
}

impl Artifact {
    /// An artifact without versions.
    pub(crate) fn new(name: ArtifactName, now: DateTime<Utc>) -> Self {
        Self {
            name,
            modified: now.trunc_subsecs(0) - TimeDelta::seconds(1),
            versions: BTreeMap::new(),
            project: None,
            group_has_plugins: false,
            unknown: UnknownFields::default(),
        }
    }

    /// Marks the versions as changed.
    pub(crate) fn touch(&mut self, now: DateTime<Utc>) {
        self.modified = next_second(self.modified, now);
    }

    /// When those versions will be listed that nothing announced, in ascending order: what the metadata depends on beside the
    /// document itself.
    pub(crate) fn due(&self) -> Vec<DateTime<Utc>> {
        let waiting = self.versions.values().filter(|entry| entry.listed.is_none());
        let mut due: Vec<_> = waiting.map(Entry::known_from).collect();
        due.sort_unstable();
        due
    }

    /// What clients are told at that time, if anything.
    pub(crate) fn metadata(&self, policy: LatestPolicy, now: DateTime<Utc>) -> Option<Versions<'_>> {
        let listed = || self.versions.iter().filter(|(_, entry)| entry.known_from() <= now);
        // A version that comes in by time alone makes the document newer, too.
        let by_time =
            listed().filter(|(_, entry)| entry.listed.is_none()).map(|(_, entry)| entry.known_from());
        let updated = by_time.chain([self.modified]).max().unwrap_or(self.modified);
        let names = listed().map(|(version, _)| version.as_str());
        let mut versions = Versions::highest(self.name.group(), self.name.artifact(), names, updated);
        if policy == LatestPolicy::LastDeployed {
            let last = |wanted: &dyn Fn(&str) -> bool| {
                let newest = listed().filter(|(version, _)| wanted(version));
                newest.max_by_key(|(_, entry)| entry.known_from()).map(|(version, _)| version.as_str())
            };
            versions.latest = last(&|_| true);
            versions.release = last(&|version| !is_snapshot(version));
        }
        (!versions.ascending.is_empty()).then_some(versions)
    }

    /// Whether a version is the highest.
    pub(crate) fn is_highest(&self, version: &str) -> bool {
        sort(self.versions.keys().map(String::as_str)).last() == Some(&version)
    }

    /// How the catalog knows it.
    pub(crate) fn catalog_entry(&self) -> Option<CatalogEntry> {
        let highest = sort(self.versions.keys().map(String::as_str)).last().copied()?;
        let mut entry = CatalogEntry::new(self.name.to_string(), self.modified);
        entry.latest = Some(highest.to_owned());
        let project = self.project.as_ref();
        entry.summary =
            project.and_then(|project| project.description.clone().or_else(|| project.name.clone()));
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2026-01-02T03:{minute:02}:00Z").parse().unwrap()
    }

    #[test]
    fn a_version_is_listed_when_announced_or_after_a_while() {
        let mut artifact = Artifact::new("g:a".parse().unwrap(), at(0));
        assert!(artifact.metadata(LatestPolicy::Highest, at(0)).is_none());
        artifact.versions.insert("2".to_owned(), Entry { since: at(1), listed: None });
        artifact.versions.insert("1".to_owned(), Entry { since: at(2), listed: Some(at(2)) });
        artifact.touch(at(2));
        let early = artifact.metadata(LatestPolicy::Highest, at(5)).unwrap();
        assert_eq!((early.ascending, early.updated), (vec!["1"], at(2)));
        let late = artifact.metadata(LatestPolicy::Highest, at(11)).unwrap();
        assert_eq!((late.ascending, late.latest, late.updated), (vec!["1", "2"], Some("2"), at(11)));
        assert_eq!(artifact.due(), [at(11)]);
    }

    #[test]
    fn the_latest_can_be_the_last_deployed() {
        let mut artifact = Artifact::new("g:a".parse().unwrap(), at(0));
        for (version, minute) in [("2.0", 1), ("1.5", 3), ("3-SNAPSHOT", 2), ("1-SNAPSHOT", 4)] {
            let listed = Some(at(minute));
            artifact.versions.insert(version.to_owned(), Entry { since: at(minute), listed });
        }
        let last = artifact.metadata(LatestPolicy::LastDeployed, at(9)).unwrap();
        assert_eq!((last.latest, last.release), (Some("1-SNAPSHOT"), Some("1.5")));
        let highest = artifact.metadata(LatestPolicy::Highest, at(9)).unwrap();
        assert_eq!((highest.latest, highest.release), (Some("3-SNAPSHOT"), Some("2.0")));
        assert!(artifact.is_highest("3-SNAPSHOT"));
    }

    #[test]
    fn times_never_go_back() {
        let mut artifact = Artifact::new("g:a".parse().unwrap(), at(5));
        artifact.touch(at(5));
        assert_eq!(artifact.modified, at(5));
        artifact.touch(at(1));
        assert_eq!(artifact.modified, at(5) + TimeDelta::seconds(1));
    }
}
