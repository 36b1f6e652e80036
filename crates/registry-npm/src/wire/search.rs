//! Search: what the catalog keeps of a package, the query's language, ranking, and the answer.

use std::fmt;

use chrono::{DateTime, Utc};
use registry_core::catalog::CatalogEntry;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::{Map, Value, json, value::RawValue};

use super::packument::iso;
use crate::{
    config::AccessLevel,
    store::packument::{Packument, Person},
    version::Version,
};

/// The most results of one page.
pub(crate) const MAX_SIZE: usize = 250;

/// Results of a page when the query does not say.
const DEFAULT_SIZE: usize = 20;

/// The longest query text that is looked at.
const MAX_TEXT: usize = 1024;

/// What the catalog keeps of a package beside its name, summary and keywords.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Details {
    /// The version shown: the latest, or the highest stable one where the latest is a prerelease.
    pub(crate) version: String,
    /// When that version was published.
    pub(crate) date: DateTime<Utc>,
    /// Who published it.
    pub(crate) publisher: Person,
    /// The owners.
    pub(crate) maintainers: Vec<Person>,
    /// Who starred the package.
    #[serde(default)]
    pub(crate) stars: Vec<String>,
    /// Who may read it.
    pub(crate) access: AccessLevel,
    /// Whether the version shown is deprecated.
    #[serde(default)]
    pub(crate) deprecated: bool,
    /// The author as the manifest has it.
    #[serde(default)]
    pub(crate) author: Value,
    /// The licence as the manifest has it.
    #[serde(default)]
    pub(crate) license: Value,
    /// Home page, repository and bug tracker.
    #[serde(default)]
    pub(crate) links: Map<String, Value>,
}

/// The longest text of a manifest that the catalog keeps, in characters; what is longer is cut.
const MAX_DETAIL: usize = 256;

/// The longest summary, in characters.
const MAX_SUMMARY: usize = 1000;

/// The longest link, in bytes; longer ones are left out.
const MAX_LINK: usize = 1024;

/// The most keywords of a package.
const MAX_KEYWORDS: usize = 100;

/// The most owners, and the most stars, that the catalog lists of a package.
const MAX_PEOPLE: usize = 10_000;

/// What the catalog reads of a manifest. Its publisher wrote it, and everybody's searches hold it: nothing of it is taken
/// but texts, and those only up to a length.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Described<'r> {
    #[serde(borrow)]
    description: Option<&'r RawValue>,
    keywords: Option<&'r RawValue>,
    author: Option<&'r RawValue>,
    license: Option<&'r RawValue>,
    homepage: Option<&'r RawValue>,
    repository: Option<&'r RawValue>,
    bugs: Option<&'r RawValue>,
}

/// A person, a licence or a place on the web, where a manifest has it as an object.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'r> {
    #[serde(borrow)]
    name: Option<&'r RawValue>,
    email: Option<&'r RawValue>,
    url: Option<&'r RawValue>,
    #[serde(rename = "type")]
    kind: Option<&'r RawValue>,
}

/// The text that a piece of a manifest is, if it is one.
fn text_of(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// A person or a licence: a text, or an object's texts.
fn named(raw: Option<&RawValue>) -> Value {
    let Some(raw) = raw else { return Value::Null };
    if let Some(text) = text_of(Some(raw)) {
        return Value::String(cut(&text, MAX_DETAIL));
    }
    let Ok(object) = serde_json::from_str::<Named<'_>>(raw.get()) else { return Value::Null };
    let fields = [("name", object.name), ("email", object.email), ("url", object.url), ("type", object.kind)];
    let texts: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(key, raw)| Some((key.to_owned(), Value::String(cut(&text_of(raw)?, MAX_DETAIL)))))
        .collect();
    if texts.is_empty() { Value::Null } else { Value::Object(texts) }
}

