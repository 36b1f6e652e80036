//! What credentials are known to mean, kept for a short time.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use super::{AuthError, anonymous::JoinedScopes, cidr::Cidr, secret::SecretHash};
use crate::clock::Clock;

/// How many meanings are kept: about 5 MiB.
const CAPACITY: usize = 10_000;
/// How many lookups run beside each other; those whose hashes meet wait for one another.
const LANES: usize = 64;

/// Who somebody is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) user: Arc<str>,
    /// The token's id; `None` where a password or the host said who it is.
    pub(super) token_id: Option<Arc<str>>,
    pub(super) scopes: JoinedScopes,
    pub(super) read_only: bool,
    pub(super) expires: Option<DateTime<Utc>>,
    /// Where the token may be used; empty: everywhere.
    pub(super) cidr: Box<[Cidr]>,
    /// When the token was last used, in seconds since 1970; 0: never.
    pub(super) last_used: AtomicI64,
}

/// What credentials mean.
#[derive(Debug)]
pub(super) enum Meaning {
    /// They are somebody's.
    Good(Identity),
    /// They are nobody's, for this reason.
    Bad(&'static str),
    /// They name a user who is not kept here.
    Elsewhere,
}

/// A meaning with the time at which it was found.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) meaning: Meaning,
    found: DateTime<Utc>,
}

/// Meanings by the hash of the credentials, none older than the configured time.
#[derive(Debug)]
pub(super) struct KnownCredentials {
    clock: Arc<dyn Clock>,
    max_age: chrono::Duration,
    known: RwLock<HashMap<SecretHash, Arc<Known>>>,
    /// Counts what made everything unsure, so that a lookup which began before is not kept.
    generation: AtomicU64,
    lanes: Lanes,
    /// Apart, because a password check can wait long for its turn.
    slow_lanes: Lanes,
}

/// Locks that make lookups of the same credentials follow each other.
#[derive(Debug)]
struct Lanes(Box<[tokio::sync::Mutex<()>]>);

/// How long a lookup may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// A read.
    Quick,
    /// A password check.
    Slow,
}

impl Lanes {
    fn new() -> Self {
        Self((0..LANES).map(|_| tokio::sync::Mutex::new(())).collect())
    }
}

impl KnownCredentials {
    pub(super) fn new(clock: Arc<dyn Clock>, max_age: Duration) -> Self {
        Self {
            clock,
            max_age: chrono::Duration::from_std(max_age).unwrap_or(chrono::Duration::MAX),
            known: RwLock::default(),
            generation: AtomicU64::new(0),
            lanes: Lanes::new(),
            slow_lanes: Lanes::new(),
        }
    }

    /// The meaning, if it is known and fresh at `now`.
    pub(super) fn fresh(&self, hash: &SecretHash, now: DateTime<Utc>) -> Option<Arc<Known>> {
        let known = self.known.read();
        let known = known.get(hash)?;
        let age = now - known.found;
        // A clock that was set back makes it unsure how old this is.
        (age >= chrono::Duration::zero() && age <= self.max_age).then(|| Arc::clone(known))
    }

    /// The meaning, found by `find` where it is not known or no longer fresh; many who ask for the same at once find it
    /// once. `None` is not kept.
    pub(super) async fn get(
        &self,
        hash: &SecretHash,
        pace: Pace,
        find: impl Future<Output = Result<Option<Meaning>, AuthError>> + Send,
    ) -> Result<Option<Arc<Known>>, AuthError> {
        if let Some(known) = self.fresh(hash, self.clock.now()) {
            return Ok(Some(known));
        }
        let lanes = match pace {
            Pace::Quick => &self.lanes,
            Pace::Slow => &self.slow_lanes,
        };
        let _turn = match lanes.0.get(hash.bucket(LANES)) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        };
        let found = self.clock.now();
        if let Some(known) = self.fresh(hash, found) {
            return Ok(Some(known));
        }
        let generation = self.generation.load(Ordering::Acquire);
        let Some(meaning) = find.await? else { return Ok(None) };
        let known = Arc::new(Known { meaning, found });
        self.keep(*hash, &known, generation);
        Ok(Some(known))
    }

    /// Forgets everything, also what is being looked up now.
    pub(super) fn forget(&self) {
        let mut known = self.known.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        known.clear();
    }

    fn keep(&self, hash: SecretHash, new: &Arc<Known>, generation: u64) {
        let mut known = self.known.write();
        if self.generation.load(Ordering::Acquire) != generation {
            return;
        }
        if let Some(old) = known.get(&hash)
            && let (Meaning::Good(old), Meaning::Good(new)) = (&old.meaning, &new.meaning)
        {
            new.last_used.fetch_max(old.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if known.len() >= CAPACITY && !known.contains_key(&hash) {
            let oldest = new.found - self.max_age;
            known.retain(|_, known| known.found >= oldest);
            if known.len() >= CAPACITY {
                known.clear();
            }
        }
        known.insert(hash, Arc::clone(new));
    }
}
