//! A package's metadata as clients read it: `p2/<package>.json`.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde_json::json;

use super::{json::quoted, manifest::UNSET};
use crate::{
    store::package::{Dist, Package, Release},
    version::{compare, is_dev},
};

/// A version's keys and their values as JSON, in the order in which they are written.
pub(crate) type Entry = IndexMap<String, String>;

/// Which versions a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `<package>.json`: everything but branches.
    Releases,
    /// `<package>~dev.json`: branches.
    Branches,
}

/// A time as Composer writes one.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// The metadata document of a package.
pub(crate) fn render(package: &Package, part: Part, base: &str) -> Vec<u8> {
    let mut releases: Vec<&Release> = package
        .releases
        .values()
        .map(AsRef::as_ref)
        .filter(|release| is_dev(&release.normalized) == (part == Part::Branches))
        .collect();
    releases.sort_by(|a, b| compare(&b.normalized, &a.normalized).then_with(|| a.version.cmp(&b.version)));
    let entries: Vec<Entry> = releases.into_iter().map(|release| entry(package, release, base)).collect();
    document(package.name.as_str(), &entries)
}

/// The document of a name that belongs here and has no versions.
pub(crate) fn document(name: &str, entries: &[Entry]) -> Vec<u8> {
    let mut out = String::from("{\"packages\":{");
    out.push_str(&quoted(name));
    out.push_str(":[");
    minify(entries, &mut out);
    out.push_str("]},\"minified\":\"composer/2.0\"}");
    out.into_bytes()
}

/// Writes each version as what differs from the one before.
fn minify(entries: &[Entry], out: &mut String) {
    let nothing = Entry::new();
    let mut previous = &nothing;
    for (at, entry) in entries.iter().enumerate() {
        out.push_str(if at == 0 { "{" } else { ",{" });
        let mut first = true;
        let mut member = |key: &str, value: &str, out: &mut String| {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            out.push_str(&quoted(key));
            out.push(':');
            out.push_str(value);
        };
        for (key, value) in entry.iter().filter(|(key, value)| previous.get(*key) != Some(value)) {
            member(key, value, out);
        }
        for key in previous.keys().filter(|key| !entry.contains_key(*key)) {
            member(key, &quoted(UNSET), out);
        }
        out.push('}');
        previous = entry;
    }
}

/// Where an archive is fetched.
pub(crate) fn dist_url(name: &str, dist: &Dist, base: &str) -> String {
    format!("{base}/dists/{name}/{}.zip", dist.reference)
}

/// What clients are told of an archive.
pub(crate) fn dist(name: &str, dist: &Dist, base: &str) -> serde_json::Value {
    json!({"type": "zip", "url": dist_url(name, dist, base), "reference": dist.reference, "shasum": dist.shasum})
}

fn entry(package: &Package, release: &Release, base: &str) -> Entry {
    let mut entry = Entry::with_capacity(release.fields.len() + 8);
    entry.insert("name".to_owned(), quoted(package.name.as_str()));
    for (key, value) in &release.fields {
        entry.insert(key.clone(), value.get().to_owned());
    }
    entry.insert("version".to_owned(), quoted(&release.version));
    entry.insert("version_normalized".to_owned(), quoted(&release.normalized));
    if let Some(source) = &release.source {
        entry.insert("source".to_owned(), json!(source).to_string());
    }
    entry.insert("dist".to_owned(), dist(package.name.as_str(), &release.dist, base).to_string());
    entry.insert("time".to_owned(), quoted(&time(release.time)));
    entry.insert("published-time".to_owned(), quoted(&time(release.published)));
    if let Some(abandoned) = &package.abandoned {
        entry.insert("abandoned".to_owned(), abandoned.to_string());
    }
    entry
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// Puts together what was minified, as the client does.
    pub(crate) fn expand(versions: &[Value]) -> Vec<Map<String, Value>> {
        let mut state = Map::new();
        let mut expanded = Vec::new();
        for version in versions {
            for (key, value) in version.as_object().unwrap() {
                if value == UNSET {
                    state.remove(key);
                } else {
                    state.insert(key.clone(), value.clone());
                }
            }
            expanded.push(state.clone());
        }
        expanded
    }

    proptest! {
        #[test]
        fn checklist_9_minified_versions_expand_to_what_they_were(
            versions in proptest::collection::vec(
                proptest::collection::vec(("[a-e]", "[0-2]|\"x\"|\\{\"k\":[1-2]\\}|\\[\\]|\\{\\}|null"), 0..6), 0..6)
        ) {
            let entries: Vec<Entry> = versions.iter().map(|fields| fields.iter().cloned().collect()).collect();
            let text = document("acme/lib", &entries);
            let value: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&value["minified"], "composer/2.0");
            let expanded = expand(value["packages"]["acme/lib"].as_array().unwrap());
            let wanted: Vec<Map<String, Value>> = entries
                .iter()
                .map(|entry| entry.iter().map(|(k, v)| (k.clone(), serde_json::from_str(v).unwrap())).collect())
                .collect();
            prop_assert_eq!(expanded, wanted);
        }
    }

    #[test]
    fn only_differences_are_written() {
        let entry = |pairs: &[(&str, &str)]| -> Entry {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let entries = [
            entry(&[("name", "\"a/b\""), ("version", "\"2\""), ("require", "{\"x/y\":\"1\"}")]),
            entry(&[("name", "\"a/b\""), ("version", "\"1\""), ("bin", "[]")]),
        ];
        assert_eq!(
            String::from_utf8(document("a/b", &entries)).unwrap(),
            r#"{"packages":{"a/b":[{"name":"a/b","version":"2","require":{"x/y":"1"}},{"version":"1","bin":[],"require":"__unset"}]},"minified":"composer/2.0"}"#
        );
        assert_eq!(
            String::from_utf8(document("a/b", &[])).unwrap(),
            r#"{"packages":{"a/b":[]},"minified":"composer/2.0"}"#
        );
    }
}
