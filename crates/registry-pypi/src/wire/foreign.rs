//! Pages of other indexes: JSON (PEP 691, 700) or HTML (PEP 503, 592, 714) in, what we say of their files out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use registry_core::{http::decode_path_segment, upstream::Expected};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::html::{MAX_ANCHORS, anchors};
use crate::{
    names::ProjectName,
    version::Version,
    wire::simple::{CoreMetadata, FileEntry, Page, Sha256, StatusMark, Yanked, provenance_of, render_time},
};

/// The longest file name, version or text of one that is passed on.
const MAX_TEXT: usize = 1024;
/// The digests that installers know, with their lengths in hex.
const DIGESTS: [(&str, usize); 6] =
    [("md5", 32), ("sha1", 40), ("sha224", 56), ("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// A project of another index.
#[derive(Debug)]
pub(crate) struct ForeignPage {
    /// Its status and the reason.
    pub(crate) status: Option<(String, Option<String>)>,
    /// The versions that it lists, in their order.
    pub(crate) versions: Vec<String>,
    /// Its files, in its order.
    pub(crate) files: Vec<ForeignFile>,
}

/// What is known of the metadata of a file, which may be had on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CoreMetadataHash {
    /// It cannot be had.
    None,
    /// It can; which bytes it has is not known.
    Unknown,
    /// It can, and has this SHA-256.
    Sha256(String),
}

impl CoreMetadataHash {
    fn of(sha256: Option<&str>) -> Self {
        sha256.map_or(Self::Unknown, |hex| Self::Sha256(hex.to_ascii_lowercase()))
    }
}

/// A file of another index.
#[derive(Clone, Debug)]
pub(crate) struct ForeignFile {
    pub(crate) name: String,
    pub(crate) url: Url,
    /// Digests by their names, in lowercase hex.
    pub(crate) hashes: BTreeMap<&'static str, String>,
    pub(crate) size: Option<u64>,
    pub(crate) uploaded: Option<DateTime<Utc>>,
    pub(crate) requires_python: Option<String>,
    /// Why it is yanked, which may be empty.
    pub(crate) yanked: Option<String>,
    /// Whether its metadata can be had on its own, with its SHA-256 where that is known.
    pub(crate) metadata: CoreMetadataHash,
    pub(crate) provenance: Option<Url>,
    /// Of which version it is, where its name tells.
    pub(crate) version: Option<Version>,
}

/// Reads a page. The text says why it is none of this project.
pub(crate) fn read(
    project: &ProjectName,
    media_type: Option<&str>,
    body: &[u8],
    page: &Url,
) -> Result<ForeignPage, String> {
    let is_json = match media_type {
        Some(text) => text.contains("json"),
        None => body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'),
    };
    if is_json { read_json(project, body, page) } else { read_html(project, body, page) }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPage {
    meta: RawMeta,
    name: String,
    #[serde(default)]
    project_status: Option<RawStatus>,
    #[serde(default)]
    versions: Vec<String>,
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMeta {
    api_version: String,
}

#[derive(Deserialize)]
struct RawStatus {
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    upload_time: Option<String>,
    #[serde(default)]
    requires_python: Option<String>,
    #[serde(default)]
    yanked: Value,
    #[serde(default)]
    core_metadata: Value,
    #[serde(default, alias = "data-dist-info-metadata")]
    dist_info_metadata: Value,
    #[serde(default)]
    provenance: Option<String>,
}

fn read_json(project: &ProjectName, body: &[u8], page: &Url) -> Result<ForeignPage, String> {
    let raw: RawPage = serde_json::from_slice(body).map_err(|_| "it is no page of a project".to_owned())?;
    if raw.meta.api_version.split('.').next() != Some("1") {
        return Err("its page has a newer version of the simple API".to_owned());
    }
    if raw.name.parse::<ProjectName>().as_ref() != Ok(project) {
        return Err("it is the page of another project".to_owned());
    }
    if raw.files.len() > MAX_ANCHORS {
        return Err(format!("its page has more than {MAX_ANCHORS} files"));
    }
    let files = raw.files.into_iter().filter_map(|raw| {
        let metadata = |value: &Value| match value {
            Value::Bool(true) => CoreMetadataHash::Unknown,
            Value::Object(hashes) => CoreMetadataHash::of(hashes.get("sha256").and_then(Value::as_str)),
            _ => CoreMetadataHash::None,
        };
        let yanked = match raw.yanked {
            Value::Bool(true) => Some(String::new()),
            Value::String(reason) => Some(reason),
            _ => None,
        };
        let hashes = raw.hashes.iter().map(|(name, hex)| (name.as_str(), hex.as_str()));
        Some(ForeignFile {
            hashes: known_hashes(hashes)?,
            size: raw.size,
            uploaded: raw.upload_time.and_then(|text| text.parse().ok()),
            requires_python: raw.requires_python.filter(|text| text.len() <= MAX_TEXT),
            yanked,
            metadata: match metadata(&raw.core_metadata) {
                CoreMetadataHash::None => metadata(&raw.dist_info_metadata),
                known => known,
            },
            provenance: raw.provenance.and_then(|text| page.join(&text).ok()),
            ..ForeignFile::new(project, &raw.filename, page.join(&raw.url).ok()?)?
        })
    });
    Ok(ForeignPage {
        files: files.collect(),
        status: raw.project_status.map(|raw| (raw.status, raw.reason)),
        versions: raw.versions.into_iter().filter(|version| version.len() <= MAX_TEXT).collect(),
    })
}

fn read_html(project: &ProjectName, body: &[u8], page: &Url) -> Result<ForeignPage, String> {
    let text = std::str::from_utf8(body).map_err(|_| "its page is not UTF-8".to_owned())?;
    let found = anchors(text)?;
    let base = found.base.as_deref().and_then(|base| page.join(base).ok()).unwrap_or_else(|| page.clone());
    let mut files = Vec::new();
    for attributes in &found.links {
        let get = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, text)| text);
        let Some(mut url) = get("href").and_then(|href| base.join(href).ok()) else { continue };
        let fragment = url.fragment().unwrap_or_default().to_owned();
        url.set_fragment(None);
        let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let Ok(name) = decode_path_segment(last).map(std::borrow::Cow::into_owned) else { continue };
        let Some(file) = ForeignFile::new(project, &name, url) else { continue };
        // A page of an index links to files of its project; what else it links to are none.
        if file.version.is_none() {
            continue;
        }
        let hashes = fragment.split('&').filter_map(|part| part.split_once('='));
        let Some(hashes) = known_hashes(hashes) else { continue };
        let metadata = get("data-core-metadata").or_else(|| get("data-dist-info-metadata"));
        files.push(ForeignFile {
            hashes,
            requires_python: get("data-requires-python").filter(|text| text.len() <= MAX_TEXT).cloned(),
            yanked: get("data-yanked").cloned(),
            metadata: metadata.filter(|text| *text != "false").map_or(CoreMetadataHash::None, |text| {
                let hash = text.split_once('=').filter(|(name, _)| *name == "sha256");
                CoreMetadataHash::of(hash.map(|(_, hex)| hex))
            }),
            provenance: get("data-provenance").and_then(|text| base.join(text).ok()),
            ..file
        });
    }
    let meta =
        |wanted: &str| found.metas.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.clone());
    // An error page or a login with status 200 has neither.
    let is_index = meta("pypi:repository-version").is_some() || found.title.starts_with("Links for");
    if files.is_empty() && !is_index {
        return Err("it is no page of a project".to_owned());
    }
    let status = meta("pypi:project-status").map(|status| (status, meta("pypi:project-status-reason")));
    let versions: BTreeSet<&Version> = files.iter().filter_map(|file| file.version.as_ref()).collect();
    let versions = versions.into_iter().map(|version| version.as_str().to_owned()).collect();
    Ok(ForeignPage { status, versions, files })
}

