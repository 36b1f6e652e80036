//! The `Cargo.toml` inside a `.crate` file: what the index says of a version comes from here, since that is what builds.

use std::collections::BTreeMap;

use registry_core::storage::UnknownFields;
use serde::Deserialize;
use toml::Value;

use super::{
    index::{DependencyKind, IndexDependency},
    publish::SentDependency,
};
use crate::{names::CrateName, store::document::Facts, version::Version};

/// The most dependencies of a version.
const MAX_DEPENDENCIES: usize = 500;
/// The most features of a version.
const MAX_FEATURES: usize = 300;
/// The longest text of one field in bytes.
const MAX_TEXT: usize = 10_000;
/// The most keywords or categories.
const MAX_WORDS: usize = 50;

/// Why a manifest is refused. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the crate's Cargo.toml {0}")]
pub(crate) struct ManifestError(String);

fn refuse<T>(text: impl Into<String>) -> Result<T, ManifestError> {
    Err(ManifestError(text.into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    #[serde(alias = "project")]
    package: Option<Package>,
    #[serde(flatten)]
    tables: Tables,
    #[serde(default)]
    target: BTreeMap<String, Tables>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Tables {
    #[serde(default)]
    dependencies: BTreeMap<String, Dependency>,
    #[serde(default, alias = "build_dependencies")]
    build_dependencies: BTreeMap<String, Dependency>,
    #[serde(default, alias = "dev_dependencies")]
    dev_dependencies: BTreeMap<String, Dependency>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Dependency {
    Version(String),
    Detailed(Box<Detailed>),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detailed {
    version: Option<String>,
    package: Option<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    optional: bool,
    #[serde(alias = "default_features")]
    default_features: Option<bool>,
    registry_index: Option<String>,
    registry: Option<Value>,
    workspace: Option<Value>,
    public: Option<bool>,
    artifact: Option<Value>,
    target: Option<String>,
    lib: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<Value>,
    links: Option<String>,
    rust_version: Option<Value>,
    description: Option<Value>,
    documentation: Option<Value>,
    homepage: Option<Value>,
    repository: Option<Value>,
    license: Option<Value>,
    keywords: Option<Value>,
    categories: Option<Value>,
}

/// What a manifest is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) name: &'a CrateName,
    pub(crate) version: &'a Version,
    /// The dependencies in the publish's metadata.
    pub(crate) sent: &'a [SentDependency],
    /// The features in it.
    pub(crate) features: Option<&'a BTreeMap<String, Vec<String>>>,
    /// Where this registry is, without a slash at its end.
    pub(crate) base: &'a str,
}

/// Reads a manifest and checks that it is what was announced: its facts, and warnings for the client.
pub(crate) fn read(bytes: &[u8], expected: &Expected<'_>) -> Result<(Facts, Vec<String>), ManifestError> {
    let Ok(text) = std::str::from_utf8(bytes) else { return refuse("is not UTF-8") };
    let manifest: Manifest = toml::from_str(text).map_err(|error| {
        let message: String = error.message().chars().take(200).collect();
        ManifestError(format!("cannot be read: {message}"))
    })?;
    let Some(package) = manifest.package else { return refuse("has no [package]") };
    if package.name != expected.name.as_str() {
        let found: String = package.name.chars().take(64).collect();
        return refuse(format!("is of \"{found}\", but \"{}\" is published", expected.name));
    }
    let version = text_of("version", package.version)?.unwrap_or_default();
    if version.parse::<Version>().ok().as_ref() != Some(expected.version) {
        let found: String = version.chars().take(64).collect();
        return refuse(format!("is of version \"{found}\", but {} is published", expected.version));
    }
    let mut warnings = Vec::new();
    let mut url = |name: &'static str, value: Option<Value>| -> Result<Option<String>, ManifestError> {
        let text = text_of(name, value)?;
        let shown = text.filter(|text| {
            let is_url = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
            if !is_url {
                warnings.push(format!("the {name} is no http or https URL and is not shown"));
            }
            is_url
        });
        Ok(shown)
    };
    let facts = Facts {
        homepage: url("homepage", package.homepage)?,
        documentation: url("documentation", package.documentation)?,
        repository: url("repository", package.repository)?,
        deps: dependencies(manifest.tables, manifest.target, expected)?,
        features: features(manifest.features, expected)?,
        links: package.links.map(Value::String).map_or(Ok(None), |links| text_of("links", Some(links)))?,
        rust_version: rust_version(text_of("rust-version", package.rust_version)?)?,
        description: text_of("description", package.description)?,
        license: text_of("license", package.license)?,
        keywords: words_of("keywords", package.keywords)?,
        categories: words_of("categories", package.categories)?,
        unknown: UnknownFields::default(),
    };
    Ok((facts, warnings))
}

fn text_of(name: &str, value: Option<Value>) -> Result<Option<String>, ManifestError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if text.len() > MAX_TEXT => {
            refuse(format!("has a {name} of more than {MAX_TEXT} bytes"))
        }
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Table(_)) => refuse(format!(
            "takes its {name} from a workspace: publish with cargo, which writes it out in the package"
        )),
        Some(_) => refuse(format!("has a {name} that is no text")),
    }
}

