//! Garbage collection (sheet section 8).
//!
//! Links, manifest records and descriptors go `live → condemned → dead`, each step a conditional update:
//!
//! 1. A run that finds no reference to something that has been live for the grace condemns it.
//! 2. A later run, the grace after that, looks again: with a reference it lives again, without one it is dead and
//!    reads as absent. Meanwhile whoever finds it condemned and needs it (a HEAD, a mount, an upload, a manifest) makes it
//!    live again, and the run's update then fails its condition.
//! 3. The grace after that, a dead thing's data is removed.
//!
//! While a server may be at work, a grace is never shorter here than [`GcRun::MINIMUM_AGE`]: between a client's HEAD and the
//! manifest that it pushes there must be time, and data that no document names may belong to an upload under way and is left
//! alone as long as an upload may rest. Where no server is at work and the grace is zero, a run takes all steps one after
//! the other; each still looks for references anew, so that a server that starts meanwhile loses nothing.
//! Tombstones stay: object stores cannot remove a document on a condition. So two runs at once do no harm, and a
//! run that dies is continued by the next.
//!
//! Memory: the records of one repository at a time, and 32 bytes for each large blob that is linked anywhere.

mod blobs;
mod repository;
mod sessions;

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use registry_core::{
    Actor,
    maintenance::GcRun,
    storage::{DataRef, ListEntry, StorageError},
};

use crate::{
    error::Error,
    names::Digest,
    registry::Inner,
    store::{Life, OciStore, Phase},
};

/// Documents that are read at the same time.
const READS_AT_ONCE: usize = 16;
/// The most passes of a run without a grace: two steps each for manifests, links and descriptors, one for their data, and one that
/// finds nothing more to do.
const MOST_PASSES: usize = 8;

/// One run.
struct Collector<'a> {
    store: &'a OciStore,
    run: &'a GcRun,
    actor: Actor,
    /// When this pass began; everything is judged by it.
    now: DateTime<Utc>,
    /// Whether this is the first pass.
    first: bool,
    /// Whether this pass moved or removed anything.
    moved: AtomicBool,
    /// How long something stays in each phase.
    grace: TimeDelta,
    /// How long data that nothing names stays.
    unnamed: Duration,
    /// When untagged manifests go, where they do.
    untagged: Option<TimeDelta>,
    /// How long an upload may rest.
    upload_expiry: TimeDelta,
    /// Large blobs that some repository links.
    linked: HashSet<Digest>,
}

/// What is to be done with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Keep,
    Revive,
    Condemn,
    Bury,
}

impl Inner {
    pub(crate) async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError> {
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let expiry = self.config.upload_expiry();
        let untagged = self.config.delete_untagged_after_seconds;
        let at_work = run.minimum_age >= GcRun::MINIMUM_AGE;
        let mut collector = Collector {
            store: &self.store,
            run,
            actor: Actor::user("gc"),
            now: run.now,
            first: true,
            moved: AtomicBool::new(false),
            grace: delta(run.grace.max(run.minimum_age)),
            unnamed: if at_work { expiry.max(run.minimum_age) } else { run.minimum_age },
            untagged: untagged.map(|seconds| delta(Duration::from_secs(seconds).max(run.minimum_age))),
            upload_expiry: delta(expiry),
            linked: HashSet::new(),
        };
        for _ in 0..MOST_PASSES {
            collector.pass().await?;
            // A dry run without a grace looks ahead instead.
            if run.dry_run || !collector.grace.is_zero() || !collector.moved.swap(false, Ordering::Relaxed) {
                break;
            }
            collector.now = self.store.now();
            collector.first = false;
            collector.linked.clear();
        }
        Ok(())
    }
}

