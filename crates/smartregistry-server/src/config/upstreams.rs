//! `[[upstreams.NAME]]`, and `reserved`, `deny`, `rules` and `min_release_age` of a registry: which other registries are asked for what.

use std::{collections::BTreeMap, mem::take, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderName;
use serde::Deserialize;
use smartregistry::core::{
    InstanceName, Protocol,
    upstream::{
        Egress, InstanceUpstreams, OnError, Rule, RuleAction, RuleSet, UpstreamAuth, UpstreamConfig,
        UpstreamId,
    },
};

use super::{
    ConfigError, InstanceConfig, Lookup,
    raw::RawInstance,
    values::{ByteSize, Secret, Span},
};

/// One `[[upstreams.NAME]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstream {
    id: Option<String>,
    url: Option<String>,
    priority: Option<i32>,
    enabled: Option<bool>,
    auth: Option<RawAuth>,
    allow: Vec<String>,
    deny: Vec<String>,
    trusted_hosts: Vec<String>,
    strict_hosts: Option<bool>,
    ca: Option<PathBuf>,
    proxy: Option<String>,
    connect_timeout: Option<Span>,
    document_timeout: Option<Span>,
    artifact_timeout: Option<Span>,
    idle_timeout: Option<Span>,
    total_timeout: Option<Span>,
    soft_timeout: Option<Span>,
    ttl: Option<Span>,
    stale_while_revalidate: Option<Span>,
    stale_if_error: Option<Span>,
    negative_ttl: Option<Span>,
    retries: Option<u32>,
    max_concurrency: Option<u32>,
    max_document: Option<ByteSize>,
    max_artifact: Option<ByteSize>,
    on_error: OnError,
    absent_statuses: Vec<u16>,
    offline: bool,
    prefix: Option<String>,
    namespaces: Vec<String>,
    library: bool,
}

/// `auth` of an upstream.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum RawAuth {
    None {},
    Basic { username: String, password: Secret },
    Bearer { token: Secret },
    Header { name: String, value: Secret },
}

/// One of `rules`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    names: Vec<String>,
    action: RawAction,
    #[serde(default)]
    upstreams: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAction {
    Deny,
    Local,
    Route,
    Merge,
}

/// The upstreams of one registry.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamsConfig {
    /// The registry.
    pub(crate) instance: InstanceName,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// Its upstreams and rules.
    pub(crate) set: InstanceUpstreams,
}

/// What a registry's own table says of upstreams.
pub(super) fn rules(key: &str, raw: &mut RawInstance) -> Result<RuleSet, ConfigError> {
    let rule = |(at, raw): (usize, RawRule)| {
        let key = format!("{key}.rules[{at}]");
        let ids = raw.upstreams.iter().map(|id| id.parse::<UpstreamId>());
        let ids: Vec<UpstreamId> =
            ids.collect::<Result<_, _>>().map_err(|e| ConfigError::value(format!("{key}.upstreams"), e))?;
        let action = match raw.action {
            RawAction::Deny => RuleAction::Deny,
            RawAction::Local => RuleAction::Local,
            RawAction::Route if ids.is_empty() => {
                return Err(ConfigError::value(
                    format!("{key}.upstreams"),
                    "is missing: route to which ones?",
                ));
            }
            RawAction::Route => RuleAction::Route(ids),
            RawAction::Merge => RuleAction::Merge(ids),
        };
        Ok(Rule { names: raw.names, action })
    };
    Ok(RuleSet {
        reserved: take(&mut raw.reserved),
        deny: take(&mut raw.deny),
        rules: take(&mut raw.rules).into_iter().enumerate().map(rule).collect::<Result<_, _>>()?,
        min_release_age: raw.min_release_age.map(|span| span.0),
        min_release_age_exclude: take(&mut raw.min_release_age_exclude),
    })
}

