//! Who decides which upstreams are asked: [`UpstreamProvider`], and the one that follows a configuration.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;

use super::{
    Denial, NamePolicy, UpstreamConfig, UpstreamId,
    names::NamePattern,
    outcome::DeniedBy,
    rules::{RuleSet, Rules, Ruling},
};
use crate::{Actor, InstanceName, Protocol};

/// What an upstream would be asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UpstreamRequest<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The instance.
    pub instance: &'a InstanceName,
    /// The name, in the form in which the store knows it; `None` for what is about no name (a search).
    pub name: Option<&'a str>,
    /// The registry that the client means, where its protocol can say so (`?ns=` of OCI mirrors).
    pub namespace: Option<&'a str>,
    /// Whether the name was ever published here.
    pub hosted: bool,
    /// Who asks.
    pub actor: &'a Actor,
}

/// Which upstreams are asked.
#[derive(Debug)]
pub enum Resolution {
    /// None: the name is answered from here alone.
    Local {
        /// The rule that says so, if one does.
        rule: Option<String>,
    },
    /// None, and what is here of it is not given either.
    Denied(Denial),
    /// These.
    Ask(Plan),
}

/// Upstreams in their order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The upstreams.
    pub upstreams: Vec<Arc<UpstreamConfig>>,
    /// Whether what is hosted and what they have is shown as one. Without it a hosted name shadows all of theirs.
    pub merge: bool,
    /// Which versions are shown.
    pub policy: NamePolicy,
}

impl Plan {
    /// Upstreams in their order, all of whose versions are shown.
    pub fn new(name: &str, upstreams: Vec<Arc<UpstreamConfig>>) -> Self {
        Self { upstreams, merge: false, policy: NamePolicy::open(name) }
    }
}

/// Why a provider has no answer.
#[derive(Debug, thiserror::Error)]
#[error("the upstreams of this registry could not be determined")]
pub struct ResolveError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Decides, request by request, which upstreams are asked. The actor reaches it as the host made it.
///
/// It must answer within a second. Whoever may not read the name was turned away before.
#[async_trait]
pub trait UpstreamProvider: Send + Sync + fmt::Debug {
    /// Which upstreams are asked.
    async fn resolve(&self, request: &UpstreamRequest<'_>) -> Result<Resolution, ResolveError>;

    /// Whether an instance has any upstream at all, so that those without need not ask.
    fn has_upstreams(&self, instance: &InstanceName) -> bool {
        let _ = instance;
        true
    }

    /// All upstreams that are known beforehand, for what is shown of their state.
    fn known(&self) -> Vec<(InstanceName, Arc<UpstreamConfig>)> {
        Vec::new()
    }
}

/// The upstreams and rules of one instance.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InstanceUpstreams {
    /// The upstreams, in any order.
    pub upstreams: Vec<UpstreamConfig>,
    /// The rules.
    pub rules: RuleSet,
}

/// An instance's upstreams, in their order and compiled.
#[derive(Debug)]
struct Compiled {
    upstreams: Vec<(Arc<UpstreamConfig>, Vec<NamePattern>, Vec<NamePattern>)>,
    rules: Rules,
}

/// Follows a configuration.
#[derive(Debug, Default)]
pub struct StaticUpstreamProvider {
    instances: BTreeMap<InstanceName, Compiled>,
}

impl StaticUpstreamProvider {
    /// A provider without upstreams.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the upstreams of one more instance.
    pub fn with(mut self, instance: InstanceName, protocol: Protocol, set: InstanceUpstreams) -> Self {
        let patterns = |texts: &[String]| -> Vec<NamePattern> {
            texts.iter().map(|text| NamePattern::new(protocol, text)).collect()
        };
        let mut upstreams: Vec<_> = set.upstreams.into_iter().filter(|upstream| upstream.enabled).collect();
        upstreams.sort_by_key(|upstream| upstream.priority);
        let upstreams = upstreams
            .into_iter()
            .map(|upstream| {
                let (allow, deny) = (patterns(&upstream.allow), patterns(&upstream.deny));
                (Arc::new(upstream), allow, deny)
            })
            .collect();
        let rules = Rules::new(protocol, &set.rules);
        self.instances.insert(instance, Compiled { upstreams, rules });
        self
    }
}

