//! Another repository's metadata: where its `packages.json` says that packages are, and their versions put together from what was
//! minified.
//!
//! Values are never written anew but for `dist`: packages have fields in shapes that nobody here knows, and clients read them all.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use registry_core::{
    Pattern,
    storage::{Digests, WantedDigests},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{json::quoted, manifest::UNSET, metadata::Entry};
use crate::{
    names::PackageName,
    version::{is_dev, normalize},
};

/// The most versions of a package.
const MAX_VERSIONS: usize = 50_000;
/// The most bytes of a package's versions when each is written out.
const MAX_EXPANDED: usize = 256 << 20;
/// The most files that a root names.
const MAX_FILES: usize = 200;

/// A JSON object whose members are passed on as they are, in their order.
type Members = IndexMap<String, Box<RawValue>>;

/// A version of another repository's package.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignVersion {
    /// As its author wrote it.
    pub(crate) version: String,
    /// As clients compare it.
    pub(crate) normalized: String,
    pub(crate) published: Option<DateTime<Utc>>,
    pub(crate) dist: Option<ForeignDist>,
    entry: Entry,
}

/// Where a version's archive is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignDist {
    pub(crate) url: Url,
    /// What names it here, in URLs and lock files: it stays while the version and the reference stay.
    pub(crate) file: String,
    /// SHA-1 in hex, where the repository says it.
    pub(crate) shasum: Option<String>,
    /// `dist` as it came.
    members: IndexMap<String, String>,
}

impl ForeignVersion {
    /// The version's members, with its archive at this registry.
    pub(crate) fn entry(&self, name: &PackageName, base: &str) -> Entry {
        let mut entry = self.entry.clone();
        if let Some(dist) = &self.dist {
            let url = quoted(&format!("{base}/dists/{name}/{}", dist.file));
            let members = dist.members.iter().filter(|(key, _)| *key != "mirrors").map(|(key, value)| {
                let value = if key == "url" { &url } else { value };
                format!("{}:{value}", quoted(key))
            });
            let members: Vec<String> = members.collect();
            entry.insert("dist".to_owned(), format!("{{{}}}", members.join(",")).into());
        }
        entry
    }

    /// Whether a rule's version may be this one: with and without the `v` that tags begin with, and normalised.
    pub(crate) fn spellings(&self) -> [&str; 3] {
        [&self.version, self.version.trim_start_matches(['v', 'V']), &self.normalized]
    }

    /// About how many bytes it takes.
    fn weight(&self) -> usize {
        self.entry.keys().map(|key| key.len() + 64).sum::<usize>() + 512
    }
}

/// About how many bytes versions take beside the texts that they share.
pub(crate) fn weight(versions: &[ForeignVersion]) -> usize {
    versions.iter().map(ForeignVersion::weight).sum()
}

/// The versions of a package in a document of its repository: a list, minified or not, or an object of an older form.
pub(crate) fn versions(name: &PackageName, raw: &[u8]) -> Result<Vec<ForeignVersion>, String> {
    #[derive(Deserialize)]
    struct Document {
        packages: Box<RawValue>,
        #[serde(default)]
        minified: Option<String>,
    }
    let document: Document =
        serde_json::from_slice(raw).map_err(|error| format!("its metadata is none: {error}"))?;
    let packages = by_name(&document.packages).map_err(|error| format!("its metadata is none: {error}"))?;
    let Some(of_name) = packages.get(name.as_str()) else {
        return Err(format!("its metadata is not of {name}"));
    };
    let minified = document.minified.as_deref() == Some("composer/2.0");
    of_package(name, of_name, minified)
}

/// Packages by their names. An empty object is written as an empty list.
fn by_name(raw: &RawValue) -> Result<IndexMap<String, Box<RawValue>>, serde_json::Error> {
    if raw.get().trim_start().starts_with('[') {
        return serde_json::from_str::<Vec<()>>(raw.get()).map(|_| IndexMap::new());
    }
    serde_json::from_str(raw.get())
}