/// The upstreams of all registries, each with its registry's rules.
pub(super) fn from_raw(
    raw: BTreeMap<String, Vec<RawUpstream>>,
    (instances, offline): (&[InstanceConfig], bool),
    lookup: &Lookup<'_>,
) -> Result<Vec<UpstreamsConfig>, ConfigError> {
    let mut all = Vec::new();
    for (name, upstreams) in raw {
        let key = format!("upstreams.{name}");
        let Some(instance) = instances.iter().find(|instance| instance.name.as_str() == name) else {
            return Err(ConfigError::value(key, format!("there is no registry named {name}")));
        };
        let mut set = InstanceUpstreams::default();
        for (at, raw) in upstreams.into_iter().enumerate() {
            let mut upstream = one(&format!("{key}[{at}]"), raw, lookup)?;
            upstream.offline |= offline;
            if set.upstreams.iter().any(|other: &UpstreamConfig| other.id == upstream.id) {
                let reason = format!("there is another upstream named {}", upstream.id);
                return Err(ConfigError::value(format!("{key}[{at}].id"), reason));
            }
            set.upstreams.push(upstream);
        }
        set.rules = instance.rules.clone();
        for (at, rule) in set.rules.rules.iter().enumerate() {
            let (RuleAction::Route(ids) | RuleAction::Merge(ids)) = &rule.action else { continue };
            if let Some(id) = ids.iter().find(|id| !set.upstreams.iter().any(|one| one.id == **id)) {
                let key = format!("{name}.rules[{at}].upstreams");
                return Err(ConfigError::value(key, format!("there is no upstream named {id}")));
            }
        }
        all.push(UpstreamsConfig { instance: instance.name.clone(), protocol: instance.protocol, set });
    }
    Ok(all)
}

fn one(key: &str, raw: RawUpstream, lookup: &Lookup<'_>) -> Result<UpstreamConfig, ConfigError> {
    let at = |name: &str| format!("{key}.{name}");
    let id = raw.id.ok_or_else(|| ConfigError::value(at("id"), "is missing"))?;
    let id: UpstreamId = id.parse().map_err(|e| ConfigError::value(at("id"), e))?;
    let url = raw.url.ok_or_else(|| ConfigError::value(at("url"), "is missing"))?;
    let mut config = UpstreamConfig::new(id, &url).map_err(|e| ConfigError::value(at("url"), e))?;
    if let Some(auth) = raw.auth {
        config = config.with_auth(credentials(&at("auth"), auth, lookup)?);
    }
    if let Some(path) = raw.ca {
        let text = (lookup.file)(&path.to_string_lossy())
            .map_err(|e| ConfigError::value(at("ca"), format!("cannot read {}: {e}", path.display())))?;
        config.ca = Some(Arc::from(text.into_bytes()));
    }
    config.egress = match raw.proxy.as_deref() {
        None => Egress::Inherit,
        Some("direct") => Egress::Direct,
        Some(url) => {
            let wrong = || ConfigError::value(at("proxy"), "must be \"direct\" or the URL of an HTTP proxy");
            Egress::Proxy(url.parse().map_err(|_| wrong())?)
        }
    };
    let times = [
        (&mut config.connect_timeout, raw.connect_timeout, "connect_timeout"),
        (&mut config.document_timeout, raw.document_timeout, "document_timeout"),
        (&mut config.artifact_timeout, raw.artifact_timeout, "artifact_timeout"),
        (&mut config.idle_timeout, raw.idle_timeout, "idle_timeout"),
        (&mut config.total_timeout, raw.total_timeout, "total_timeout"),
    ];
    for (time, span, name) in times {
        match span {
            Some(Span(Duration::ZERO)) => {
                return Err(ConfigError::value(at(name), "must be longer than zero"));
            }
            Some(Span(span)) => *time = span,
            None => {}
        }
    }
    for (time, span) in [
        (&mut config.soft_timeout, raw.soft_timeout),
        (&mut config.stale_while_revalidate, raw.stale_while_revalidate),
        (&mut config.stale_if_error, raw.stale_if_error),
        (&mut config.negative_ttl, raw.negative_ttl),
    ] {
        if let Some(Span(span)) = span {
            *time = span;
        }
    }
    config.ttl = raw.ttl.map(|span| span.0);
    config.priority = raw.priority.unwrap_or(config.priority);
    config.enabled = raw.enabled.unwrap_or(true);
    config.allow = raw.allow;
    config.deny = raw.deny;
    config.trusted_hosts = raw.trusted_hosts;
    config.strict_hosts = raw.strict_hosts.unwrap_or(config.strict_hosts);
    config.retries = raw.retries.unwrap_or(config.retries);
    config.max_concurrency = match raw.max_concurrency {
        Some(0) => return Err(ConfigError::value(at("max_concurrency"), "must be at least 1")),
        most => most.unwrap_or(config.max_concurrency),
    };
    config.max_document = raw.max_document.map_or(config.max_document, |size| size.0);
    config.max_artifact = raw.max_artifact.map_or(config.max_artifact, |size| size.0);
    config.on_error = raw.on_error;
    config.absent_statuses = raw.absent_statuses;
    config.offline = raw.offline;
    config.prefix =
        raw.prefix.map(|prefix| prefix.trim_matches('/').to_owned()).filter(|prefix| !prefix.is_empty());
    config.namespaces = raw.namespaces;
    config.library = raw.library;
    Ok(config)
}