#[async_trait]
impl UpstreamProvider for StaticUpstreamProvider {
    async fn resolve(&self, request: &UpstreamRequest<'_>) -> Result<Resolution, ResolveError> {
        let local = |rule: Option<&str>| Resolution::Local { rule: rule.map(str::to_owned) };
        let Some(compiled) = self.instances.get(request.instance) else { return Ok(local(None)) };
        let name = request.name.unwrap_or_default();
        let ruling = request.name.map_or(Ruling::Default, |name| compiled.rules.ruling(name));
        let (ids, merge) = match ruling {
            Ruling::Denied(rule) => {
                let text = format!("{name} is denied by this registry's rule `{rule}`");
                return Ok(Resolution::Denied(Denial::new(DeniedBy::Rule, text)));
            }
            Ruling::Local(rule) => return Ok(local(Some(rule))),
            Ruling::Merge(ids) => (ids, true),
            Ruling::Route(_) | Ruling::Default if request.hosted => return Ok(local(None)),
            Ruling::Route(ids) => (ids, false),
            Ruling::Default => (&[] as &[UpstreamId], false),
        };
        let allowed =
            |(upstream, allow, deny): &&(Arc<UpstreamConfig>, Vec<NamePattern>, Vec<NamePattern>)| {
                (ids.is_empty() || ids.contains(&upstream.id))
                    && (request.name.is_none()
                        || (allow.is_empty() || allow.iter().any(|pattern| pattern.matches(name)))
                            && !deny.iter().any(|pattern| pattern.matches(name)))
            };
        let mut upstreams: Vec<_> =
            compiled.upstreams.iter().filter(allowed).map(|(upstream, ..)| Arc::clone(upstream)).collect();
        meant(&mut upstreams, name, request.namespace);
        upstreams.sort_by_key(|upstream| ids.iter().position(|id| *id == upstream.id));
        if upstreams.is_empty() {
            return Ok(local(None));
        }
        let policy = compiled.rules.policy(name);
        Ok(Resolution::Ask(Plan { upstreams, merge, policy }))
    }

    fn has_upstreams(&self, instance: &InstanceName) -> bool {
        self.instances.contains_key(instance)
    }

    fn known(&self) -> Vec<(InstanceName, Arc<UpstreamConfig>)> {
        let of = |(name, compiled): (&InstanceName, &Compiled)| {
            let upstreams = compiled.upstreams.iter();
            upstreams.map(|(upstream, ..)| (name.clone(), Arc::clone(upstream))).collect::<Vec<_>>()
        };
        self.instances.iter().flat_map(of).collect()
    }
}

