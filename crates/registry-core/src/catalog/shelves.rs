//! What the catalog holds in memory.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::CatalogEntry;
use crate::InstanceName;

/// One change of one package, as streams and snapshots hold it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) instance: InstanceName,
    pub(super) name: Arc<str>,
    /// Orders the changes of one name, whoever made them: microseconds since 1970, but always more than any stamp that its
    /// maker had seen.
    pub(super) stamp: i64,
    /// `None`: the package went away.
    pub(super) entry: Option<Arc<CatalogEntry>>,
}

/// One name's newest change.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) stamp: i64,
    /// Whether this process was told of it by the registry itself.
    pub(super) local: bool,
    pub(super) entry: Option<Arc<CatalogEntry>>,
}

/// One instance's names.
#[derive(Debug, Default)]
struct Shelf {
    slots: BTreeMap<Arc<str>, Slot>,
    /// Another one after each change. No two states of any shelf in this process have the same.
    edition: u64,
}

impl Shelf {
    fn new_edition(&mut self) {
        static NEWEST: AtomicU64 = AtomicU64::new(0);
        self.edition = NEWEST.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    }
}

/// All instances' entries in byte order of their names, and how far each node's stream was read into them.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    instances: HashMap<InstanceName, Shelf>,
    /// By node, the number of its first segment that is not in here.
    pub(super) cursors: BTreeMap<String, u64>,
    /// The newest stamp that was seen.
    pub(super) newest: i64,
}

impl Shelves {
    /// Nothing yet, with the streams read up to here.
    pub(super) fn after(cursors: BTreeMap<String, u64>) -> Self {
        Self { cursors, ..Self::default() }
    }

    pub(super) fn slot(&self, instance: &InstanceName, name: &str) -> Option<&Slot> {
        self.instances.get(instance)?.slots.get(name)
    }

    /// Takes a change in, unless a newer one of the same name is here.
    pub(super) fn apply(&mut self, change: &Change, local: bool) {
        self.newest = self.newest.max(change.stamp);
        let shelf = match self.instances.get_mut(&change.instance) {
            Some(shelf) => shelf,
            None => self.instances.entry(change.instance.clone()).or_default(),
        };
        let new = Slot { stamp: change.stamp, local, entry: change.entry.clone() };
        match shelf.slots.get_mut(&change.name) {
            Some(slot) if slot.stamp > change.stamp => return,
            Some(slot) => *slot = new,
            None => {
                shelf.slots.insert(Arc::clone(&change.name), new);
            }
        }
        shelf.new_edition();
    }

    /// What tells this state of an instance's packages from all others.
    pub(super) fn edition(&self, instance: &InstanceName) -> u64 {
        self.instances.get(instance).map_or(0, |shelf| shelf.edition)
    }

    /// The packages of an instance, beginning after a name.
    pub(super) fn entries<'s>(
        &'s self,
        instance: &InstanceName,
        after: Option<&'s str>,
    ) -> impl Iterator<Item = &'s Arc<CatalogEntry>> + use<'s> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let shelf = self.instances.get(instance);
        let slots =
            shelf.into_iter().flat_map(move |shelf| shelf.slots.range::<str, _>((from, Bound::Unbounded)));
        slots.filter_map(|(_, slot)| slot.entry.as_ref())
    }

    /// The names of an instance's packages whose newest change is older than a stamp.
    pub(super) fn names_before(&self, instance: &InstanceName, stamp: i64) -> Vec<Arc<str>> {
        let shelf = self.instances.get(instance);
        let slots = shelf.into_iter().flat_map(|shelf| &shelf.slots);
        slots
            .filter(|(_, slot)| slot.entry.is_some() && slot.stamp < stamp)
            .map(|(name, _)| Arc::clone(name))
            .collect()
    }

    /// Everything that a snapshot holds: all packages, and those that went away since a stamp (a change that is older may
    /// still be on its way).
    pub(super) fn snapshot(&self, gone_since: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (instance, shelf) in &self.instances {
            changes.extend(
                shelf.slots.iter().filter(|(_, slot)| slot.entry.is_some() || slot.stamp >= gone_since).map(
                    |(name, slot)| Change {
                        instance: instance.clone(),
                        name: Arc::clone(name),
                        stamp: slot.stamp,
                        entry: slot.entry.clone(),
                    },
                ),
            );
        }
        changes
    }

    /// Forgets packages that went away before a stamp.
    pub(super) fn forget_gone(&mut self, before: i64) {
        for shelf in self.instances.values_mut() {
            shelf.slots.retain(|_, slot| slot.entry.is_some() || slot.stamp >= before);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn change(name: &str, stamp: i64, present: bool) -> Change {
        let entry = CatalogEntry::new(name, DateTime::from_timestamp_micros(stamp).unwrap());
        Change {
            instance: "npm".parse().unwrap(),
            name: name.into(),
            stamp,
            entry: present.then(|| Arc::new(entry)),
        }
    }

    proptest! {
        /// Whatever the order in which the streams are read, the newest change of each name stands.
        #[test]
        fn order_of_reading_does_not_matter(
            changes in prop::collection::vec(("[abc]", any::<bool>()), 1..12),
            order in any::<prop::sample::Index>(),
        ) {
            let changes: Vec<_> =
                (0_i64..).zip(&changes).map(|(at, (name, present))| change(name, at, *present)).collect();
            let npm = "npm".parse().unwrap();
            let mut straight = Shelves::default();
            for change in &changes {
                straight.apply(change, false);
            }
            let mut turned = changes.clone();
            turned.rotate_left(order.index(changes.len()));
            turned.reverse();
            let mut other = Shelves::default();
            for change in &turned {
                other.apply(change, false);
            }
            let names = |shelves: &Shelves| -> Vec<String> {
                shelves.entries(&npm, None).map(|entry| format!("{} {}", entry.name, entry.changed)).collect()
            };
            prop_assert_eq!(names(&straight), names(&other));
            let mut again = Shelves::default();
            for change in straight.snapshot(0) {
                again.apply(&change, false);
            }
            prop_assert_eq!(names(&straight), names(&again));
        }
    }

    #[test]
    fn each_state_has_an_edition_of_its_own() {
        let npm = "npm".parse().unwrap();
        let (mut shelves, mut other) = (Shelves::default(), Shelves::default());
        assert_eq!(shelves.edition(&npm), other.edition(&npm));
        shelves.apply(&change("a", 10, true), false);
        other.apply(&change("b", 10, true), false);
        let first = shelves.edition(&npm);
        assert_ne!(first, other.edition(&npm));
        shelves.apply(&change("a", 5, false), false);
        assert_eq!(shelves.edition(&npm), first, "old news change nothing");
        shelves.apply(&change("a", 10, false), false);
        assert_ne!(shelves.edition(&npm), first);
    }

    #[test]
    fn what_went_away_is_remembered_for_a_while() {
        let mut shelves = Shelves::default();
        shelves.apply(&change("a", 10, true), false);
        shelves.apply(&change("a", 20, false), false);
        shelves.apply(&change("a", 15, true), false);
        let npm = "npm".parse().unwrap();
        assert_eq!(shelves.entries(&npm, None).count(), 0);
        assert_eq!((shelves.snapshot(20).len(), shelves.snapshot(21).len()), (1, 0));
        shelves.forget_gone(21);
        assert!(shelves.slot(&npm, "a").is_none());
    }
}
