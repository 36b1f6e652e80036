//! Packages of which each is a folder: one arbiter document that names the data objects beside it.
//!
//! ```text
//! <root>/<package>/<document>         names data, live and of what was removed
//! <root>/<package>/-/<file>~<random>  data
//! ```

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{GcRun, VerifyRun};
use crate::storage::{
    DataRef, Digests, Document, Key, ListEntry, StorageError, Store, Versioned, WantedDigests,
};

/// A package's arbiter document, as garbage collection sees it.
pub trait PackageDocument: Document {
    /// The data of what can be read.
    fn live_data(&self) -> Vec<&DataRef>;

    /// The data of what was removed, and when it was.
    fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)>;

    /// Stops naming the data of what was removed at a time for which `is_over` holds. The tombstone itself stays.
    fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool);
}

/// The packages below a folder.
#[derive(Clone, Debug)]
pub struct PackageFolders {
    store: Store,
    root: Key,
    document: &'static str,
}

/// The objects of one package.
#[derive(Default)]
struct Objects {
    document: Option<Key>,
    data: Vec<ListEntry>,
}

impl PackageFolders {
    /// Those below `root`, whose documents have this file name.
    pub fn new(store: &Store, root: Key, document: &'static str) -> Self {
        Self { store: store.clone(), root, document }
    }

    /// The documents' keys, sorted.
    pub async fn documents(&self) -> Result<Vec<Key>, StorageError> {
        Ok(self.objects().await?.into_values().filter_map(|objects| objects.document).collect())
    }

    /// A package's document, for what is made from all of them. `None` where it is gone, or damaged: `verify` reports that, and the
    /// others are still to be found.
    pub async fn read<D: Document>(&self, key: &Key) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        match self.store.read::<D>(key).await {
            Err(error @ StorageError::Damaged { .. }) => {
                tracing::error!(key = key.as_str(), %error, "a package's document cannot be read and is left out");
                Ok(None)
            }
            read => read,
        }
    }

    /// Removes the data of what was removed a grace ago, and data that no document names and that is older than the run's minimum
    /// age. Safe beside writers and other runs: a document stops naming data before the data goes.
    pub async fn collect_garbage<D: PackageDocument>(&self, run: &GcRun) -> Result<(), StorageError> {
        // The listing comes first: what it holds and the document, read then, does not name, nobody is about to name.
        for objects in self.objects().await?.into_values() {
            run.report.examined();
            let mut named = HashSet::new();
            let mut over = HashSet::new();
            if let Some(key) = &objects.document
                && let Some(document) = self.store.read::<D>(key).await?
            {
                named.extend(document.live_data().into_iter().map(|data| data.key.clone()));
                for (at, data) in document.removed_data() {
                    let keys = if run.is_over(at) { &mut over } else { &mut named };
                    keys.insert(data.key.clone());
                }
                if !over.is_empty() && !run.dry_run {
                    self.forget::<D>(run, key).await?;
                }
            }
            for entry in objects.data.iter().filter(|entry| !named.contains(&entry.key)) {
                if over.contains(&entry.key) || run.is_abandoned(entry) {
                    run.remove(&self.store, entry).await?;
                }
            }
        }
        Ok(())
    }

    async fn forget<D: PackageDocument>(&self, run: &GcRun, key: &Key) -> Result<(), StorageError> {
        let run = run.clone();
        let change = move |draft: &mut crate::storage::Draft<D>| {
            let is_over = |at| run.is_over(at);
            let any = draft
                .get()
                .is_some_and(|document| document.removed_data().into_iter().any(|(at, _)| is_over(at)));
            if any && let Some(document) = draft.edit() {
                document.forget_data(&is_over);
            }
            Ok::<(), StorageError>(())
        };
        self.store.update(key, change).await.map(drop)
    }

    /// All objects, package by package.
    async fn objects(&self) -> Result<BTreeMap<String, Objects>, StorageError> {
        let mut found: BTreeMap<String, Objects> = BTreeMap::new();
        for entry in self.store.list(&self.root).await? {
            let text = entry.key.as_str().to_owned();
            let folder = text.strip_suffix(self.document).and_then(|folder| folder.strip_suffix('/'));
            if let Some(folder) = folder {
                found.entry(folder.to_owned()).or_default().document = Some(entry.key);
            } else if let Some((folder, _)) = text.rsplit_once("/-/") {
                found.entry(folder.to_owned()).or_default().data.push(entry);
            }
        }
        Ok(found)
    }
}