/// The digests that installers know. `None` where one is no digest: what cannot be checked is not passed on.
fn known_hashes<'t>(
    hashes: impl Iterator<Item = (&'t str, &'t str)>,
) -> Option<BTreeMap<&'static str, String>> {
    let mut known = BTreeMap::new();
    for (name, hex) in hashes {
        let Some((name, length)) = DIGESTS.iter().find(|(known, _)| *known == name) else { continue };
        if hex.len() != *length || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        known.insert(*name, hex.to_ascii_lowercase());
    }
    Some(known)
}

impl ForeignFile {
    /// A file of which nothing but its name and address is known; `None` where the name cannot stand in a path.
    fn new(project: &ProjectName, name: &str, url: Url) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'!');
        let beside = [".metadata", ".asc", ".provenance"];
        let is_name = !name.is_empty()
            && name.len() <= 255
            && !name.starts_with('.')
            && name.bytes().all(plain)
            && !beside.iter().any(|end| name.ends_with(end));
        if !is_name || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            url,
            hashes: BTreeMap::new(),
            size: None,
            uploaded: None,
            requires_python: None,
            yanked: None,
            metadata: CoreMetadataHash::None,
            provenance: None,
            version: version_of(project, name),
        })
    }

    /// What is known of its bytes.
    pub(crate) fn expected(&self) -> Expected {
        let get = |name: &str| self.hashes.get(name).cloned();
        Expected {
            sha256: get("sha256"),
            sha512: get("sha512"),
            sha1: get("sha1"),
            md5: get("md5"),
            size: self.size,
        }
    }

    /// The entry on our own page: beside it, with nothing of where it is from.
    pub(crate) fn entry<'a>(&'a self, project: &ProjectName, index: &str) -> FileEntry<'a> {
        FileEntry {
            filename: &self.name,
            url: registry_core::http::encode_path_segment(&self.name).into_owned(),
            hashes: self.hashes.iter().map(|(name, hex)| (*name, hex.as_str())).collect(),
            size: self.size,
            upload_time: self.uploaded.map(render_time),
            requires_python: self.requires_python.as_deref(),
            yanked: Yanked::of(self.yanked.as_deref()),
            core_metadata: match &self.metadata {
                CoreMetadataHash::None => CoreMetadata::Known(false),
                CoreMetadataHash::Unknown => CoreMetadata::Known(true),
                CoreMetadataHash::Sha256(sha256) => CoreMetadata::Hashes(Sha256 { sha256 }),
            },
            gpg_sig: false,
            provenance: self.provenance.as_ref().map(|_| provenance_of(&self.name, project, index)),
        }
    }
}

