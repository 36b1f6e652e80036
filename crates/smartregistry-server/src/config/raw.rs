//! The configuration as it is written; [`super::Config`] is what comes of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    upstreams::{RawRule, RawUpstream},
    values::{ByteSize, Secret, Span},
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) listen: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) shutdown_timeout: Option<Span>,
    pub(super) abort_on_panic: bool,
    pub(super) offline: bool,
    pub(super) storage: RawStorage,
    pub(super) auth: RawAuth,
    pub(super) limits: RawLimits,
    pub(super) cache: RawCache,
    pub(super) log: RawLog,
    pub(super) tls: Option<RawTls>,
    pub(super) metrics: RawMetrics,
    pub(super) cargo: RawInstance,
    pub(super) composer: RawInstance,
    pub(super) maven: RawInstance,
    pub(super) npm: RawInstance,
    pub(super) oci: RawInstance,
    pub(super) pypi: RawInstance,
    pub(super) rubygems: RawInstance,
    pub(super) registry: Vec<RawInstance>,
    pub(super) upstreams: BTreeMap<String, Vec<RawUpstream>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStorage {
    pub(super) url: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) access_key_id: Option<Secret>,
    pub(super) secret_access_key: Option<Secret>,
    pub(super) allow_http: bool,
    pub(super) virtual_hosted: bool,
    pub(super) single_writer: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuth {
    pub(super) anonymous: Vec<String>,
    pub(super) jwt_secret: Option<Secret>,
    pub(super) token_ttl: Option<Span>,
    pub(super) signup: bool,
    pub(super) max_staleness: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    pub(super) document: Option<ByteSize>,
    pub(super) artifact: Option<ByteSize>,
    pub(super) uploads: Option<u32>,
    pub(super) connections: Option<u32>,
    pub(super) header_timeout: Option<Span>,
    pub(super) body_timeout: Option<Span>,
    pub(super) write_timeout: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCache {
    pub(super) max_staleness: Option<Span>,
    pub(super) memory: Option<ByteSize>,
    pub(super) spool: Option<std::path::PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
    pub(super) file: Option<std::path::PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) cert: std::path::PathBuf,
    pub(super) key: std::path::PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<String>,
    pub(super) enabled: Option<bool>,
}

/// `[cargo]`, `[composer]`, `[maven]`, `[npm]`, `[oci]`, `[pypi]`, `[rubygems]` and each `[[registry]]`: `name` and `protocol` stand only in the last, which the schema checks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawInstance {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) base_path: Option<String>,
    pub(super) host: Option<String>,
    pub(super) registry_url: Option<String>,
    pub(super) anonymous: Option<Vec<String>>,
    pub(super) reserved: Vec<String>,
    pub(super) deny: Vec<String>,
    pub(super) rules: Vec<RawRule>,
    pub(super) min_release_age: Option<Span>,
    pub(super) min_release_age_exclude: Vec<String>,
    /// The protocol's own keys.
    #[serde(flatten)]
    pub(super) own: toml::Table,
}
