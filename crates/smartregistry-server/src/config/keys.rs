//! Every configuration key there is: what unknown keys are compared with, how the environment's text is
//! read, and what docs/configuration.md must describe.

use toml::{Table, Value};

/// One key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name within its table.
    pub(crate) name: &'static str,
    /// What may stand there.
    pub(crate) kind: Kind,
}

/// What a key holds.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A text. In the environment it is taken as it stands, without quotes.
    Text,
    /// A number, a truth value, or a text with a unit.
    Scalar,
    /// A list or a table of free form, written in the environment as one TOML value.
    Value,
    /// A table of known keys.
    Table(Keys),
    /// A list of tables of known keys.
    Tables(Keys),
    /// A table from names that are the user's own to lists of tables of known keys.
    Named(Keys),
    /// A key that the design has and this version does not: refused with a reason.
    Unsupported(&'static str),
}

/// The keys of a table, in a few groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys(&'static [&'static [Key]]);

impl Keys {
    fn iter(self) -> impl Iterator<Item = &'static Key> {
        self.0.iter().copied().flatten()
    }

    fn find(self, name: &str) -> Option<&'static Key> {
        self.iter().find(|key| key.name == name)
    }
}

/// Why a key is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// No such key.
    #[error("unknown key `{key}`; the nearest known one is `{nearest}`")]
    Unknown {
        /// The key as written, with its path.
        key: String,
        /// The known key that looks most like it.
        nearest: String,
    },
    /// A key that a later version will have.
    #[error("`{key}` is not supported in this version: {reason}")]
    Unsupported {
        /// The key as written, with its path.
        key: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A value where a table belongs.
    #[error("`{key}` must be a table")]
    NotATable {
        /// The key as written, with its path.
        key: String,
    },
    /// Something else where a list of tables belongs.
    #[error("`{key}` must be a list of tables")]
    NotTables {
        /// The key as written, with its path.
        key: String,
    },
}

const NO_GROUPS: &str = "a registry cannot yet be made of others";

const fn text(name: &'static str) -> Key {
    Key { name, kind: Kind::Text }
}

const fn scalar(name: &'static str) -> Key {
    Key { name, kind: Kind::Scalar }
}

const fn value(name: &'static str) -> Key {
    Key { name, kind: Kind::Value }
}

const fn table(name: &'static str, keys: Keys) -> Key {
    Key { name, kind: Kind::Table(keys) }
}

const fn unsupported(name: &'static str, reason: &'static str) -> Key {
    Key { name, kind: Kind::Unsupported(reason) }
}

/// The configuration as a whole.
pub(crate) const ROOT: Keys = Keys(&[&[
    text("listen"),
    text("public_url"),
    value("trusted_proxies"),
    scalar("shutdown_timeout"),
    scalar("abort_on_panic"),
    scalar("offline"),
    table("storage", STORAGE),
    table("auth", AUTH),
    table("limits", LIMITS),
    table("cache", CACHE),
    table("log", LOG),
    table("tls", TLS),
    table("metrics", METRICS),
    table("cargo", CARGO),
    table("composer", COMPOSER),
    table("maven", MAVEN),
    table("npm", NPM),
    table("oci", OCI),
    table("pypi", PYPI),
    table("rubygems", RUBYGEMS),
    Key { name: "registry", kind: Kind::Tables(REGISTRY) },
    Key { name: "upstreams", kind: Kind::Named(UPSTREAM) },
]]);

const STORAGE: Keys = Keys(&[&[
    text("url"),
    text("endpoint"),
    text("region"),
    text("access_key_id"),
    text("secret_access_key"),
    scalar("allow_http"),
    scalar("virtual_hosted"),
    scalar("single_writer"),
]]);

const AUTH: Keys = Keys(&[&[
    value("anonymous"),
    text("jwt_secret"),
    scalar("token_ttl"),
    scalar("signup"),
    scalar("max_staleness"),
]]);

const LIMITS: Keys = Keys(&[&[
    scalar("document"),
    scalar("artifact"),
    scalar("uploads"),
    scalar("connections"),
    scalar("header_timeout"),
    scalar("body_timeout"),
    scalar("write_timeout"),
]]);

const CACHE: Keys = Keys(&[&[scalar("max_staleness"), scalar("memory"), text("spool")]]);

const LOG: Keys = Keys(&[&[text("format"), text("level"), text("file")]]);