fn words_of(name: &str, value: Option<Value>) -> Result<Vec<String>, ManifestError> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(words)) if words.len() > MAX_WORDS => {
            refuse(format!("has more than {MAX_WORDS} {name}"))
        }
        Some(Value::Array(words)) => {
            words.into_iter().map(|word| Ok(text_of(name, Some(word))?.unwrap_or_default())).collect()
        }
        Some(other) => {
            text_of(name, Some(other)).and_then(|_| refuse(format!("has {name} that are no list")))
        }
    }
}

/// `1.60` or `1.60.0`: the index takes no operator.
fn rust_version(text: Option<String>) -> Result<Option<String>, ManifestError> {
    let Some(text) = text else { return Ok(None) };
    let parts: Vec<&str> = text.split('.').collect();
    let plain = |part: &&str| !part.is_empty() && part.len() < 10 && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(plain) {
        return refuse("has a rust-version that is not like 1.60 or 1.60.0");
    }
    Ok(Some(text))
}

fn features(
    features: BTreeMap<String, Vec<String>>,
    expected: &Expected<'_>,
) -> Result<BTreeMap<String, Vec<String>>, ManifestError> {
    if features.len() > MAX_FEATURES {
        return refuse(format!("has more than {MAX_FEATURES} features"));
    }
    let bad = |text: &str| {
        let text: String = text.chars().take(64).collect();
        refuse(format!("has a feature {text:?}, which is no feature's name"))
    };
    for (name, values) in &features {
        if !is_feature(name) {
            return bad(name);
        }
        for value in values {
            let ok = match (value.strip_prefix("dep:"), value.split_once('/')) {
                (Some(dependency), _) => is_alias(dependency),
                (None, Some((dependency, feature))) => {
                    is_alias(dependency.strip_suffix('?').unwrap_or(dependency)) && is_feature(feature)
                }
                (None, None) => is_feature(value),
            };
            if !ok {
                return bad(value);
            }
        }
    }
    if expected.features.is_some_and(|sent| !sent.keys().eq(features.keys())) {
        return refuse("has other features than the metadata of the publish");
    }
    Ok(features)
}

fn is_feature(text: &str) -> bool {
    text.len() <= MAX_TEXT
        && text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'))
}

