//! Packuments of other registries: read as they came, and written for our clients.
//!
//! Everything that another registry says is kept, also what this one does not know, but for three things: where a tarball lies, where
//! attestations lie, and versions that are hidden, which leave versions, times and tags.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use registry_core::upstream::{Expected, Sifted};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{
    base64::hex_of_base64,
    json::{ObjectWriter, write_value},
    manifest::{INSTALL, has_install_script},
    packument::{Form, Urls, iso},
};
use crate::{names::PackageName, version::Version};

type Object<'r> = IndexMap<String, &'r RawValue>;

/// What is looked up in a packument without reading it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Tags to versions.
    pub(crate) tags: IndexMap<String, String>,
    /// The versions, in the document's order.
    pub(crate) releases: IndexMap<String, ForeignRelease>,
    /// When the document last changed, as it says.
    pub(crate) modified: Option<DateTime<Utc>>,
}

/// A version of another registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForeignRelease {
    /// Where its tarball lies.
    pub(crate) tarball: Option<Url>,
    /// What its tarball must be.
    pub(crate) expected: Expected,
    /// When it was published.
    pub(crate) published: Option<DateTime<Utc>>,
}

/// The document is no packument of this package. The text is for clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoPackument(&'static str);

#[derive(Default, Deserialize)]
#[serde(default)]
struct ForeignDist {
    tarball: Option<String>,
    integrity: Option<String>,
    shasum: Option<String>,
}

/// Reads the versions and tags of a packument, and checks that it is one of this package.
pub(crate) fn index(name: &PackageName, raw: &[u8]) -> Result<Index, NoPackument> {
    let top: Object<'_> = serde_json::from_slice(raw).map_err(|_| NoPackument("it is no JSON object"))?;
    let found: Option<String> = read(&top, "name");
    if found.as_deref() != Some(name.as_str()) {
        return Err(NoPackument("it is not about this package"));
    }
    let times: IndexMap<String, &RawValue> = read(&top, "time").unwrap_or_default();
    let time =
        |key: &str| times.get(key).and_then(|raw| serde_json::from_str::<DateTime<Utc>>(raw.get()).ok());
    let mut index = Index {
        tags: read(&top, "dist-tags").unwrap_or_default(),
        releases: IndexMap::new(),
        modified: time("modified"),
    };
    let versions: Object<'_> = match top.get("versions") {
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|_| NoPackument("its versions are no object"))?
        }
        None => Object::new(),
    };
    for (version, manifest) in versions {
        #[derive(Deserialize)]
        struct OnlyDist<'r> {
            #[serde(borrow, default)]
            dist: Option<&'r RawValue>,
        }
        let manifest: OnlyDist<'_> =
            serde_json::from_str(manifest.get()).map_err(|_| NoPackument("a manifest is no object"))?;
        let dist = manifest.dist.and_then(|raw| serde_json::from_str::<ForeignDist>(raw.get()).ok());
        let dist = dist.unwrap_or_default();
        let release = ForeignRelease {
            tarball: dist.tarball.as_deref().and_then(|url| url.parse().ok()),
            expected: expected(&dist),
            published: time(&version),
        };
        index.releases.insert(version, release);
    }
    Ok(index)
}

