//! A limit on guessing passwords.

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::{AuthError, secret::SecretHash};

/// Counters, each shared by whatever its hash falls on. Their number is fixed, so that guessing cannot fill the memory; the
/// hash is keyed, so that nobody can choose whom they share a counter with.
const COUNTERS: usize = 4096;

/// How many failures are free, and how long one takes to be forgotten.
#[derive(Clone, Copy)]
struct Limit {
    burst: i64,
    forget: Duration,
}

/// Of one user from one address.
const PAIR: Limit = Limit { burst: 20, forget: Duration::from_secs(6) };
/// Of all users from one address (of IPv6, from one /64).
const ADDRESS: Limit = Limit { burst: 100, forget: Duration::from_secs(1) };
/// Of one user from anywhere: wide, because whoever guesses uses it up for the user as well.
const USER: Limit = Limit { burst: 200, forget: Duration::from_secs(2) };

/// Counts failed password checks by user and address. A check is counted before it runs and taken back when it succeeds, so
/// that many at once get no further than one after the other.
#[derive(Debug)]
pub(super) struct Guesses {
    key: [u8; 32],
    /// When each counter will be empty, in milliseconds since 1970. Made on the first check.
    empty_at: Mutex<Vec<i64>>,
}

/// One check that was counted.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt([(usize, Limit); 3]);

impl std::fmt::Debug for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} per {:?} each", self.burst, self.forget)
    }
}

impl Limit {
    fn step(self) -> i64 {
        i64::try_from(self.forget.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Guesses {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key, empty_at: Mutex::new(Vec::new()) }
    }

    /// Counts a check, or refuses with the time after which one may be tried again.
    pub(super) fn attempt(
        &self,
        user: &str,
        address: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Attempt, AuthError> {
        let now = now.timestamp_millis();
        let place = network(address);
        let counters = [
            (self.counter(&["pair", user, &place]), PAIR),
            (self.counter(&["address", &place]), ADDRESS),
            (self.counter(&["user", user]), USER),
        ];
        let mut empty_at = self.empty_at.lock();
        empty_at.resize(COUNTERS, 0);
        let wait = counters
            .iter()
            .filter_map(|(at, limit)| {
                let full_until = empty_at.get(*at)? - limit.step() * (limit.burst - 1);
                (full_until > now).then_some(full_until - now)
            })
            .max();
        if let Some(wait) = wait {
            let seconds = u64::try_from(wait).unwrap_or(0).div_ceil(1000);
            return Err(AuthError::TooManyAttempts(Duration::from_secs(seconds)));
        }
        for (at, limit) in counters {
            if let Some(empty_at) = empty_at.get_mut(at) {
                *empty_at = now.max(*empty_at).saturating_add(limit.step());
            }
        }
        Ok(Attempt(counters))
    }

    /// Takes back a check that succeeded.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let mut empty_at = self.empty_at.lock();
        for (at, limit) in attempt.0 {
            if let Some(empty_at) = empty_at.get_mut(at) {
                *empty_at = empty_at.saturating_sub(limit.step());
            }
        }
    }

    fn counter(&self, parts: &[&str]) -> usize {
        SecretHash::keyed(&self.key, parts).bucket(COUNTERS)
    }
}

/// What an attacker has as easily as one address.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => String::new(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_user_from_one_address_is_stopped_and_told_for_how_long() {
        let guesses = Guesses::new([1; 32]);
        for _ in 0..20 {
            let _ = guesses.attempt("alice", Some(address("192.0.2.1")), at(0)).unwrap();
        }
        match guesses.attempt("alice", Some(address("192.0.2.1")), at(0)) {
            Err(AuthError::TooManyAttempts(wait)) => assert_eq!(wait, Duration::from_secs(6)),
            other => panic!("{other:?}"),
        }
        // From elsewhere, and for another user, it goes on.
        let _ = guesses.attempt("alice", Some(address("192.0.2.2")), at(0)).unwrap();
        let _ = guesses.attempt("bob", Some(address("192.0.2.1")), at(0)).unwrap();
        // And here after the time that was told.
        assert!(guesses.attempt("alice", Some(address("192.0.2.1")), at(5)).is_err());
        let _ = guesses.attempt("alice", Some(address("192.0.2.1")), at(6)).unwrap();
        assert!(guesses.attempt("alice", Some(address("192.0.2.1")), at(6)).is_err());
    }

    #[test]
    fn success_costs_nothing() {
        let guesses = Guesses::new([1; 32]);
        for _ in 0..1000 {
            let attempt = guesses.attempt("alice", Some(address("192.0.2.1")), at(0)).unwrap();
            guesses.succeeded(&attempt);
        }
    }

    #[test]
    fn many_users_from_one_network_are_stopped() {
        let guesses = Guesses::new([1; 32]);
        let refused = (0..150)
            .filter(|n| {
                let from = Some(address(&format!("2001:db8::{n:x}")));
                guesses.attempt(&format!("user{n}"), from, at(0)).is_err()
            })
            .count();
        assert_eq!(refused, 50);
    }

    #[test]
    fn one_user_from_many_networks_is_stopped() {
        let guesses = Guesses::new([1; 32]);
        let refused = (0..250)
            .filter(|n| guesses.attempt("alice", Some(address(&format!("192.0.2.{n}"))), at(0)).is_err())
            .count();
        assert_eq!(refused, 50);
    }
}
