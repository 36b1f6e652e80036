//! Documents and their rendered forms in bounded memory.

use std::{
    any::Any,
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use object_store::UpdateVersion;
use parking_lot::Mutex;
use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{self, DefaultLifecycle},
};
use tokio::time::Instant;

use super::{Key, Revision, document::Document, envelope::Decoded};

/// What one entry costs beside its value, roughly.
const ENTRY_OVERHEAD_BYTES: usize = 256;
/// Bytes of a remembered operation id.
const OPERATION_BYTES: usize = 12;
const STRIPES: usize = 64;
/// The cache is split into at most so many parts, each with a lock of its own …
const PARTS: u64 = 4;
/// … and into fewer where a part would be smaller than this: what is larger than a part is never kept, and a document
/// that is read, parsed and rendered for each request is what the cache is there for.
const PART_BYTES: u64 = 32 * 1024 * 1024;

/// A document with what a conditional write needs.
#[derive(Debug)]
pub(crate) struct State<D> {
    pub(crate) decoded: Decoded<D>,
    pub(crate) version: UpdateVersion,
}

/// A cached document with when and how it was last known to be current.
#[derive(Debug)]
pub(crate) struct Fresh<D> {
    pub(crate) state: Arc<State<D>>,
    pub(crate) validated: Instant,
    pub(crate) epoch: u64,
}

/// The cache. Its mutexes are held for moments, never across an await.
pub(crate) struct Cache {
    entries: sync::Cache<EntryKey, Entry, ByBytes>,
    /// Counts the writes of the keys of each stripe, so that a read that began before a write cannot
    /// put back what it found.
    writes: Vec<Mutex<u64>>,
    hasher: RandomState,
    pub(crate) documents: LookUps,
    forms: LookUps,
    data: LookUps,
}

/// When a read began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadMark(u64);

#[derive(Clone, Debug, PartialEq, Eq)]
enum EntryKey {
    Document(Key),
    Derived(Key, Revision, Box<str>),
    Data(Key),
}

/// The same as an [`EntryKey`] without owning it.
enum LookUp<'a> {
    Document(&'a Key),
    Derived(&'a Key, &'a Revision, &'a str),
    Data(&'a Key),
}

impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Document(key) => LookUp::Document(key),
            Self::Derived(key, revision, variant) => LookUp::Derived(key, revision, variant),
            Self::Data(key) => LookUp::Data(key),
        }
        .hash(state);
    }
}

impl Hash for LookUp<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Document(key) | Self::Data(key) => key.hash(state),
            Self::Derived(key, revision, variant) => (key, revision, variant).hash(state),
        }
    }
}

impl Equivalent<EntryKey> for LookUp<'_> {
    fn equivalent(&self, other: &EntryKey) -> bool {
        match (self, other) {
            (Self::Document(key), EntryKey::Document(other)) | (Self::Data(key), EntryKey::Data(other)) => {
                *key == other
            }
            (Self::Derived(key, revision, variant), EntryKey::Derived(other, of, named)) => {
                *key == other && *revision == of && **variant == **named
            }
            _ => false,
        }
    }
}

#[derive(Clone)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    validated: Instant,
    epoch: u64,
    weight: u64,
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl Weighter<EntryKey, Entry> for ByBytes {
    fn weight(&self, _key: &EntryKey, entry: &Entry) -> u64 {
        entry.weight
    }
}