const TLS: Keys = Keys(&[&[text("cert"), text("key")]]);

const METRICS: Keys = Keys(&[&[text("listen"), scalar("enabled")]]);

/// What every registry takes, `[npm]` and `[[registry]]` alike.
const INSTANCE: &[Key] = &[
    scalar("enabled"),
    text("base_path"),
    text("host"),
    text("registry_url"),
    value("anonymous"),
    value("reserved"),
    value("deny"),
    value("rules"),
    scalar("min_release_age"),
    value("min_release_age_exclude"),
    unsupported("members", NO_GROUPS),
];

/// What `[[upstreams.NAME]]` takes.
const UPSTREAM: Keys = Keys(&[&[
    text("id"),
    text("url"),
    scalar("priority"),
    scalar("enabled"),
    value("auth"),
    value("allow"),
    value("deny"),
    value("trusted_hosts"),
    scalar("strict_hosts"),
    text("ca"),
    text("proxy"),
    scalar("connect_timeout"),
    scalar("document_timeout"),
    scalar("artifact_timeout"),
    scalar("idle_timeout"),
    scalar("total_timeout"),
    scalar("soft_timeout"),
    scalar("ttl"),
    scalar("stale_while_revalidate"),
    scalar("stale_if_error"),
    scalar("negative_ttl"),
    scalar("retries"),
    scalar("max_concurrency"),
    scalar("max_document"),
    scalar("max_artifact"),
    text("on_error"),
    value("absent_statuses"),
    scalar("offline"),
]]);

/// The upstreams of one registry.
const OF_NAME: Key = Key { name: "", kind: Kind::Tables(UPSTREAM) };

/// What only a registry beside the default ones takes.
const NAMED: &[Key] = &[text("name"), text("protocol")];

/// What Cargo registries take.
pub(super) const OF_CARGO: &[Key] = &[
    scalar("max_crate_bytes"),
    scalar("max_metadata_bytes"),
    scalar("max_unpacked_bytes"),
    scalar("max_entries"),
    scalar("max_document_bytes"),
    scalar("auth_required"),
    scalar("allow_delete"),
];

/// What Composer registries take.
pub(super) const OF_COMPOSER: &[Key] = &[
    scalar("max_archive_bytes"),
    scalar("max_unpacked_bytes"),
    scalar("max_entries"),
    scalar("max_versions"),
    scalar("max_metadata_bytes"),
    scalar("branches"),
    scalar("replaced_archives"),
    scalar("allow_delete"),
    value("reserved_names"),
];

/// What Maven repositories take.
pub(super) const OF_MAVEN: &[Key] = &[
    text("versions"),
    text("writes"),
    text("latest"),
    scalar("max_file_bytes"),
    scalar("max_files"),
    scalar("max_versions"),
    scalar("keep_snapshot_builds"),
    scalar("keep_snapshot_days"),
    scalar("strict_poms"),
    scalar("listings"),
    scalar("prefixes"),
    scalar("allow_delete"),
    scalar("burn_deleted"),
    scalar("reveal_forbidden"),
    text("realm"),
];

/// What npm registries take.
pub(super) const OF_NPM: &[Key] = &[
    scalar("max_tarball_bytes"),
    scalar("max_document_bytes"),
    scalar("max_packument_bytes"),
    scalar("max_unpacked_bytes"),
    scalar("max_entries"),
    scalar("readme_bytes"),
    scalar("check_tarball"),
    scalar("unpublish"),
    scalar("web_login"),
    text("scoped_access"),
    scalar("anonymous_max_age_seconds"),
    scalar("republish_block_seconds"),
];

/// What OCI registries take.
pub(super) const OF_OCI: &[Key] = &[
    scalar("allow_sparse"),
    scalar("max_manifest_bytes"),
    scalar("max_blob_bytes"),
    scalar("max_tags_per_push"),
    scalar("page_size"),
    scalar("upload_expiry_seconds"),
    scalar("min_chunk_bytes"),
    table("delete", Keys(&[&[scalar("blobs"), scalar("manifests"), scalar("tags")]])),
    value("immutable_tags"),
    scalar("absolute_location"),
    scalar("redirect"),
    scalar("redirect_valid_seconds"),
    text("service"),
    scalar("token_ttl_seconds"),
    scalar("delete_untagged_after_seconds"),
];

