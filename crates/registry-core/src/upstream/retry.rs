//! Whether and when a request is made again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};

/// A longer wait than this is not waited out; the upstream cools instead.
pub(crate) const SHORT_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_mins(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// A number in `0.0..1.0`. Not for secrets.
pub(crate) fn random_fraction() -> f64 {
    let random = uuid::Uuid::new_v4().as_u128() & 0xffff_ffff;
    f64::from(u32::try_from(random).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

/// How long to wait before the attempt after `attempts` failed ones: anything up to a bound that doubles.
pub(crate) fn delay(attempts: u32) -> Duration {
    let bound = FIRST_DELAY.saturating_mul(1 << attempts.min(10)).min(LONGEST_DELAY);
    bound.mul_f64(random_fraction())
}

/// Whether an answer with this status may be another one when it is asked for again.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=527)
}

/// What `Retry-After` says, in seconds or as a date; never more than ten minutes, and a second at least.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<i64>() {
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    } else {
        let date: DateTime<Utc> = httpdate::parse_http_date(text).ok()?.into();
        date.signed_duration_since(now).to_std().unwrap_or_default()
    };
    Some(wait.clamp(Duration::from_secs(1), LONGEST_WAIT))
}

/// How many retries an upstream gets: a fifth of its requests, and three at any time.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: f64,
}

impl Budget {
    const FLOOR: f64 = 3.0;
    const MOST: f64 = 30.0;
    const SHARE: f64 = 0.2;

    pub(crate) fn new() -> Self {
        Self { tokens: Self::FLOOR }
    }

    /// A request was made.
    pub(crate) fn earn(&mut self) {
        self.tokens = (self.tokens + Self::SHARE).min(Self::MOST);
    }

    /// Whether a request may be made again.
    pub(crate) fn spend(&mut self) -> bool {
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_16_delays_differ_and_stay_within_their_bound() {
        let delays: Vec<Duration> = (0..100).map(|_| delay(3)).collect();
        assert!(delays.iter().all(|delay| *delay <= Duration::from_millis(1600)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
        assert!((0..100).all(|_| delay(60) <= LONGEST_DELAY));
    }

    #[test]
    fn checklist_17_retry_after_is_seconds_or_a_date() {
        let now: DateTime<Utc> = "2026-03-04T00:00:00Z".parse().unwrap();
        for (text, want) in [
            ("120", Some(120)),
            ("0", Some(1)),
            ("-5", Some(1)),
            ("86400", Some(600)),
            ("Wed, 04 Mar 2026 00:00:30 GMT", Some(30)),
            ("Wed, 04 Mar 2020 00:00:30 GMT", Some(1)),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now).map(|wait| wait.as_secs()), want, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn checklist_18_a_thousand_failing_requests_get_two_hundred_retries() {
        let mut budget = Budget::new();
        let mut attempts = 0;
        for _ in 0..1000 {
            attempts += 1;
            budget.earn();
            while budget.spend() {
                attempts += 1;
            }
        }
        assert!((1190..=1203).contains(&attempts), "{attempts}");
    }
}