impl GcRun {
    /// Whether the grace has passed since then.
    pub fn is_over(&self, since: DateTime<Utc>) -> bool {
        let grace = chrono::Duration::from_std(self.grace).unwrap_or(chrono::Duration::MAX);
        since.checked_add_signed(grace).is_some_and(|end| end <= self.now)
    }

    /// Whether an object that nothing names is old enough to go: no write is under way that is about to name it.
    pub fn is_abandoned(&self, entry: &ListEntry) -> bool {
        entry.age(self.now) > self.minimum_age
    }

    /// Removes an object, or only reports it in a dry run.
    pub async fn remove(&self, store: &Store, entry: &ListEntry) -> Result<(), StorageError> {
        if !self.dry_run {
            store.remove(&entry.key).await?;
        }
        self.report.removed(entry.key.as_str(), entry.size);
        Ok(())
    }
}

impl VerifyRun {
    /// Reads a document. `None` where it is not there or damaged, which is reported; an error where it cannot be looked at now, or
    /// a newer version wrote it.
    pub async fn read<D: Document>(
        &self,
        store: &Store,
        key: &Key,
    ) -> Result<Option<Arc<Versioned<D>>>, StorageError> {
        self.report.examined();
        match store.read::<D>(key).await {
            Ok(document) => Ok(document),
            Err(error @ (StorageError::Unavailable { .. } | StorageError::Newer { .. })) => Err(error),
            Err(error) => {
                self.report.fault(format!("{key}: {error}"));
                Ok(None)
            }
        }
    }

    /// Hashes a data object again and reports what is not as the document says; `what` tells the reader which it is. Returns its digests
    /// where it could be read, for what else a document says of it.
    pub async fn check_data(
        &self,
        store: &Store,
        what: &str,
        data: &DataRef,
        wanted: WantedDigests,
    ) -> Result<Option<Digests>, StorageError> {
        let (size, digests) = match store.hash_artifact(std::slice::from_ref(data), wanted).await {
            Ok(found) => found,
            Err(error @ StorageError::Unavailable { .. }) => return Err(error),
            Err(error) => {
                self.report.fault(format!("{what}: {error}"));
                return Ok(None);
            }
        };
        if size != data.size {
            self.report.fault(format!("{what}: it has {size} bytes instead of {}", data.size));
        }
        if data.sha256.as_ref().is_some_and(|sha256| *sha256 != digests.sha256) {
            self.report.fault(format!("{what}: its SHA-256 is {}", digests.sha256));
        }
        Ok(Some(digests))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        Instance, Protocol,
        storage::{ArtifactSpec, Storage, StorageOptions},
    };

    #[derive(Clone, Debug, Default, Serialize, Deserialize)]
    struct Package {
        live: Vec<DataRef>,
        removed: Vec<(DateTime<Utc>, Vec<DataRef>)>,
    }

    impl Document for Package {
        const SCHEMA: u32 = 1;
    }

    impl PackageDocument for Package {
        fn live_data(&self) -> Vec<&DataRef> {
            self.live.iter().collect()
        }

        fn removed_data(&self) -> Vec<(DateTime<Utc>, &DataRef)> {
            self.removed.iter().flat_map(|(at, data)| data.iter().map(|data| (*at, data))).collect()
        }

        fn forget_data(&mut self, is_over: &dyn Fn(DateTime<Utc>) -> bool) {
            for (_, data) in self.removed.iter_mut().filter(|(at, _)| is_over(*at)) {
                data.clear();
            }
        }
    }

    struct Bench {
        store: Store,
        folders: PackageFolders,
        key: Key,
    }

    impl Bench {
        fn new() -> Self {
            let storage = Storage::memory(StorageOptions::default());
            let store = storage.store(&Instance::new(Protocol::Npm.into(), Protocol::Npm, Vec::new()));
            let root = store.key().fixed("packages").build();
            let key = root.child().segment("lib").fixed("package.json").build();
            Self { folders: PackageFolders::new(&store, root, "package.json"), store, key }
        }