/// The version in a file's name, also of the kinds of files that are no longer uploaded.
fn version_of(project: &ProjectName, name: &str) -> Option<Version> {
    let is_project = |text: &str| text.parse::<ProjectName>().as_ref() == Ok(project);
    if let Some(stem) = name.strip_suffix(".whl").or_else(|| name.strip_suffix(".egg")) {
        let mut parts = stem.split('-');
        return parts.next().filter(|text| is_project(text)).and_then(|_| parts.next()?.parse().ok());
    }
    let ends = [".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tar"];
    if let Some(stem) = ends.iter().find_map(|end| name.strip_suffix(end)) {
        // Names and old versions both have dashes: the first part that is the project ends the name.
        let dashes = stem.match_indices('-').map(|(at, _)| stem.split_at(at));
        return dashes
            .filter(|(name, _)| is_project(name))
            .find_map(|(_, version)| version.get(1..)?.parse().ok());
    }
    let stem = [".exe", ".msi", ".rpm", ".deb", ".dmg"].iter().find_map(|end| name.strip_suffix(end))?;
    let rest = stem.split_once('-').filter(|(name, _)| is_project(name))?.1;
    rest.split(['-']).next()?.trim_end_matches(".win32").parse().ok()
}

/// Our page of what the other index has, without what `hides`.
pub(crate) fn page<'a>(
    project: &'a ProjectName,
    foreign: &'a ForeignPage,
    hides: impl Fn(&ForeignFile) -> bool,
    index: &str,
) -> Page<'a> {
    let shown: Vec<&ForeignFile> = foreign.files.iter().filter(|file| !hides(file)).collect();
    let mut page = Page::new(project.as_str());
    page.project_status = foreign
        .status
        .as_ref()
        .map(|(status, reason)| StatusMark { status, reason: reason.as_deref().filter(|r| !r.is_empty()) });
    page.versions = if shown.len() == foreign.files.len() {
        foreign.versions.iter().map(String::as_str).collect()
    } else {
        // Only those that still have a file: whether one without may be seen is not known.
        let versions: BTreeSet<&Version> = shown.iter().filter_map(|file| file.version.as_ref()).collect();
        versions.into_iter().map(Version::as_str).collect()
    };
    page.files = shown.into_iter().map(|file| file.entry(project, index)).collect();
    page
}

