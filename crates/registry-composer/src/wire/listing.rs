//! Packages as the catalog, lists and searches show them.

use registry_core::catalog::CatalogEntry;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    store::package::{Package, Release},
    version::{compare, is_dev},
};

/// The most keywords and provided names that are kept of a package.
const MAX_WORDS: usize = 100;

/// The type of a package that does not say one.
const LIBRARY: &str = "library";

/// What lists show of a package beside what every protocol has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) repository: Option<String>,
    /// `true`, or the name of what is to be used in its place.
    pub(crate) abandoned: Option<Value>,
    /// The names that it provides.
    pub(crate) provides: Vec<String>,
}

/// The catalog's entry of a package; `None` where it has no version.
pub(crate) fn catalog_entry(package: &Package) -> Option<CatalogEntry> {
    let newest = newest(package)?;
    let field = |key: &str| -> Value {
        newest.fields.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let source = newest.source.as_ref().map(|source| source.url.clone());
    let details = Details {
        kind: text(&field("type")).unwrap_or_else(|| LIBRARY.to_owned()),
        repository: source
            .or_else(|| text(field("support").get("source")?))
            .or_else(|| text(&field("homepage"))),
        abandoned: package
            .abandoned
            .as_ref()
            .and_then(|abandoned| serde_json::to_value(abandoned).ok())
            .or_else(|| Some(field("abandoned")).filter(|found| !found.is_null())),
        provides: field("provide")
            .as_object()
            .map(|map| map.keys().take(MAX_WORDS).cloned().collect())
            .unwrap_or_default(),
    };
    let mut entry = CatalogEntry::new(package.name.as_str(), package.modified);
    entry.latest = Some(newest.version.clone());
    entry.summary = text(&field("description"));
    entry.keywords = match field("keywords") {
        Value::Array(words) => words.iter().filter_map(text).take(MAX_WORDS).collect(),
        Value::String(word) => vec![word],
        _ => Vec::new(),
    };
    entry.details = json!(details);
    Some(entry)
}

/// The newest release, or the newest branch where there are no releases.
fn newest(package: &Package) -> Option<&Release> {
    package.releases.values().map(AsRef::as_ref).max_by(|a, b| {
        let release = |found: &Release| !is_dev(&found.normalized);
        release(a).cmp(&release(b)).then_with(|| compare(&a.normalized, &b.normalized))
    })
}

/// What lists show of an entry of the catalog.
pub(crate) fn details(entry: &CatalogEntry) -> Details {
    serde_json::from_value(entry.details.clone()).unwrap_or_default()
}

/// One result of a search.
pub(crate) fn search_result(entry: &CatalogEntry, details: &Details, base: &str) -> Value {
    let mut result = json!({
        "name": entry.name,
        "description": entry.summary.as_deref().unwrap_or_default(),
        "url": format!("{base}/p2/{}.json", entry.name),
        "repository": details.repository.as_deref().unwrap_or_default(),
        "downloads": 0,
        "favers": 0,
    });
    let replacement = match &details.abandoned {
        Some(Value::String(name)) => Some(name.clone()),
        Some(Value::Bool(true)) => Some(String::new()),
        _ => None,
    };
    if let (Some(replacement), Some(result)) = (replacement, result.as_object_mut()) {
        result.insert("abandoned".to_owned(), replacement.into());
    }
    result
}

/// How well an entry fits words that are searched for: all must be found. `None` where it does not.
pub(crate) fn score(entry: &CatalogEntry, words: &[String]) -> Option<u32> {
    let mut total = 0;
    for word in words {
        let (_, package) = entry.name.split_once('/').unwrap_or(("", &entry.name));
        if let Some(start) = word.strip_prefix('^') {
            // How Composer's users ask for a vendor's packages.
            if !entry.name.starts_with(start) {
                return None;
            }
            total += 4;
            continue;
        }
        let found = if package == word || entry.name == *word {
            8
        } else if entry.name.contains(word.as_str()) {
            4
        } else if entry.keywords.iter().any(|keyword| keyword.to_lowercase() == *word) {
            2
        } else if entry.summary.as_ref().is_some_and(|text| text.to_lowercase().contains(word.as_str())) {
            1
        } else {
            return None;
        };
        total += found;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_more_than_descriptions() {
        let entry = |name: &str, summary: &str| {
            let mut entry = CatalogEntry::new(name, chrono::Utc::now());
            entry.summary = Some(summary.to_owned());
            entry.keywords = vec!["Stripes".to_owned()];
            entry
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let zebra = entry("acme/zebra", "About Horses");
        assert_eq!(score(&zebra, &words("zebra")), Some(8));
        assert_eq!(score(&zebra, &words("zeb")), Some(4));
        assert_eq!(score(&zebra, &words("stripes")), Some(2));
        assert_eq!(score(&zebra, &words("horses zebra")), Some(9));
        assert_eq!(score(&zebra, &words("zebra cow")), None);
        assert_eq!(score(&zebra, &words("^acme/")), Some(4));
        assert_eq!(score(&zebra, &words("^zebra")), None);
        assert_eq!(score(&zebra, &[]), Some(0));
    }
}
