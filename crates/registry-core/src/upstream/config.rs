//! What can be set about an upstream. Times are in seconds where nothing else is said.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// The name of an upstream within its instance, `[a-z0-9][a-z0-9-]*`, at most 40 characters. It is part of the keys of what is
/// kept from it, and the only thing that errors and metrics say of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UpstreamId(Arc<str>);

/// The text is no upstream's id.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no upstream's id: use lowercase letters, digits and `-`, beginning with a letter or digit, at most 40 characters"
)]
pub struct InvalidUpstreamId(String);

impl UpstreamId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the host's own provider is called where it fails.
    pub(crate) fn of_provider() -> Self {
        Self("provider".into())
    }
}

impl FromStr for UpstreamId {
    type Err = InvalidUpstreamId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = (1..=40).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if ok { Ok(Self(text.into())) } else { Err(InvalidUpstreamId(crate::parsed::shown(text))) }
    }
}

crate::parsed_text!(UpstreamId);

/// The credentials that this registry shows to an upstream. They are sent to the configured origin alone.
#[derive(Clone, Debug, Default)]
pub enum UpstreamAuth {
    /// None.
    #[default]
    None,
    /// A name and a password. Also what is shown to the token endpoint of an OCI registry.
    Basic {
        /// The name.
        username: String,
        /// The password, or a token in its place.
        password: SecretString,
    },
    /// `Authorization: Bearer TOKEN`.
    Bearer {
        /// The token.
        token: SecretString,
    },
    /// A header with a secret in it, such as the plain `Authorization: TOKEN` of Cargo and RubyGems.
    Header {
        /// The header's name.
        name: http::HeaderName,
        /// Its value.
        value: SecretString,
    },
}

impl PartialEq for UpstreamAuth {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &SecretString, b: &SecretString| a.expose_secret() == b.expose_secret();
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Basic { username: a, password: p }, Self::Basic { username: b, password: q }) => {
                a == b && same(p, q)
            }
            (Self::Bearer { token: a }, Self::Bearer { token: b }) => same(a, b),
            (Self::Header { name: a, value: v }, Self::Header { name: b, value: w }) => a == b && same(v, w),
            _ => false,
        }
    }
}

/// By which way requests leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// As the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    #[default]
    Inherit,
    /// Directly.
    Direct,
    /// Through this HTTP proxy.
    Proxy(Url),
}

/// What happens to the next upstream when this one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It is not asked: a copy of this one is served, or an error. A failure must not make a name come from elsewhere.
    #[default]
    Stop,
    /// It is asked.
    Next,
}

/// An upstream registry and how it is asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// Its name.
    pub id: UpstreamId,
    /// Its URL, as a client would be given it, with a slash at its end and no credentials in it.
    pub url: Url,
    /// Smaller ones are asked first.
    pub priority: i32,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// What it is shown.
    pub auth: UpstreamAuth,
    /// Names that it may be asked for; all where this is empty.
    pub allow: Vec<String>,
    /// Names that it is never asked for.
    pub deny: Vec<String>,
    /// More hosts (`host` or `host:port`) that its redirects and documents may point to, private ones included.
    pub trusted_hosts: Vec<String>,
    /// Whether its redirects and documents may only point to itself and to `trusted_hosts`. On where credentials are set.
    pub strict_hosts: bool,
    /// More certificates to believe, as PEM.
    pub ca: Option<Arc<[u8]>>,
    /// By which way requests leave.
    pub egress: Egress,
    /// For resolving, connecting and TLS together.
    pub connect_timeout: Duration,
    /// Until the headers of a document's answer are there.
    pub document_timeout: Duration,
    /// Until the headers of an artefact's answer are there.
    pub artifact_timeout: Duration,
    /// Between two reads of a body.
    pub idle_timeout: Duration,
    /// For a document as a whole.
    pub total_timeout: Duration,
    /// After it a stale copy is served, and the refresh goes on.
    pub soft_timeout: Duration,
    /// How long documents are fresh, in place of what the protocol takes.
    pub ttl: Option<Duration>,
    /// For how long after that they are served while they are being refreshed.
    pub stale_while_revalidate: Duration,
    /// For how long after that they are served when the upstream fails.
    pub stale_if_error: Duration,
    /// How long "not there" is remembered.
    pub negative_ttl: Duration,
    /// How often a request is made again.
    pub retries: u32,
    /// The most requests for documents, and the most for artefacts, at a time.
    pub max_concurrency: u32,
    /// The largest document in bytes, decoded.
    pub max_document: u64,
    /// The largest artefact in bytes.
    pub max_artifact: u64,
    /// What happens to the next upstream when this one fails.
    pub on_error: OnError,
    /// The statuses that mean "not there", beside 404 and 410.
    pub absent_statuses: Vec<u16>,
    /// Whether it is never asked, and copies are served whatever their age.
    pub offline: bool,
    /// OCI: it has the repositories below this path of the instance, and no others; there the path is not part of their names.
    pub prefix: Option<String>,
    /// OCI: the hosts for which it is asked when a client says which registry it means (`?ns=`).
    pub namespaces: Vec<String>,
    /// OCI: a name of one part is one below `library/` there.
    pub library: bool,
}

