//! The configuration: the file, then the environment, then the flags, each winning over the one before it.

mod env;
mod instances;
pub(crate) mod keys;
mod proxies;
mod raw;
mod upstreams;
mod values;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use smartregistry::core::{
    Protocol,
    auth::ScopeSet,
    storage::{Connection, StorageLocation},
};
use toml::{Table, Value};

use self::{env::EnvError, keys::KeyError, raw::Raw, values::ValueError};
pub(crate) use self::{
    env::{ADMIN_TOKEN, CONFIG_FILE},
    instances::{InstanceConfig, Settings},
    proxies::TrustedProxies,
    upstreams::UpstreamsConfig,
    values::Span,
};

/// The file that is read where none is named and it exists.
const DEFAULT_FILE: &str = "smartregistry.toml";

/// Everything the server can be told, checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where to listen, `host:port`; port 0 takes a free one.
    pub(crate) listen: String,
    /// The origin in URLs that clients are given; without it the request's own.
    pub(crate) public_url: Option<String>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub(crate) trusted_proxies: TrustedProxies,
    /// How long requests in flight may take to end when the server stops.
    pub(crate) shutdown_timeout: Duration,
    /// Whether a panic ends the process instead of the request.
    pub(crate) abort_on_panic: bool,
    /// Where everything is kept.
    pub(crate) storage: StorageConfig,
    /// Who may do what.
    pub(crate) auth: AuthConfig,
    /// Sizes and times that clients must keep to.
    pub(crate) limits: Limits,
    /// What is kept in memory.
    pub(crate) cache: CacheConfig,
    /// Where the log goes.
    pub(crate) log: LogConfig,
    /// Certificate and key, where the server speaks TLS itself.
    pub(crate) tls: Option<TlsConfig>,
    /// Where metrics are served.
    pub(crate) metrics: MetricsConfig,
    /// The registries that are enabled.
    pub(crate) instances: Vec<InstanceConfig>,
    /// The other registries that are asked for what is not here.
    pub(crate) upstreams: Vec<UpstreamsConfig>,
}

/// `[storage]`.
#[derive(Debug)]
pub(crate) struct StorageConfig {
    /// The place itself.
    pub(crate) location: StorageLocation,
    /// How a bucket is reached.
    pub(crate) connection: Connection,
}

impl StorageConfig {
    /// What tells one store from another.
    pub(crate) fn place(&self) -> impl PartialEq {
        (&self.location, &self.connection.endpoint, &self.connection.region)
    }
}

/// `[auth]`.
#[derive(Debug)]
pub(crate) struct AuthConfig {
    /// What the anonymous actor may do everywhere.
    pub(crate) anonymous: ScopeSet,
    /// What signs OCI's tokens; made and kept in the store where it is not given.
    pub(crate) jwt_secret: Option<SecretString>,
    /// Whether clients may make their own users.
    pub(crate) signup: bool,
    /// How old what is known of users and tokens may be.
    pub(crate) max_staleness: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The most bodies over 1 MiB that are received at a time; more wait until one ends.
    pub(crate) uploads: Option<u32>,
    /// The most connections at a time; more wait until one ends.
    pub(crate) connections: u32,
    /// How long a connection may take until its first or next request's headers are complete.
    pub(crate) header_timeout: Duration,
    /// How long to wait for each further KiB of a request's body.
    pub(crate) body_timeout: Duration,
    /// How long to wait for a client to take any more of an answer.
    pub(crate) write_timeout: Duration,
}

impl Limits {
    /// The limits that connections are made with, and that a running server does not change.
    pub(crate) fn of_connections(&self) -> impl PartialEq + use<> {
        (self.connections, self.uploads, self.header_timeout, self.body_timeout, self.write_timeout)
    }
}

/// `[cache]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CacheConfig {
    /// How old a cached document may be on a bucket before its ETag is checked again.
    pub(crate) max_staleness: Duration,
    /// About how many bytes of documents and their rendered forms are kept.
    pub(crate) memory: u64,
    /// Where what comes from upstreams waits for slow clients; the system's folder for temporary files where none is given.
    pub(crate) spool: Option<PathBuf>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// How lines look.
    pub(crate) format: LogFormat,
    /// The least important level that is written.
    pub(crate) level: tracing::Level,
    /// The file to append to; standard error where none is given.
    pub(crate) file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// Text for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    /// PEM file with the certificate chain, the server's own first.
    pub(crate) cert: PathBuf,
    /// PEM file with the private key.
    pub(crate) key: PathBuf,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsConfig {
    /// Whether they are kept and served.
    pub(crate) enabled: bool,
    /// An address of their own; without it they are at `/metrics` beside everything else.
    pub(crate) listen: Option<String>,
}

/// What the command line says about the configuration.
#[derive(Debug, Default, Clone)]
pub(crate) struct Overrides {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// `--listen`.
    pub(crate) listen: Option<String>,
    /// `--storage`.
    pub(crate) storage: Option<String>,
    /// `--public-url`.
    pub(crate) public_url: Option<String>,
    /// `--offline`.
    pub(crate) offline: bool,
}

