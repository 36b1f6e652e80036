//! The index: what cargo resolves from. A file a crate, a line a version.

use std::collections::BTreeMap;

use registry_core::storage::UnknownFields;
use serde::{Deserialize, Serialize};

use crate::store::document::{CrateDocument, Release};

/// What a dependency is for. In the order in which the index has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DependencyKind {
    #[default]
    Normal,
    Build,
    Dev,
}

/// A dependency as the index has it: `name` is what the crate's code calls it, `package` what it is called in its registry where that
/// differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IndexDependency {
    pub(crate) name: String,
    pub(crate) req: String,
    pub(crate) features: Vec<String>,
    pub(crate) optional: bool,
    pub(crate) default_features: bool,
    pub(crate) target: Option<String>,
    pub(crate) kind: DependencyKind,
    /// `None`: this registry.
    pub(crate) registry: Option<String>,
    pub(crate) package: Option<String>,
    /// `public`, `artifact`, `bindep_target` and `lib`, which are not stable yet, and fields of newer versions.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl IndexDependency {
    /// Its place among the others: by name, then by kind, then by what tells it from its like.
    pub(crate) fn order(&self) -> impl Ord + '_ {
        (&self.name, self.kind, &self.target, &self.req, &self.package)
    }

    /// About how many bytes of JSON it takes.
    pub(crate) fn weight(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(4, String::len);
        let features: usize = self.features.iter().map(|feature| feature.len() + 4).sum();
        self.name.len()
            + self.req.len()
            + features
            + optional(&self.target)
            + optional(&self.registry)
            + optional(&self.package)
            + 160
    }
}

/// A line of the index.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    vers: String,
    deps: &'a [IndexDependency],
    cksum: &'a str,
    features: &'a BTreeMap<String, Vec<String>>,
    yanked: bool,
    links: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    rust_version: Option<&'a str>,
    pubtime: String,
}

/// Whether features are written as only the second form of the index has them: cargo before 1.60 does not know it, and must not see
/// the version.
fn needs_second_form(features: &BTreeMap<String, Vec<String>>) -> bool {
    features.values().flatten().any(|value| value.starts_with("dep:") || value.contains("?/"))
}

/// A crate's index file: its versions in the order in which they were published.
pub(crate) fn render(document: &CrateDocument) -> Vec<u8> {
    let mut out = Vec::with_capacity(document.releases.len() * 512);
    for (version, release) in &document.releases {
        let Release { facts, .. } = &**release;
        let line = Line {
            name: document.name.as_str(),
            vers: version.to_string(),
            deps: &facts.deps,
            cksum: release.data.sha256.as_deref().unwrap_or_default(),
            features: &facts.features,
            yanked: release.yanked,
            links: facts.links.as_deref(),
            v: needs_second_form(&facts.features).then_some(2),
            rust_version: facts.rust_version.as_deref(),
            // Cargo reads these twenty characters and no other form.
            pubtime: release.published.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        // The types hold nothing that JSON cannot.
        if serde_json::to_writer(&mut out, &line).is_ok() {
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::document::tests::document;

    #[test]
    fn checklist_29_a_line_byte_by_byte() {
        let document = document("Foo-x", &["1.0.0", "1.1.0-rc.1+b"]);
        let text = String::from_utf8(render(&document)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            concat!(
                r#"{"name":"Foo-x","vers":"1.0.0","deps":[{"name":"alias","req":"^1","features":["f"],"optional":true,"#,
                r#""default_features":false,"target":"cfg(unix)","kind":"dev","registry":null,"package":"real"}],"#,
                r#""cksum":"aa","features":{},"yanked":false,"links":null,"rust_version":null,"pubtime":"2026-01-02T03:04:05Z"}"#,
            )
        );
        assert!(lines[1].contains(r#""vers":"1.1.0-rc.1+b""#) && text.ends_with("}\n") && lines.len() == 2);
    }

    #[test]
    fn checklist_4_nothing_is_null_that_cargo_needs() {
        let mut document = document("a", &["1.0.0"]);
        std::sync::Arc::make_mut(&mut document.releases[0]).facts.deps.clear();
        let line: serde_json::Value = serde_json::from_slice(&render(&document)).unwrap();
        assert_eq!((&line["deps"], &line["features"]), (&serde_json::json!([]), &serde_json::json!({})));
    }

    #[test]
    fn the_second_form_is_told() {
        for (value, second) in [("dep:x", true), ("x?/y", true), ("x/y", false), ("x", false)] {
            let features = BTreeMap::from([("f".to_owned(), vec![value.to_owned()])]);
            assert_eq!(needs_second_form(&features), second, "{value}");
        }
    }
}