/// What Python package indexes take.
pub(super) const OF_PYPI: &[Key] = &[
    scalar("max_file_bytes"),
    scalar("max_unpacked_bytes"),
    scalar("max_entries"),
    scalar("max_files"),
    scalar("delete"),
    scalar("local_versions"),
    scalar("direct_references"),
    scalar("lenient_accept"),
    text("attestation_roots"),
];

/// What RubyGems registries take.
pub(super) const OF_RUBYGEMS: &[Key] = &[
    scalar("max_gem_bytes"),
    scalar("max_unpacked_bytes"),
    scalar("max_entries"),
    scalar("max_versions"),
    scalar("yank"),
    scalar("keep_yanked_files"),
    scalar("yanked_days"),
    scalar("dependencies_api"),
    value("reserved_names"),
];

const CARGO: Keys = Keys(&[INSTANCE, OF_CARGO]);

const COMPOSER: Keys = Keys(&[INSTANCE, OF_COMPOSER]);

const MAVEN: Keys = Keys(&[INSTANCE, OF_MAVEN]);

const NPM: Keys = Keys(&[INSTANCE, OF_NPM]);

const OCI: Keys = Keys(&[INSTANCE, OF_OCI]);

const PYPI: Keys = Keys(&[INSTANCE, OF_PYPI]);

const RUBYGEMS: Keys = Keys(&[INSTANCE, OF_RUBYGEMS]);

const REGISTRY: Keys =
    Keys(&[NAMED, INSTANCE, OF_CARGO, OF_COMPOSER, OF_MAVEN, OF_NPM, OF_OCI, OF_PYPI, OF_RUBYGEMS]);

/// Checks that every key of `config` is known.
pub(crate) fn check(config: &Table) -> Result<(), KeyError> {
    check_table(config, ROOT, "")
}

fn check_table(config: &Table, known: Keys, path: &str) -> Result<(), KeyError> {
    for (name, value) in config {
        let full = join(path, name);
        let Some(key) = known.find(name) else {
            return Err(KeyError::Unknown { nearest: nearest(path, known, &full), key: full });
        };
        match (&key.kind, value) {
            (Kind::Unsupported(reason), _) => return Err(KeyError::Unsupported { key: full, reason }),
            (Kind::Table(keys), Value::Table(inner)) => check_table(inner, *keys, &full)?,
            (Kind::Table(_), _) => return Err(KeyError::NotATable { key: full }),
            (Kind::Tables(keys), lists) => check_tables(lists, *keys, full)?,
            (Kind::Named(keys), Value::Table(named)) => {
                for (name, lists) in named {
                    check_tables(lists, *keys, join(&full, name))?;
                }
            }
            (Kind::Named(_), _) => return Err(KeyError::NotATable { key: full }),
            (Kind::Text | Kind::Scalar | Kind::Value, _) => {}
        }
    }
    Ok(())
}

fn check_tables(lists: &Value, known: Keys, path: String) -> Result<(), KeyError> {
    let Value::Array(items) = lists else { return Err(KeyError::NotTables { key: path }) };
    for (at, item) in items.iter().enumerate() {
        let Value::Table(inner) = item else { return Err(KeyError::NotTables { key: path }) };
        check_table(inner, known, &format!("{path}[{at}]"))?;
    }
    Ok(())
}

/// The key that a path names, for `["storage", "url"]` the one of the storage's address.
pub(crate) fn find(path: &[&str]) -> Option<&'static Key> {
    let (last, tables) = path.split_last()?;
    let mut known = ROOT;
    for name in tables {
        match known.find(name)?.kind {
            Kind::Table(keys) => known = keys,
            Kind::Named(_) if tables.len() == 1 => return Some(&OF_NAME),
            _ => return None,
        }
    }
    known.find(last)
}

/// Why a path cannot be set in this version, where it is or lies below a key that a later one will have.
pub(crate) fn unsupported_at(path: &[&str]) -> Option<&'static str> {
    (1..=path.len()).find_map(|length| match find(path.get(..length)?)?.kind {
        Kind::Unsupported(reason) => Some(reason),
        _ => None,
    })
}