/// Where something is on the web: a text, or an object's `url`.
fn link(raw: Option<&RawValue>) -> Option<String> {
    let object = |raw: &RawValue| text_of(serde_json::from_str::<Named<'_>>(raw.get()).ok()?.url);
    text_of(raw).or_else(|| object(raw?)).filter(|link| link.len() <= MAX_LINK)
}

/// Keywords: a list, or one text with commas.
#[derive(Default)]
struct Keywords(Vec<String>);

impl Keywords {
    fn push(&mut self, word: &str) {
        if !word.is_empty() && self.0.len() < MAX_KEYWORDS {
            self.0.push(cut(word, MAX_DETAIL));
        }
    }
}

impl<'de> Deserialize<'de> for Keywords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Keywords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keywords")
            }

            fn visit_str<E>(self, text: &str) -> Result<Keywords, E> {
                let mut words = Keywords::default();
                text.split([',', ' ']).for_each(|word| words.push(word));
                Ok(words)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keywords, A::Error> {
                let mut words = Keywords::default();
                while let Some(raw) = list.next_element::<&RawValue>()? {
                    if let Some(word) = text_of(Some(raw)) {
                        words.push(&word);
                    }
                }
                Ok(words)
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// The catalog's entry of a package, or `None` where no version is left.
pub(crate) fn catalog_entry(document: &Packument) -> Option<CatalogEntry> {
    let (latest, _) = document.latest()?;
    let shown = if latest.is_prerelease() {
        Version::default_latest(document.releases.keys()).unwrap_or(latest)
    } else {
        latest
    };
    let release = document.releases.get(shown)?;
    let described: Described<'_> = serde_json::from_str(release.rest.get()).unwrap_or_default();
    let links =
        [("homepage", described.homepage), ("repository", described.repository), ("bugs", described.bugs)];
    let details = Details {
        version: shown.to_string(),
        date: release.published,
        publisher: release.publisher.clone(),
        maintainers: document.owners.iter().take(MAX_PEOPLE).cloned().collect(),
        stars: document.stars.iter().take(MAX_PEOPLE).cloned().collect(),
        access: document.access,
        deprecated: release.deprecated.is_some(),
        author: named(described.author),
        license: named(described.license),
        links: links
            .into_iter()
            .filter_map(|(key, raw)| Some((key.to_owned(), Value::String(link(raw)?))))
            .collect(),
    };
    let mut entry = CatalogEntry::new(document.name.as_str(), document.modified);
    entry.latest = Some(latest.to_string());
    entry.summary = text_of(described.description).map(|text| cut(&text, MAX_SUMMARY));
    entry.keywords = described
        .keywords
        .and_then(|raw| serde_json::from_str::<Keywords>(raw.get()).ok())
        .unwrap_or_default()
        .0;
    entry.details = serde_json::to_value(details).ok()?;
    Some(entry)
}

/// The details that [`catalog_entry`] put into an entry.
pub(crate) fn details(entry: &CatalogEntry) -> Option<Details> {
    Details::deserialize(&entry.details).ok()
}

/// A search as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// How many results.
    pub(crate) size: usize,
    /// How many to leave out first.
    pub(crate) from: usize,
    /// Words that must all be found.
    words: Vec<String>,
    /// The same as they were written, for the exact name.
    text: String,
    author: Option<String>,
    maintainer: Option<String>,
    scope: Option<String>,
    /// Groups of keywords: one group must be there whole.
    keywords: Vec<Vec<String>>,
    without_keywords: Vec<String>,
    unstable: Option<bool>,
    deprecated: Option<bool>,
    no_boost: bool,
}

/// A parameter of a search is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} must be a whole number, 0 or more")]
pub(crate) struct BadNumber(&'static str);

impl Query {
    /// Reads a request's query string.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, BadNumber> {
        let mut parsed = Self { size: DEFAULT_SIZE, ..Self::default() };
        for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "size" => {
                    let size: usize = value.parse().map_err(|_| BadNumber("size"))?;
                    parsed.size = size.min(MAX_SIZE);
                }
                "from" => parsed.from = value.parse().map_err(|_| BadNumber("from"))?,
                "text" => parsed.read_text(&value),
                _ => {}
            }
        }
        Ok(parsed)
    }

    fn read_text(&mut self, text: &str) {
        let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_lowercase();
        let mut written = Vec::new();
        for word in text.split_whitespace() {
            match word.split_once(':') {
                Some(("author", name)) => self.author = Some(name.to_owned()),
                Some(("maintainer", name)) => self.maintainer = Some(name.to_owned()),
                Some(("scope", scope)) => self.scope = Some(scope.trim_start_matches('@').to_owned()),
                Some(("keywords", list)) => {
                    for group in list.split(',').filter(|group| !group.is_empty()) {
                        match group.strip_prefix('-') {
                            Some(word) => self.without_keywords.push(word.to_owned()),
                            None => self.keywords.push(group.split('+').map(str::to_owned).collect()),
                        }
                    }
                }
                Some(("not", "unstable")) => self.unstable = Some(false),
                Some(("is", "unstable")) => self.unstable = Some(true),
                Some(("not", "deprecated")) => self.deprecated = Some(false),
                Some(("is", "deprecated")) => self.deprecated = Some(true),
                // Nothing is known to be insecure, so everything passes.
                Some(("not", "insecure")) => {}
                Some(("boost-exact", setting)) => self.no_boost = setting == "false",
                _ => {
                    written.push(word);
                    self.words.push(word.to_owned());
                }
            }
        }
        self.text = written.join(" ");
    }

    /// How well a package fits: `None` where it does not, else 0 to 1.
    pub(crate) fn score(&self, entry: &CatalogEntry, details: &Details) -> Option<f64> {
        let name = entry.name.to_lowercase();
        let keywords: Vec<String> = entry.keywords.iter().map(|word| word.to_lowercase()).collect();
        let author = match &details.author {
            Value::String(line) => line.to_lowercase(),
            Value::Object(author) => {
                author.get("name").and_then(Value::as_str).unwrap_or_default().to_lowercase()
            }
            _ => String::new(),
        };
        let maintains =
            |user: &str| details.maintainers.iter().any(|person| person.name.eq_ignore_ascii_case(user));
        let scope = name.strip_prefix('@').and_then(|rest| rest.split_once('/')).map(|(scope, _)| scope);
        let unstable = details.version.contains('-') || details.version.starts_with("0.");

        let passes =
            self.author.as_ref().is_none_or(|wanted| author.contains(wanted.as_str()) || maintains(wanted))
                && self.maintainer.as_ref().is_none_or(|wanted| maintains(wanted))
                && self.scope.as_ref().is_none_or(|wanted| scope == Some(wanted.as_str()))
                && (self.keywords.is_empty()
                    || self.keywords.iter().any(|group| group.iter().all(|word| keywords.contains(word))))
                && !self.without_keywords.iter().any(|word| keywords.contains(word))
                && self.unstable.is_none_or(|wanted| wanted == unstable)
                && self.deprecated.is_none_or(|wanted| wanted == details.deprecated);
        if !passes {
            return None;
        }
        if self.words.is_empty() {
            return Some(0.5);
        }
        if self.text == name && !self.no_boost {
            return Some(1.0);
        }
        let base = name.rsplit('/').next().unwrap_or(&name);
        let summary = entry.summary.as_deref().unwrap_or_default().to_lowercase();
        let mut sum = 0.0;
        for word in &self.words {
            let word = word.as_str();
            sum += if base == word {
                0.9
            } else if name.starts_with(word) || base.starts_with(word) {
                0.7
            } else if name.split(['-', '.', '_', '/', '@']).any(|token| token == word) {
                0.6
            } else if name.contains(word) {
                0.5
            } else if keywords.iter().any(|keyword| keyword == word) {
                0.4
            } else if summary.contains(word) {
                0.2
            } else if author.contains(word) || maintains(word) {
                0.1
            } else {
                return None;
            };
        }
        let count = f64::from(u32::try_from(self.words.len()).unwrap_or(u32::MAX));
        Some(sum / count)
    }
}