fn read<'r, T: Deserialize<'r>>(object: &Object<'r>, key: &str) -> Option<T> {
    object.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// The digests of a tarball, of those that the strongest tell.
fn expected(dist: &ForeignDist) -> Expected {
    let mut expected = Expected::default();
    for part in dist.integrity.as_deref().unwrap_or_default().split_whitespace() {
        let (algorithm, base64) = part.split_once('-').unwrap_or((part, ""));
        let hex = hex_of_base64(base64.split('?').next().unwrap_or_default());
        match algorithm {
            "sha512" => expected.sha512 = hex,
            "sha256" => expected.sha256 = hex,
            "sha1" => expected.sha1 = hex,
            _ => {}
        }
    }
    let is_sha1 = |text: &&String| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    // A second pass over the bytes only where nothing better is known.
    if expected.sha512.is_none() && expected.sha256.is_none() {
        expected.sha1 = expected.sha1.or_else(|| dist.shasum.as_ref().filter(is_sha1).cloned());
    } else {
        expected.sha1 = None;
    }
    expected
}

impl Index {
    /// The tags, once some versions are hidden: those that lead to a hidden version are gone, but `latest` goes back to the highest
    /// version below that is shown.
    pub(crate) fn tags(&self, sifted: &Sifted) -> IndexMap<String, String> {
        let shown = |version: &String| self.releases.contains_key(version) && !sifted.hides(version);
        let mut tags = self.tags.clone();
        tags.retain(|_, version| shown(version));
        if !tags.contains_key("latest") {
            let was = self.tags.get("latest").and_then(|version| version.parse::<Version>().ok());
            let versions: Vec<Version> = self
                .releases
                .keys()
                .filter(|version| shown(version))
                .filter_map(|version| version.parse().ok())
                .collect();
            let below =
                versions.iter().filter(|version| was.as_ref().is_none_or(|was| version.compare(was).is_le()));
            let latest = Version::default_latest(below).or_else(|| Version::default_latest(versions.iter()));
            if let Some(latest) = latest {
                tags.insert("latest".to_owned(), latest.to_string());
            }
        }
        tags
    }

    /// A version by its number or by a tag.
    pub(crate) fn resolve(&self, wanted: &str, sifted: &Sifted) -> Option<String> {
        if self.releases.contains_key(wanted) {
            return Some(wanted.to_owned());
        }
        if let Ok(version) = wanted.parse::<Version>() {
            return self.releases.contains_key(version.as_str()).then(|| version.to_string());
        }
        self.tags(sifted).get(wanted).cloned()
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        let release = |(version, release): (&String, &ForeignRelease)| {
            version.len() + release.tarball.as_ref().map_or(0, |url| url.as_str().len()) + 512
        };
        self.releases.iter().map(release).sum::<usize>() + self.tags.len() * 64 + 256
    }
}

/// A packument for our clients.
pub(crate) fn render_packument(
    name: &PackageName,
    raw: &[u8],
    index: &Index,
    sifted: &Sifted,
    form: Form,
    urls: Urls<'_>,
) -> Vec<u8> {
    let fields: Object<'_> = serde_json::from_slice(raw).unwrap_or_default();
    let versions: Object<'_> = read(&fields, "versions").unwrap_or_default();
    let times: Object<'_> = read(&fields, "time").unwrap_or_default();
    let mut out = Vec::with_capacity(raw.len() + versions.len() * 32);
    let mut top = ObjectWriter::new(&mut out);
    top.member("name", name);
    if form == Form::Abbreviated
        && let Some(modified) = index.modified
    {
        top.member("modified", &iso(modified));
    }
    top.member("dist-tags", &index.tags(sifted));
    let mut object = top.object("versions");
    for (version, manifest) in &versions {
        if !sifted.hides(version) {
            write_manifest(object.key(version), name, version, manifest, form, urls);
        }
    }
    object.end();
    // Some clients take a part of the times for all of them: they are left out where any is missing.
    if versions.keys().all(|version| times.contains_key(version)) {
        let mut object = top.object("time");
        for (key, time) in &times {
            if !sifted.hides(key) {
                object.raw(key, time);
            }
        }
        object.end();
    }
    if form == Form::Full {
        for (key, value) in &fields {
            if !matches!(key.as_str(), "name" | "dist-tags" | "versions" | "time" | "_attachments") {
                top.raw(key, value);
            }
        }
    }
    top.end();
    out
}

/// One version's document for our clients; `None` where there is no such version.
pub(crate) fn render_version(
    name: &PackageName,
    raw: &[u8],
    version: &str,
    urls: Urls<'_>,
) -> Option<Vec<u8>> {
    let fields: Object<'_> = serde_json::from_slice(raw).ok()?;
    let versions: Object<'_> = read(&fields, "versions")?;
    let mut out = Vec::new();
    write_manifest(&mut out, name, version, versions.get(version)?, Form::Full, urls);
    Some(out)
}

fn write_manifest(
    out: &mut Vec<u8>,
    name: &PackageName,
    version: &str,
    manifest: &RawValue,
    form: Form,
    urls: Urls<'_>,
) {
    let fields: Object<'_> = serde_json::from_str(manifest.get()).unwrap_or_default();
    let mut object = ObjectWriter::new(out);
    for (key, value) in &fields {
        let wanted = match key.as_str() {
            "dist" => {
                write_dist(object.key("dist"), name, version, value, urls);
                continue;
            }
            // An empty message means that it is not deprecated.
            "deprecated" => value.get() != "\"\"" && value.get() != "false",
            "_npmUser" => true,
            "hasInstallScript" if form == Form::Abbreviated => false,
            key => form == Form::Full || INSTALL.contains(&key),
        };
        if wanted {
            object.raw(key, value);
        }
    }
    if form == Form::Abbreviated && has_install_script(&fields) {
        object.member("hasInstallScript", &true);
    }
    object.end();
}

fn write_dist(out: &mut Vec<u8>, name: &PackageName, version: &str, dist: &RawValue, urls: Urls<'_>) {
    let fields: Object<'_> = serde_json::from_str(dist.get()).unwrap_or_default();
    let mut object = ObjectWriter::new(out);
    object.member("tarball", &format!("{}/{name}/-/{}", urls.base, name.tarball(version)));
    for (key, value) in &fields {
        match key.as_str() {
            "tarball" => {}
            "attestations" => {
                let fields: Object<'_> = serde_json::from_str(value.get()).unwrap_or_default();
                let mut attestations = object.object("attestations");
                attestations
                    .member("url", &format!("{}/-/npm/v1/attestations/{name}@{version}", urls.origin));
                for (key, value) in fields.iter().filter(|(key, _)| *key != "url") {
                    attestations.raw(key, value);
                }
                attestations.end();
            }
            key => object.raw(key, value),
        }
    }
    object.end();
}

/// A packument of what is hosted and of what another registry has, both as rendered for the same client: hosted versions and tags win, and
/// versions in `removed` stay gone.
pub(crate) fn merge(hosted: &[u8], foreign: &[u8], removed: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let ours: Object<'_> = serde_json::from_slice(hosted).unwrap_or_default();
    let theirs: Object<'_> = serde_json::from_slice(foreign).unwrap_or_default();
    let mut out = Vec::with_capacity(hosted.len() + foreign.len());
    let mut top = ObjectWriter::new(&mut out);
    for (key, value) in &ours {
        match key.as_str() {
            "versions" | "time" | "dist-tags" => {
                let own: Object<'_> = serde_json::from_str(value.get()).unwrap_or_default();
                let other: Object<'_> = read(&theirs, key).unwrap_or_default();
                let mut object = top.object(key);
                for (key, value) in &own {
                    object.raw(key, value);
                }
                for (version, value) in &other {
                    let tag_of_removed = key == "dist-tags"
                        && serde_json::from_str::<String>(value.get()).is_ok_and(|version| removed(&version));
                    if !own.contains_key(version) && !removed(version) && !tag_of_removed {
                        object.raw(version, value);
                    }
                }
                object.end();
            }
            key => top.raw(key, value),
        }
    }
    top.end();
    out
}

/// Tags as the dist-tags endpoint lists them.
pub(crate) fn render_tags(tags: &IndexMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, tags);
    out
}

