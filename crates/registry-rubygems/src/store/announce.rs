//! Keeping the log in step with the gems' documents.
//!
//! One rule makes every append right, whoever does it and however many do: read the log's head, then the gems' documents, and write the
//! head only if it is still the one that was read. Whatever is in the log about a gem was then rendered from a document that is no newer
//! than the one that was read here, so the last line of each gem is never older than its documents.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use registry_core::{
    clock::Clock,
    storage::{
        Created, DataRef, Draft, Key, PendingArtifact, Revision, StorageError, Store, UpdateError, Versioned,
    },
};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{
    folders,
    gem::Gem,
    index::Index,
    key,
    log::{FORM, Log},
    pending::Looked,
};
use crate::names::GemName;

/// How often an append is tried when other nodes append at the same time.
const ATTEMPTS: u32 = 24;
/// The first and the longest wait between attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// So many documents are read at once.
pub(super) const READS: usize = 16;

/// Who keeps the log. One for each instance and process: its appends go one after the other, many gems in one write.
#[derive(Debug)]
pub(crate) struct Announcer {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    /// What must end although nobody waits for it.
    pub(super) tasks: TaskTracker,
    /// When markers were last looked for.
    pub(super) looked: Looked,
    /// The least growth after which the log is written anew.
    log_bytes: u64,
    /// Gems that wait to be announced, and who waits for it.
    waiting: Mutex<Vec<Waiting>>,
    /// Held by who appends.
    turn: tokio::sync::Mutex<()>,
    /// The log's sum, as far as it was read.
    index: Mutex<Arc<Index>>,
}

/// A gem that is to be announced, and who waits for it.
#[derive(Debug)]
struct Waiting {
    name: GemName,
    answer: oneshot::Sender<Result<(), Failed>>,
}

/// Why the append that somebody waited for failed.
#[derive(Clone, Debug)]
struct Failed(Arc<StorageError>);

impl Failed {
    fn into_error(self) -> StorageError {
        match Arc::try_unwrap(self.0) {
            Ok(error) => error,
            Err(shared) => StorageError::Unavailable {
                key: "the log of versions".to_owned(),
                source: shared.to_string().into(),
            },
        }
    }
}

/// Somebody else changed the log meanwhile.
#[derive(Debug)]
struct Moved;

/// The log as it is now, with its sum.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) log: Arc<Versioned<Log>>,
    pub(crate) index: Arc<Index>,
}

