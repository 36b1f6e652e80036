//! What the anonymous actor may do, and with it everybody.

use std::{collections::HashMap, sync::Arc};

use super::ScopeSet;
use crate::InstanceName;

/// The anonymous actor's scopes: one set for all instances, and others in its place for some.
#[derive(Debug)]
pub(super) struct AnonymousScopes {
    /// The first is the one for all instances.
    sets: Vec<Arc<ScopeSet>>,
    places: HashMap<InstanceName, usize>,
}

/// Scopes joined with each of the anonymous sets, so that a request need not join them.
#[derive(Debug)]
pub(super) struct JoinedScopes(Box<[Arc<ScopeSet>]>);

impl AnonymousScopes {
    pub(super) fn new(
        everywhere: ScopeSet,
        instances: impl IntoIterator<Item = (InstanceName, ScopeSet)>,
    ) -> Self {
        let mut sets = vec![Arc::new(everywhere)];
        let places = instances
            .into_iter()
            .map(|(instance, scopes)| {
                let place = sets.iter().position(|set| **set == scopes).unwrap_or(sets.len());
                if place == sets.len() {
                    sets.push(Arc::new(scopes));
                }
                (instance, place)
            })
            .collect();
        Self { sets, places }
    }

    /// What the anonymous actor may do at an instance.
    pub(super) fn at(&self, instance: &InstanceName) -> Arc<ScopeSet> {
        self.sets.get(self.place(instance)).cloned().unwrap_or_default()
    }

    /// What somebody with these scopes may do: nobody has less than the anonymous actor.
    pub(super) fn join(&self, scopes: &ScopeSet) -> JoinedScopes {
        let own = Arc::new(scopes.clone());
        let join = |set: &Arc<ScopeSet>| {
            if set.iter().all(|scope| own.covers(scope)) {
                Arc::clone(&own)
            } else {
                Arc::new(own.union(set))
            }
        };
        JoinedScopes(self.sets.iter().map(join).collect())
    }

    /// The part of joined scopes for an instance.
    pub(super) fn joined_at(&self, joined: &JoinedScopes, instance: &InstanceName) -> Arc<ScopeSet> {
        joined.0.get(self.place(instance)).cloned().unwrap_or_default()
    }

    fn place(&self, instance: &InstanceName) -> usize {
        if self.places.is_empty() { 0 } else { self.places.get(instance).copied().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_its_own_set_or_the_common_one() {
        let set = |text: &str| ScopeSet::parse([text]).unwrap();
        let name = |text: &str| text.parse::<InstanceName>().unwrap();
        let anonymous = AnonymousScopes::new(
            set("npm:package:*:read"),
            [(name("npm-internal"), ScopeSet::nothing()), (name("open"), set("npm:package:*:*"))],
        );
        assert_eq!(*anonymous.at(&name("npm")), set("npm:package:*:read"));
        assert_eq!(*anonymous.at(&name("npm-internal")), ScopeSet::nothing());
        let joined = anonymous.join(&set("npm:package:a:write"));
        assert_eq!(anonymous.joined_at(&joined, &name("npm")).to_strings().len(), 2);
        assert_eq!(*anonymous.joined_at(&joined, &name("npm-internal")), set("npm:package:a:write"));
        assert!(anonymous.joined_at(&joined, &name("open")).to_strings().contains(&"npm:package:*:*".into()));
    }
}