/// Leaves those upstreams that a name is meant for: of the registry that the client names, or else by the path that the name begins
/// with. Where no upstream says anything of that, all are.
fn meant(upstreams: &mut Vec<Arc<UpstreamConfig>>, name: &str, namespace: Option<&str>) {
    if let Some(namespace) = namespace
        && upstreams.iter().any(|upstream| !upstream.namespaces.is_empty())
    {
        let is_it = |one: &String| one.eq_ignore_ascii_case(namespace);
        upstreams.retain(|upstream| upstream.namespaces.iter().any(is_it));
        return;
    }
    let length = |upstream: &UpstreamConfig| {
        let prefix = upstream.prefix.as_deref()?;
        name.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).map(|_| prefix.len())
    };
    let longest = upstreams.iter().filter_map(|upstream| length(upstream)).max();
    upstreams
        .retain(|upstream| length(upstream) == longest && (longest.is_some() || upstream.prefix.is_none()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::rules::{Rule, RuleAction};

    fn upstream(id: &str, priority: i32) -> UpstreamConfig {
        let mut config = UpstreamConfig::new(id.parse().unwrap(), "https://registry.example.com").unwrap();
        config.priority = priority;
        config
    }

    async fn asked(provider: &StaticUpstreamProvider, name: &str, hosted: bool) -> Option<Vec<String>> {
        let (instance, actor) = (Protocol::Npm.into(), Actor::anonymous());
        let request = UpstreamRequest {
            protocol: Protocol::Npm,
            instance: &instance,
            name: Some(name),
            namespace: None,
            hosted,
            actor: &actor,
        };
        match provider.resolve(&request).await.unwrap() {
            Resolution::Ask(plan) => Some(plan.upstreams.iter().map(|one| one.id.to_string()).collect()),
            Resolution::Local { .. } => None,
            Resolution::Denied(denial) => Some(vec![denial.reason]),
        }
    }

    #[test]
    fn a_name_is_meant_for_the_upstream_of_its_path_or_namespace() {
        let with = |id: &str, prefix: Option<&str>, namespaces: &[&str]| {
            let mut config = upstream(id, 100);
            config.prefix = prefix.map(str::to_owned);
            config.namespaces = namespaces.iter().map(|one| (*one).to_owned()).collect();
            Arc::new(config)
        };
        let all = || {
            vec![
                with("hub", Some("hub"), &["hub.example.com"]),
                with("deep", Some("hub/deep"), &[]),
                with("rest", None, &["rest.example.com"]),
            ]
        };
        for (name, namespace, want) in [
            ("hub/alpine", None, vec!["hub"]),
            ("hub/deep/alpine", None, vec!["deep"]),
            ("hubris/alpine", None, vec!["rest"]),
            ("alpine", None, vec!["rest"]),
            ("hub/alpine", Some("REST.example.com"), vec!["rest"]),
            ("alpine", Some("hub.example.com"), vec!["hub"]),
            ("alpine", Some("unknown.example.com"), vec![]),
        ] {
            let mut upstreams = all();
            meant(&mut upstreams, name, namespace);
            let ids: Vec<_> = upstreams.iter().map(|one| one.id.to_string()).collect();
            assert_eq!(ids, want, "{name} {namespace:?}");
        }
        let mut plain = vec![with("one", None, &[]), with("two", None, &[])];
        meant(&mut plain, "alpine", Some("any.example.com"));
        assert_eq!(plain.len(), 2, "nobody says anything of namespaces");
    }

    #[tokio::test]
    async fn upstreams_are_asked_by_priority_and_hosted_names_of_none() {
        let mut narrow = upstream("narrow", 1);
        narrow.allow = vec!["@a/*".to_owned()];
        narrow.deny = vec!["@a/secret".to_owned()];
        let mut off = upstream("off", 0);
        off.enabled = false;
        let set = InstanceUpstreams {
            upstreams: vec![upstream("late", 200), upstream("first", 10), narrow, off],
            rules: RuleSet {
                reserved: vec!["@acme/*".to_owned()],
                deny: vec!["evil".to_owned()],
                rules: vec![
                    Rule {
                        names: vec!["r-*".to_owned()],
                        action: RuleAction::Route(vec!["late".parse().unwrap(), "first".parse().unwrap()]),
                    },
                    Rule { names: vec!["m-*".to_owned()], action: RuleAction::Merge(Vec::new()) },
                    Rule {
                        names: vec!["nobody".to_owned()],
                        action: RuleAction::Route(vec!["x".parse().unwrap()]),
                    },
                ],
                ..RuleSet::default()
            },
        };
        let provider = StaticUpstreamProvider::new().with(Protocol::Npm.into(), Protocol::Npm, set);
        for (name, hosted, want) in [
            ("lodash", false, Some(vec!["first", "late"])),
            ("lodash", true, None),
            ("@a/lib", false, Some(vec!["narrow", "first", "late"])),
            ("@a/secret", false, Some(vec!["first", "late"])),
            ("@acme/lib", false, None),
            ("@acme/lib", true, None),
            ("r-x", false, Some(vec!["late", "first"])),
            ("r-x", true, None),
            ("m-x", true, Some(vec!["first", "late"])),
            ("nobody", false, None),
            ("evil", true, Some(vec!["evil is denied by this registry's rule `evil`"])),
        ] {
            let want = want.map(|ids| ids.into_iter().map(str::to_owned).collect());
            assert_eq!(asked(&provider, name, hosted).await, want, "{name} {hosted}");
        }
        assert_eq!(provider.known().len(), 3);
        assert!(!provider.has_upstreams(&Protocol::Oci.into()));
    }
}