impl Announcer {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, tasks: TaskTracker, log_bytes: u64) -> Self {
        Self {
            store,
            clock,
            tasks,
            looked: Looked::default(),
            log_bytes,
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            index: Mutex::default(),
        }
    }

    /// Where the log's head is.
    pub(crate) fn key(&self) -> Key {
        self.store.key().fixed("index").fixed("versions").fixed("log.json").build()
    }

    fn segment_key(&self) -> Key {
        self.store.key().fixed("index").fixed("versions").fixed("-").fixed("segment").build()
    }

    // ----- reading

    /// The log's head as whoever is served must see it: no line is missing for longer than it takes that markers are looked for again.
    pub(crate) async fn log(self: &Arc<Self>) -> Result<Arc<Versioned<Log>>, StorageError> {
        // In one another's time: usually there is no marker, and what was read is good.
        let (found, log) = tokio::join!(self.look_for_markers(), self.stored_log());
        if found { self.stored_log().await } else { log }
    }

    /// The log and its sum as whoever is served must see them.
    pub(crate) async fn snapshot(self: &Arc<Self>) -> Result<Snapshot, StorageError> {
        let log = self.log().await?;
        let index = self.sum(&log).await?;
        Ok(Snapshot { log, index })
    }

    /// The log's head as it is stored; the log is written where there is none.
    async fn stored_log(&self) -> Result<Arc<Versioned<Log>>, StorageError> {
        match self.store.read::<Log>(&self.key()).await? {
            Some(log) if log.form >= FORM => Ok(log),
            _ => {
                let _turn = self.turn.lock().await;
                self.newest().await
            }
        }
    }

    /// The log and its sum as they are stored.
    pub(crate) async fn stored(&self) -> Result<Snapshot, StorageError> {
        let log = self.stored_log().await?;
        let index = self.sum(&log).await?;
        Ok(Snapshot { log, index })
    }

    /// The log's whole text.
    pub(crate) async fn text(&self, log: &Log) -> Result<String, StorageError> {
        log.text(&self.store, &self.key(), 0).await
    }

    /// The sum of the log: what was not read yet is read. May be of a newer state than asked for.
    async fn sum(&self, log: &Log) -> Result<Arc<Index>, StorageError> {
        let known = Arc::clone(&self.index.lock());
        let goes_on = known.epoch == log.epoch;
        if goes_on && known.position >= log.length() {
            return Ok(known);
        }
        let mut index = if goes_on { known } else { Arc::new(Index::of(&log.epoch)) };
        let text = log.text(&self.store, &self.key(), index.position).await?;
        Arc::make_mut(&mut index).feed(&self.key(), &text)?;
        let mut kept = self.index.lock();
        if kept.epoch != index.epoch || kept.position < index.position {
            *kept = Arc::clone(&index);
        }
        Ok(index)
    }

    // ----- appending

    /// Makes the log say what the gem's document says. Callers of one process share a write. To be called in a task that ends.
    pub(crate) async fn announce(&self, name: &GemName) -> Result<(), StorageError> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.lock().push(Waiting { name: name.clone(), answer });
        let turn = self.turn.lock().await;
        let unavailable = || StorageError::Unavailable {
            key: self.key().to_string(),
            source: "an append was given up".into(),
        };
        // Whoever had the turn before may have done it.
        if let Ok(result) = answered.try_recv() {
            return result.map_err(Failed::into_error);
        }
        let batch = std::mem::take(&mut *self.waiting.lock());
        let names: BTreeSet<GemName> = batch.iter().map(|waiting| waiting.name.clone()).collect();
        let result = self.append(&names).await.map_err(|error| Failed(Arc::new(error)));
        for waiting in batch {
            // Who does not wait any more needs no answer.
            let _sent = waiting.answer.send(result.clone());
        }
        drop(result);
        drop(turn);
        answered.await.map_err(|_| unavailable())?.map_err(Failed::into_error)
    }

    /// Appends what the log lacks of these gems. The turn is held.
    async fn append(&self, names: &BTreeSet<GemName>) -> Result<(), StorageError> {
        for attempt in 0..ATTEMPTS {
            let log = self.newest().await?;
            let index = self.sum(&log).await?;
            let keys: Vec<Key> = names.iter().map(|name| key(&self.store, name)).collect();
            let read = |key: Key| {
                let store = self.store.clone();
                async move { store.read_fresh::<Gem>(&key).await }
            };
            let documents: Vec<Option<Arc<Versioned<Gem>>>> =
                stream::iter(keys).map(read).buffered(READS).try_collect().await?;
            let mut lines = String::new();
            for gem in documents.iter().flatten() {
                index.difference(gem, &mut lines);
            }
            if lines.is_empty() {
                return Ok(());
            }
            if let Some(log) = self.write(&log, lines).await? {
                return self.compact_if_due(&log).await;
            }
            wait(attempt).await;
        }
        Err(StorageError::Contended { key: self.key().to_string(), attempts: ATTEMPTS })
    }

    /// Writes lines behind the log that was read. `None`: it is another one by now.
    async fn write(
        &self,
        read: &Versioned<Log>,
        lines: String,
    ) -> Result<Option<Arc<Versioned<Log>>>, StorageError> {
        let now = self.clock.now();
        let sealing = read.sealing(&self.store, &self.key(), &self.segment_key()).await?;
        let (segment, sealed) = match sealing {
            Some(sealing) => {
                let (segment, sealed) = sealing.split();
                (Some(segment), Some(sealed))
            }
            None => (None, None),
        };
        let data: Option<DataRef> = segment.as_ref().map(|segment| segment.data().clone());
        let change = move |log: &mut Log| {
            if let (Some(data), Some(sealed)) = (&data, &sealed) {
                log.seal(data, sealed, now);
            }
            log.append(&lines, now);
        };
        self.change(&read.revision, segment, change).await
    }

    /// Changes the log if it is still the one of this revision, and says what it is then; the segment stays if it is.
    async fn change(
        &self,
        revision: &Revision,
        segment: Option<PendingArtifact>,
        change: impl Fn(&mut Log) + Send + 'static,
    ) -> Result<Option<Arc<Versioned<Log>>>, StorageError> {
        let wanted = revision.clone();
        let update = move |draft: &mut Draft<Log>| {
            if draft.revision() != Some(&wanted) {
                return Err(UpdateError::Refused(Moved));
            }
            let log = draft.edit().ok_or(UpdateError::Refused(Moved))?;
            change(log);
            Ok(())
        };
        let result = self.store.update(&self.key(), update).await;
        let refused = matches!(result, Err(UpdateError::Refused(Moved)));
        if let Some(segment) = segment {
            if refused {
                drop(segment);
            } else {
                // Named, or perhaps named.
                segment.keep();
            }
        }
        match result {
            Ok(((), changed)) => Ok(changed),
            Err(UpdateError::Refused(Moved)) => Ok(None),
            Err(UpdateError::Storage(error)) => Err(error),
        }
    }

    // ----- writing anew

    /// Writes the log anew where it has grown to several times what it says. The turn is held. What fails here is tried again after
    /// the next append.
    async fn compact_if_due(&self, log: &Versioned<Log>) -> Result<(), StorageError> {
        let (growth, base) = log.growth();
        if growth <= self.log_bytes.max(base.saturating_mul(3)) {
            return Ok(());
        }
        let compacted = async {
            let index = self.sum(log).await?;
            if index.epoch != log.epoch || index.position != log.length() {
                return Ok(false);
            }
            let lines = index.lines();
            self.replace(log, &lines).await
        };
        match compacted.await {
            Ok(true) => tracing::info!(bytes = log.length(), "the log of versions was written anew"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the log of versions could not be written anew"),
        }
        Ok(())
    }

    /// Puts a log of these lines in the place of the one that was read.
    async fn replace(&self, read: &Versioned<Log>, lines: &str) -> Result<bool, StorageError> {
        let now = self.clock.now();
        let (log, segment) = Log::write(&self.store, &self.segment_key(), lines, now, Some(read)).await?;
        let changed = self.change(&read.revision, segment, move |current| *current = log.clone()).await?;
        Ok(changed.is_some())
    }

    /// The log as the store has it now, made from the gems' documents where there is none or an older program made it. The turn is held.
    async fn newest(&self) -> Result<Arc<Versioned<Log>>, StorageError> {
        for attempt in 0..ATTEMPTS {
            let read = self.store.read_fresh::<Log>(&self.key()).await?;
            if let Some(log) = read.as_ref().filter(|log| log.form >= FORM) {
                return Ok(Arc::clone(log));
            }
            // The head comes first, see the module's rule.
            let lines = self.all_lines().await?;
            if let Some(old) = read {
                self.replace(&old, &lines).await?;
            } else {
                self.create(&lines).await?;
            }
            wait(attempt).await;
        }
        Err(StorageError::Contended { key: self.key().to_string(), attempts: ATTEMPTS })
    }

    /// Makes the log, unless somebody else does meanwhile.
    async fn create(&self, lines: &str) -> Result<(), StorageError> {
        let now = self.clock.now();
        let (log, segment) = Log::write(&self.store, &self.segment_key(), lines, now, None).await?;
        match self.store.create(&self.key(), log).await {
            Ok(Created::Exists(_)) => Ok(()),
            created => {
                // Named, or perhaps named.
                drop(segment.map(PendingArtifact::keep));
                created.map(|_| ())
            }
        }
    }

    async fn all_lines(&self) -> Result<String, StorageError> {
        let mut gems: Vec<(String, String)> = Vec::new();
        let nothing = Index::default();
        for key in folders(&self.store).documents().await? {
            if let Some(gem) = self.store.read::<Gem>(&key).await? {
                let mut line = String::new();
                nothing.difference(&gem, &mut line);
                gems.push((gem.name.to_string(), line));
            }
        }
        gems.sort_unstable();
        Ok(gems.into_iter().map(|(_, line)| line).collect())
    }

    // ----- maintenance

    /// Whether the log says what this gem's document says, and where not, what it lacks: for `verify`.
    pub(crate) fn lacks(snapshot: &Snapshot, gem: &Gem) -> Option<String> {
        let mut line = String::new();
        snapshot.index.difference(gem, &mut line);
        Some(line).filter(|line| !line.is_empty())
    }

    /// Stops naming replaced segments whose grace is over, and removes them.
    pub(crate) async fn collect_garbage(
        &self,
        run: &registry_core::maintenance::GcRun,
    ) -> Result<(), StorageError> {
        let root = self.store.key().fixed("index").build();
        registry_core::maintenance::PackageFolders::new(&self.store, root, "log.json")
            .collect_garbage::<Log>(run)
            .await
    }
}

