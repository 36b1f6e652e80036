//! The rules of one instance: which names are asked of which upstream, and which versions nobody gets.

use std::sync::Arc;

use super::{
    UpstreamId,
    names::NamePattern,
    policy::{DeniedVersion, NamePolicy, ReleaseAge},
};
use crate::{Pattern, Protocol};

/// What a rule does with the names that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Nobody gets them.
    Deny,
    /// They are never asked of an upstream.
    Local,
    /// They are asked of these upstreams alone, in this order.
    Route(Vec<UpstreamId>),
    /// What is hosted and what these upstreams have is shown as one; all upstreams where the list is empty.
    Merge(Vec<UpstreamId>),
}

/// A rule: patterns of names, and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The patterns.
    pub names: Vec<String>,
    /// What is done.
    pub action: RuleAction,
}

/// The rules of an instance as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// Names that are never asked of an upstream.
    pub reserved: Vec<String>,
    /// Names, or versions as `name@version`, that nobody gets.
    pub deny: Vec<String>,
    /// More rules; the first that matches decides.
    pub rules: Vec<Rule>,
    /// How old a version must be before it is shown.
    pub min_release_age: Option<std::time::Duration>,
    /// Names to which that does not apply.
    pub min_release_age_exclude: Vec<String>,
}

/// The rules of an instance, compiled.
#[derive(Debug)]
pub(crate) struct Rules {
    reserved: Vec<NamePattern>,
    denied_names: Vec<NamePattern>,
    denied_versions: Vec<(NamePattern, Pattern, String)>,
    by_name: Vec<(Vec<NamePattern>, RuleAction)>,
    min_release_age: Option<std::time::Duration>,
    excluded: Vec<NamePattern>,
}

/// What the rules say of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ruling<'r> {
    /// The pattern that denies it.
    Denied(&'r str),
    /// The pattern that keeps it local.
    Local(&'r str),
    /// Asked of these alone.
    Route(&'r [UpstreamId]),
    /// Merged with these.
    Merge(&'r [UpstreamId]),
    /// No rule matches.
    Default,
}

impl Rules {
    pub(crate) fn new(protocol: Protocol, set: &RuleSet) -> Self {
        let patterns = |texts: &[String]| -> Vec<NamePattern> {
            texts.iter().map(|text| NamePattern::new(protocol, text)).collect()
        };
        let (mut denied_names, mut denied_versions) = (Vec::new(), Vec::new());
        for text in &set.deny {
            match split_version(text) {
                Some((name, version)) => denied_versions.push((
                    NamePattern::new(protocol, name),
                    Pattern::new(version),
                    text.clone(),
                )),
                None => denied_names.push(NamePattern::new(protocol, text)),
            }
        }
        Self {
            reserved: patterns(&set.reserved),
            denied_names,
            denied_versions,
            by_name: set.rules.iter().map(|rule| (patterns(&rule.names), rule.action.clone())).collect(),
            min_release_age: set.min_release_age,
            excluded: patterns(&set.min_release_age_exclude),
        }
    }

    /// What the rules say of a name. What is reserved or denied is so whatever other rules say.
    pub(crate) fn ruling(&self, name: &str) -> Ruling<'_> {
        let first = |patterns: &'_ [NamePattern]| patterns.iter().position(|pattern| pattern.matches(name));
        if let Some(pattern) = first(&self.denied_names).and_then(|at| self.denied_names.get(at)) {
            return Ruling::Denied(pattern.text());
        }
        if let Some(pattern) = first(&self.reserved).and_then(|at| self.reserved.get(at)) {
            return Ruling::Local(pattern.text());
        }
        for (patterns, action) in &self.by_name {
            if let Some(pattern) = first(patterns).and_then(|at| patterns.get(at)) {
                return match action {
                    RuleAction::Deny => Ruling::Denied(pattern.text()),
                    RuleAction::Local => Ruling::Local(pattern.text()),
                    RuleAction::Route(ids) => Ruling::Route(ids),
                    RuleAction::Merge(ids) => Ruling::Merge(ids),
                };
            }
        }
        Ruling::Default
    }

    /// What is to be said of the versions of a name.
    pub(crate) fn policy(&self, name: &str) -> NamePolicy {
        let denied = self
            .denied_versions
            .iter()
            .filter(|(pattern, _, _)| pattern.matches(name))
            .map(|(_, version, rule)| DeniedVersion { version: version.clone(), rule: rule.clone() })
            .collect();
        let age = self.min_release_age.filter(|age| !age.is_zero());
        let age = age.filter(|_| !self.excluded.iter().any(|pattern| pattern.matches(name)));
        NamePolicy::new(Arc::from(name), denied, age.map(ReleaseAge))
    }
}

/// Cuts `name@version`; a name may itself begin with `@`.
fn split_version(text: &str) -> Option<(&str, &str)> {
    let (name, version) = text.rsplit_once('@')?;
    (!name.is_empty() && !version.is_empty() && !version.contains('/')).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(texts: &[&str]) -> Vec<UpstreamId> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_rule_decides_but_never_over_what_is_reserved_or_denied() {
        let set = RuleSet {
            reserved: vec!["@acme/*".to_owned()],
            deny: vec!["evil".to_owned(), "left-pad@1.3.1".to_owned(), "@x/y@2.*".to_owned()],
            rules: vec![
                Rule { names: vec!["@a/*".to_owned()], action: RuleAction::Route(ids(&["one"])) },
                Rule { names: vec!["@*".to_owned()], action: RuleAction::Merge(Vec::new()) },
                Rule { names: vec!["internal-*".to_owned()], action: RuleAction::Local },
            ],
            ..RuleSet::default()
        };
        let rules = Rules::new(Protocol::Npm, &set);
        for (name, want) in [
            ("@acme/lib", Ruling::Local("@acme/*")),
            ("evil", Ruling::Denied("evil")),
            ("@a/lib", Ruling::Route(&ids(&["one"]))),
            ("@b/lib", Ruling::Merge(&[])),
            ("internal-x", Ruling::Local("internal-*")),
            ("lodash", Ruling::Default),
            ("left-pad", Ruling::Default),
        ] {
            assert_eq!(rules.ruling(name), want, "{name}");
        }
        let now = chrono::Utc::now();
        assert!(rules.policy("left-pad").check("1.3.1", Some(now), now).is_err());
        assert!(rules.policy("left-pad").check("1.3.0", Some(now), now).is_ok());
        assert!(rules.policy("left-pads").check("1.3.1", Some(now), now).is_ok());
        assert!(rules.policy("@x/y").check("2.1.0", Some(now), now).is_err());
    }

    #[test]
    fn only_a_version_is_cut_off() {
        assert_eq!(split_version("a@1"), Some(("a", "1")));
        assert_eq!(split_version("@a/b@1"), Some(("@a/b", "1")));
        for whole in ["a", "@a/b", "a@", "@a"] {
            assert_eq!(split_version(whole), None, "{whole}");
        }
    }
}