/// Where secrets are looked up that the configuration only names.
pub(crate) struct Lookup<'a> {
    /// The value of an environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub(crate) file: &'a dyn Fn(&str) -> io::Result<String>,
}

impl fmt::Debug for Lookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file that was asked for cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML. The line itself is not shown: it might hold a secret.
    #[error("{path}, line {line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the TOML parser said.
        reason: String,
    },
    /// The file has a key that it should not have.
    #[error("{path}: {fault}")]
    FileKey {
        /// The file.
        path: PathBuf,
        /// Which and why.
        fault: KeyError,
    },
    /// A table from the environment has a key that it should not have.
    #[error("in the environment: {0}")]
    EnvKey(KeyError),
    /// An environment variable is wrong.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A key's value is wrong.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key with its path.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    /// An error about one key's value.
    fn value(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        ConfigError::Value { key: key.into(), reason: reason.to_string() }
    }
}

/// Reads the configuration of this process: its file, its environment and the flags.
pub(crate) fn load(flags: &Overrides) -> Result<Config, ConfigError> {
    let lookup = Lookup {
        variable: &|name| std::env::var(name).ok().filter(|v| !v.is_empty()),
        file: &|path| std::fs::read_to_string(path),
    };
    let named = flags.file.clone().or_else(|| std::env::var_os(CONFIG_FILE).map(PathBuf::from));
    let file = match named {
        Some(path) => Some((read(&path)?, path)),
        None => match read(Path::new(DEFAULT_FILE)) {
            Ok(text) => Some((text, PathBuf::from(DEFAULT_FILE))),
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        },
    };
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.into_string().map_err(drop)))
    });
    merge(file.as_ref().map(|(text, path)| (text.as_str(), path.as_path())), variables, flags, &lookup)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// [`load`] from its parts.
fn merge(
    file: Option<(&str, &Path)>,
    variables: impl IntoIterator<Item = (String, Result<String, ()>)>,
    flags: &Overrides,
    lookup: &Lookup<'_>,
) -> Result<Config, ConfigError> {
    let mut table = match file {
        None => Table::new(),
        Some((text, path)) => {
            let table: Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
                path: path.to_owned(),
                line: line_of(text, e.span().map_or(0, |s| s.start)),
                reason: e.message().to_owned(),
            })?;
            keys::check(&table).map_err(|fault| ConfigError::FileKey { path: path.to_owned(), fault })?;
            table
        }
    };
    env::overlay(&mut table, variables)?;
    keys::check(&table).map_err(ConfigError::EnvKey)?;
    for (path, flag) in [
        (&["listen"][..], &flags.listen),
        (&["storage", "url"], &flags.storage),
        (&["public_url"], &flags.public_url),
    ] {
        if let Some(text) = flag {
            env::set(&mut table, path, Value::String(text.clone()));
        }
    }
    if flags.offline {
        env::set(&mut table, &["offline"], Value::Boolean(true));
    }
    let raw: Raw = serde_path_to_error::deserialize(table)
        .map_err(|e| ConfigError::value(e.path().to_string(), e.inner().message()))?;
    Config::from_raw(raw, lookup)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

