//! What a push, and what is made of the log, costs in a registry that is small, larger, and large. `TEST_FULL=1` goes up to a hundred
//! thousand versions and prints what was measured.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::try_join_all;
use metrics::{Counter, Gauge, Histogram, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use registry_core::{
    Instance, Protocol,
    clock::SystemClock,
    storage::{Draft, Storage, StorageOptions, Store, UnknownFields},
};
use tokio_util::task::TaskTracker;

use super::{
    announce::Announcer,
    changes,
    gem::{Gem, Release},
    key,
};
use crate::wire::{
    spec::tests::{demo, now},
    specs::{self, SpecsKind},
};

/// Each gem has so many versions.
const VERSIONS: usize = 10;
/// So many pushes are measured: in most runs of this length the tail of the log becomes a segment.
const PUSHES: usize = 400;

/// Counts what a store is asked.
#[derive(Debug, Default)]
struct Requests(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Requests {
    fn sum(&self) -> u64 {
        self.0.lock().values().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }
}

impl Recorder for Requests {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.0.lock();
        let counter = counters.entry(key.to_string()).or_default();
        if key.name() == "storage_operations_total" {
            Counter::from_arc(Arc::clone(counter))
        } else {
            Counter::noop()
        }
    }

    fn register_gauge(&self, _: &metrics::Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &metrics::Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// A server on a store that is watched.
struct Server {
    requests: Arc<Requests>,
    storage: Storage,
    store: Store,
    announcer: Arc<Announcer>,
}

fn release(gem: usize, version: usize) -> Release {
    let mut spec = demo();
    spec.name = format!("gem-number-{gem}").parse().unwrap();
    spec.version = format!("1.{version}.0").parse().unwrap();
    Release {
        spec,
        created: now(),
        pusher: "alice".to_owned(),
        sha256: "0".repeat(64),
        data: None,
        yanked: None,
        unknown: UnknownFields::default(),
    }
}

impl Server {
    /// With so many versions in it.
    async fn with(versions: usize) -> Self {
        let requests = Arc::new(Requests::default());
        let storage = metrics::with_local_recorder(&*requests, || Storage::memory(StorageOptions::default()));
        let store = storage.store(&Instance::new(Protocol::Rubygems.into(), Protocol::Rubygems, Vec::new()));
        let server = Self { requests, announcer: announcer(&store), storage, store };
        let gems: Vec<usize> = (0..versions / VERSIONS).collect();
        for batch in gems.chunks(500) {
            let announced = batch.iter().map(|gem| async {
                let releases: Vec<Release> = (0..VERSIONS).map(|version| release(*gem, version)).collect();
                let name = releases[0].spec.name.clone();
                let change = move |draft: &mut Draft<Gem>| {
                    releases.iter().try_for_each(|release| changes::add(draft, release, usize::MAX).map(drop))
                };
                server.store.update(&key(&server.store, &name), change).await.unwrap();
                server.announcer.announce(&name).await
            });
            try_join_all(announced).await.unwrap();
        }
        server
    }

    /// What a registry does for a push, without its bytes.
    async fn push(&self, release: Release) {
        let name = release.spec.name.clone();
        let marker = self.announcer.mark(&name).await.unwrap();
        let change = move |draft: &mut Draft<Gem>| changes::add(draft, &release, usize::MAX);
        self.store.update(&key(&self.store, &name), change).await.unwrap();
        self.announcer.announce(&name).await.unwrap();
        drop(marker);
    }

    /// Key, size and time of everything in the folder of the log.
    async fn log_objects(&self) -> HashSet<(String, u64, SystemTime)> {
        let entries = self.store.list(&self.store.key().fixed("index").build()).await.unwrap();
        entries.into_iter().map(|entry| (entry.key.to_string(), entry.size, entry.modified)).collect()
    }
}

fn announcer(store: &Store) -> Arc<Announcer> {
    Arc::new(Announcer::new(store.clone(), Arc::new(SystemClock), TaskTracker::new(), 1 << 20))
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// What a push took.
#[derive(Debug)]
struct Cost {
    requests: f64,
    log_bytes: f64,
    median: Duration,
    longest: Duration,
}

async fn cost(server: &Server, gems: usize) -> Cost {
    let (mut bytes, mut times) = (0, Vec::new());
    server.storage.drained().await;
    let asked = server.requests.sum();
    let mut lists = 0;
    let mut before = server.log_objects().await;
    lists += 1;
    // Readers hold the sum of the log while it changes.
    for number in 0..PUSHES {
        let reader = server.announcer.stored().await.unwrap();
        // One in three is a gem's first version.
        let release =
            if number % 3 == 0 { release(gems + number, 0) } else { release(number * 7 % gems, 10 + number) };
        let begun = Instant::now();
        server.push(release).await;
        times.push(begun.elapsed());
        drop(reader);
        let after = server.log_objects().await;
        lists += 1;
        bytes += after.difference(&before).map(|(_, size, _)| size).sum::<u64>();
        before = after;
    }
    server.storage.drained().await;
    times.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let mean = |sum: u64| sum as f64 / PUSHES as f64;
    Cost {
        requests: mean(server.requests.sum() - asked - lists),
        log_bytes: mean(bytes),
        median: times[PUSHES / 2],
        longest: times[PUSHES - 1],
    }
}

/// What a server takes that has just come and is asked for every list.
async fn lists(server: &Server) -> String {
    let before = resident();
    let begun = Instant::now();
    let fresh = announcer(&server.store);
    let snapshot = fresh.snapshot().await.unwrap();
    let (read, held) = (begun.elapsed(), resident().saturating_sub(before));
    let begun = Instant::now();
    let digests = snapshot.log.content_digests(&fresh.key()).unwrap();
    let head = begun.elapsed();
    let begun = Instant::now();
    let list = specs::render(SpecsKind::Releases, snapshot.index.listed(&|_| true));
    let packed = specs::gzip(&list);
    let rendered = begun.elapsed();
    format!(
        "log {} bytes in {} segments, digests {} in {head:?}; its sum read in {read:?}, {held} KiB; specs {} bytes, {} packed, in {rendered:?}, \
         {} KiB more at the end",
        snapshot.log.length(),
        snapshot.log.segments.len(),
        hex::encode(digests.md5),
        list.len(),
        packed.len(),
        resident().saturating_sub(before),
    )
}

#[tokio::test]
async fn a_push_costs_the_same_however_much_there_is() {
    let is_full = std::env::var_os("TEST_FULL").is_some_and(|value| value == "1");
    let sizes: &[usize] = if is_full { &[1_000, 10_000, 100_000] } else { &[500, 4_000] };
    let mut costs = Vec::new();
    for versions in sizes {
        let server = Server::with(*versions).await;
        let cost = cost(&server, versions / VERSIONS).await;
        println!("{versions} versions: {cost:?}; {}", lists(&server).await);
        costs.push(cost);
    }
    let (small, large) = (&costs[0], &costs[costs.len() - 1]);
    // A marker, the document, the head, and the marker's end. A document that is not in memory any more is asked for.
    assert!(costs.iter().all(|cost| cost.requests < 5.5), "{costs:?}");
    // The head is written with every push, and holds 32 KiB at most before they become a segment.
    assert!(costs.iter().all(|cost| cost.log_bytes < f64::from(48 << 10)), "{costs:?}");
    assert!(large.median < small.median * if is_full { 10 } else { 4 }, "{costs:?}");
    assert!(large.longest < Duration::from_secs(10), "{costs:?}");
}