/// The versions of one package in a document of several.
pub(crate) fn of_package(
    name: &PackageName,
    raw: &RawValue,
    minified: bool,
) -> Result<Vec<ForeignVersion>, String> {
    let wrong = |error: serde_json::Error| format!("the versions of {name} are none: {error}");
    let list: Vec<Members> = if raw.get().trim_start().starts_with('[') {
        serde_json::from_str(raw.get()).map_err(wrong)?
    } else {
        serde_json::from_str::<IndexMap<String, Members>>(raw.get()).map_err(wrong)?.into_values().collect()
    };
    if list.len() > MAX_VERSIONS {
        return Err(format!("{name} has more than {MAX_VERSIONS} versions"));
    }
    let mut state = Entry::new();
    let (mut all, mut bytes) = (Vec::with_capacity(list.len()), 0_usize);
    for members in list {
        if !minified {
            state.clear();
        }
        for (key, value) in members {
            if minified && value.get() == quoted(UNSET) {
                state.shift_remove(&key);
            } else {
                state.insert(key, Arc::from(super::json::compact(&value).get()));
            }
        }
        // Texts are shared between versions; what each takes by itself is its table of them.
        bytes = bytes.saturating_add(state.keys().map(|key| key.len() + 64).sum::<usize>());
        if bytes > MAX_EXPANDED {
            return Err(format!("the versions of {name} take more than {MAX_EXPANDED} bytes"));
        }
        if let Some(version) = version(&state) {
            all.push(version);
        }
    }
    Ok(all)
}

/// A version from its members, if they are of one.
fn version(members: &Entry) -> Option<ForeignVersion> {
    let text = |key: &str| members.get(key).and_then(|value| serde_json::from_str::<String>(value).ok());
    let version = text("version")?;
    // An old form of a branch's name is computed anew by clients, too.
    let told = text("version_normalized").filter(|told| told != "9999999-dev");
    let normalized = told.or_else(|| normalize(&version))?;
    let time = |key: &str| text(key).and_then(|time| time.parse::<DateTime<Utc>>().ok());
    let published = time("published-time").or_else(|| time("time"));
    let dist = members.get("dist").and_then(|dist| dist_of(dist, &normalized));
    let mut entry = members.clone();
    // What would make a client ask elsewhere, or do so with options of this repository's choice.
    for key in ["transport-options", "notification-url"] {
        entry.shift_remove(key);
    }
    Some(ForeignVersion { version, normalized, published, dist, entry })
}

fn dist_of(raw: &str, normalized: &str) -> Option<ForeignDist> {
    let members: Members = serde_json::from_str(raw).ok()?;
    let text =
        |key: &str| members.get(key).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    let url = Url::parse(&text("url")?).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let reference = text("reference").unwrap_or_default();
    let kind = text("type").filter(|kind| {
        (1..=8).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })?;
    let hash = Digests::of(format!("{normalized}\0{reference}").as_bytes(), WantedDigests::default()).sha256;
    let name = hash.get(..40)?;
    let shasum =
        text("shasum").filter(|sum| sum.len() == 40 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let members = members.iter().map(|(key, value)| (key.clone(), value.get().to_owned())).collect();
    Some(ForeignDist { url, file: format!("{name}.{kind}"), shasum, members })
}

/// Another repository's `packages.json`.
#[derive(Debug)]
pub(crate) struct ForeignRoot {
    /// The metadata of a package, with `%package%` for its name.
    pub(crate) metadata: Option<String>,
    /// The only names that it has, where it says so.
    available: Option<Vec<Pattern>>,
    /// Packages that stand in it.
    inline: IndexMap<String, Box<RawValue>>,
    /// More files of the form of this one.
    pub(crate) includes: Vec<String>,
    /// Files that say by which hash each package's file is called, with that file's own hash.
    pub(crate) provider_includes: Vec<(String, String)>,
    /// A package's file, with `%package%` and `%hash%`.
    pub(crate) providers: Option<String>,
    /// The same without a hash.
    pub(crate) lazy: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) advisories: Option<String>,
}

