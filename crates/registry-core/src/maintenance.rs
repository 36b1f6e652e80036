//! Garbage collection and verification: what a protocol is asked to do and how it reports.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// One run of garbage collection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GcRun {
    /// When the run began.
    pub now: DateTime<Utc>,
    /// How long something stays after it was deleted or lost its last reference.
    pub grace: Duration,
    /// Only report.
    pub dry_run: bool,
    /// Counts and lines.
    pub report: Report,
}

impl GcRun {
    /// Unreferenced data younger than this is never touched, whatever the grace: a write may be under way.
    pub const MINIMUM_AGE: Duration = Duration::from_hours(1);

    /// A run that begins now.
    pub fn new(now: DateTime<Utc>, grace: Duration, dry_run: bool) -> Self {
        Self { now, grace, dry_run, report: Report::default() }
    }
}

/// One run of verification: everything is read and hashed again.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyRun {
    /// Counts, and a line a fault.
    pub report: Report,
}

/// What a run did so far; shared between the run and who watches it.
#[derive(Clone, Debug, Default)]
pub struct Report(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    examined: AtomicU64,
    removed: AtomicU64,
    bytes: AtomicU64,
    lines: Mutex<Vec<String>>,
    faults: Mutex<Vec<String>>,
}

impl Report {
    /// Counts one thing looked at.
    pub fn examined(&self) {
        self.0.examined.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one object removed (or, in a dry run, to be removed) with its size, and says which.
    pub fn removed(&self, what: &str, bytes: u64) {
        self.0.removed.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.lines.lock().push(what.to_owned());
    }

    /// Reports a fault: a line that names the key and what is wrong.
    pub fn fault(&self, line: impl Into<String>) {
        self.0.faults.lock().push(line.into());
    }

    /// How many things were looked at.
    pub fn examined_count(&self) -> u64 {
        self.0.examined.load(Ordering::Relaxed)
    }

    /// How many objects were removed, and their bytes.
    pub fn removed_count(&self) -> (u64, u64) {
        (self.0.removed.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }

    /// Takes the lines of what was removed since the last call.
    pub fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lines.lock())
    }

    /// The faults so far.
    pub fn faults(&self) -> Vec<String> {
        self.0.faults.lock().clone()
    }
}