#[cfg(test)]
mod tests {
    use registry_core::upstream::{Denial, DeniedBy};
    use serde_json::{Value, json};

    use super::*;

    const URLS: Urls<'_> = Urls { origin: "http://r.example.com", base: "http://r.example.com/npm" };

    fn name() -> PackageName {
        "@a/lib".parse().unwrap()
    }

    fn raw() -> Vec<u8> {
        let version = |version: &str| {
            json!({
                "name": "@a/lib", "version": version, "unknown": {"x": 1}, "deprecated": "", "scripts": {"install": "x"},
                "dependencies": {"b": "1"},
                "dist": {
                    "tarball": format!("https://files.example.com/x/lib-{version}.tgz"), "shasum": "a".repeat(40),
                    "integrity": "sha512-AAEC", "signatures": [{"keyid": "k", "sig": "s"}],
                    "attestations": {"url": "https://up.example.com/-/npm/v1/attestations/x", "provenance": {"predicateType": "p"}},
                },
            })
        };
        json!({
            "_id": "@a/lib", "_rev": "7-x", "name": "@a/lib", "readme": "hi", "later": true,
            "dist-tags": {"latest": "2.0.0", "next": "3.0.0-rc.1", "old": "1.0.0"},
            "versions": {
                "1.0.0": version("1.0.0"), "1.1.0": version("1.1.0"), "2.0.0": version("2.0.0"),
                "3.0.0-rc.1": version("3.0.0-rc.1"),
            },
            "time": {
                "created": "2026-01-01T00:00:00.000Z", "modified": "2026-03-01T00:00:00.000Z",
                "1.0.0": "2026-01-01T00:00:00.000Z", "1.1.0": "2026-01-02T00:00:00.000Z",
                "2.0.0": "2026-03-01T00:00:00.000Z", "3.0.0-rc.1": "2026-03-01T00:00:00.000Z",
            },
        })
        .to_string()
        .into_bytes()
    }

    fn hiding(versions: &[&str]) -> Sifted {
        let mut sifted = Sifted::default();
        let denial = Denial::new(DeniedBy::Age, "young");
        sifted.hidden = versions.iter().map(|version| ((*version).to_owned(), denial.clone())).collect();
        sifted
    }

    fn render(form: Form, sifted: &Sifted) -> Value {
        let raw = raw();
        let index = index(&name(), &raw).unwrap();
        serde_json::from_slice(&render_packument(&name(), &raw, &index, sifted, form, URLS)).unwrap()
    }

