//! `[cargo]`, `[composer]`, `[maven]`, `[npm]`, `[oci]`, `[pypi]`, `[rubygems]` and `[[registry]]`: which registries there are and where.

use std::{collections::BTreeSet, time::Duration};

use http::Uri;
use smartregistry::{
    cargo::CargoConfig,
    composer::ComposerConfig,
    core::{BasePath, Instance, InstanceName, Protocol, auth::ScopeSet, upstream::RuleSet},
    default_base_paths,
    maven::MavenConfig,
    npm::NpmConfig,
    oci::OciConfig,
    pypi::{AttestationRoots, PypiConfig},
    rubygems::RubygemsConfig,
};

use toml::{Table, Value};

use super::{
    ConfigError, Lookup,
    raw::RawInstance,
    scopes, upstreams,
    values::{ByteSize, Span},
};

/// Paths that the server answers itself.
const OWN_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// One registry.
#[derive(Debug, Clone)]
pub(crate) struct InstanceConfig {
    /// Its name; that of the protocol for the default one.
    pub(crate) name: InstanceName,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// Where it is reached.
    pub(crate) base_paths: Vec<BasePath>,
    /// The only host name it answers at, if it has one.
    pub(crate) host: Option<String>,
    /// The origin in URLs that its clients are given, where it is not that of the whole server.
    pub(crate) origin: Option<String>,
    /// What the anonymous actor may do here, where that is not what `auth.anonymous` says.
    pub(crate) anonymous: Option<ScopeSet>,
    /// Which names are asked of which upstreams, and what nobody gets.
    pub(crate) rules: RuleSet,
    /// The protocol's own settings.
    pub(crate) settings: Settings,
}

/// A protocol's own settings.
#[derive(Debug, Clone)]
pub(crate) enum Settings {
    /// Of a Cargo registry.
    Cargo(CargoConfig),
    /// Of a Composer registry.
    Composer(ComposerConfig),
    /// Of a Maven repository.
    Maven(MavenConfig),
    /// Of an npm registry.
    Npm(NpmConfig),
    /// Of an OCI registry.
    Oci(OciConfig),
    /// Of a Python package index.
    Pypi(PypiConfig),
    /// Of a RubyGems registry.
    Rubygems(RubygemsConfig),
}

/// What a registry's own keys are where they are not given.
#[derive(Debug)]
pub(super) struct Fallbacks {
    /// `limits.document`.
    pub(super) document: Option<u64>,
    /// `limits.artifact`.
    pub(super) artifact: Option<u64>,
    /// `auth.token_ttl`.
    pub(super) token_ttl: Duration,
}

impl InstanceConfig {
    /// The core's description of it.
    pub(crate) fn instance(&self) -> Instance {
        let instance = Instance::new(self.name.clone(), self.protocol, self.base_paths.clone());
        match &self.host {
            Some(host) => instance.with_host(host.clone()),
            None => instance,
        }
    }
}

/// The enabled registries: the default ones first, then the others as written.
pub(super) fn from_raw<const N: usize>(
    defaults: [(Protocol, RawInstance); N],
    others: Vec<RawInstance>,
    fallbacks: &Fallbacks,
    lookup: &Lookup<'_>,
) -> Result<Vec<InstanceConfig>, ConfigError> {
    let mut instances = Vec::new();
    let defaults = defaults.map(|(p, raw)| (p.to_string(), Some(p), raw));
    let others = others.into_iter().enumerate().map(|(at, raw)| (format!("registry[{at}]"), None, raw));
    let mut names = BTreeSet::new();
    for (key, default_of, raw) in defaults.into_iter().chain(others) {
        let enabled = raw.enabled.unwrap_or(true);
        let instance = one(&key, default_of, raw, fallbacks, lookup)?;
        if !names.insert(instance.name.clone()) {
            return Err(ConfigError::value(
                format!("{key}.name"),
                format!("there is another registry named {}", instance.name),
            ));
        }
        if enabled {
            instances.push(instance);
        }
    }
    if instances.is_empty() {
        return Err(ConfigError::value("enabled", "every registry is disabled"));
    }
    check_apart(&instances)?;
    Ok(instances)
}