impl Config {
    fn from_raw(raw: Raw, lookup: &Lookup<'_>) -> Result<Self, ConfigError> {
        let secret = |key: &str, secret: Option<&values::Secret>| {
            secret.map(|s| s.resolve(lookup)).transpose().map_err(|e: ValueError| ConfigError::value(key, e))
        };
        let listen = raw.listen.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
        check_address("listen", &listen)?;
        if let Some(address) = &raw.metrics.listen {
            check_address("metrics.listen", address)?;
        }
        let public_url =
            raw.public_url.as_deref().map(|url| instances::origin("public_url", url)).transpose()?;
        let trusted_proxies = raw
            .trusted_proxies
            .iter()
            .map(|block| block.parse().map_err(|e| ConfigError::value("trusted_proxies", e)))
            .collect::<Result<TrustedProxies, _>>()?;
        let jwt_secret = secret("auth.jwt_secret", raw.auth.jwt_secret.as_ref())?;
        if jwt_secret.as_ref().is_some_and(|s| secrecy::ExposeSecret::expose_secret(s).len() < 32) {
            return Err(ConfigError::value("auth.jwt_secret", "must have at least 32 characters"));
        }
        let location = raw.storage.url.as_deref().unwrap_or("file:./smartregistry-data");
        let mut connection = Connection::default();
        connection.endpoint = raw.storage.endpoint;
        connection.region = raw.storage.region;
        connection.access_key_id = secret("storage.access_key_id", raw.storage.access_key_id.as_ref())?;
        connection.secret_access_key =
            secret("storage.secret_access_key", raw.storage.secret_access_key.as_ref())?;
        connection.allow_http = raw.storage.allow_http;
        connection.virtual_hosted = raw.storage.virtual_hosted;
        connection.single_writer = raw.storage.single_writer;
        let storage = StorageConfig {
            location: location.parse().map_err(|e| ConfigError::value("storage.url", e))?,
            connection,
        };
        let span = |span: Option<Span>, seconds: u64| span.map_or(Duration::from_secs(seconds), |s| s.0);
        let positive = |key: &str, value: Option<Span>, seconds: u64| match span(value, seconds) {
            Duration::ZERO => Err(ConfigError::value(key, "must be longer than zero")),
            value => Ok(value),
        };
        let token_ttl = positive("auth.token_ttl", raw.auth.token_ttl, 900)?;
        let fallbacks = instances::Fallbacks {
            document: raw.limits.document.map(|s| s.0),
            artifact: raw.limits.artifact.map(|s| s.0),
            token_ttl,
        };
        let defaults = [
            (Protocol::Cargo, raw.cargo),
            (Protocol::Composer, raw.composer),
            (Protocol::Maven, raw.maven),
            (Protocol::Npm, raw.npm),
            (Protocol::Oci, raw.oci),
            (Protocol::Pypi, raw.pypi),
            (Protocol::Rubygems, raw.rubygems),
        ];
        let instances = instances::from_raw(defaults, raw.registry, &fallbacks, lookup)?;
        let upstreams = upstreams::from_raw(raw.upstreams, (&instances, raw.offline), lookup)?;
        Ok(Config {
            listen,
            public_url,
            trusted_proxies,
            shutdown_timeout: span(raw.shutdown_timeout, 30),
            abort_on_panic: raw.abort_on_panic,
            storage,
            auth: AuthConfig {
                anonymous: scopes("auth.anonymous", &raw.auth.anonymous)?,
                jwt_secret,
                signup: raw.auth.signup,
                max_staleness: span(raw.auth.max_staleness, 2),
            },
            limits: Limits {
                uploads: match raw.limits.uploads {
                    Some(0) => return Err(ConfigError::value("limits.uploads", "must be at least 1")),
                    uploads => Some(uploads.unwrap_or(256)),
                },
                connections: match raw.limits.connections.unwrap_or(4096) {
                    0 => return Err(ConfigError::value("limits.connections", "must be at least 1")),
                    connections => connections,
                },
                header_timeout: positive("limits.header_timeout", raw.limits.header_timeout, 30)?,
                body_timeout: positive("limits.body_timeout", raw.limits.body_timeout, 60)?,
                write_timeout: positive("limits.write_timeout", raw.limits.write_timeout, 120)?,
            },
            cache: CacheConfig {
                max_staleness: span(raw.cache.max_staleness, 0),
                memory: raw.cache.memory.map_or(64 << 20, |s| s.0),
                spool: raw.cache.spool,
            },
            log: LogConfig {
                format: log_format(raw.log.format.as_deref())?,
                level: log_level(raw.log.level.as_deref())?,
                file: raw.log.file,
            },
            tls: raw.tls.map(|tls| TlsConfig { cert: tls.cert, key: tls.key }),
            metrics: MetricsConfig {
                enabled: raw.metrics.enabled.unwrap_or(true),
                listen: raw.metrics.listen,
            },
            instances,
            upstreams,
        })
    }
}

/// Parses scopes, naming the key they stand under where one is wrong.
fn scopes(key: &str, texts: &[String]) -> Result<ScopeSet, ConfigError> {
    texts.iter().map(|text| text.parse().map_err(|e| ConfigError::value(key, e))).collect()
}

fn check_address(key: &str, address: &str) -> Result<(), ConfigError> {
    let wrong = || ConfigError::value(key, format!("{address:?} is not an address such as 127.0.0.1:3000"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host_ok = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    if host_ok && port.parse::<u16>().is_ok() { Ok(()) } else { Err(wrong()) }
}

fn log_format(text: Option<&str>) -> Result<LogFormat, ConfigError> {
    match text {
        None | Some("auto") => Ok(LogFormat::Auto),
        Some("human") => Ok(LogFormat::Human),
        Some("json") => Ok(LogFormat::Json),
        Some(other) => {
            Err(ConfigError::value("log.format", format!("{other:?} is none of auto, human and json")))
        }
    }
}

fn log_level(text: Option<&str>) -> Result<tracing::Level, ConfigError> {
    match text {
        None | Some("info") => Ok(tracing::Level::INFO),
        Some("error") => Ok(tracing::Level::ERROR),
        Some("warn") => Ok(tracing::Level::WARN),
        Some("debug") => Ok(tracing::Level::DEBUG),
        Some("trace") => Ok(tracing::Level::TRACE),
        Some(other) => Err(ConfigError::value(
            "log.level",
            format!("{other:?} is none of error, warn, info, debug and trace"),
        )),
    }
}

#[cfg(test)]
mod tests;