    #[test]
    fn checklist_25_urls_are_ours_and_the_rest_is_kept() {
        let full = render(Form::Full, &Sifted::default());
        let dist = &full["versions"]["1.0.0"]["dist"];
        assert_eq!(dist["tarball"], "http://r.example.com/npm/@a/lib/-/lib-1.0.0.tgz");
        assert_eq!(dist["attestations"]["url"], "http://r.example.com/-/npm/v1/attestations/@a/lib@1.0.0");
        assert_eq!(dist["attestations"]["provenance"]["predicateType"], "p");
        assert_eq!(dist["signatures"][0]["keyid"], "k");
        assert_eq!(full["versions"]["1.0.0"]["unknown"]["x"], 1);
        assert!(full["versions"]["1.0.0"].get("deprecated").is_none());
        assert_eq!((&full["later"], &full["_rev"]), (&json!(true), &json!("7-x")));
        let short = render(Form::Abbreviated, &Sifted::default());
        assert_eq!(short["versions"]["1.0.0"]["hasInstallScript"], true);
        for absent in ["unknown", "scripts"] {
            assert!(short["versions"]["1.0.0"].get(absent).is_none(), "{absent}");
        }
        assert!(short.get("readme").is_none());
        assert_eq!(short["modified"], "2026-03-01T00:00:00.000Z");
        assert_eq!(short["time"], full["time"]);
    }

    #[test]
    fn hidden_versions_leave_everything_and_latest_goes_back() {
        let value = render(Form::Full, &hiding(&["2.0.0", "3.0.0-rc.1"]));
        assert_eq!(value["dist-tags"], json!({"old": "1.0.0", "latest": "1.1.0"}));
        assert!(value["versions"].get("2.0.0").is_none() && value["time"].get("2.0.0").is_none());
        assert_eq!(value["versions"].as_object().unwrap().len(), 2);
        let none = render(Form::Full, &hiding(&["1.0.0", "1.1.0", "2.0.0", "3.0.0-rc.1"]));
        assert_eq!((&none["dist-tags"], &none["versions"]), (&json!({}), &json!({})));
    }

    #[test]
    fn digests_are_read() {
        let index = index(&name(), &raw()).unwrap();
        let release = &index.releases["1.0.0"];
        assert_eq!(release.expected.sha512.as_deref(), Some("000102"));
        assert_eq!(release.expected.sha1, None);
        let only_sha1 = ForeignDist { shasum: Some("B".repeat(40)), ..ForeignDist::default() };
        assert_eq!(expected(&only_sha1).sha1, Some("B".repeat(40)));
        let bad =
            ForeignDist { shasum: Some("x".to_owned()), integrity: Some("md5-%".to_owned()), ..only_sha1 };
        assert_eq!(expected(&bad), Expected::default());
    }

    #[test]
    fn what_is_no_packument_is_refused() {
        for bad in ["", "[]", "{}", r#"{"name":"other"}"#, r#"{"name":"@a/lib","versions":[]}"#, "<html>"] {
            assert!(index(&name(), bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(index(&name(), br#"{"name":"@a/lib"}"#).unwrap().releases.is_empty());
    }

    #[test]
    fn hosted_versions_win_a_merge() {
        let ours =
            br#"{"name":"a","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":1},"time":{"1.0.0":"x"}}"#;
        let theirs = br#"{"dist-tags":{"latest":"2.0.0","next":"3.0.0","gone":"1.5.0"},"versions":{"1.0.0":2,"1.5.0":2,"2.0.0":2},"time":{"2.0.0":"y"}}"#;
        let merged: Value =
            serde_json::from_slice(&merge(ours, theirs, &|version| version == "1.5.0")).unwrap();
        assert_eq!(merged["versions"], json!({"1.0.0": 1, "2.0.0": 2}));
        assert_eq!(merged["dist-tags"], json!({"latest": "1.0.0", "next": "3.0.0"}));
        assert_eq!(merged["time"], json!({"1.0.0": "x", "2.0.0": "y"}));
    }

    proptest::proptest! {
        #[test]
        fn no_document_panics(text in "[\\[\\]{}\":,a-z0-9. ]{0,120}") {
            let whole = format!("{{\"name\":\"@a/lib\",\"versions\":{text},\"dist-tags\":{text}}}");
            for raw in [&text, &whole] {
                if let Ok(index) = index(&name(), raw.as_bytes()) {
                    let sifted = Sifted::default();
                    render_packument(&name(), raw.as_bytes(), &index, &sifted, Form::Abbreviated, URLS);
                }
            }
        }
    }
}
