//! The catalog of one and of several servers.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::*;
use crate::{
    Administration, Instance, Maintenance, Protocol, Request, Response, Services,
    auth::DefaultAuthProvider,
    clock::SystemClock,
    maintenance::{GcRun, VerifyRun},
    storage::StorageOptions,
};

fn npm() -> InstanceName {
    Protocol::Npm.into()
}

fn entry(name: &str, second: i64) -> CatalogEntry {
    let mut entry = CatalogEntry::new(name, DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap());
    entry.latest = Some(format!("{second}.0.0"));
    entry
}

fn stored(storage: &Storage) -> Catalog {
    Catalog::stored(storage, Arc::new(SystemClock))
}

fn memory() -> Storage {
    Storage::memory(StorageOptions::default())
}

async fn names(catalog: &Catalog) -> Vec<String> {
    catalog.all(&npm()).await.unwrap().iter().map(|entry| entry.name.clone()).collect()
}

/// A registry in which these packages exist.
#[derive(Debug)]
struct Told {
    instance: Instance,
    services: Services,
    packages: Mutex<Vec<CatalogEntry>>,
    /// What happens while it tells of them.
    meanwhile: Mutex<Vec<CatalogEntry>>,
}

impl Told {
    fn new(storage: &Storage, catalog: &Catalog, packages: &[CatalogEntry]) -> Arc<Self> {
        let auth = Arc::new(DefaultAuthProvider::open().unwrap());
        Arc::new(Self {
            instance: Instance::new(npm(), Protocol::Npm, vec!["/npm".parse().unwrap()]),
            services: Services::new(storage.clone(), auth, catalog.clone()),
            packages: Mutex::new(packages.to_vec()),
            meanwhile: Mutex::default(),
        })
    }
}

#[async_trait]
impl PackageRegistry for Told {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    async fn handle(&self, _request: Request) -> Response {
        Response::default()
    }

    fn client_settings(&self, _base_url: &str) -> String {
        String::new()
    }
}

impl Administration for Told {}

#[async_trait]
impl Maintenance for Told {
    async fn collect_garbage(&self, _run: &GcRun) -> Result<(), StorageError> {
        Ok(())
    }

    async fn verify(&self, _run: &VerifyRun) -> Result<(), StorageError> {
        Ok(())
    }

    async fn rebuild_catalog(&self) -> Result<(), StorageError> {
        let packages = self.packages.lock().clone();
        let meanwhile = std::mem::take(&mut *self.meanwhile.lock());
        let catalog = self.services.catalog.clone();
        let publish = tokio::spawn(async move {
            for entry in meanwhile {
                catalog.changed(&npm(), &entry.name.clone(), Some(entry));
            }
        });
        publish.await.unwrap();
        for entry in packages {
            self.services.catalog.changed(&npm(), &entry.name.clone(), Some(entry));
        }
        Ok(())
    }
}

fn registries(told: &Arc<Told>) -> Vec<Arc<dyn PackageRegistry>> {
    vec![Arc::<Told>::clone(told)]
}

#[tokio::test]
async fn pages_are_in_byte_order_and_filtered() {
    for catalog in [Catalog::memory(), stored(&memory())] {
        for name in ["b", "a", "B", "@x/y", "c"] {
            catalog.changed(&npm(), name, Some(entry(name, 1)));
        }
        catalog.changed(&"other".parse().unwrap(), "z", Some(entry("z", 1)));
        catalog.changed(&npm(), "c", None);
        let page = async |after: Option<&str>, limit, filter: &(dyn Fn(&str) -> bool + Sync)| {
            let page = catalog.page(&npm(), after, limit, filter).await.unwrap();
            page.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 10, &|_| true).await, ["@x/y", "B", "a", "b"]);
        assert_eq!(page(Some("B"), 1, &|_| true).await, ["a"]);
        assert_eq!(page(Some("AA"), 10, &|name| name != "a").await, ["B", "b"]);
        assert_eq!(page(Some("b"), 10, &|_| true).await, [""; 0]);
        assert_eq!(page(None, 0, &|_| true).await, [""; 0]);
        catalog.shutdown().await;
    }
}

