//! A gem's specification: what its own metadata says, as plain data.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{
    requirement::{Condition, Requirement, RequirementError},
    yaml::{Node, YamlError, parse_mapping},
};
use crate::{
    names::{GemName, GemNameError, Platform, PlatformError, slug},
    version::{Version, VersionError},
};

/// The longest free text in characters.
const MAX_TEXT: usize = 64_000;
/// The longest short text in characters.
const MAX_SHORT: usize = 255;
/// The longest licence.
const MAX_LICENCE: usize = 64;
/// The longest key and value of the metadata hash.
const MAX_METADATA: (usize, usize) = (128, 1024);
/// The most items of a list, and of the metadata hash.
const MAX_ITEMS: usize = 1000;

/// The parts of a specification that are read. The others (lists of files, executables) are in the gem for who needs them.
const WANTED: [&str; 18] = [
    "author",
    "authors",
    "cert_chain",
    "date",
    "dependencies",
    "description",
    "email",
    "homepage",
    "license",
    "licenses",
    "metadata",
    "name",
    "original_platform",
    "platform",
    "required_ruby_version",
    "required_rubygems_version",
    "requirements",
    "rubygems_version",
];

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DependencyKind {
    Development,
    Runtime,
}

impl DependencyKind {
    /// As specifications name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Runtime => "runtime",
        }
    }
}

/// Another gem that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: GemName,
    pub(crate) requirement: Requirement,
    pub(crate) kind: DependencyKind,
}