fn one(
    key: &str,
    default_of: Option<Protocol>,
    mut raw: RawInstance,
    fallbacks: &Fallbacks,
    lookup: &Lookup<'_>,
) -> Result<InstanceConfig, ConfigError> {
    let at = |name: &str| format!("{key}.{name}");
    let protocol = match (default_of, &raw.protocol) {
        (Some(protocol), _) => protocol,
        (None, Some(text)) => text.parse().map_err(|e| ConfigError::value(at("protocol"), e))?,
        (None, None) => return Err(ConfigError::value(at("protocol"), "is missing")),
    };
    let name = match (default_of, &raw.name) {
        (Some(protocol), _) => protocol.into(),
        (None, Some(text)) => named(&at("name"), text)?,
        (None, None) => return Err(ConfigError::value(at("name"), "is missing")),
    };
    let host = raw.host.as_deref().map(|host| host_name(&at("host"), host)).transpose()?;
    let base_paths = match &raw.base_path {
        Some(text) => vec![base_path(&at("base_path"), text)?],
        None => default_paths(key, &name, protocol, default_of.is_some(), host.is_some())?,
    };
    let origin = raw
        .registry_url
        .as_deref()
        .map(|url| registry_origin(&at("registry_url"), url, &base_paths))
        .transpose()?;
    let rules = upstreams::rules(key, &mut raw)?;
    let settings = settings(key, protocol, in_units(key, raw.own)?, fallbacks, lookup)?;
    let anonymous = raw.anonymous.map(|texts| scopes(&at("anonymous"), &texts)).transpose()?;
    Ok(InstanceConfig { name, protocol, base_paths, host, origin, anonymous, rules, settings })
}

fn named(key: &str, text: &str) -> Result<InstanceName, ConfigError> {
    if text.parse::<Protocol>().is_ok() {
        return Err(ConfigError::value(key, format!("write the registry named {text} as [{text}]")));
    }
    text.parse().map_err(|e| ConfigError::value(key, e))
}

fn base_path(key: &str, text: &str) -> Result<BasePath, ConfigError> {
    let path: BasePath = text.parse().map_err(|e| ConfigError::value(key, e))?;
    if let Some(own) = OWN_PATHS.iter().find(|own| path.as_str() == **own) {
        return Err(ConfigError::value(key, format!("{own} is the server's own")));
    }
    Ok(path)
}

fn default_paths(
    key: &str,
    name: &InstanceName,
    protocol: Protocol,
    is_default: bool,
    has_host: bool,
) -> Result<Vec<BasePath>, ConfigError> {
    let text = match protocol {
        _ if is_default => return Ok(default_base_paths(protocol)),
        // Clients of OCI always ask at `/v2/`, so only the host can tell a second one from the first.
        Protocol::Oci if has_host => "/v2".to_owned(),
        Protocol::Oci => {
            return Err(ConfigError::value(
                format!("{key}.host"),
                "is missing: an oci registry beside the default one is reached by a host name of its own",
            ));
        }
        _ => format!("/{name}"),
    };
    Ok(vec![base_path(&format!("{key}.base_path"), &text)?])
}

fn host_name(key: &str, text: &str) -> Result<String, ConfigError> {
    let ok = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && !text.starts_with(['.', '-']);
    if ok {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(ConfigError::value(key, format!("{text:?} is not a host name (written without a port)")))
    }
}

/// The origin of a URL without a path: `https://registry.example.com`.
pub(super) fn origin(key: &str, text: &str) -> Result<String, ConfigError> {
    let (origin, path) = split_url(key, text)?;
    if path.is_empty() {
        Ok(origin)
    } else {
        Err(ConfigError::value(key, format!("{text:?} must end after the host name")))
    }
}

/// The origin of a registry's own URL, which ends in one of its base paths or after the host name.
fn registry_origin(key: &str, text: &str, base_paths: &[BasePath]) -> Result<String, ConfigError> {
    let (origin, path) = split_url(key, text)?;
    if path.is_empty() || base_paths.iter().any(|base| base.as_str() == path) {
        return Ok(origin);
    }
    let bases: Vec<&str> = base_paths.iter().map(BasePath::as_str).collect();
    Err(ConfigError::value(
        key,
        format!("{text:?} must end in the registry's base path, {}", bases.join(" or ")),
    ))
}

fn split_url(key: &str, text: &str) -> Result<(String, String), ConfigError> {
    let wrong =
        || ConfigError::value(key, format!("{text:?} is not a URL such as https://registry.example.com"));
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|s| matches!(*s, "http" | "https")).ok_or_else(wrong)?;
    let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(wrong)?;
    if uri.query().is_some() || text.contains('#') {
        return Err(wrong());
    }
    Ok((format!("{scheme}://{authority}"), uri.path().trim_end_matches('/').to_owned()))
}

