//! A package's metadata as clients read it: `p2/<package>.json`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde_json::json;

use super::{json::quoted, manifest::UNSET};
use crate::{
    store::package::{Dist, Package, Release},
    version::{compare, is_dev},
};

/// A version's keys and their values as JSON, in the order in which they are written. Versions share the values that they have in common.
pub(crate) type Entry = IndexMap<String, Arc<str>>;

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
    let entries: Vec<Entry> = entries(package, part, base).into_iter().map(|(_, entry)| entry).collect();
    document(package.name.as_str(), &entries)
}

/// The versions of a package that one document holds, the newest first, each with its normalised form.
pub(crate) fn entries<'p>(package: &'p Package, part: Part, base: &str) -> Vec<(&'p str, Entry)> {
    let mut releases: Vec<&Release> = package
        .releases
        .values()
        .map(AsRef::as_ref)
        .filter(|release| is_dev(&release.normalized) == (part == Part::Branches))
        .collect();
    releases.sort_by(|a, b| compare(&b.normalized, &a.normalized).then_with(|| a.version.cmp(&b.version)));
    releases.into_iter().map(|release| (release.normalized.as_str(), entry(package, release, base))).collect()
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
    let mut insert = |key: &str, value: String| entry.insert(key.to_owned(), value.into());
    insert("name", quoted(package.name.as_str()));
    for (key, value) in &release.fields {
        insert(key, value.get().to_owned());
    }
    insert("version", quoted(&release.version));
    insert("version_normalized", quoted(&release.normalized));
    if let Some(source) = &release.source {
        insert("source", json!(source).to_string());
    }
    insert("dist", dist(package.name.as_str(), &release.dist, base).to_string());
    insert("time", quoted(&time(release.time)));
    insert("published-time", quoted(&time(release.published)));
    if let Some(abandoned) = &package.abandoned {
        insert("abandoned", abandoned.to_string());
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
            let entries: Vec<Entry> = versions.iter().map(|fields| fields.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()).collect();
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
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect()
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
