//! What `/versions` comes to: every gem's visible versions, as its lines say. Kept in memory and fed with what is appended.

use std::collections::HashSet;

use indexmap::IndexSet;
use registry_core::storage::{Key, StorageError};

use super::{gem::Gem, sorted::SortedMap};
use crate::{
    names::parse_slug,
    wire::{
        compact::{self, VersionsLine, versions_line},
        specs::Listed,
    },
};

/// The sum of a log up to some position. Copies share what they have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Which log.
    pub(crate) epoch: String,
    /// How many of its bytes are in here.
    pub(crate) position: u64,
    gems: SortedMap<Entry>,
}

/// What is known of a gem.
#[derive(Clone, Debug)]
struct Entry {
    /// Its visible versions, in the order in which they came.
    slugs: IndexSet<Box<str>>,
    md5: [u8; 16],
}

impl Entry {
    fn feed(&mut self, line: &VersionsLine<'_>) {
        self.md5 = line.md5;
        for slug in &line.slugs {
            if let Some(gone) = slug.strip_prefix('-') {
                self.slugs.shift_remove(gone);
            } else {
                self.slugs.insert((*slug).into());
            }
        }
    }
}

impl Index {
    /// Of nothing, for a log.
    pub(crate) fn of(epoch: &str) -> Self {
        Self { epoch: epoch.to_owned(), ..Self::default() }
    }

    /// Adds what follows in the log: whole lines.
    pub(crate) fn feed(&mut self, key: &Key, text: &str) -> Result<(), StorageError> {
        let damaged =
            |what: &str| StorageError::Damaged { key: key.to_string(), what: format!("the log has {what}") };
        let mut lines = text;
        if self.position == 0 {
            let (_, rest) = text.split_once(compact::SEPARATOR).ok_or_else(|| damaged("no head"))?;
            lines = rest;
        }
        for line in lines.split_terminator('\n') {
            let line = VersionsLine::parse(line).ok_or_else(|| damaged("a line that is none"))?;
            let new = || Entry { slugs: IndexSet::new(), md5: line.md5 };
            self.gems.edit(line.name, new, |entry| entry.feed(&line));
        }
        self.position = self.position.saturating_add(text.len() as u64);
        Ok(())
    }

    /// The line that has to follow so that the log says what the gem's document says. Nothing where it does.
    pub(crate) fn difference(&self, gem: &Gem, out: &mut String) {
        let name = gem.name.as_str();
        let md5 = compact::md5(&gem.info());
        let entry = self.gems.get(name);
        let none = IndexSet::new();
        let known = entry.map_or(&none, |entry| &entry.slugs);
        let visible: Vec<String> = gem.visible().map(|release| release.slug()).collect();
        let is_visible: HashSet<&str> = visible.iter().map(String::as_str).collect();
        let mut slugs: Vec<String> = known
            .iter()
            .filter(|slug| !is_visible.contains(&***slug))
            .map(|slug| format!("-{slug}"))
            .collect();
        slugs.extend(visible.iter().filter(|slug| !known.contains(slug.as_str())).cloned());
        if slugs.is_empty() && entry.is_some_and(|entry| entry.md5 != md5) {
            // Only the digest is another one; a line needs a version.
            slugs.extend(visible.last().cloned());
        }
        if !slugs.is_empty() {
            versions_line(name, &slugs, md5, out);
        }
    }

    /// The lines of a log that says the same with one line for each gem.
    pub(crate) fn lines(&self) -> String {
        let mut out = String::new();
        for (name, entry) in self.gems.iter().filter(|(_, entry)| !entry.slugs.is_empty()) {
            let slugs: Vec<&str> = entry.slugs.iter().map(AsRef::as_ref).collect();
            versions_line(name, &slugs, entry.md5, &mut out);
        }
        out
    }