/// One result: the package as it is shown, and how well it fits.
pub(crate) fn render_result(entry: &CatalogEntry, details: &Details, score: f64, base: &str) -> Value {
    let person = |person: &Person| json!({"username": person.name, "email": person.email});
    let scope =
        entry.name.strip_prefix('@').and_then(|rest| rest.split_once('/')).map_or("unscoped", |(s, _)| s);
    let mut links = details.links.clone();
    links.insert("npm".to_owned(), Value::String(format!("{base}/{}", entry.name)));
    let mut package = json!({
        "name": entry.name,
        "scope": scope,
        "version": details.version,
        "keywords": entry.keywords,
        "date": iso(details.date),
        "links": links,
        "publisher": person(&details.publisher),
        "maintainers": details.maintainers.iter().map(person).collect::<Vec<_>>(),
    });
    if let Value::Object(package) = &mut package {
        for (key, value) in [
            ("description", entry.summary.clone().map_or(Value::Null, Value::String)),
            ("author", details.author.clone()),
            ("license", details.license.clone()),
        ] {
            if !value.is_null() {
                package.insert(key.to_owned(), value);
            }
        }
    }
    let mut result = json!({
        "package": package,
        // Nothing here measures quality, popularity or maintenance.
        "score": {"final": score, "detail": {"quality": 0, "popularity": 0, "maintenance": 0}},
        "searchScore": score,
    });
    if details.deprecated
        && let Value::Object(result) = &mut result
    {
        result.insert("flags".to_owned(), json!({"deprecated": true}));
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::packument::tests::packument;

    fn entry(name: &str, version: &str) -> (CatalogEntry, Details) {
        let entry = catalog_entry(&packument(name, &[version])).unwrap();
        let details = details(&entry).unwrap();
        (entry, details)
    }

    fn score(text: &str, name: &str) -> Option<f64> {
        let query = Query::parse(Some(&format!("text={text}"))).unwrap();
        let (entry, details) = entry(name, "1.0.0");
        query.score(&entry, &details)
    }

    #[test]
    fn checklist_29_queries_are_read() {
        let query = Query::parse(Some("text=foo+scope:@acme&size=300&from=5&quality=0.5")).unwrap();
        assert_eq!((query.size, query.from, query.scope.as_deref()), (250, 5, Some("acme")));
        assert_eq!(query.words, ["foo"]);
        assert_eq!(Query::parse(Some("size=x")), Err(BadNumber("size")));
        assert_eq!(Query::parse(Some("from=-1")), Err(BadNumber("from")));
        assert_eq!(Query::parse(None).unwrap().size, 20);
    }

    #[test]
    fn checklist_29_the_better_fit_ranks_higher() {
        let order = ["@acme/hello", "hello-world", "world-hello"];
        let scores: Vec<f64> = order.iter().map(|name| score("hello", name).unwrap()).collect();
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
        assert_eq!(score("hello-world", "hello-world"), Some(1.0));
        assert!(score("hello-world boost-exact:false", "hello-world").unwrap() < 1.0);
        assert_eq!(score("absent", "hello"), None);
        assert!(score("about", "hello").is_some(), "in the description");
        assert!(score("", "hello").is_some());
    }

    #[test]
    fn checklist_29_qualifiers_restrict() {
        for (text, name, want) in [
            ("scope:acme", "@acme/x", true),
            ("scope:acme", "x", false),
            ("keywords:k", "x", true),
            ("keywords:other,k", "x", true),
            ("keywords:k%2Bother", "x", false),
            ("keywords:k,-k", "x", false),
            ("maintainer:alice", "x", true),
            ("maintainer:bob", "x", false),
            ("author:alice", "x", true),
            ("not:unstable", "x", true),
            ("is:unstable", "x", false),
            ("not:insecure", "x", true),
            ("is:deprecated", "x", false),
        ] {
            assert_eq!(score(text, name).is_some(), want, "{text} {name}");
        }
    }

    /// A package whose manifest has this besides its name and version.
    fn described(rest: &str) -> CatalogEntry {
        let mut document = packument("x", &["1.0.0"]);
        let mut release = (*document.releases[0]).clone();
        release.rest = RawValue::from_string(rest.to_owned()).unwrap();
        document.releases[0] = std::sync::Arc::new(release);
        catalog_entry(&document).unwrap()
    }

    #[test]
    fn what_a_manifest_says_is_taken_in_its_usual_forms() {
        let entry = described(
            r#"{"description":"d","keywords":"a, b","author":{"name":"n","email":"e","x":[1]},"license":"MIT",
                "homepage":"h","repository":{"type":"git","url":"r"},"bugs":{"url":"b"}}"#,
        );
        assert_eq!((entry.summary.as_deref(), entry.keywords.join("+").as_str()), (Some("d"), "a+b"));
        let details = details(&entry).unwrap();
        assert_eq!(details.author, json!({"name": "n", "email": "e"}));
        assert_eq!(details.license, "MIT");
        assert_eq!(Value::Object(details.links), json!({"homepage": "h", "repository": "r", "bugs": "b"}));
        let entry = described(r#"{"keywords":["a",1,["b"],"c"],"author":"n <e>","license":[1],"bugs":5}"#);
        assert_eq!(entry.keywords, ["a", "c"]);
    }

    #[test]
    fn a_manifest_cannot_make_the_catalog_large_or_deep() {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let long = format!("\"{}\"", "é".repeat(100_000));
        let list = format!("[{}\"x\"]", format!("{long},").repeat(200));
        for value in [&deep, &format!("{{\"name\":{deep},\"url\":{deep}}}"), &long, &list] {
            let entry = described(&format!(
                r#"{{"description":{value},"keywords":{value},"author":{value},"license":{value},"homepage":{value},
                     "repository":{value},"bugs":{{"url":{value}}}}}"#
            ));
            assert!(serde_json::to_string(&entry).unwrap().len() < 100_000);
            assert!(details(&entry).is_some());
        }
    }

    #[test]
    fn a_prerelease_is_shown_only_without_a_stable_version() {
        let mut document = packument("x", &["1.0.0", "2.0.0-rc.1"]);
        document.tags.insert(crate::names::Tag::latest(), "2.0.0-rc.1".parse().unwrap());
        let shown = |document: &Packument| details(&catalog_entry(document).unwrap()).unwrap().version;
        assert_eq!(shown(&document), "1.0.0");
        assert_eq!(shown(&packument("x", &["2.0.0-rc.1"])), "2.0.0-rc.1");
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "\\PC{0,300}", text in "\\PC{0,60}") {
            let _ = Query::parse(Some(&query));
            let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let query = Query::parse(Some(&format!("text={text}"))).unwrap();
            let (entry, details) = entry("@acme/x", "1.0.0");
            prop_assert!(query.score(&entry, &details).is_none_or(|score| (0.0..=1.0).contains(&score)));
        }
    }

    #[test]
    fn checklist_29_a_result_has_what_clients_print() {
        let (entry, details) = entry("@acme/x", "1.0.0");
        let result = render_result(&entry, &details, 0.5, "https://registry.example.com/npm");
        let package = &result["package"];
        assert_eq!(package["scope"], "acme");
        assert_eq!(package["links"]["npm"], "https://registry.example.com/npm/@acme/x");
        for key in ["name", "version", "date", "maintainers", "keywords", "publisher", "description"] {
            assert!(!package[key].is_null(), "{key}");
        }
    }
}