impl ForeignRoot {
    /// Reads it.
    pub(crate) fn read(raw: &[u8]) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        struct Advisories {
            #[serde(rename = "api-url", default)]
            api: Option<String>,
        }
        #[derive(Deserialize)]
        struct Hashed {
            sha256: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Root {
            #[serde(default)]
            packages: Option<Box<RawValue>>,
            #[serde(default)]
            metadata_url: Option<String>,
            #[serde(default)]
            available_packages: Option<Vec<String>>,
            #[serde(default)]
            available_package_patterns: Option<Vec<String>>,
            #[serde(default)]
            includes: Option<serde_json::Map<String, serde_json::Value>>,
            #[serde(default)]
            provider_includes: Option<IndexMap<String, Hashed>>,
            #[serde(default)]
            providers_url: Option<String>,
            #[serde(default)]
            providers_lazy_url: Option<String>,
            #[serde(default)]
            search: Option<String>,
            #[serde(default)]
            security_advisories: Option<Advisories>,
        }
        let root: Root =
            serde_json::from_slice(raw).map_err(|error| format!("its packages.json is none: {error}"))?;
        let names = [root.available_packages, root.available_package_patterns];
        // An empty list counts as none.
        let names: Vec<Pattern> =
            names.into_iter().flatten().flatten().map(|name| Pattern::new(&name.to_lowercase())).collect();
        let includes: Vec<String> =
            root.includes.unwrap_or_default().into_iter().map(|(file, _)| file).collect();
        let provider_includes: Vec<(String, String)> = root
            .provider_includes
            .unwrap_or_default()
            .into_iter()
            .map(|(file, hash)| (file, hash.sha256))
            .collect();
        if includes.len() > MAX_FILES || provider_includes.len() > MAX_FILES {
            return Err(format!("its packages.json names more than {MAX_FILES} files"));
        }
        let found = Self {
            metadata: root.metadata_url.filter(|url| url.contains("%package%")),
            available: (!names.is_empty()).then_some(names),
            inline: match &root.packages {
                Some(raw) => by_name(raw).map_err(|error| format!("its packages.json is none: {error}"))?,
                None => IndexMap::new(),
            },
            includes,
            provider_includes,
            providers: root.providers_url.filter(|url| url.contains("%package%")),
            lazy: root.providers_lazy_url.filter(|url| url.contains("%package%")),
            search: root.search.filter(|url| url.contains("%query%")),
            advisories: root.security_advisories.unwrap_or_default().api,
        };
        let says_nothing = found.metadata.is_none()
            && found.inline.is_empty()
            && found.includes.is_empty()
            && found.providers.is_none()
            && found.lazy.is_none();
        if says_nothing && root.packages.is_none() {
            return Err("its packages.json says nothing of packages".to_owned());
        }
        Ok(found)
    }

    /// Whether it may have a package, by what it says of all of them.
    pub(crate) fn may_have(&self, name: &PackageName) -> bool {
        self.available.as_ref().is_none_or(|names| names.iter().any(|one| one.matches(name.as_str())))
    }

    /// A package that stands in it.
    pub(crate) fn inline(&self, name: &PackageName) -> Option<&RawValue> {
        self.inline.get(name.as_str()).map(AsRef::as_ref)
    }

    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        self.inline.iter().map(|(key, value)| key.len() + value.get().len() + 64).sum::<usize>() + 2048
    }
}

/// The hash in the name of a package's file, from a file that says so of many.
pub(crate) fn provider_hash(name: &PackageName, raw: &[u8]) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Hashed {
        sha256: String,
    }
    #[derive(Deserialize)]
    struct Providers {
        #[serde(default)]
        providers: IndexMap<String, Hashed>,
    }
    let found: Providers =
        serde_json::from_slice(raw).map_err(|error| format!("its list of providers is none: {error}"))?;
    let hash = found.providers.get(name.as_str()).map(|hash| hash.sha256.clone());
    Ok(hash.filter(|hash| is_hash(hash)))
}