    /// The names of gems with a visible version, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.gems.iter().filter(|(_, entry)| !entry.slugs.is_empty()).map(|(name, _)| name)
    }

    /// All names that the log has, sorted.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.gems.iter().map(|(name, _)| name)
    }

    /// How many versions are visible.
    pub(crate) fn versions(&self) -> usize {
        self.gems.iter().map(|(_, entry)| entry.slugs.len()).sum()
    }

    /// The visible versions of every gem, in the order of the names.
    pub(crate) fn listed<'a>(
        &'a self,
        allowed: &'a dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = Listed> + 'a {
        self.gems.iter().filter(|(name, _)| allowed(name)).filter_map(|(name, entry)| {
            let versions = entry.slugs.iter().filter_map(|slug| parse_slug(slug)).collect();
            Some(Listed { name: name.parse().ok()?, versions })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::prelude::*;
    use registry_core::storage::UnknownFields;

    use super::*;
    use crate::{
        store::gem::{Release, Yanked},
        wire::spec::tests::{demo, now},
    };

    fn gem(name: &str, versions: &[(&str, bool)]) -> Gem {
        let release = |(slug, yanked): &(&str, bool)| {
            let (version, platform) = parse_slug(slug).unwrap();
            let mut spec = demo();
            (spec.name, spec.version, spec.platform) = (name.parse().unwrap(), version, platform);
            Arc::new(Release {
                spec,
                created: now(),
                pusher: "alice".to_owned(),
                sha256: "0".repeat(64),
                data: None,
                yanked: yanked.then(|| Yanked { at: now(), until: now(), deleted: false }),
                unknown: UnknownFields::default(),
            })
        };
        Gem {
            name: name.parse().unwrap(),
            created: now(),
            modified: now(),
            owners: Vec::new(),
            releases: versions.iter().map(release).collect(),
            unknown: UnknownFields::default(),
        }
    }

    fn key() -> Key {
        registry_core::storage::KeyBuilder::root().fixed("log").build()
    }

    fn fed(lines: &str) -> Index {
        let mut index = Index::of("e");
        index.feed(&key(), &format!("{}{lines}", compact::versions_head(now()))).unwrap();
        index
    }

    fn difference(index: &Index, gem: &Gem) -> String {
        let mut out = String::new();
        index.difference(gem, &mut out);
        out
    }

    #[test]
    fn differences_are_what_a_log_lacks() {
        let before = gem("a", &[("1.0", false)]);
        let line = difference(&fed(""), &before);
        assert_eq!(line, format!("a 1.0 {}\n", hex::encode(compact::md5(&before.info()))));
        let index = fed(&line);
        assert_eq!(difference(&index, &before), "");
        let after = gem("a", &[("1.0", true), ("1.1", false), ("1.1-java", false)]);
        let line = difference(&index, &after);
        assert!(line.starts_with("a -1.0,1.1,1.1-java "), "{line}");
        let none = gem("a", &[("1.0", true)]);
        assert_eq!(difference(&index, &none), "a -1.0 6105347ebb9825ac754615ca55ff3b0c\n");
        assert_eq!(difference(&fed(""), &none), "");
        let other = format!("a 1.0 {}\n", "0".repeat(32));
        assert!(difference(&fed(&other), &before).starts_with("a 1.0 "));
    }

    #[test]
    fn damage_is_told() {
        let mut index = Index::of("e");
        assert!(index.feed(&key(), "created_at: x\n").is_err());
        assert!(Index::of("e").feed(&key(), "created_at: x\n---\nrack\n").is_err());
    }

    proptest! {
        #[test]
        fn checklist_57_a_log_written_anew_says_the_same(
            changes in prop::collection::vec(("[a-c]", prop::collection::btree_map("[1-3]\\.[0-3]", any::<bool>(), 1..5)), 0..12),
        ) {
            let mut log = String::new();
            let mut newest = BTreeMap::new();
            for (name, versions) in &changes {
                let versions: Vec<(&str, bool)> = versions.iter().map(|(slug, yanked)| (slug.as_str(), *yanked)).collect();
                let gem = gem(name, &versions);
                fed(&log).difference(&gem, &mut log);
                prop_assert_eq!(difference(&fed(&log), &gem), "");
                newest.insert(name.clone(), gem);
            }
            let index = fed(&log);
            let anew = fed(&index.lines());
            prop_assert_eq!(anew.lines(), index.lines());
            prop_assert_eq!(anew.versions(), index.versions());
            for gem in newest.values() {
                prop_assert_eq!(difference(&anew, gem), "");
            }
        }
    }
}