/// Both pages as one; what is hosted wins, and files that were hosted and deleted do not come back.
pub(crate) fn merge<'a>(ours: Page<'a>, theirs: Page<'a>, was_ours: impl Fn(&str) -> bool) -> Page<'a> {
    let mut page = ours;
    let mut versions: BTreeMap<Version, &str> = BTreeMap::new();
    for text in page.versions.iter().chain(&theirs.versions) {
        if let Ok(version) = text.parse::<Version>() {
            versions.entry(version).or_insert(text);
        }
    }
    page.versions = versions.into_values().collect();
    page.files.extend(theirs.files.into_iter().filter(|file| !was_ours(file.filename)));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ProjectName {
        "foo-bar".parse().unwrap()
    }

    fn at() -> Url {
        "https://registry.example.com/simple/foo-bar/".parse().unwrap()
    }

    #[test]
    fn versions_of_all_kinds_of_file_names() {
        for (file, want) in [
            ("foo_bar-1.0-py3-none-any.whl", Some("1.0")),
            ("Foo.Bar-1.0.tar.gz", Some("1.0")),
            ("foo-bar-1.0-1.zip", Some("1.0.post1")),
            ("foo_bar-1.0-py2.7.egg", Some("1.0")),
            ("foo_bar-1.0.win32.exe", Some("1.0")),
            ("other-1.0.tar.gz", None),
            ("foo-bar-extra-1.0.tar.gz", None),
            ("foo_bar.txt", None),
        ] {
            assert_eq!(version_of(&name(), file).map(|v| v.to_string()).as_deref(), want, "{file}");
        }
    }

    #[test]
    fn checklist_62_html_resolves_by_its_base_and_junk_is_no_page() {
        let sha = "a".repeat(64);
        let html = format!(
            "<title>x</title><base href='https://files.example.com/a/b/'>\
             <a href='../c/foo_bar-1.0.tar.gz?x=1#sha256={sha}' data-yanked='bad &lt;' data-core-metadata='true'>x</a>\
             <a href='javascript:alert(1)'>y</a><a href='../'>up</a><a href='foo_bar-2.0.zip#sha256=zz'>z</a>"
        );
        let page = read(&name(), Some("text/html"), html.as_bytes(), &at()).unwrap();
        assert_eq!(page.versions, ["1.0"]);
        let [file] = page.files.as_slice() else { panic!("{page:?}") };
        assert_eq!(file.url.as_str(), "https://files.example.com/a/c/foo_bar-1.0.tar.gz?x=1");
        assert_eq!(file.hashes["sha256"], sha);
        assert_eq!((file.yanked.as_deref(), &file.metadata), (Some("bad <"), &CoreMetadataHash::Unknown));
        for junk in ["<html><title>Log in</title><a href='/login'>x</a>", "", "\u{0}"] {
            assert!(read(&name(), Some("text/html"), junk.as_bytes(), &at()).is_err(), "{junk}");
        }
        for json in [
            "{}",
            "[]",
            "null",
            r#"{"meta":{"api-version":"2.0"},"name":"foo-bar","files":[]}"#,
            r#"{"meta":{"api-version":"1.0"},"name":"other","files":[]}"#,
        ] {
            assert!(read(&name(), Some("application/json"), json.as_bytes(), &at()).is_err(), "{json}");
        }
        let empty = r#"{"meta":{"api-version":"1.0"},"name":"Foo.Bar","files":[]}"#;
        assert!(read(&name(), None, empty.as_bytes(), &at()).unwrap().files.is_empty());
    }
}