/// Waits a while, longer each time, and not as long as others do.
async fn wait(attempt: u32) {
    let (first, longest) = WAITS;
    let most = first.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(longest);
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    tokio::time::sleep(most.mul_f64(f64::from(u16::from_le_bytes([a, b])) / f64::from(u16::MAX))).await;
}

#[cfg(test)]
mod tests {
    use futures_util::future::try_join_all;
    use registry_core::{
        Instance, Protocol,
        clock::SystemClock,
        maintenance::GcRun,
        storage::{Storage, StorageOptions, UnknownFields},
    };

    use super::*;
    use crate::{
        store::{changes, gem::Release},
        wire::spec::tests::{demo, now},
    };

    /// A server whose log is written anew when it has grown by so much.
    fn server(storage: &Storage, log_bytes: u64) -> (Store, Arc<Announcer>) {
        let instance = Instance::new(Protocol::Rubygems.into(), Protocol::Rubygems, Vec::new());
        let store = storage.store(&instance);
        (store.clone(), Arc::new(Announcer::new(store, Arc::new(SystemClock), TaskTracker::new(), log_bytes)))
    }

    /// Adds a version to a gem's document and announces it.
    async fn push(
        (store, announcer): &(Store, Arc<Announcer>),
        name: &str,
        version: &str,
    ) -> Result<(), StorageError> {
        let mut spec = demo();
        (spec.name, spec.version) = (name.parse().unwrap(), version.parse().unwrap());
        let name = spec.name.clone();
        let release = Release {
            spec,
            created: now(),
            pusher: "alice".to_owned(),
            sha256: "0".repeat(64),
            data: None,
            yanked: None,
            unknown: UnknownFields::default(),
        };
        let change = move |draft: &mut Draft<Gem>| changes::add(draft, &release, usize::MAX);
        store.update(&key(store, &name), change).await.unwrap();
        announcer.announce(&name).await
    }