#[tokio::test]
async fn calls_in_the_wrong_order_do_not_turn_back_time() {
    let catalog = Catalog::memory();
    catalog.changed(&npm(), "a", Some(entry("a", 2)));
    catalog.changed(&npm(), "a", Some(entry("a", 1)));
    assert_eq!(catalog.all(&npm()).await.unwrap()[0].latest.as_deref(), Some("2.0.0"));
    // But what was unpublished and published again is as it says.
    catalog.changed(&npm(), "a", None);
    catalog.changed(&npm(), "a", Some(entry("a", 1)));
    assert_eq!(catalog.all(&npm()).await.unwrap()[0].latest.as_deref(), Some("1.0.0"));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_too_large_or_too_deep_does_not_spoil_the_others() {
    let storage = memory();
    let (one, two) = (stored(&storage), stored(&storage));
    let mut deep = entry("deep", 1);
    deep.details = (0..126).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
    let mut large = entry("large", 1);
    large.summary = Some("x".repeat(5 << 20));
    let mut usual = entry("usual", 1);
    usual.details = (0..31).fold(serde_json::Value::Null, |inner, _| serde_json::json!({"a": inner}));
    for entry in [&deep, &large, &usual] {
        one.changed(&npm(), &entry.name, Some(entry.clone()));
    }
    one.flush().await.unwrap();
    for catalog in [&one, &two] {
        let found = catalog.all(&npm()).await.unwrap();
        let bare = |name: &str| Arc::new(entry(name, 1));
        assert_eq!(found, [bare("deep"), bare("large"), Arc::new(usual.clone())]);
    }
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn another_server_knows_within_five_seconds() {
    let storage = memory();
    let (one, two) = (stored(&storage), stored(&storage));
    one.changed(&npm(), "before", Some(entry("before", 1)));
    assert_eq!(names(&one).await, ["before"]);
    assert_eq!(names(&two).await, [""; 0]);
    for (name, second) in [("a", 1), ("b", 2), ("a", 3)] {
        let told = Instant::now();
        one.changed(&npm(), name, Some(entry(name, second)));
        assert!(names(&one).await.contains(&name.to_owned()));
        loop {
            let known = two.all(&npm()).await.unwrap();
            if known.iter().any(|known| *known.as_ref() == entry(name, second)) {
                break;
            }
            assert!(told.elapsed() < Duration::from_secs(5), "{known:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(names(&two).await, ["a", "b", "before"]);
    two.changed(&npm(), "a", None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(names(&one).await, ["b", "before"]);
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_few_writes() {
    let storage = memory();
    let catalog = stored(&storage);
    for n in 0..1000 {
        catalog.changed(&npm(), &format!("package-{}", n % 300), Some(entry("x", n)));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let segments = stream::list(&storage.system()).await.unwrap();
    assert_eq!(segments.values().map(Vec::len).sum::<usize>(), 1);
}

#[tokio::test]
async fn what_is_pending_is_written_at_the_end() {
    let storage = memory();
    let one = stored(&storage);
    let told = Told::new(&storage, &one, &[]);
    one.start(&registries(&told)).await.unwrap();
    for n in 0..1200 {
        let name = format!("{n:04}");
        one.changed(&npm(), &name, Some(entry(&name, n)));
    }
    one.shutdown().await;
    assert_eq!(names(&stored(&storage)).await.len(), 1200);
    // It ended in order, but the first start had no catalog to begin with.
    let markers = storage.system().list(&storage.system().key().fixed("servers").build()).await.unwrap();
    assert!(markers.len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_publish_and_stream_is_healed() {
    let storage = memory();
    let one = stored(&storage);
    let told = Told::new(&storage, &one, &[entry("old", 1), entry("gone", 1)]);
    one.start(&registries(&told)).await.unwrap();
    // The first start on a store makes the catalog.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(names(&one).await, ["gone", "old"]);
    one.changed(&npm(), "lost", Some(entry("lost", 2)));
    drop((one, told));

    let two = stored(&storage);
    assert_eq!(names(&two).await, ["gone", "old"]);
    let told = Told::new(&storage, &two, &[entry("old", 3), entry("lost", 2), entry("busy", 1)]);
    told.meanwhile.lock().extend([entry("busy", 9), entry("new", 9)]);
    two.start(&registries(&told)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(names(&two).await, ["busy", "lost", "new", "old"]);
    let all = two.all(&npm()).await.unwrap();
    // What was published while the registry told what it had read before stands.
    assert_eq!(*all[0], entry("busy", 9));
    assert_eq!(*all[3], entry("old", 3));
    two.shutdown().await;

    // Now everything ended in order: the next start asks no registry.
    let three = stored(&storage);
    let told = Told::new(&storage, &three, &[]);
    three.start(&registries(&told)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(names(&three).await, ["busy", "lost", "new", "old"]);
}

#[tokio::test(start_paused = true)]
async fn snapshots_sum_up_the_streams() {
    let storage = memory();
    let (one, sleeper) = (stored(&storage), stored(&storage));
    one.changed(&npm(), "first", Some(entry("first", 1)));
    one.flush().await.unwrap();
    assert_eq!(names(&sleeper).await, ["first"]);
    for n in 0..210 {
        let name = format!("package-{:02}", n % 50);
        one.changed(&npm(), &name, Some(entry(&name, n)));
        one.flush().await.unwrap();
    }
    one.changed(&npm(), "first", None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let store = storage.system();
    let head = snapshot::head(&store).await.unwrap().unwrap();
    assert_eq!(head.covered.values().sum::<u64>(), 212);
    // As if the snapshot's grace were over: nobody finds the segments any more.
    for segment in stream::list(&store).await.unwrap().into_values().flatten() {
        store.remove(&segment.key).await.unwrap();
    }
    for catalog in [&one, &sleeper, &stored(&storage)] {
        let all = catalog.all(&npm()).await.unwrap();
        assert_eq!(all.len(), 50);
        assert_eq!(*all[9], entry("package-09", 209));
    }
    // And it goes on from there.
    one.changed(&npm(), "later", Some(entry("later", 1)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    for catalog in [&one, &sleeper, &stored(&storage)] {
        assert_eq!(catalog.all(&npm()).await.unwrap().len(), 51);
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_read_is_made_anew() {
    let storage = memory();
    let one = stored(&storage);
    let told = Told::new(&storage, &one, &[entry("a", 1)]);
    one.rescan(&registries(&told)).await.unwrap();
    one.shutdown().await;
    let store = storage.system();
    let head = snapshot::head(&store).await.unwrap().unwrap();
    store.remove(&head.entries.key).await.unwrap();

    let two = stored(&storage);
    let told = Told::new(&storage, &two, &[entry("a", 1), entry("b", 1)]);
    two.start(&registries(&told)).await.unwrap();
    let _first = names(&two).await;
    two.changed(&npm(), "c", Some(entry("c", 1)));
    told.packages.lock().push(entry("c", 1));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(names(&two).await, ["a", "b", "c"]);
    assert_eq!(names(&stored(&storage)).await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_while_it_loads_are_not_lost() {
    let storage = memory();
    let one = stored(&storage);
    for n in 0..300 {
        let name = format!("{n:03}");
        one.changed(&npm(), &name, Some(entry(&name, 1)));
    }
    one.shutdown().await;
    let two = stored(&storage);
    let teller = two.clone();
    let told = tokio::spawn(async move {
        for n in 300..600 {
            let name = format!("{n:03}");
            teller.changed(&npm(), &name, Some(entry(&name, 1)));
            if n % 20 == 0 {
                teller.flush().await.unwrap();
            }
        }
    });
    let _while_loading = names(&two).await;
    told.await.unwrap();
    assert_eq!(names(&two).await.len(), 600);
    two.shutdown().await;
    assert_eq!(names(&stored(&storage)).await.len(), 600);
}