/// What a crate's code may call a dependency: a crate's name, or one that begins with `_`.
fn is_alias(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn dependencies(
    tables: Tables,
    targets: BTreeMap<String, Tables>,
    expected: &Expected<'_>,
) -> Result<Vec<IndexDependency>, ManifestError> {
    let mut found = Vec::new();
    // What is not said to be elsewhere is in the public registry, which has one address.
    let mut public = None;
    let targets = targets.into_iter().map(|(target, tables)| (Some(target), tables));
    for (target, tables) in std::iter::once((None, tables)).chain(targets) {
        if target.as_ref().is_some_and(|target| target.len() > MAX_TEXT) {
            return refuse(format!("has a target of more than {MAX_TEXT} bytes"));
        }
        for (kind, table) in [
            (DependencyKind::Normal, tables.dependencies),
            (DependencyKind::Build, tables.build_dependencies),
            (DependencyKind::Dev, tables.dev_dependencies),
        ] {
            for (alias, dependency) in table {
                if found.len() == MAX_DEPENDENCIES {
                    return refuse(format!("has more than {MAX_DEPENDENCIES} dependencies"));
                }
                found.push(one(alias, dependency, kind, target.clone(), expected, &mut public)?);
            }
        }
    }
    for sent in expected.sent {
        let kind = sent.kind.unwrap_or_default();
        if !found.iter().any(|dep| dep.name == sent.alias() && dep.kind == kind) {
            let alias: String = sent.alias().chars().take(64).collect();
            return refuse(format!("has no dependency \"{alias}\", which the metadata of the publish has"));
        }
    }
    found.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(found)
}

fn one(
    alias: String,
    dependency: Dependency,
    kind: DependencyKind,
    target: Option<String>,
    expected: &Expected<'_>,
    public: &mut Option<String>,
) -> Result<IndexDependency, ManifestError> {
    let detailed = match dependency {
        Dependency::Version(version) => Detailed { version: Some(version), ..Detailed::default() },
        Dependency::Detailed(detailed) => *detailed,
    };
    let shown: String = alias.chars().take(64).collect();
    let bad = |what: &str| refuse(format!("has a dependency \"{shown}\" {what}"));
    if !is_alias(&alias) {
        return bad("whose name is none");
    }
    if detailed.workspace.is_some() {
        return bad("that is taken from a workspace: publish with cargo, which writes it out in the package");
    }
    if detailed.registry.is_some() {
        return bad("in a registry without its URL: publish with cargo, which writes it out in the package");
    }
    let real = detailed.package.as_deref().unwrap_or(&alias);
    if real.parse::<CrateName>().is_err() {
        return bad("of a package whose name is none");
    }
    let Some(Ok(req)) = detailed.version.as_deref().map(semver::VersionReq::parse) else {
        return bad("without a version requirement such as \"1.2\"");
    };
    if detailed.features.iter().any(|feature| feature.len() > MAX_TEXT)
        || detailed.features.len() > MAX_FEATURES
    {
        return bad("with too many features");
    }
    let mut said = expected.sent.iter().filter(|sent| {
        sent.alias() == alias
            && sent.kind.unwrap_or_default() == kind
            && sent.name == real
            && semver::VersionReq::parse(&sent.version_req).is_ok_and(|sent| sent == req)
    });
    let registry = match (&detailed.registry_index, said.next().map(|sent| sent.registry.as_deref())) {
        (_, None) => return bad("that the metadata of the publish does not have so"),
        (Some(_), Some(None)) => None,
        (Some(index), Some(Some(sent))) if is_same_registry(index, sent) => {
            Some(sent.to_owned()).filter(|sent| !is_same_registry(sent, expected.base))
        }
        (Some(_), Some(Some(_))) => return bad("in another registry than the metadata of the publish says"),
        (None, Some(None)) => {
            return bad("in the public registry, but in this one by the metadata of the publish");
        }
        (None, Some(Some(sent))) => {
            if is_same_registry(sent, expected.base) || public.get_or_insert_with(|| sent.to_owned()) != sent
            {
                return bad("in another registry than the metadata of the publish says");
            }
            Some(sent.to_owned())
        }
    };
    if registry.as_ref().is_some_and(|registry| registry.len() > MAX_TEXT) {
        return bad("in a registry with too long a URL");
    }
    let package = detailed.package.filter(|package| *package != alias);
    let mut unknown = UnknownFields::default();
    let artifact = detailed.artifact.map(|artifact| match artifact {
        Value::Array(kinds) => kinds.into_iter().filter_map(|kind| Some(kind.as_str()?.to_owned())).collect(),
        other => vec![other.as_str().unwrap_or_default().to_owned()],
    });
    if let Some(kinds) = artifact {
        unknown.0.insert("artifact".to_owned(), kinds.into());
        unknown.0.insert("bindep_target".to_owned(), detailed.target.into());
        unknown.0.insert("lib".to_owned(), detailed.lib.unwrap_or_default().into());
    }
    if let Some(public) = detailed.public {
        unknown.0.insert("public".to_owned(), public.into());
    }
    Ok(IndexDependency {
        name: alias,
        req: req.to_string(),
        features: detailed.features,
        optional: detailed.optional,
        default_features: detailed.default_features.unwrap_or(true),
        target,
        kind,
        registry,
        package,
        unknown,
    })
}

/// Whether two spellings of an index's URL mean the same one.
fn is_same_registry(a: &str, b: &str) -> bool {
    fn plain(url: &str) -> &str {
        url.strip_prefix("sparse+").unwrap_or(url).trim_end_matches('/')
    }
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const BASE: &str = "https://registry.example.com/cargo";
    const PUBLIC: &str = "https://public.example.com/index";

    fn check(manifest: &str, sent: serde_json::Value) -> Result<Facts, String> {
        let sent: Vec<SentDependency> = serde_json::from_value(sent).unwrap();
        let expected = Expected {
            name: &"foo".parse().unwrap(),
            version: &"1.0.0".parse().unwrap(),
            sent: &sent,
            features: None,
            base: BASE,
        };
        read(manifest.as_bytes(), &expected).map(|(facts, _)| facts).map_err(|error| error.to_string())
    }

    fn with(rest: &str, sent: serde_json::Value) -> Result<Facts, String> {
        check(&format!("[package]\nname = \"foo\"\nversion = \"1.0.0\"\n{rest}"), sent)
    }

    #[test]
    fn checklist_3_a_renamed_dependency_is_swapped() {
        let rest = format!(
            "[dependencies.alias]\nversion = \"1\"\npackage = \"real\"\nregistry-index = \"sparse+{BASE}/\"\nfeatures = ['x']\n\
             [target.'cfg(unix)'.build-dependencies._b]\nversion = \"0.1\"\npackage = \"b\"\noptional = true\ndefault-features = false\n\
             [features]\ndefault = [\"alias/x\", \"_b?/y\", \"dep:_b\"]"
        );
        let sent = json!([
            {"name": "real", "explicit_name_in_toml": "alias", "version_req": "^1", "kind": "normal"},
            {"name": "b", "explicit_name_in_toml": "_b", "version_req": "^0.1", "kind": "build", "registry": PUBLIC},
        ]);
        let facts = with(&rest, sent).unwrap();
        assert_eq!(
            serde_json::to_value(&facts.deps).unwrap(),
            json!([
                {"name": "_b", "req": "^0.1", "features": [], "optional": true, "default_features": false, "target": "cfg(unix)",
                 "kind": "build", "registry": PUBLIC, "package": "b"},
                {"name": "alias", "req": "^1", "features": ["x"], "optional": false, "default_features": true, "target": null,
                 "kind": "normal", "registry": null, "package": "real"},
            ])
        );
        assert_eq!(facts.features["default"].len(), 3);
    }

    #[test]
    fn checklist_33_registries_are_told_apart() {
        let dep = |index: Option<&str>, sent: Option<&str>| {
            let index = index.map(|index| format!("registry-index = '{index}'")).unwrap_or_default();
            let mut said = json!({"name": "a", "version_req": "^1"});
            if let Some(sent) = sent {
                said["registry"] = json!(sent);
            }
            with(&format!("[dependencies.a]\nversion = '1'\n{index}"), json!([said]))
                .map(|facts| facts.deps[0].registry.clone())
        };
        let other = "sparse+https://other.example.com/cargo/";
        assert_eq!(dep(None, Some(PUBLIC)), Ok(Some(PUBLIC.to_owned())));
        assert_eq!(dep(Some("sparse+http://name-of-the-client/cargo/"), None), Ok(None));
        assert_eq!(dep(Some(BASE), Some(&format!("sparse+{BASE}/"))), Ok(None));
        assert_eq!(dep(Some(other), Some(other)), Ok(Some(other.to_owned())));
        for (index, sent) in [(None, None), (Some(other), Some(PUBLIC)), (None, Some(BASE))] {
            assert!(dep(index, sent).is_err(), "{index:?} {sent:?}");
        }
        let two = json!([
            {"name": "a", "version_req": "1", "registry": PUBLIC}, {"name": "b", "version_req": "1", "registry": other},
        ]);
        assert!(with("[dependencies]\na = '1'\nb = '1'", two).is_err());
    }

    #[test]
    fn checklist_28_what_is_not_as_announced() {
        let sent = json!([{"name": "a", "version_req": "^1", "registry": PUBLIC}]);
        assert!(with("[dependencies]\na = '1'", sent.clone()).is_ok());
        for (rest, sent) in [
            ("", sent.clone()),
            ("[dependencies]\na = '1'", json!([])),
            ("[dependencies]\na = '2'", sent.clone()),
            ("[dev-dependencies]\na = '1'", sent.clone()),
            ("[dependencies]\na = { version = '1', package = 'b' }", sent.clone()),
            ("[dependencies]\na = { workspace = true }", sent.clone()),
            ("[dependencies]\na = { version = '1', registry = 'x' }", sent.clone()),
            ("[dependencies]\na = { path = '../a' }", sent.clone()),
            ("[dependencies]\n'a b' = '1'", sent.clone()),
            ("[dependencies]\na = 'x'", sent),
            ("[features]\n'a b' = []", json!([])),
            ("[features]\na = ['dep:']", json!([])),
            ("[features]\na = ['b/c/d']", json!([])),
            ("rust-version = '>=1.6'", json!([])),
            ("rust-version = '1.2.3.4'", json!([])),
            ("license = { workspace = true }", json!([])),
            ("keywords = 'x'", json!([])),
            ("description = 1", json!([])),
        ] {
            let error = with(rest, sent).expect_err(rest);
            assert!(error.starts_with("the crate's Cargo.toml "), "{error}");
        }
        for manifest in [
            "",
            "[package]",
            "[package]\nname = 'foo'",
            "[package]\nname = 'Foo'\nversion = '1.0.0'",
            "[package]\nname = 'foo'\nversion = '1.0.1'",
            "[package]\nname = 'foo'\nversion = '1.0.0+b'",
            "[package]\nname = 'foo'\nversion = { workspace = true }",
            "[workspace]\nmembers = []",
            "{",
        ] {
            assert!(check(manifest, json!([])).is_err(), "{manifest}");
        }
    }

    #[test]
    fn older_spellings_are_read() {
        let rest = "[dev_dependencies]\na = { version = '1', default_features = false }\n[project2]\nx = 1";
        let sent = json!([{"name": "a", "version_req": "1", "kind": "dev", "registry": PUBLIC}]);
        let facts = with(rest, sent).unwrap();
        assert!(!facts.deps[0].default_features && facts.deps[0].kind == DependencyKind::Dev);
        assert!(check("[project]\nname = 'foo'\nversion = '1.0.0'", json!([])).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = check(&text, json!([]));
            let _ = with(&text, json!([]));
        }
    }
}