/// The full paths of all keys that can be set, `storage.url` and the like, in their documented order.
pub(crate) fn paths() -> Vec<String> {
    fn walk(keys: Keys, path: &str, into: &mut Vec<String>) {
        for key in keys.iter() {
            let full = join(path, key.name);
            match key.kind {
                Kind::Table(inner) => walk(inner, &full, into),
                Kind::Unsupported(_) => {}
                _ => into.push(full),
            }
        }
    }
    let mut all = Vec::new();
    walk(ROOT, "", &mut all);
    all
}

/// The known key that looks most like `wrong`: one of the same table, or the same name in another one.
fn nearest(path: &str, siblings: Keys, wrong: &str) -> String {
    let supported = |k: &&Key| !matches!(k.kind, Kind::Unsupported(_));
    let near = siblings.iter().filter(supported).map(|k| join(path, k.name));
    closest(wrong, near.chain(paths())).unwrap_or_default()
}

/// Of some known names the one that looks most like `wrong`; the first of equals.
pub(crate) fn closest(wrong: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let score = |candidate: &str| {
        if last(wrong) == last(candidate) {
            // The right name in the wrong table: the first such key, and before every misspelling.
            return 2.0;
        }
        let whole = strsim::normalized_damerau_levenshtein(wrong, candidate);
        whole + strsim::normalized_damerau_levenshtein(&last(wrong), &last(candidate)) * 0.5
    };
    let mut best: Option<(f64, String)> = None;
    for candidate in known {
        let score = score(&candidate);
        if best.as_ref().is_none_or(|(top, _)| score > *top) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, name)| name)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn unknown(toml: &str, key: &str, nearest: &str) {
        let table: Table = toml.parse().unwrap();
        let expect = KeyError::Unknown { key: key.into(), nearest: nearest.into() };
        assert_eq!(check(&table), Err(expect));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        unknown("listn = 1", "listn", "listen");
        unknown("[storage]\nurll = 1", "storage.urll", "storage.url");
        unknown("[storge]\nurl = 1", "storge", "storage");
        unknown("anonymous = []", "anonymous", "auth.anonymous");
        unknown("[auth]\nmemory = 1", "auth.memory", "cache.memory");
        unknown("[npm]\nbase-path = 1", "npm.base-path", "npm.base_path");
        unknown("[[registry]]\nnam = 'x'", "registry[0].nam", "registry[0].name");
        unknown("[log]\nformt = 'x'", "log.formt", "log.format");
        unknown("[[upstreams.npm]]\nidd = 'x'", "upstreams.npm[0].idd", "upstreams.npm[0].id");
    }

    #[test]
    fn what_later_versions_bring_is_refused_by_name() {
        for (toml, key) in [
            ("[npm]\nmembers = ['a']", "npm.members"),
            ("[[registry]]\nname = 'x'\nmembers = []", "registry[0].members"),
        ] {
            let table: Table = toml.parse().unwrap();
            assert!(
                matches!(check(&table), Err(KeyError::Unsupported { key: k, .. }) if k == key),
                "{toml}: {:?}",
                check(&table)
            );
        }
    }

    #[test]
    fn tables_and_lists_of_tables_must_be_that() {
        let check = |toml: &str| check(&toml.parse().unwrap());
        assert_eq!(check("storage = 'file:x'"), Err(KeyError::NotATable { key: "storage".into() }));
        assert_eq!(check("registry = 3"), Err(KeyError::NotTables { key: "registry".into() }));
        assert_eq!(check("registry = [3]"), Err(KeyError::NotTables { key: "registry".into() }));
        assert_eq!(check("[[registry]]\nname = 'npm-internal'\nprotocol = 'npm'"), Ok(()));
        assert_eq!(check("[[upstreams.npm-internal]]\nid = 'x'"), Ok(()));
        assert_eq!(check("upstreams = []"), Err(KeyError::NotATable { key: "upstreams".into() }));
        assert_eq!(check("upstreams.npm = 3"), Err(KeyError::NotTables { key: "upstreams.npm".into() }));
    }

    #[test]
    fn keys_are_found_by_path() {
        assert!(matches!(find(&["storage", "url"]), Some(Key { kind: Kind::Text, .. })));
        assert!(matches!(find(&["auth", "anonymous"]), Some(Key { kind: Kind::Value, .. })));
        assert!(matches!(find(&["upstreams", "npm"]), Some(Key { kind: Kind::Tables(_), .. })));
        assert!(find(&["upstreams", "npm", "url"]).is_none());
        assert!(find(&["storage", "url", "x"]).is_none());
        assert!(find(&[]).is_none());
    }
}