fn settings(
    key: &str,
    protocol: Protocol,
    mut own: Table,
    fallbacks: &Fallbacks,
    lookup: &Lookup<'_>,
) -> Result<Settings, ConfigError> {
    let mut fall_back = |name: &str, number: Option<u64>| {
        if let Some(number) = number.and_then(|n| i64::try_from(n).ok()) {
            own.entry(name).or_insert(Value::Integer(number));
        }
    };
    match protocol {
        Protocol::Cargo => {
            fall_back("max_crate_bytes", fallbacks.artifact);
            read(key, own).map(Settings::Cargo)
        }
        Protocol::Composer => {
            fall_back("max_archive_bytes", fallbacks.artifact);
            read(key, own).map(Settings::Composer)
        }
        Protocol::Maven => {
            fall_back("max_file_bytes", fallbacks.artifact);
            read(key, own).map(Settings::Maven)
        }
        Protocol::Npm => {
            fall_back("max_document_bytes", fallbacks.document);
            fall_back("max_tarball_bytes", fallbacks.artifact);
            read(key, own).map(Settings::Npm)
        }
        Protocol::Oci => {
            fall_back("max_blob_bytes", fallbacks.artifact);
            fall_back("token_ttl_seconds", Some(fallbacks.token_ttl.as_secs()));
            read(key, own).map(Settings::Oci)
        }
        Protocol::Pypi => {
            fall_back("max_file_bytes", fallbacks.artifact);
            let roots = own.remove("attestation_roots");
            let mut pypi: PypiConfig = read(key, own)?;
            pypi.attestation_roots = roots.map(|path| attestation_roots(key, &path, lookup)).transpose()?;
            Ok(Settings::Pypi(pypi))
        }
        Protocol::Rubygems => {
            fall_back("max_gem_bytes", fallbacks.artifact);
            read(key, own).map(Settings::Rubygems)
        }
    }
}

/// The certificates in the file that is named.
fn attestation_roots(key: &str, path: &Value, lookup: &Lookup<'_>) -> Result<AttestationRoots, ConfigError> {
    let wrong = |why: String| ConfigError::value(format!("{key}.attestation_roots"), why);
    let path = path.as_str().ok_or_else(|| wrong("must be the path of a PEM file".to_owned()))?;
    let pem = (lookup.file)(path).map_err(|error| wrong(format!("cannot read {path}: {error}")))?;
    AttestationRoots::from_pem(pem.as_bytes()).map_err(|error| wrong(format!("{path}: {error}")))
}

fn read<T: serde::de::DeserializeOwned>(key: &str, table: Table) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(table)
        .map_err(|e| ConfigError::value(format!("{key}.{}", e.path()), e.inner().message()))
}

/// The protocol's keys, with sizes and times that were written with a unit as the plain numbers that they take.
fn in_units(key: &str, table: Table) -> Result<Table, ConfigError> {
    let plain = |name: &str, text: &str| -> Result<u64, ConfigError> {
        let at = || format!("{key}.{name}");
        if name.ends_with("_bytes") {
            text.parse::<ByteSize>().map(|size| size.0).map_err(|e| ConfigError::value(at(), e))
        } else {
            text.parse::<Span>().map(|span| span.0.as_secs()).map_err(|e| ConfigError::value(at(), e))
        }
    };
    let convert = |(name, value): (String, Value)| match value {
        Value::String(text) if name.ends_with("_bytes") || name.ends_with("_seconds") => {
            let number = plain(&name, &text)?;
            let number = i64::try_from(number)
                .map_err(|_| ConfigError::value(format!("{key}.{name}"), "is too large"))?;
            Ok((name, Value::Integer(number)))
        }
        value => Ok((name, value)),
    };
    table.into_iter().map(convert).collect()
}

/// Two registries must differ in base path or host.
fn check_apart(instances: &[InstanceConfig]) -> Result<(), ConfigError> {
    let mut places = BTreeSet::new();
    for instance in instances {
        for base in &instance.base_paths {
            if !places.insert((instance.host.clone(), base.clone())) {
                return Err(ConfigError::value(
                    format!("{}.base_path", instance.name),
                    format!("another registry is at {base} already"),
                ));
            }
        }
    }
    Ok(())
}