/// Whether a text is a SHA-256 in hex, and so may stand in a path.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A URL as documents of a repository have it: absolute, from its host's root, or beside its `packages.json`.
pub(crate) fn resolve(base: &Url, text: &str) -> Option<Url> {
    base.join(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether a version is in the document of branches, or else in that of releases.
pub(crate) fn is_branch(version: &ForeignVersion) -> bool {
    is_dev(&version.normalized)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::metadata::document;

    fn name() -> PackageName {
        "acme/lib".parse().unwrap()
    }

    #[test]
    fn checklist_15_46_what_was_minified_is_put_together_and_odd_fields_stay() {
        let text = r#"{"packages":{"acme/lib":[
            {"name":"acme/lib","version":"v2.0.0","version_normalized":"2.0.0.0","keywords":"odd","authors":{"name":"x"},"license":null,
             "extra":{}, "support":[], "dist":{"type":"zip","url":"https://files.example.com/lib?ref=1","reference":"abc","shasum":"","mirrors":[1]},
             "time":"2026-01-01T00:00:00+00:00","transport-options":{"ssl":1}},
            {"version":"v1.9.0","version_normalized":"1.9.0.0","license":"__unset","published-time":"2025-12-01T00:00:00+00:00"},
            {"version":"v1.8.0","version_normalized":"1.8.0.0","dist":"__unset","source":{"type":"git","url":"https://x.example.com","reference":"abc"}}
        ]},"minified":"composer/2.0","security-advisories":[]}"#;
        let found = versions(&name(), text.as_bytes()).unwrap();
        let told: Vec<_> = found.iter().map(|one| one.version.as_str()).collect();
        assert_eq!(told, ["v2.0.0", "v1.9.0", "v1.8.0"]);
        // Two tags of one commit have an archive each.
        let dists: Vec<_> = found.iter().map(|one| one.dist.as_ref().map(|dist| dist.file.clone())).collect();
        assert!(dists[0].is_some() && dists[1].is_some() && dists[0] != dists[1] && dists[2].is_none());
        assert_eq!(found[1].published, Some("2025-12-01T00:00:00Z".parse().unwrap()));
        let entries: Vec<Entry> =
            found.iter().map(|one| one.entry(&name(), "https://registry.example.com")).collect();
        let first: Value = serde_json::from_str(&format!(
            "{{{}}}",
            entries[0]
                .iter()
                .map(|(key, value)| format!("{}:{value}", quoted(key)))
                .collect::<Vec<_>>()
                .join(",")
        ))
        .unwrap();
        let file = dists[0].clone().unwrap();
        assert_eq!(
            first,
            json!({
                "name": "acme/lib", "version": "v2.0.0", "version_normalized": "2.0.0.0", "keywords": "odd",
                "authors": {"name": "x"}, "license": null, "extra": {}, "support": [],
                "dist": {
                    "type": "zip", "url": format!("https://registry.example.com/dists/acme/lib/{file}"), "reference": "abc",
                    "shasum": "",
                },
                "time": "2026-01-01T00:00:00+00:00",
            })
        );
        assert!(!entries[1].contains_key("license") && entries[1].contains_key("support"));
        let again: Value = serde_json::from_slice(&document("acme/lib", &entries)).unwrap();
        assert_eq!(again["packages"]["acme/lib"][2]["dist"], "__unset");
    }

    #[test]
    fn older_forms_are_read() {
        let text = r#"{"packages":{"acme/lib":{"1.0":{"version":"1.0","dist":{"type":"zip","url":"https://x.example.com/a"}},
            "dev-main":{"version":"dev-main","version_normalized":"9999999-dev"},"bad":{"version":"nonsense at all"}}}}"#;
        let found = versions(&name(), text.as_bytes()).unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.normalized.as_str(), is_branch(one))).collect();
        assert_eq!(told, [("1.0.0.0", false), ("dev-main", true)]);
        for bad in [
            "<html>",
            "[]",
            "{}",
            r#"{"packages":[]}"#,
            r#"{"packages":{"acme/other":[]}}"#,
            r#"{"packages":{"acme/lib":1}}"#,
        ] {
            assert!(versions(&name(), bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn checklist_45_roots_of_every_kind() {
        let root = ForeignRoot::read(
            br#"{"packages":[],"metadata-url":"/p2/%package%.json","available-package-patterns":["acme/*"],"available-packages":["Odd/Name"]}"#,
        )
        .unwrap();
        assert_eq!(root.metadata.as_deref(), Some("/p2/%package%.json"));
        assert!(root.may_have(&name()) && root.may_have(&"odd/name".parse().unwrap()));
        assert!(!root.may_have(&"other/lib".parse().unwrap()));
        let inline = ForeignRoot::read(
            br#"{"packages":{"acme/lib":{}},"includes":{"include/all.json":{"sha1":"x"}}}"#,
        )
        .unwrap();
        assert!(inline.inline(&name()).is_some() && inline.includes == ["include/all.json"]);
        let old = ForeignRoot::read(
            br#"{"packages":[],"provider-includes":{"p/latest$%hash%.json":{"sha256":"aa"}},"providers-url":"/p/%package%$%hash%.json"}"#,
        )
        .unwrap();
        assert_eq!(old.provider_includes, [("p/latest$%hash%.json".to_owned(), "aa".to_owned())]);
        assert_eq!(old.providers.as_deref(), Some("/p/%package%$%hash%.json"));
        for bad in ["<html>", "[]", "{}", r#"{"name":"x"}"#] {
            assert!(ForeignRoot::read(bad.as_bytes()).is_err(), "{bad}");
        }
        ForeignRoot::read(br#"{"packages":[]}"#).unwrap();
        let hash = "a".repeat(64);
        let list =
            format!(r#"{{"providers":{{"acme/lib":{{"sha256":"{hash}"}},"acme/x":{{"sha256":"../x"}}}}}}"#);
        assert_eq!(provider_hash(&name(), list.as_bytes()), Ok(Some(hash)));
        assert_eq!(provider_hash(&"acme/x".parse().unwrap(), list.as_bytes()), Ok(None));
    }

    #[test]
    fn urls_are_resolved_as_clients_do() {
        let base = Url::parse("https://x.example.com/repo/packages.json").unwrap();
        for (text, want) in [
            ("/p2/a.json", Some("https://x.example.com/p2/a.json")),
            ("include/all.json", Some("https://x.example.com/repo/include/all.json")),
            ("https://y.example.com/z", Some("https://y.example.com/z")),
            ("file:///x", None),
        ] {
            assert_eq!(resolve(&base, text).as_ref().map(Url::as_str), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = versions(&name(), text.as_bytes());
            let _ = ForeignRoot::read(text.as_bytes());
            let _ = provider_hash(&name(), text.as_bytes());
        }

        #[test]
        fn what_was_rendered_is_read_back(
            fields in proptest::collection::vec(proptest::collection::vec(("[a-e]", "[0-2]|\\{\\}|\\[\\]|null"), 0..6), 1..6)
        ) {
            let entries: Vec<Entry> = fields.iter().enumerate().map(|(at, fields)| {
                let mut entry: Entry = fields.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
                entry.insert("version".to_owned(), quoted(&format!("1.{at}.0")).into());
                entry
            }).collect();
            let found = versions(&name(), &document("acme/lib", &entries)).unwrap();
            let back: Vec<Entry> = found.iter().map(|one| one.entry(&name(), "")).collect();
            let sorted = |entry: &Entry| { let mut entry = entry.clone(); entry.sort_keys(); entry };
            prop_assert_eq!(back.iter().map(sorted).collect::<Vec<_>>(), entries.iter().map(sorted).collect::<Vec<_>>());
        }
    }
}