    /// The lines of the log, if it says what the documents say.
    async fn lines((store, announcer): &(Store, Arc<Announcer>)) -> Vec<String> {
        let snapshot = announcer.snapshot().await.unwrap();
        for key in folders(store).documents().await.unwrap() {
            let gem = store.read::<Gem>(&key).await.unwrap().unwrap();
            assert_eq!(Announcer::lacks(&snapshot, &gem), None);
        }
        let text = announcer.text(&snapshot.log).await.unwrap();
        let digests = snapshot.log.content_digests(&announcer.key()).unwrap();
        assert_eq!(digests, crate::store::digests::ContentDigests::of(text.as_bytes()));
        text.lines().skip(2).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn checklist_57_a_log_that_has_grown_is_written_anew_and_loses_nothing() {
        let storage = Storage::memory(StorageOptions::default());
        let servers = [server(&storage, 2_000), server(&storage, 2_000)];
        let mut epochs = std::collections::HashSet::new();
        for n in 0..300 {
            let server = &servers[n % 2];
            push(server, &format!("gem{}", n % 5), &format!("1.{n}")).await.unwrap();
            epochs.insert(server.1.log().await.unwrap().epoch.clone());
        }
        assert!((3..=12).contains(&epochs.len()), "{}", epochs.len());
        let all = lines(&servers[0]).await;
        assert_eq!(all, lines(&servers[1]).await);
        assert!(all.len() < 250, "{}", all.len());
        for n in 0..300 {
            let version = format!("1.{n}");
            let found = all.iter().filter(|line| {
                let mut parts = line.split(' ');
                parts.next() == Some(&format!("gem{}", n % 5))
                    && parts.next().is_some_and(|slugs| slugs.split(',').any(|slug| slug == version))
            });
            assert_eq!(found.count(), 1, "{version}");
        }
        // Segments that were replaced go after their grace, and those that are named stay.
        let later = chrono::Utc::now() + Duration::from_hours(48);
        let run = GcRun::new(later, Duration::from_hours(24), false);
        servers[0].1.collect_garbage(&run).await.unwrap();
        assert_eq!(lines(&server(&storage, 2_000)).await, all);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn appends_of_several_servers_share_one_log() {
        let storage = Storage::memory(StorageOptions::default());
        let servers: Vec<_> = (0..3).map(|_| Arc::new(server(&storage, 3_000))).collect();
        let pushes = (0..120).map(|n| {
            let server = Arc::clone(&servers[n % 3]);
            tokio::spawn(async move { push(&server, &format!("gem{}", n % 7), &format!("1.{n}")).await })
        });
        for pushed in try_join_all(pushes).await.unwrap() {
            pushed.unwrap();
        }
        let all = lines(&servers[0]).await;
        for server in &servers {
            assert_eq!(lines(server).await, all);
        }
        let versions: usize = all.iter().map(|line| line.split(' ').nth(1).unwrap().split(',').count()).sum();
        assert!(versions >= 120, "{versions}");
    }
}
