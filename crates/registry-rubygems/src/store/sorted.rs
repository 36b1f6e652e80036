//! [`SortedMap`]: a sorted map whose copies share whatever neither of them changed.

use std::sync::Arc;

/// A chunk of more entries is cut in two.
const MAX_CHUNK: usize = 512;

/// Values by name, in the order of the names. A copy takes a pointer for each few hundred entries, and a change after it one chunk: so
/// whoever reads a copy keeps nobody from changing the map, and does not make the change cost what the whole map would.
#[derive(Clone, Debug)]
pub(crate) struct SortedMap<V> {
    /// In the order of the names, and none is empty.
    chunks: Vec<Arc<Chunk<V>>>,
}

type Chunk<V> = Vec<(Arc<str>, Arc<V>)>;

impl<V> Default for SortedMap<V> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<V: Clone> SortedMap<V> {
    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(name)?)?;
        let at = chunk.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        chunk.get(at).map(|(_, value)| &**value)
    }

    /// The value of a name to be changed, made where there is none.
    pub(crate) fn edit<T>(
        &mut self,
        name: &str,
        default: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> T,
    ) -> Option<T> {
        if self.chunks.is_empty() {
            self.chunks.push(Arc::default());
        }
        let number = self.chunk_of(name)?;
        let chunk = Arc::make_mut(self.chunks.get_mut(number)?);
        let at = match chunk.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                chunk.insert(at, (name.into(), Arc::new(default())));
                at
            }
        };
        let changed = chunk.get_mut(at).map(|(_, value)| change(Arc::make_mut(value)));
        if chunk.len() > MAX_CHUNK {
            let upper = chunk.split_off(chunk.len() / 2);
            self.chunks.insert(number.saturating_add(1), Arc::new(upper));
        }
        changed
    }

    /// Everything, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// The chunk that a name is in, or would be: the last that does not begin after it.
    fn chunk_of(&self, name: &str) -> Option<usize> {
        let begins_after = |chunk: &Arc<Chunk<V>>| chunk.first().is_some_and(|(first, _)| **first > *name);
        let end = self.chunks.partition_point(|chunk| !begins_after(chunk));
        (!self.chunks.is_empty()).then(|| end.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entries<V: Copy>(map: &SortedMap<V>) -> Vec<(String, V)> {
        map.iter().map(|(name, value)| (name.to_owned(), *value)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_is_a_map_and_copies_stay_what_they_are(names in prop::collection::vec("[a-z]{1,3}", 0..3000), copied_at in 0_usize..3000) {
            let (mut map, mut model) = (SortedMap::default(), BTreeMap::new());
            let mut copies = (map.clone(), model.clone());
            for (at, name) in names.iter().enumerate() {
                if at == copied_at {
                    copies = (map.clone(), model.clone());
                }
                let seen = map.edit(name, || 0_usize, |value| { *value += at; *value });
                let value: &mut usize = model.entry(name.clone()).or_default();
                *value += at;
                prop_assert_eq!(seen, Some(*value));
                prop_assert_eq!(map.get(name), Some(&*value));
            }
            prop_assert_eq!(map.get("A"), None);
            prop_assert_eq!(map.get("zzzz"), None);
            prop_assert_eq!(entries(&map), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(entries(&copies.0), copies.1.into_iter().collect::<Vec<_>>());
            prop_assert!(map.chunks.iter().all(|chunk| (1..=MAX_CHUNK).contains(&chunk.len())));
        }
    }

    #[test]
    fn a_change_after_a_copy_takes_one_chunk() {
        let mut map = SortedMap::default();
        for n in 0..20_000 {
            map.edit(&format!("gem{n:05}"), || n, |_| ());
        }
        let before = map.clone();
        map.edit("gem12345", || 0, |value| *value = 1);
        let shared = map.chunks.iter().zip(&before.chunks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, before.chunks.len() - 1);
        assert_eq!((before.get("gem12345"), map.get("gem12345")), (Some(&12_345), Some(&1)));
    }
}
