//! How long a copy may be served.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};

/// What an upstream's own `max-age` may shorten and lengthen a time to.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(10);

/// The times that decide about a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) ttl: Duration,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
}

/// Where a copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It is served as it is.
    Fresh,
    /// It is served, and refreshed meanwhile.
    Stale,
    /// It is asked for anew; where that fails, it is served.
    Expired,
    /// It is too old to be served.
    Useless,
}

impl Lifetimes {
    pub(crate) fn freshness(&self, age: Duration) -> Freshness {
        match age.checked_sub(self.ttl) {
            None => Freshness::Fresh,
            Some(over) if over < self.stale_while_revalidate => Freshness::Stale,
            Some(over) if over < self.stale_if_error => Freshness::Expired,
            Some(_) => Freshness::Useless,
        }
    }
}

/// How old something is; what was checked in the future (a clock was set back) was checked now.
pub(crate) fn age(checked: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    now.signed_duration_since(checked).to_std().unwrap_or_default()
}

/// The time to live: that of the class, within bounds changed by what the upstream says.
pub(crate) fn time_to_live(class: Duration, max_age: Option<u64>) -> Duration {
    match max_age.map(Duration::from_secs) {
        Some(said) if said > class => said.min(LONGEST).max(class),
        Some(said) => said.max(SHORTEST).min(class),
        None => class,
    }
}

/// The `max-age` of an answer, less the time that it spent in caches.
pub(crate) fn max_age(headers: &HeaderMap) -> Option<u64> {
    let texts = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = texts.flat_map(|text| text.split(','));
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("max-age")
            .then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    })?;
    let spent = headers.get(header::AGE).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    Some(seconds.saturating_sub(spent.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_age() {
        let seconds = Duration::from_secs;
        let times = Lifetimes {
            ttl: seconds(60),
            stale_while_revalidate: seconds(600),
            stale_if_error: seconds(6000),
        };
        for (age, want) in [
            (0, Freshness::Fresh),
            (59, Freshness::Fresh),
            (60, Freshness::Stale),
            (659, Freshness::Stale),
            (660, Freshness::Expired),
            (6059, Freshness::Expired),
            (6060, Freshness::Useless),
        ] {
            assert_eq!(times.freshness(seconds(age)), want, "{age}");
        }
    }

    #[test]
    fn what_the_upstream_says_counts_within_bounds() {
        for (class, said, want) in [
            (120, None, 120),
            (120, Some(60), 60),
            (120, Some(0), 10),
            (5, Some(0), 5),
            (120, Some(300), 300),
            (120, Some(86_400), 600),
            (3600, Some(86_400), 3600),
        ] {
            let ttl = time_to_live(Duration::from_secs(class), said);
            assert_eq!(ttl.as_secs(), want, "{class} {said:?}");
        }
    }

    #[test]
    fn max_age_is_read_and_age_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        headers.insert(header::CACHE_CONTROL, "public, Max-Age=\"300\", immutable".parse().unwrap());
        assert_eq!(max_age(&headers), Some(300));
        headers.insert(header::AGE, "100".parse().unwrap());
        assert_eq!(max_age(&headers), Some(200));
        headers.insert(header::CACHE_CONTROL, "no-cache".parse().unwrap());
        assert_eq!(max_age(&headers), None);
    }
}