/// What a gem says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) name: GemName,
    pub(crate) version: Version,
    pub(crate) platform: Platform,
    /// In the order of the specification, development dependencies included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default = "Requirement::any", skip_serializing_if = "Requirement::is_any")]
    pub(crate) required_ruby_version: Requirement,
    #[serde(default = "Requirement::any", skip_serializing_if = "Requirement::is_any")]
    pub(crate) required_rubygems_version: Requirement,
    /// The RubyGems that built it.
    #[serde(default)]
    pub(crate) rubygems_version: String,
    pub(crate) date: NaiveDate,
    pub(crate) summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) email: Vec<String>,
    pub(crate) authors: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) licenses: Vec<String>,
    /// What else must be on the machine, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) requirements: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Why a specification is refused. The sentences are for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SpecError {
    #[error("the dependency {0} is there twice")]
    DependencyTwice(GemName),
    #[error("a dependency: {0}")]
    DependencyName(GemNameError),
    #[error("the dependency {name}: {error}")]
    DependencyRequirement { name: GemName, error: RequirementError },
    #[error("the gem depends on itself")]
    DependsOnItself,
    #[error("{field} is longer than {limit} characters")]
    Long { field: &'static str, limit: usize },
    #[error("the metadata's {0:?} is no http or https URL")]
    MetadataUrl(String),
    #[error("the specification has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Name(#[from] GemNameError),
    /// Clients look for the words.
    #[error("the uploaded spec has malformed platform attributes: {0}")]
    Platform(#[from] PlatformError),
    #[error("{field}: {error}")]
    Requirement { field: &'static str, error: RequirementError },
    #[error("{0} is not as it has to be in a specification")]
    Shape(&'static str),
    #[error("{field} has more than {limit} items")]
    TooMany { field: &'static str, limit: usize },
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error("metadata: {0}")]
    Yaml(#[from] YamlError),
}

/// A specification as it was read, with what is not kept of it.
#[derive(Clone, Debug)]
pub(crate) struct ReadSpec {
    pub(crate) spec: Spec,
    /// Whether it names certificates, so that there must be signatures.
    pub(crate) is_signed: bool,
}

impl Spec {
    /// Reads a gem's metadata. `now` stands in for a date that makes no sense.
    pub(crate) fn parse(yaml: &str, now: DateTime<Utc>) -> Result<ReadSpec, SpecError> {
        let node = parse_mapping(yaml, |key| WANTED.contains(&key) || matches!(key, "summary" | "version"))?;
        let name: GemName = required(&node, "name")?.parse()?;
        let version: Version =
            version_text(node.get("version")).ok_or(SpecError::Missing("version"))?.parse()?;
        let authors = texts(&node, "authors", MAX_SHORT)?;
        let authors = if authors.is_empty() { texts(&node, "author", MAX_SHORT)? } else { authors };
        if authors.is_empty() {
            return Err(SpecError::Missing("authors"));
        }
        let mut licenses = texts(&node, "licenses", MAX_LICENCE)?;
        if licenses.is_empty() {
            licenses = texts(&node, "license", MAX_LICENCE)?;
        }
        let summary = text(&node, "summary", MAX_TEXT)?.ok_or(SpecError::Missing("summary"))?;
        let spec = Self {
            dependencies: dependencies(&node, &name)?,
            platform: platform(&node)?,
            name,
            version,
            required_ruby_version: requirement_of(&node, "required_ruby_version")?,
            required_rubygems_version: requirement_of(&node, "required_rubygems_version")?,
            rubygems_version: text(&node, "rubygems_version", MAX_SHORT)?.unwrap_or_default(),
            date: date(node.get("date"), now),
            summary,
            description: text(&node, "description", MAX_TEXT)?,
            homepage: text(&node, "homepage", MAX_TEXT)?,
            email: texts(&node, "email", MAX_SHORT)?,
            authors,
            licenses,
            requirements: texts(&node, "requirements", MAX_TEXT)?,
            metadata: metadata(&node)?,
        };
        let is_signed = node.get("cert_chain").is_some_and(|chain| match chain {
            Node::List(certificates) => !certificates.is_empty(),
            other => !other.is_null(),
        });
        Ok(ReadSpec { spec, is_signed })
    }

    /// Version and platform, as indexes write them.
    pub(crate) fn slug(&self) -> String {
        slug(&self.version, &self.platform)
    }

    /// The dependencies of the installed gem, sorted by name.
    pub(crate) fn runtime_dependencies(&self) -> Vec<&Dependency> {
        self.dependencies_of(DependencyKind::Runtime)
    }

    /// The dependencies of one kind, sorted by name.
    pub(crate) fn dependencies_of(&self, kind: DependencyKind) -> Vec<&Dependency> {
        let mut found: Vec<_> =
            self.dependencies.iter().filter(|dependency| dependency.kind == kind).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

fn required<'n>(node: &'n Node, field: &'static str) -> Result<&'n str, SpecError> {
    node.get(field).and_then(Node::text).ok_or(SpecError::Missing(field))
}

/// A version: a scalar, or a `Gem::Version`.
fn version_text(node: Option<&Node>) -> Option<&str> {
    let node = node?;
    node.text().or_else(|| node.get("version").and_then(Node::text))
}

fn check_text(text: &str, field: &'static str, limit: usize) -> Result<String, SpecError> {
    if text.contains('\0') {
        Err(SpecError::Shape(field))
    } else if text.chars().count() > limit {
        Err(SpecError::Long { field, limit })
    } else {
        Ok(text.to_owned())
    }
}

/// A text that may be missing; an empty one is.
fn text(node: &Node, field: &'static str, limit: usize) -> Result<Option<String>, SpecError> {
    match node.get(field) {
        None => Ok(None),
        Some(node) if node.is_null() => Ok(None),
        Some(node @ Node::Scalar { .. }) => {
            let text = check_text(node.text().unwrap_or_default(), field, limit)?;
            Ok(Some(text).filter(|text| !text.trim().is_empty()))
        }
        Some(_) => Err(SpecError::Shape(field)),
    }
}

/// A list of texts, or one text, or null. What is null or empty in it is left out.
fn texts(node: &Node, field: &'static str, limit: usize) -> Result<Vec<String>, SpecError> {
    let Some(Node::List(items)) = node.get(field) else {
        return Ok(text(node, field, limit)?.into_iter().collect());
    };
    if items.len() > MAX_ITEMS {
        return Err(SpecError::TooMany { field, limit: MAX_ITEMS });
    }
    let mut found = Vec::new();
    for item in items {
        if item.is_null() {
            continue;
        }
        let item = item.text().ok_or(SpecError::Shape(field))?;
        if !item.trim().is_empty() {
            found.push(check_text(item, field, limit)?);
        }
    }
    Ok(found)
}

/// The platform as the author wrote it, else as it is known.
fn platform(node: &Node) -> Result<Platform, SpecError> {
    let found = ["original_platform", "platform"]
        .iter()
        .find_map(|field| node.get(field).filter(|node| !node.is_null() && node.text() != Some("")));
    match found {
        None => Ok(Platform::ruby()),
        Some(Node::Scalar { text, .. }) => Ok(text.parse()?),
        Some(Node::List(_)) => Err(SpecError::Shape("platform")),
        Some(parts @ Node::Mapping(_)) => {
            let parts: Vec<&str> =
                ["cpu", "os", "version"].iter().filter_map(|part| parts.get(part)?.text()).collect();
            Ok(parts.join("-").parse()?)
        }
    }
}

/// A date, or today where there is none or one that cannot be.
fn date(node: Option<&Node>, now: DateTime<Utc>) -> NaiveDate {
    let today = now.date_naive();
    let first = NaiveDate::from_ymd_opt(1980, 1, 1).unwrap_or_default();
    let last = today.checked_add_days(Days::new(1)).unwrap_or(today);
    node.and_then(Node::text)
        .and_then(|text| text.get(..10))
        .and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .filter(|date| (first..=last).contains(date))
        .unwrap_or(today)
}

fn metadata(node: &Node) -> Result<BTreeMap<String, String>, SpecError> {
    let field = "metadata";
    let pairs = match node.get(field) {
        None => return Ok(BTreeMap::new()),
        Some(node) if node.is_null() => return Ok(BTreeMap::new()),
        Some(Node::Mapping(pairs)) => pairs,
        Some(_) => return Err(SpecError::Shape(field)),
    };
    if pairs.len() > MAX_ITEMS {
        return Err(SpecError::TooMany { field, limit: MAX_ITEMS });
    }
    let (longest_key, longest_value) = MAX_METADATA;
    let mut found = BTreeMap::new();
    for (key, value) in pairs {
        let Node::Scalar { text: value, .. } = value else { return Err(SpecError::Shape(field)) };
        let (key, value) = (
            check_text(key, "a key of the metadata", longest_key)?,
            check_text(value, "a value of the metadata", longest_value)?,
        );
        if key.ends_with("_uri") && !is_web_url(&value) {
            return Err(SpecError::MetadataUrl(key));
        }
        found.insert(key, value);
    }
    Ok(found)
}

/// Whether a text is an `http` or `https` URL without spaces or control characters.
fn is_web_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control()))
}

fn requirement_of(node: &Node, field: &'static str) -> Result<Requirement, SpecError> {
    requirement(node.get(field)).map_err(|error| match error {
        Some(error) => SpecError::Requirement { field, error },
        None => SpecError::Shape(field),
    })
}

/// A requirement in any of its shapes: an object with pairs of an operator and a version, a text, or nothing. `Err(None)` where it is
/// none of them.
fn requirement(node: Option<&Node>) -> Result<Requirement, Option<RequirementError>> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(Requirement::any()) };
    let pairs = match node {
        Node::Scalar { text, .. } => return text.parse().map_err(Some),
        Node::List(pairs) => pairs,
        Node::Mapping(_) => match node.get("requirements") {
            Some(Node::List(pairs)) => pairs,
            Some(other) if !other.is_null() => return Err(None),
            _ => return Ok(Requirement::any()),
        },
    };
    let mut conditions = Vec::new();
    for pair in pairs {
        let condition = match pair {
            Node::Scalar { text, .. } => text.parse().map_err(Some)?,
            Node::List(pair) => match pair.as_slice() {
                [operator, version] => {
                    let operator = operator.text().ok_or(None)?;
                    Condition::new(operator, version_text(Some(version)).ok_or(None)?).map_err(Some)?
                }
                _ => return Err(None),
            },
            Node::Mapping(_) => return Err(None),
        };
        conditions.push(condition);
    }
    Requirement::of(conditions).map_err(Some)
}

fn dependencies(node: &Node, of: &GemName) -> Result<Vec<Dependency>, SpecError> {
    let field = "dependencies";
    let items = match node.get(field) {
        None => return Ok(Vec::new()),
        Some(node) if node.is_null() => return Ok(Vec::new()),
        Some(Node::List(items)) => items,
        Some(_) => return Err(SpecError::Shape(field)),
    };
    if items.len() > MAX_ITEMS {
        return Err(SpecError::TooMany { field, limit: MAX_ITEMS });
    }
    let mut found: Vec<Dependency> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for item in items {
        let name = item.get("name").and_then(Node::text).ok_or(SpecError::Missing("name of a dependency"))?;
        let name: GemName = name.parse().map_err(SpecError::DependencyName)?;
        let kind = match item.get("type").and_then(Node::text) {
            None | Some(":runtime" | "runtime") => DependencyKind::Runtime,
            Some(":development" | "development") => DependencyKind::Development,
            Some(_) => return Err(SpecError::Shape("a dependency's type")),
        };
        let given = item.get("requirement").or_else(|| item.get("version_requirements"));
        let requirement = requirement(given).map_err(|error| match error {
            Some(error) => SpecError::DependencyRequirement { name: name.clone(), error },
            None => SpecError::Shape("a dependency's requirement"),
        })?;
        if name == *of {
            return Err(SpecError::DependsOnItself);
        }
        if !seen.insert((name.clone(), kind.as_str())) {
            return Err(SpecError::DependencyTwice(name));
        }
        found.push(Dependency { name, requirement, kind });
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        names::tests::any_name, version::tests::any_version, wire::requirement::tests::any_requirement,
    };

    pub(crate) fn now() -> DateTime<Utc> {
        "2026-03-04T05:06:07Z".parse().unwrap()
    }

    /// As `gem build` writes it.
    pub(crate) const DEMO: &str = "--- !ruby/object:Gem::Specification
name: demo-gem
version: !ruby/object:Gem::Version
  version: 1.10.0
platform: ruby
authors:
- Ann Author
- Bob
autorequire:
bindir: exe
cert_chain: []
date: 2026-03-01 00:00:00.000000000 Z
dependencies:
- !ruby/object:Gem::Dependency
  name: rack
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - \">=\"
      - !ruby/object:Gem::Version
        version: '1.0'
    - - \"<\"
      - !ruby/object:Gem::Version
        version: '3'
  type: :runtime
  prerelease: false
  version_requirements: !ruby/object:Gem::Requirement
    requirements:
    - - \">=\"
      - !ruby/object:Gem::Version
        version: '1.0'
    - - \"<\"
      - !ruby/object:Gem::Version
        version: '3'
- !ruby/object:Gem::Dependency
  name: rake
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - \"~>\"
      - !ruby/object:Gem::Version
        version: '13.0'
  type: :development
  prerelease: false
  version_requirements: !ruby/object:Gem::Requirement
    requirements:
    - - \"~>\"
      - !ruby/object:Gem::Version
        version: '13.0'
- !ruby/object:Gem::Dependency
  name: addressable
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - \">=\"
      - !ruby/object:Gem::Version
        version: '0'
  type: :runtime
  prerelease: false
description: A demonstration.
email:
- ann@example.com
executables:
- demo
extensions: []
extra_rdoc_files: []
files:
- exe/demo
- lib/demo.rb
homepage: https://example.com/demo
licenses:
- MIT
metadata:
  source_code_uri: https://example.com/demo/src
post_install_message:
rdoc_options: []
require_paths:
- lib
required_ruby_version: !ruby/object:Gem::Requirement
  requirements:
  - - \">=\"
    - !ruby/object:Gem::Version
      version: '2.7'
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements:
  - - \">=\"
    - !ruby/object:Gem::Version
      version: '0'
requirements: []
rubygems_version: 3.3.15
signing_key:
specification_version: 4
summary: Shows things
test_files: []
";

    pub(crate) fn demo() -> Spec {
        Spec::parse(DEMO, now()).unwrap().spec
    }

    fn parse(yaml: &str) -> Result<Spec, SpecError> {
        Spec::parse(yaml, now()).map(|read| read.spec)
    }

    fn with(lines: &str) -> Result<Spec, SpecError> {
        parse(&format!("name: a\nversion: 1.10\nsummary: s\nauthors: [x]\n{lines}"))
    }

    #[test]
    fn a_specification_of_gem_build() {
        let read = Spec::parse(DEMO, now()).unwrap();
        assert!(!read.is_signed);
        let spec = read.spec;
        assert_eq!(
            (spec.name.as_str(), spec.version.as_str(), spec.platform.as_str()),
            ("demo-gem", "1.10.0", "ruby")
        );
        assert_eq!(spec.authors, ["Ann Author", "Bob"]);
        assert_eq!(spec.date.to_string(), "2026-03-01");
        let runtime: Vec<String> = spec
            .runtime_dependencies()
            .iter()
            .map(|dependency| format!("{} {}", dependency.name, dependency.requirement))
            .collect();
        assert_eq!(runtime, ["addressable >= 0", "rack >= 1.0, < 3"]);
        assert_eq!(spec.dependencies.len(), 3);
        assert_eq!(spec.required_ruby_version.to_compact(), ">= 2.7");
        assert!(spec.required_rubygems_version.is_any());
        assert_eq!(spec.metadata["source_code_uri"], "https://example.com/demo/src");
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
    }

    #[test]
    fn shapes_that_are_tolerated() {
        assert_eq!(with("").unwrap().version.as_str(), "1.10");
        assert_eq!(with("licenses: MIT\n").unwrap().licenses, ["MIT"]);
        assert_eq!(with("license: MIT\nlicenses:\n").unwrap().licenses, ["MIT"]);
        assert_eq!(with("email: [a, ~, '']\n").unwrap().email, ["a"]);
        assert_eq!(with("dependencies:\n").unwrap().dependencies, []);
        assert_eq!(with("platform:\n").unwrap().platform.as_str(), "ruby");
        assert_eq!(with("platform: java\n").unwrap().platform.as_str(), "java");
        let object = "platform: !ruby/object:Gem::Platform\n  cpu: x86_64\n  os: linux\n  version:\n";
        assert_eq!(with(object).unwrap().platform.as_str(), "x86_64-linux");
        assert_eq!(with("platform: java\noriginal_platform: jruby\n").unwrap().platform.as_str(), "jruby");
        for (given, want) in [
            ("none: true\nrequirements:\n", ">= 0"),
            ("requirements: []\n", ">= 0"),
            ("requirements: [[\">=\", '1.0'], [\"<\", {version: 2.10}]]\n", "< 2.10&>= 1.0"),
        ] {
            let given = given.replace('\n', "\n  ");
            let spec =
                with(&format!("required_ruby_version: !ruby/object:Gem::Version::Requirement\n  {given}\n"));
            assert_eq!(spec.unwrap().required_ruby_version.to_compact(), want);
        }
        for given in ["2020-01-02 00:00:00 Z", "2020-01-02", "'2020-01-02'", "2020-01-02T00:00:00Z"] {
            assert_eq!(with(&format!("date: {given}\n")).unwrap().date.to_string(), "2020-01-02");
        }
        for given in ["1979-12-31", "2026-03-06", "yesterday", "~", "[1]", "2020-13-01"] {
            assert_eq!(with(&format!("date: {given}\n")).unwrap().date.to_string(), "2026-03-04", "{given}");
        }
        assert!(Spec::parse(&(DEMO.replace("cert_chain: []", "cert_chain: [x]")), now()).unwrap().is_signed);
    }

    #[test]
    fn what_is_refused() {
        let dependency = |name: &str, more: &str| format!("dependencies:\n- name: \"{name}\"\n  {more}\n");
        for (yaml, words) in [
            ("version: 1\nsummary: s\nauthors: x\n".to_owned(), "no name"),
            ("name: a\nsummary: s\nauthors: x\n".to_owned(), "no version"),
            ("name: a\nversion: 1\nauthors: x\n".to_owned(), "no summary"),
            ("name: a\nversion: 1\nsummary: s\n".to_owned(), "no authors"),
            ("name: a/b\nversion: 1\nsummary: s\nauthors: x\n".to_owned(), "a gem's name is"),
            ("name: a\nversion: 1-2\nsummary: s\nauthors: x\n".to_owned(), "a version is"),
        ] {
            let error = parse(&yaml).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for (lines, words) in [
            ("platform: 8086\n".to_owned(), "malformed platform attributes"),
            ("platform: [a]\n".to_owned(), "platform"),
            (format!("description: {}\n", "x".repeat(MAX_TEXT + 1)), "longer than 64000"),
            (format!("licenses: [{}]\n", "x".repeat(65)), "longer than 64"),
            ("homepage: [a]\n".to_owned(), "homepage"),
            ("homepage: \"a\\0\"\n".to_owned(), "homepage"),
            ("metadata: {x_uri: 'javascript:alert(1)'}\n".to_owned(), "http or https"),
            (format!("metadata: {{x: {}}}\n", "x".repeat(1025)), "longer than 1024"),
            ("metadata: {x: [1]}\n".to_owned(), "metadata"),
            ("required_ruby_version: '=> 2'\n".to_owned(), "no operator"),
            ("required_ruby_version: {requirements: 3}\n".to_owned(), "required_ruby_version"),
            (dependency("a", ""), "depends on itself"),
            (dependency("b\\nc 1 |checksum:0", ""), "a dependency: a gem's name is"),
            (dependency("b,c", ""), "a dependency"),
            (dependency("b|c", ""), "a dependency"),
            (dependency("b&c", ""), "a dependency"),
            (dependency("b", "requirement: \">= 1\\n|x\""), "the dependency b"),
            (dependency("b", "type: :other"), "type"),
            ("dependencies: [{}]\n".to_owned(), "name of a dependency"),
            ("dependencies: [{name: b}, {name: b}]\n".to_owned(), "twice"),
            ("dependencies: 1\n".to_owned(), "dependencies"),
        ] {
            let error = with(&lines).unwrap_err().to_string();
            assert!(error.contains(words), "{lines}: {error}");
        }
    }

    pub(crate) fn any_spec() -> impl Strategy<Value = Spec> {
        let dependency = (any_name(), any_requirement(), any::<bool>());
        let dependencies = prop::collection::vec(dependency, 0..4);
        (any_name(), any_version(), any_requirement(), dependencies, "\\PC{1,30}").prop_map(
            |(name, version, ruby, dependencies, summary)| {
                let dependencies = dependencies
                    .into_iter()
                    .map(|(name, requirement, runtime)| Dependency {
                        name,
                        requirement,
                        kind: if runtime { DependencyKind::Runtime } else { DependencyKind::Development },
                    })
                    .collect();
                Spec { name, version, required_ruby_version: ruby, dependencies, summary, ..demo() }
            },
        )
    }

    proptest! {
        #[test]
        fn specifications_round_trip_through_their_document(spec in any_spec()) {
            let json = serde_json::to_string(&spec).unwrap();
            prop_assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
        }

        #[test]
        fn a_line_lost_or_doubled_is_read_or_refused(at in 0_usize..90, double in any::<bool>()) {
            let mut lines: Vec<&str> = DEMO.lines().collect();
            if at < lines.len() {
                let line = lines.remove(at);
                if double {
                    lines.insert(at, line);
                    lines.insert(at, line);
                }
            }
            if let Ok(spec) = parse(&lines.join("\n")) {
                prop_assert_eq!(spec.name.as_str(), "demo-gem");
            }
        }
    }
}