impl Cache {
    /// A cache of about `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        // An estimate of the number of entries, which only sizes tables.
        let entries = usize::try_from(bytes / 16_384).unwrap_or(usize::MAX).clamp(64, 65_536);
        let parts = usize::try_from((bytes / PART_BYTES).clamp(1, PARTS)).unwrap_or(1);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .shards(parts)
            .build();
        let entries = match options {
            Ok(options) => sync::Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // Cannot happen: both capacities are set.
            Err(_) => sync::Cache::with_weighter(entries, bytes, ByBytes),
        };
        Self {
            entries,
            writes: (0..STRIPES).map(|_| Mutex::new(0)).collect(),
            hasher: RandomState::new(),
            documents: LookUps::of("documents"),
            forms: LookUps::of("forms"),
            data: LookUps::of("data"),
        }
    }

    /// The document as it was last read or written here.
    pub(crate) fn document<D: Document>(&self, key: &Key) -> Option<Fresh<D>> {
        let Entry { value, validated, epoch, .. } = self.entries.get(&LookUp::Document(key))?;
        Some(Fresh { state: value.downcast().ok()?, validated, epoch })
    }

    /// To be called before a document is read, for [`Cache::read`].
    pub(crate) fn mark(&self, key: &Key) -> ReadMark {
        ReadMark(self.stripe(key).map_or(0, |writes| *writes.lock()))
    }

    /// Keeps what a read found, unless a write happened meanwhile.
    pub(crate) fn read<D: Document>(&self, key: &Key, fresh: Fresh<D>, mark: ReadMark) {
        if let Some(writes) = self.stripe(key) {
            let writes = writes.lock();
            if *writes == mark.0 {
                self.insert(key, fresh);
            }
        }
    }

    /// To be called before a write is tried: reads under way will not be kept.
    pub(crate) fn writing(&self, key: &Key) {
        if let Some(writes) = self.stripe(key) {
            let mut writes = writes.lock();
            *writes = writes.wrapping_add(1);
        }
    }

    /// Keeps what was written.
    pub(crate) fn wrote<D: Document>(&self, key: &Key, fresh: Fresh<D>) {
        if let Some(writes) = self.stripe(key) {
            let mut writes = writes.lock();
            *writes = writes.wrapping_add(1);
            self.insert(key, fresh);
        }
    }

    /// Forgets a document.
    pub(crate) fn forget(&self, key: &Key) {
        if let Some(writes) = self.stripe(key) {
            let mut writes = writes.lock();
            *writes = writes.wrapping_add(1);
            self.entries.remove(&LookUp::Document(key));
        }
    }

    /// The form of a document at a revision, if it is there.
    pub(crate) fn derived_cached<R: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: &Revision,
        variant: &str,
    ) -> Option<Arc<R>> {
        let entry = self.entries.get(&LookUp::Derived(key, revision, variant));
        let form = entry.and_then(|entry| entry.value.downcast().ok());
        self.forms.looked_up(form.is_some());
        form
    }

    /// The form of a document at a revision, made where it is not there.
    pub(crate) fn derived<R: Send + Sync + 'static>(
        &self,
        key: &Key,
        revision: &Revision,
        variant: &str,
        make: impl FnOnce() -> (R, usize),
    ) -> Arc<R> {
        if let Some(form) = self.derived_cached(key, revision, variant) {
            return form;
        }
        let (form, bytes) = make();
        let form = Arc::new(form);
        let entry = Entry {
            value: Arc::<R>::clone(&form),
            validated: Instant::now(),
            epoch: 0,
            weight: weight(bytes),
        };
        self.entries.insert(EntryKey::Derived(key.clone(), revision.clone(), variant.into()), entry);
        form
    }

    /// The bytes of a small data object, if they are here. They never change.
    pub(crate) fn data(&self, key: &Key) -> Option<Bytes> {
        let entry = self.entries.get(&LookUp::Data(key));
        let bytes = entry.and_then(|entry| entry.value.downcast_ref::<Bytes>().cloned());
        self.data.looked_up(bytes.is_some());
        bytes
    }

    /// Keeps the bytes of a small data object.
    pub(crate) fn keep_data(&self, key: &Key, bytes: Bytes) {
        let weight = weight(bytes.len().saturating_add(key.as_str().len()));
        let entry = Entry { value: Arc::new(bytes), validated: Instant::now(), epoch: 0, weight };
        self.entries.insert(EntryKey::Data(key.clone()), entry);
    }

    /// Forgets the bytes of a data object.
    pub(crate) fn forget_data(&self, key: &Key) {
        self.entries.remove(&LookUp::Data(key));
    }

    fn insert<D: Document>(&self, key: &Key, Fresh { state, validated, epoch }: Fresh<D>) {
        let Decoded { document, operations, encoded_bytes } = &state.decoded;
        let bytes = document
            .value
            .weight(*encoded_bytes)
            .saturating_add(operations.len().saturating_mul(OPERATION_BYTES))
            .saturating_add(key.as_str().len());
        self.entries.insert(
            EntryKey::Document(key.clone()),
            Entry { value: state, validated, epoch, weight: weight(bytes) },
        );
    }

    fn stripe(&self, key: &Key) -> Option<&Mutex<u64>> {
        let hash = self.hasher.hash_one(key) % STRIPES as u64;
        self.writes.get(usize::try_from(hash).unwrap_or(0))
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("entries", &self.entries.len())
            .field("bytes", &self.entries.weight())
            .finish_non_exhaustive()
    }
}

/// How long a cached document is used without asking the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// Until another process says that it wrote something.
    Epoch,
    /// For this long.
    Staleness(Duration),
}

/// Counts hits and misses. The metrics' recorder has to be there before the storage is opened.
pub(crate) struct LookUps {
    hits: metrics::Counter,
    misses: metrics::Counter,
}

impl LookUps {
    fn of(cache: &'static str) -> Self {
        metrics::describe_counter!(
            "cache_lookups_total",
            "Documents and their rendered forms looked up in memory"
        );
        let counter =
            |outcome| metrics::counter!("cache_lookups_total", "cache" => cache, "outcome" => outcome);
        Self { hits: counter("hit"), misses: counter("miss") }
    }

    pub(crate) fn looked_up(&self, hit: bool) {
        if hit { self.hits.increment(1) } else { self.misses.increment(1) }
    }
}

fn weight(bytes: usize) -> u64 {
    bytes.saturating_add(ENTRY_OVERHEAD_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_a_third_of_the_cache_is_kept_however_many_cores_there_are() {
        for megabytes in [1_usize, 64, 256] {
            let bytes = megabytes << 20;
            let cache = Cache::new(bytes as u64);
            // Of the usual cache a third; of a larger one, whose parts have locks of their own, at least as much.
            let size = (bytes / 3).min(21 << 20);
            let (key, revision) = (Key::from_encoded("a"), Revision(Arc::from("1")));
            let made = cache.derived(&key, &revision, "full", || ("form", size));
            let found = cache.derived_cached::<&str>(&key, &revision, "full");
            assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &made)), "{megabytes} MiB");
        }
    }
}
