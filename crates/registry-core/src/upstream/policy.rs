//! Which versions of a name are shown: single ones can be denied, and new ones have to wait (`min_release_age`).

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::{Denial, outcome::DeniedBy};
use crate::Pattern;

/// How long a version has to be out before it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReleaseAge(pub(crate) Duration);

/// Versions that nobody gets, and the rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeniedVersion {
    pub(crate) version: Pattern,
    pub(crate) rule: String,
}

/// What the rules say of the versions of one name.
#[derive(Clone, Debug)]
pub struct NamePolicy {
    name: Arc<str>,
    denied: Vec<DeniedVersion>,
    age: Option<ReleaseAge>,
}

/// The versions that are not shown, from [`NamePolicy::sift`].
#[derive(Clone, Debug, Default)]
pub struct Sifted {
    /// The hidden versions with the reason for each.
    pub hidden: Vec<(String, Denial)>,
    /// When the next of them comes out, if one does.
    pub until: Option<DateTime<Utc>>,
    /// What tells this set of hidden versions from others: for the variants of rendered forms. Empty where nothing is hidden.
    pub tag: String,
}

impl Sifted {
    /// Whether a version is hidden.
    pub fn hides(&self, version: &str) -> bool {
        self.hidden.iter().any(|(hidden, _)| hidden == version)
    }
}

impl NamePolicy {
    pub(crate) fn new(name: Arc<str>, denied: Vec<DeniedVersion>, age: Option<ReleaseAge>) -> Self {
        Self { name, denied, age }
    }

    /// A policy that hides nothing.
    pub fn open(name: &str) -> Self {
        Self::new(name.into(), Vec::new(), None)
    }

    /// The rules that hide versions of this name, each as a sentence.
    pub fn rules(&self) -> Vec<String> {
        let denied = self.denied.iter().map(|denied| format!("by the rule `{}`", denied.rule));
        let age = self.age.map(|ReleaseAge(age)| {
            format!("by min_release_age: what has not been out for {}", shown_span(age))
        });
        denied.chain(age).collect()
    }

    /// Whether every version is shown, so that times need not be looked for.
    pub fn is_open(&self) -> bool {
        self.denied.is_empty() && self.age.is_none()
    }

    /// Whether single versions are denied: of what belongs to a version that is known no more, nobody can say whether it is one of them.
    pub fn denies_versions(&self) -> bool {
        !self.denied.is_empty()
    }

    /// Whether the time of publishing matters. Where it does and is not known, the version is hidden.
    pub fn needs_times(&self) -> bool {
        self.age.is_some()
    }

    /// Whether a version may be had now. A version whose time is not known (or yet to come) may not while an age is asked for.
    pub fn check(
        &self,
        version: &str,
        published: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), Denial> {
        if let Some(denied) = self.denied.iter().find(|denied| denied.version.matches(version)) {
            let text = format!("{}@{version} is denied by this registry's rule `{}`", self.name, denied.rule);
            return Err(Denial::new(DeniedBy::Rule, text));
        }
        let Some(ReleaseAge(age)) = self.age else { return Ok(()) };
        let Some(published) = published else {
            let text = format!(
                "{}@{version} is hidden by this registry's rule min_release_age ({}): when it was published is not known",
                self.name,
                shown_span(age)
            );
            return Err(Denial::new(DeniedBy::Age, text));
        };
        let until = comes_out(published, age);
        if until <= now {
            return Ok(());
        }
        let text = format!(
            "{}@{version} is hidden by this registry's rule min_release_age ({}) until {}",
            self.name,
            shown_span(age),
            until.to_rfc3339_opts(SecondsFormat::Secs, true)
        );
        Err(Denial::new(DeniedBy::Age, text))
    }

    /// Which of a package's versions are hidden now.
    pub fn sift<'v>(
        &self,
        versions: impl IntoIterator<Item = (&'v str, Option<DateTime<Utc>>)>,
        now: DateTime<Utc>,
    ) -> Sifted {
        let mut sifted = Sifted::default();
        if self.is_open() {
            return sifted;
        }
        let mut hash = Sha256::new();
        for (version, published) in versions {
            let Err(denial) = self.check(version, published, now) else { continue };
            hash.update(version.as_bytes());
            hash.update([0]);
            if denial.by == DeniedBy::Age
                && let Some((published, ReleaseAge(age))) = published.zip(self.age)
            {
                let until = comes_out(published, age);
                sifted.until = Some(sifted.until.map_or(until, |earlier| earlier.min(until)));
            }
            sifted.hidden.push((version.to_owned(), denial));
        }
        if !sifted.hidden.is_empty() {
            sifted.tag = hex::encode(hash.finalize());
            sifted.tag.truncate(16);
        }
        sifted
    }
}

fn comes_out(published: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age)
        .ok()
        .and_then(|age| published.checked_add_signed(age))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn shown_span(span: Duration) -> String {
    let seconds = span.as_secs();
    for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= size && seconds.is_multiple_of(size) {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn policy(days: u64) -> NamePolicy {
        let age = Some(ReleaseAge(Duration::from_secs(days * 86_400)));
        NamePolicy::new("lib".into(), Vec::new(), age)
    }

    #[test]
    fn a_new_version_waits_and_the_reason_says_until_when() {
        let policy = policy(7);
        let now = time("2026-03-04T00:00:00Z");
        assert!(policy.check("1.0.0", Some(time("2026-02-25T00:00:00Z")), now).is_ok());
        let denial = policy.check("2.0.0", Some(time("2026-03-01T00:00:00Z")), now).unwrap_err();
        assert_eq!(
            denial.reason,
            "lib@2.0.0 is hidden by this registry's rule min_release_age (7d) until 2026-03-08T00:00:00Z"
        );
        assert_eq!(denial.by, DeniedBy::Age);
    }

    #[test]
    fn what_has_no_time_is_hidden_and_so_is_the_future() {
        let policy = policy(1);
        let now = time("2026-03-04T00:00:00Z");
        assert!(policy.check("1.0.0", None, now).unwrap_err().reason.contains("not known"));
        assert!(policy.check("1.0.0", Some(time("2027-01-01T00:00:00Z")), now).is_err());
        assert!(policy.check("1.0.0", Some(DateTime::<Utc>::MAX_UTC), now).is_err());
        assert!(NamePolicy::open("lib").check("1.0.0", None, now).is_ok());
        assert!(!policy.denies_versions());
        let denied = DeniedVersion { version: Pattern::new("1.0.0"), rule: "lib@1.0.0".to_owned() };
        assert!(NamePolicy::new("lib".into(), vec![denied], None).denies_versions());
    }

    #[test]
    fn sifting_says_when_the_next_comes_out() {
        let policy = policy(7);
        let now = time("2026-03-04T00:00:00Z");
        let versions = [
            ("1.0.0", Some(time("2026-01-01T00:00:00Z"))),
            ("2.0.0", Some(time("2026-03-03T00:00:00Z"))),
            ("1.9.0", Some(time("2026-03-01T00:00:00Z"))),
            ("0.1.0", None),
        ];
        let sifted = policy.sift(versions, now);
        assert!(!sifted.hides("1.0.0") && sifted.hides("2.0.0") && sifted.hides("0.1.0"));
        assert_eq!(sifted.until, Some(time("2026-03-08T00:00:00Z")));
        let later = policy.sift(versions, time("2026-03-09T00:00:00Z"));
        assert_ne!(sifted.tag, later.tag);
        assert!(!later.hides("1.9.0") && later.hides("2.0.0"));
        assert_eq!(NamePolicy::open("lib").sift(versions, now).tag, "");
    }
}
