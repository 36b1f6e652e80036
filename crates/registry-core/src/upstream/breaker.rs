//! The circuit breaker of one origin: what fails again and again is left alone for a while.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

/// What is looked back on.
const WINDOW: TimeDelta = TimeDelta::seconds(60);
/// The fewest results in the window from which a rate says something.
const FEWEST: usize = 10;
/// The most results that are kept.
const MOST: usize = 256;
/// So many failures one after the other open it.
const IN_A_ROW: u32 = 5;
/// So many successful probes close it.
const PROBES: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A probe that has not ended by then gives up its place.
const PROBE_TIME: TimeDelta = TimeDelta::seconds(30);

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// Nothing passes.
    Open,
    /// One request at a time passes, to see.
    HalfOpen,
}

impl BreakerState {
    /// `closed`, `open` or `half-open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }

    /// 0, 1 or 2, for metrics.
    pub const fn as_number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }
}

/// Leave to make one request, to be handed back with its result. Results of an earlier generation change nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    generation: u64,
}

/// A breaker. Not shared by itself: its owner locks it.
#[derive(Debug)]
pub(crate) struct Breaker {
    results: VecDeque<(DateTime<Utc>, bool)>,
    failures: u32,
    generation: u64,
    phase: Phase,
    pause: Duration,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open { until: DateTime<Utc> },
    HalfOpen { probing: Option<DateTime<Utc>>, successes: u32 },
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            results: VecDeque::new(),
            failures: 0,
            generation: 0,
            phase: Phase::Closed,
            pause: FIRST_PAUSE,
        }
    }

    pub(crate) fn state(&self, now: DateTime<Utc>) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until } if until > now => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether a request may be made now; otherwise how long to wait.
    pub(crate) fn admit(&mut self, now: DateTime<Utc>) -> Result<Ticket, Duration> {
        if let Phase::Open { until } = self.phase {
            let left = until.signed_duration_since(now);
            // More than the longest pause means that the clock was set back.
            if left > TimeDelta::zero() && left <= TimeDelta::seconds(400) {
                return Err(left.to_std().unwrap_or(FIRST_PAUSE));
            }
            self.generation += 1;
            self.phase = Phase::HalfOpen { probing: None, successes: 0 };
        }
        if let Phase::HalfOpen { probing, .. } = &mut self.phase {
            if probing.is_some_and(|since| now.signed_duration_since(since).abs() < PROBE_TIME) {
                return Err(Duration::from_secs(1));
            }
            *probing = Some(now);
        }
        Ok(Ticket { generation: self.generation })
    }

    /// A request ended in a way that says nothing of the upstream's health.
    pub(crate) fn release(&mut self, ticket: Ticket) {
        if ticket.generation == self.generation
            && let Phase::HalfOpen { probing, .. } = &mut self.phase
        {
            *probing = None;
        }
    }

    /// A request ended well, or showed that the upstream lives.
    pub(crate) fn succeeded(&mut self, ticket: Ticket, now: DateTime<Utc>) {
        if ticket.generation != self.generation {
            return;
        }
        match &mut self.phase {
            Phase::Closed => {
                self.failures = 0;
                self.note(now, true);
            }
            Phase::HalfOpen { probing, successes } => {
                *probing = None;
                *successes += 1;
                if *successes >= PROBES {
                    *self = Self { generation: self.generation + 1, ..Self::new() };
                }
            }
            Phase::Open { .. } => {}
        }
    }

    /// A request failed.
    pub(crate) fn failed(&mut self, ticket: Ticket, now: DateTime<Utc>) {
        if ticket.generation != self.generation {
            return;
        }
        match self.phase {
            Phase::Closed => {
                self.failures += 1;
                self.note(now, false);
                let bad = self.results.iter().filter(|(_, ok)| !ok).count();
                if self.failures >= IN_A_ROW
                    || (self.results.len() >= FEWEST && bad * 2 >= self.results.len())
                {
                    self.open(now);
                }
            }
            Phase::HalfOpen { .. } => {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.open(now);
            }
            Phase::Open { .. } => {}
        }
    }

    fn open(&mut self, now: DateTime<Utc>) {
        self.generation += 1;
        self.results.clear();
        self.failures = 0;
        // A tenth more or less, so that nodes do not ask in step.
        let pause = self.pause.mul_f64(0.9 + 0.2 * super::retry::random_fraction());
        let until = TimeDelta::from_std(pause).ok().and_then(|pause| now.checked_add_signed(pause));
        self.phase = Phase::Open { until: until.unwrap_or(now) };
    }

    fn note(&mut self, now: DateTime<Utc>, ok: bool) {
        while self.results.front().is_some_and(|(at, _)| now.signed_duration_since(*at) > WINDOW)
            || self.results.len() >= MOST
        {
            self.results.pop_front();
        }
        self.results.push_back((now, ok));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> DateTime<Utc> {
        "2026-03-04T00:00:00Z".parse().unwrap()
    }

    fn after(seconds: i64) -> DateTime<Utc> {
        start() + TimeDelta::seconds(seconds)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..IN_A_ROW {
            let ticket = breaker.admit(start()).unwrap();
            breaker.failed(ticket, start());
        }
        assert_eq!(breaker.state(start()), BreakerState::Open);
        breaker
    }

    #[test]
    fn checklist_19_five_failures_open_it_and_two_probes_close_it() {
        let mut breaker = opened();
        let wait = breaker.admit(after(1)).unwrap_err();
        assert!((25..=33).contains(&wait.as_secs()), "{wait:?}");
        let probe = breaker.admit(after(40)).unwrap();
        assert!(breaker.admit(after(40)).is_err(), "one probe at a time");
        breaker.succeeded(probe, after(41));
        let probe = breaker.admit(after(41)).unwrap();
        breaker.succeeded(probe, after(42));
        assert_eq!(breaker.state(after(42)), BreakerState::Closed);
        assert!(breaker.admit(after(42)).is_ok() && breaker.admit(after(42)).is_ok());
    }

    #[test]
    fn checklist_19_a_failed_probe_doubles_the_pause() {
        let mut breaker = opened();
        let mut now = 0;
        for longest in [66, 132, 264, 330, 330] {
            now += 400;
            let probe = breaker.admit(after(now)).unwrap();
            breaker.failed(probe, after(now));
            let wait = breaker.admit(after(now)).unwrap_err().as_secs();
            assert!(wait <= longest && wait >= longest * 8 / 11 - 1, "{wait} of {longest}");
        }
    }

    #[test]
    fn checklist_20_a_stalled_probe_and_late_results_change_nothing() {
        let mut breaker = Breaker::new();
        let old = breaker.admit(start()).unwrap();
        for _ in 0..IN_A_ROW {
            let ticket = breaker.admit(start()).unwrap();
            breaker.failed(ticket, start());
        }
        breaker.succeeded(old, after(1));
        assert_eq!(breaker.state(after(1)), BreakerState::Open);
        let _stalled = breaker.admit(after(40)).unwrap();
        assert!(breaker.admit(after(50)).is_err());
        assert!(breaker.admit(after(71)).is_ok(), "a stalled probe gives up its place");
        breaker.failed(old, after(71));
        assert_eq!(breaker.state(after(71)), BreakerState::HalfOpen);
        let mut breaker = opened();
        let cancelled = breaker.admit(after(40)).unwrap();
        breaker.release(cancelled);
        assert!(breaker.admit(after(40)).is_ok());
    }

    #[test]
    fn half_of_many_failing_opens_it_and_old_ones_are_forgotten() {
        let mut breaker = Breaker::new();
        for at in 0..10 {
            let ticket = breaker.admit(after(at)).unwrap();
            if at % 2 == 0 { breaker.succeeded(ticket, after(at)) } else { breaker.failed(ticket, after(at)) }
        }
        assert_eq!(breaker.state(after(10)), BreakerState::Open);
        let mut breaker = Breaker::new();
        for at in 0..10 {
            let ticket = breaker.admit(after(at * 30)).unwrap();
            if at % 2 == 0 {
                breaker.succeeded(ticket, after(at * 30));
            } else {
                breaker.failed(ticket, after(at * 30));
            }
        }
        assert_eq!(breaker.state(after(300)), BreakerState::Closed);
    }
}