/// Why a URL cannot be an upstream's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamUrlError {
    /// It is none.
    #[error("it is not a URL such as https://registry.example.com/")]
    NoUrl,
    /// Another scheme.
    #[error("it must begin with https:// or http://")]
    Scheme,
    /// A query or fragment.
    #[error("it must have no query and no fragment")]
    Query,
}

impl UpstreamConfig {
    /// An upstream with the usual settings. A name and password in the URL become [`UpstreamAuth::Basic`].
    pub fn new(id: UpstreamId, url: &str) -> Result<Self, UpstreamUrlError> {
        let text = url.strip_prefix("sparse+").unwrap_or(url);
        let mut url: Url = text.parse().map_err(|_| UpstreamUrlError::NoUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UpstreamUrlError::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UpstreamUrlError::NoUrl);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UpstreamUrlError::Query);
        }
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let auth = match (url.username(), url.password()) {
            ("", None) => UpstreamAuth::None,
            (name, password) => UpstreamAuth::Basic {
                username: decode(name),
                password: SecretString::from(decode(password.unwrap_or_default())),
            },
        };
        // Neither fails for a URL with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        let seconds = Duration::from_secs;
        Ok(Self {
            id,
            url,
            priority: 100,
            enabled: true,
            strict_hosts: auth != UpstreamAuth::None,
            auth,
            allow: Vec::new(),
            deny: Vec::new(),
            trusted_hosts: Vec::new(),
            ca: None,
            egress: Egress::Inherit,
            connect_timeout: seconds(3),
            document_timeout: seconds(10),
            artifact_timeout: seconds(30),
            idle_timeout: seconds(30),
            total_timeout: seconds(60),
            soft_timeout: seconds(3),
            ttl: None,
            stale_while_revalidate: seconds(10 * 60),
            stale_if_error: seconds(7 * 24 * 3600),
            negative_ttl: seconds(30),
            retries: 2,
            max_concurrency: 32,
            max_document: 64 << 20,
            max_artifact: 20 << 30,
            on_error: OnError::Stop,
            absent_statuses: Vec::new(),
            offline: false,
            prefix: None,
            namespaces: Vec::new(),
            library: false,
        })
    }

    /// Shows these credentials, and lets them out of sight of no other host.
    pub fn with_auth(mut self, auth: UpstreamAuth) -> Self {
        self.strict_hosts = self.strict_hosts || auth != UpstreamAuth::None;
        self.auth = auth;
        self
    }

    /// The scheme, host and port, for comparing.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether a status means that the thing is not there.
    pub(crate) fn is_absent(&self, status: u16) -> bool {
        matches!(status, 404 | 410) || self.absent_statuses.contains(&status)
    }

    /// What tells the copies of one set of credentials from another's: `anon`, or a digest of who is shown to the upstream.
    pub(crate) fn identity(&self) -> String {
        use sha2::{Digest as _, Sha256};
        let text = match &self.auth {
            UpstreamAuth::None => return "anon".to_owned(),
            UpstreamAuth::Basic { username, .. } => format!("basic {username}"),
            // A token is long and random: its digest tells nothing.
            UpstreamAuth::Bearer { token } => format!("bearer {}", token.expose_secret()),
            UpstreamAuth::Header { name, value } => format!("header {name} {}", value.expose_secret()),
        };
        let mut digest = hex::encode(Sha256::digest(text.as_bytes()));
        digest.truncate(16);
        digest
    }
}

impl fmt::Display for UpstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.id, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<UpstreamConfig, UpstreamUrlError> {
        UpstreamConfig::new("up".parse().unwrap(), url)
    }

    #[test]
    fn urls_end_in_a_slash_and_hold_no_secret() {
        for (text, want) in [
            ("https://registry.example.com", "https://registry.example.com/"),
            ("https://registry.example.com/npm", "https://registry.example.com/npm/"),
            ("sparse+https://registry.example.com/cargo/", "https://registry.example.com/cargo/"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x/"),
            ("https://alice:s%40fe@registry.example.com/", "https://registry.example.com/"),
        ] {
            assert_eq!(config(text).unwrap().url.as_str(), want);
        }
        for bad in ["", "registry.example.com", "ftp://x/", "https://x/?a=b", "https://x/#f", "http://"] {
            assert!(config(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_in_a_url_become_basic_and_are_not_shown() {
        let config = config("https://alice:s%40fe@registry.example.com/").unwrap();
        let UpstreamAuth::Basic { username, password } = &config.auth else { panic!("{config:?}") };
        assert_eq!((username.as_str(), password.expose_secret()), ("alice", "s@fe"));
        assert!(config.strict_hosts);
        assert!(!format!("{config:?}").contains("s@fe") && !format!("{config:?}").contains("s%40fe"));
        assert_ne!(config.identity(), "anon");
    }

    #[test]
    fn ids() {
        for good in ["a", "0", "public-npm"] {
            assert_eq!(good.parse::<UpstreamId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a_b", "a/b", "..", &"a".repeat(41)] {
            assert!(bad.parse::<UpstreamId>().is_err(), "{bad}");
        }
    }
}
