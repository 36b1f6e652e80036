//! Whether an upstream may be asked now: its breakers, its requests to wait, its retries.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{
    breaker::{Breaker, BreakerState, Ticket},
    retry::Budget,
};

/// The most origins of one upstream that have a breaker of their own; more share the last one's fate of having none.
const MOST_ORIGINS: usize = 64;

/// The state of one upstream that outlives requests and reloads of the configuration.
#[derive(Debug)]
pub(crate) struct Gate {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    breakers: HashMap<String, Breaker>,
    cooling: Option<DateTime<Utc>>,
    budget: Budget,
    credentials_refused: bool,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            breakers: HashMap::new(),
            cooling: None,
            budget: Budget::new(),
            credentials_refused: false,
        };
        Self { inner: Mutex::new(inner) }
    }

    /// How long the upstream wants to be left alone yet.
    pub(crate) fn cooling(&self, now: DateTime<Utc>) -> Option<Duration> {
        let mut inner = self.inner.lock();
        let left = inner.cooling?.signed_duration_since(now);
        if left <= TimeDelta::zero() || left > TimeDelta::minutes(11) {
            inner.cooling = None;
            return None;
        }
        left.to_std().ok()
    }

    /// The upstream asked to be left alone for so long.
    pub(crate) fn cool(&self, now: DateTime<Utc>, wait: Duration) {
        let until = TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait));
        let mut inner = self.inner.lock();
        inner.cooling = inner.cooling.max(until);
    }

    /// Leave to ask an origin, or how long to wait.
    pub(crate) fn admit(&self, origin: &str, now: DateTime<Utc>) -> Result<Option<Ticket>, Duration> {
        let mut inner = self.inner.lock();
        if inner.breakers.len() >= MOST_ORIGINS && !inner.breakers.contains_key(origin) {
            return Ok(None);
        }
        inner.breakers.entry(origin.to_owned()).or_insert_with(Breaker::new).admit(now).map(Some)
    }

    /// What became of a request that was let through.
    pub(crate) fn report(&self, origin: &str, ticket: Option<Ticket>, now: DateTime<Utc>, health: Health) {
        let mut inner = self.inner.lock();
        let Some((ticket, breaker)) = ticket.zip(inner.breakers.get_mut(origin)) else { return };
        match health {
            Health::Good => breaker.succeeded(ticket, now),
            Health::Bad => breaker.failed(ticket, now),
            Health::Unknown => breaker.release(ticket),
        }
    }

    /// Counts a request towards the retries that may be made.
    pub(crate) fn earn_retry(&self) {
        self.inner.lock().budget.earn();
    }

    /// Whether one more retry may be made.
    pub(crate) fn spend_retry(&self) -> bool {
        self.inner.lock().budget.spend()
    }

    /// Notes whether the upstream takes the configured credentials. Says whether that is news.
    pub(crate) fn credentials(&self, refused: bool) -> bool {
        std::mem::replace(&mut self.inner.lock().credentials_refused, refused) != refused
    }

    /// Whether the upstream refuses the configured credentials.
    pub(crate) fn credentials_refused(&self) -> bool {
        self.inner.lock().credentials_refused
    }

    /// Where the breaker of an origin stands.
    pub(crate) fn state(&self, origin: &str, now: DateTime<Utc>) -> BreakerState {
        self.inner.lock().breakers.get(origin).map_or(BreakerState::Closed, |breaker| breaker.state(now))
    }

    /// Forgets all that speaks against asking.
    pub(crate) fn reset(&self) {
        let mut inner = self.inner.lock();
        inner.breakers.clear();
        inner.cooling = None;
        inner.credentials_refused = false;
    }
}

/// What a request says of the upstream's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It lives.
    Good,
    /// It does not, or not as it should.
    Bad,
    /// Nothing.
    Unknown,
}
