//! What the catalog is told of a crate, and how a search ranks it.

use registry_core::catalog::CatalogEntry;

use crate::store::document::CrateDocument;

/// A crate's entry; `None` where it has no version.
pub(crate) fn catalog_entry(document: &CrateDocument) -> Option<CatalogEntry> {
    let (version, release) = document.highest()?;
    let mut entry = CatalogEntry::new(document.name.as_str(), document.modified);
    entry.latest = Some(version.to_string());
    entry.summary.clone_from(&release.facts.description);
    entry.keywords.clone_from(&release.facts.keywords);
    Some(entry)
}

/// How well a crate fits a query in lowercase: less is better, `None` not at all.
pub(crate) fn rank(query: &str, entry: &CatalogEntry) -> Option<u8> {
    let name = entry.name.to_lowercase();
    // Whoever searches need not know which of the two a name has.
    let (dashed, wanted) = (name.replace('_', "-"), query.replace('_', "-"));
    if dashed == wanted {
        return Some(0);
    }
    if dashed.starts_with(&wanted) {
        return Some(1);
    }
    if dashed.contains(&wanted) {
        return Some(2);
    }
    if entry.keywords.iter().any(|keyword| keyword.to_lowercase().contains(query)) {
        return Some(3);
    }
    let summary = entry.summary.as_deref().unwrap_or_default().to_lowercase();
    summary.contains(query).then_some(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_comes_first() {
        let mut entry = CatalogEntry::new("Foo-Bar", chrono::Utc::now());
        entry.keywords = vec!["Zebra".to_owned()];
        entry.summary = Some("Stripes & Ünïcode".to_owned());
        for (query, want) in [
            ("foo_bar", Some(0)),
            ("foo", Some(1)),
            ("", Some(1)),
            ("bar", Some(2)),
            ("zeb", Some(3)),
            ("s & ü", Some(4)),
            ("lion", None),
        ] {
            assert_eq!(rank(query, &entry), want, "{query}");
        }
    }
}