fn credentials(key: &str, raw: RawAuth, lookup: &Lookup<'_>) -> Result<UpstreamAuth, ConfigError> {
    let secret = |name: &str, secret: &Secret| {
        secret.resolve(lookup).map_err(|e| ConfigError::value(format!("{key}.{name}"), e))
    };
    Ok(match raw {
        RawAuth::None {} => UpstreamAuth::None,
        RawAuth::Basic { username, password } => {
            UpstreamAuth::Basic { username, password: secret("password", &password)? }
        }
        RawAuth::Bearer { token } => UpstreamAuth::Bearer { token: secret("token", &token)? },
        RawAuth::Header { name, value } => {
            let name: HeaderName =
                name.parse().map_err(|_| ConfigError::value(format!("{key}.name"), "is no header's name"))?;
            UpstreamAuth::Header { name, value: secret("value", &value)? }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::load_file;
    use super::*;

    #[test]
    fn three_lines_make_a_proxy() {
        let config =
            load_file("[[upstreams.npm]]\nid = 'public'\nurl = 'https://registry.example.com'").unwrap();
        let [upstreams] = &config.upstreams[..] else { panic!("{:?}", config.upstreams) };
        assert_eq!(upstreams.instance.as_str(), "npm");
        assert_eq!(upstreams.set.upstreams[0].url.as_str(), "https://registry.example.com/");
    }

    #[test]
    fn everything_comes_out_as_written() {
        let config = load_file(
            r#"
            [npm]
            reserved = ["@acme/*"]
            deny = ["left-pad@1.3.1"]
            min_release_age = "7d"
            min_release_age_exclude = ["@trusted/*"]
            rules = [{ names = ["@b/*"], action = "merge", upstreams = ["b"] }, { names = ["x"], action = "deny" }]

            [[upstreams.npm]]
            id = "a"
            url = "https://a.example.com/npm/"
            auth = { type = "bearer", token = "env:SECRET" }
            trusted_hosts = ["cdn.example.com"]
            ttl = "1m"
            max_artifact = "1GiB"
            on_error = "next"
            proxy = "direct"

            [[upstreams.npm]]
            id = "b"
            url = "https://b.example.com"
            auth = { type = "header", name = "x-token", value = "plain" }
            priority = 5
            offline = true
            "#,
        )
        .unwrap();
        let set = &config.upstreams[0].set;
        let [a, b] = &set.upstreams[..] else { panic!("{set:?}") };
        assert!(matches!(&a.auth, UpstreamAuth::Bearer { .. }) && a.strict_hosts);
        assert_eq!(
            (a.ttl, a.max_artifact, a.on_error),
            (Some(Duration::from_mins(1)), 1 << 30, OnError::Next)
        );
        assert_eq!((&a.egress, b.priority, b.offline), (&Egress::Direct, 5, true));
        assert_eq!(set.rules.min_release_age, Some(Duration::from_hours(7 * 24)));
        assert_eq!(set.rules.rules[1].action, RuleAction::Deny);
        assert!(!format!("{config:?}").contains("plain"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = "id = 'a'\nurl = 'https://a.example.com'\n";
        for (text, want) in [
            ("[[upstreams.other]]\nid = 'a'".to_owned(), "there is no registry named other"),
            (
                "[[upstreams.npm]]\nurl = 'https://a.example.com'".to_owned(),
                "`upstreams.npm[0].id`: is missing",
            ),
            ("[[upstreams.npm]]\nid = 'a'".to_owned(), "`upstreams.npm[0].url`: is missing"),
            ("[[upstreams.npm]]\nid = 'A'\nurl = 'https://x'".to_owned(), "no upstream's id"),
            ("[[upstreams.npm]]\nid = 'a'\nurl = 'x'".to_owned(), "`upstreams.npm[0].url`: it is not a URL"),
            (format!("[[upstreams.npm]]\n{good}[[upstreams.npm]]\n{good}"), "another upstream named a"),
            (format!("[[upstreams.npm]]\n{good}timeout = 1"), "unknown key `upstreams.npm[0].timeout`"),
            (format!("[[upstreams.npm]]\n{good}idle_timeout = 0"), "longer than zero"),
            (format!("[[upstreams.npm]]\n{good}ca = 'none.pem'"), "cannot read none.pem"),
            (format!("[[upstreams.npm]]\n{good}auth = {{ type = 'bearer', token = 'env:NO' }}"), "NO"),
            (
                format!(
                    "[npm]\nrules = [{{ names = ['x'], action = 'route', upstreams = ['b'] }}]\n[[upstreams.npm]]\n{good}"
                ),
                "there is no upstream named b",
            ),
        ] {
            let error = load_file(&text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