        async fn write(&self, content: &'static [u8]) -> DataRef {
            let key = self.store.key().fixed("packages").segment("lib").fixed("-").segment("lib.tgz").build();
            let bytes = Bytes::from_static(content);
            self.store.write_artifact_bytes(&key, bytes, ArtifactSpec::default()).await.unwrap().keep()
        }

        async fn put(&self, package: Package) {
            let change = move |draft: &mut crate::storage::Draft<Package>| {
                draft.set(package.clone());
                Ok::<(), StorageError>(())
            };
            self.store.update(&self.key, change).await.unwrap();
        }

        async fn keys(&self) -> Vec<Key> {
            let all = self.store.list(&self.store.key().build()).await.unwrap();
            all.into_iter().map(|entry| entry.key).filter(|key| key.as_str().contains('~')).collect()
        }

        async fn collect(&self, at: DateTime<Utc>, dry_run: bool) -> u64 {
            let run = GcRun::new(at, Duration::from_hours(24), dry_run);
            self.folders.collect_garbage::<Package>(&run).await.unwrap();
            run.report.removed_count().0
        }
    }

    #[tokio::test]
    async fn what_was_removed_goes_after_its_grace_and_what_nobody_names_after_an_hour() {
        let bench = Bench::new();
        let now = Utc::now();
        let hours = chrono::Duration::hours;
        let live = bench.write(b"live").await;
        let (old, young) = (bench.write(b"old").await, bench.write(b"young").await);
        let stray = bench.write(b"stray").await;
        let removed = vec![(now - hours(25), vec![old.clone()]), (now - hours(23), vec![young.clone()])];
        bench.put(Package { live: vec![live.clone()], removed }).await;
        assert_eq!(bench.folders.documents().await.unwrap(), std::slice::from_ref(&bench.key));

        assert_eq!(bench.collect(now, true).await, 1);
        assert_eq!(bench.keys().await.len(), 4);
        assert_eq!(bench.collect(now, false).await, 1);
        assert!(!bench.keys().await.contains(&old.key));
        let document = bench.store.read::<Package>(&bench.key).await.unwrap().unwrap();
        assert!(document.removed[0].1.is_empty() && document.removed[1].1 == [young.clone()]);
        assert_eq!(bench.collect(now, false).await, 0);

        // The stray was written just now; two hours later it is nobody's.
        assert_eq!(bench.collect(now + hours(2), false).await, 2);
        assert_eq!(bench.keys().await, [live.key]);
        assert!(bench.store.read_artifact(&[stray], None).await.is_err());
    }

    #[tokio::test]
    async fn data_without_a_document_goes_and_faults_are_told() {
        let bench = Bench::new();
        let data = bench.write(b"content").await;
        let run = VerifyRun::default();
        let wanted = WantedDigests { md5: true, ..WantedDigests::default() };
        let digests = run.check_data(&bench.store, "lib", &data, wanted).await.unwrap().unwrap();
        assert_eq!(digests, Digests::of(b"content", wanted));
        assert!(run.report.faults().is_empty());
        let wrong = DataRef { sha256: Some("0".repeat(64)), ..data.clone() };
        run.check_data(&bench.store, "lib", &wrong, wanted).await.unwrap();
        assert!(run.report.faults()[0].starts_with("lib: its SHA-256 is "), "{:?}", run.report.faults());
        assert_eq!(bench.collect(Utc::now() + chrono::Duration::hours(2), false).await, 1);
        assert_eq!(run.check_data(&bench.store, "lib", &data, wanted).await.unwrap(), None);
        assert_eq!(run.report.faults().len(), 2);
        assert!(run.read::<Package>(&bench.store, &bench.key).await.unwrap().is_none());
        assert_eq!(run.report.examined_count(), 1);
    }

    #[tokio::test]
    async fn a_damaged_document_is_left_out() {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        struct Odd {
            live: String,
        }

        impl Document for Odd {
            const SCHEMA: u32 = 1;
        }

        let bench = Bench::new();
        assert!(bench.folders.read::<Package>(&bench.key).await.unwrap().is_none());
        bench.store.create(&bench.key, Odd { live: "no list".to_owned() }).await.unwrap();
        let read = bench.store.read::<Package>(&bench.key).await;
        assert!(matches!(read, Err(StorageError::Damaged { .. })), "{read:?}");
        assert!(bench.folders.read::<Package>(&bench.key).await.unwrap().is_none());
    }
}