impl Collector<'_> {
    async fn pass(&mut self) -> Result<(), StorageError> {
        for repository in self.store.repositories().await? {
            self.collect_repository(&repository).await?;
        }
        self.collect_blobs().await?;
        self.collect_sessions().await
    }

    /// Counts something that was looked at, once a run.
    fn examined(&self) {
        if self.first {
            self.run.report.examined();
        }
    }

    /// Whether to tell in one pass what a run without a grace would do in several.
    fn looks_ahead(&self) -> bool {
        self.run.dry_run && self.grace.is_zero()
    }

    /// Whether the data of something goes that is dead, or (when looking ahead) that this pass would make so.
    fn data_goes(&self, life: Life, step: Step) -> bool {
        (life.is_dead() && self.is_past(life.since, self.grace)) || (self.looks_ahead() && step == Step::Bury)
    }

    /// What follows from a phase and from whether there is a reference. `old` is how long it must have been live.
    fn step(&self, life: Life, referenced: bool, old: TimeDelta) -> Step {
        match (life.phase, referenced) {
            (Phase::Live, true) | (Phase::Dead, _) => Step::Keep,
            (Phase::Condemned, true) => Step::Revive,
            (Phase::Live, false) if self.is_past(life.since, old) && self.looks_ahead() => Step::Bury,
            (Phase::Live, false) if self.is_past(life.since, old) => Step::Condemn,
            (Phase::Condemned, false) if self.is_past(life.since, self.grace) => Step::Bury,
            (Phase::Live | Phase::Condemned, false) => Step::Keep,
        }
    }

    fn is_past(&self, since: DateTime<Utc>, age: TimeDelta) -> bool {
        self.now.signed_duration_since(since) >= age
    }

    /// Whether data that no document names is old enough to go. What came after the run began never is.
    fn is_abandoned(&self, entry: &ListEntry) -> bool {
        SystemTime::from(self.run.now).duration_since(entry.modified).is_ok_and(|age| age >= self.unnamed)
    }

    fn removed(&self, what: &str, bytes: u64) {
        self.run.report.removed(what, bytes);
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Removes data (or only says so).
    async fn remove_data(&self, parts: &[DataRef]) -> Result<(), StorageError> {
        for part in parts {
            self.removed(part.key.as_str(), part.size);
            if !self.run.dry_run {
                self.store.store().remove(&part.key).await?;
            }
        }
        Ok(())
    }

    async fn remove_entry(&self, entry: &ListEntry) -> Result<(), StorageError> {
        self.removed(entry.key.as_str(), entry.size);
        if !self.run.dry_run {
            self.store.store().remove(&entry.key).await?;
        }
        Ok(())
    }
}

/// The next life of something, where it is still as it was when it was judged.
fn next_life(step: Step, judged: Life, now_is: Life, now: DateTime<Utc>) -> Option<Life> {
    if judged != now_is {
        return None;
    }
    match step {
        Step::Keep => None,
        Step::Revive => Some(Life::live(now)),
        Step::Condemn => Some(Life::condemned(now)),
        Step::Bury => Some(Life::dead(now)),
    }
}

/// The storage's part of an error; collecting causes no others but a hook's refusal, which is one.
pub(crate) fn storage_error(error: Error) -> StorageError {
    match error {
        Error::Storage(error) => error,
        other => StorageError::Setup(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use registry_core::maintenance::GcRun;

    use super::*;

    #[test]
    fn a_step_needs_its_grace() {
        let hour = TimeDelta::hours(1);
        let now = Utc::now();
        for (phase, age, referenced, want) in [
            (Phase::Live, 0, false, Step::Keep),
            (Phase::Live, 59, false, Step::Keep),
            (Phase::Live, 60, false, Step::Condemn),
            (Phase::Live, 600, true, Step::Keep),
            (Phase::Condemned, 59, false, Step::Keep),
            (Phase::Condemned, 60, false, Step::Bury),
            (Phase::Condemned, 600, true, Step::Revive),
            (Phase::Dead, 600, false, Step::Keep),
            (Phase::Dead, 600, true, Step::Keep),
        ] {
            let life = Life { phase, since: now - TimeDelta::minutes(age) };
            assert_eq!(
                step(&GcRun::new(now, Duration::ZERO, true), hour, life, referenced),
                want,
                "{life:?}"
            );
        }
    }

    fn step(run: &GcRun, grace: TimeDelta, life: Life, referenced: bool) -> Step {
        let storage =
            registry_core::storage::Storage::memory(registry_core::storage::StorageOptions::default());
        let protocol = registry_core::Protocol::Oci;
        let instance = registry_core::Instance::new(protocol.into(), protocol, Vec::new());
        let store = OciStore::new(
            storage.store(&instance),
            std::sync::Arc::new(registry_core::clock::SystemClock),
            std::sync::Arc::default(),
        );
        let collector = Collector {
            store: &store,
            run,
            actor: Actor::user("gc"),
            now: run.now,
            first: true,
            moved: AtomicBool::new(false),
            grace,
            unnamed: Duration::ZERO,
            untagged: None,
            upload_expiry: grace,
            linked: HashSet::new(),
        };
        collector.step(life, referenced, grace)
    }

    #[test]
    fn what_changed_since_it_was_judged_stays() {
        let (then, now) = (DateTime::UNIX_EPOCH, Utc::now());
        let judged = Life::condemned(then);
        assert_eq!(next_life(Step::Bury, judged, Life::live(now), now), None);
        assert_eq!(next_life(Step::Bury, judged, Life::condemned(now), now), None);
        assert_eq!(next_life(Step::Bury, judged, judged, now), Some(Life::dead(now)));
    }
}
