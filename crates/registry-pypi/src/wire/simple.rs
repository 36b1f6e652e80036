//! The simple API's pages: PEP 503 and 592 in HTML, PEP 691 and 700 in JSON, with 658/714 and 792 in both.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use registry_core::http::{encode_path_segment, escape_html};
use serde::Serialize;

use super::negotiate::Form;
use crate::{
    names::ProjectName,
    store::project::{File, Project, Status},
};

/// The version of the API that the pages have.
const API_VERSION: &str = "1.4";

#[derive(Debug, Serialize)]
struct Meta {
    #[serde(rename = "api-version")]
    api_version: &'static str,
}

#[derive(Serialize)]
struct Index<'a> {
    meta: Meta,
    projects: Vec<IndexEntry<'a>>,
}

#[derive(Serialize)]
struct IndexEntry<'a> {
    name: &'a str,
}

/// What a project's page says, wherever its files come from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Page<'a> {
    meta: Meta,
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project_status: Option<StatusMark<'a>>,
    pub(crate) versions: Vec<&'a str>,
    pub(crate) files: Vec<FileEntry<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StatusMark<'a> {
    pub(crate) status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
}

/// A file on a page. What is not known is left out: some clients refuse a whole page for a `null`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FileEntry<'a> {
    pub(crate) filename: &'a str,
    pub(crate) url: String,
    pub(crate) hashes: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upload_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requires_python: Option<&'a str>,
    pub(crate) yanked: Yanked<'a>,
    pub(crate) core_metadata: CoreMetadata<'a>,
    pub(crate) gpg_sig: bool,
    pub(crate) provenance: Option<String>,
}

/// An empty reason means different things to different installers, so it is never sent.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Yanked<'a> {
    Mark(bool),
    Reason(&'a str),
}

impl<'a> Yanked<'a> {
    /// Of the reason, which may be empty; `None` where it is not yanked.
    pub(crate) fn of(reason: Option<&'a str>) -> Self {
        match reason {
            None => Self::Mark(false),
            Some("") => Self::Mark(true),
            Some(reason) => Self::Reason(reason),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum CoreMetadata<'a> {
    /// Whether there is any; which bytes it has is not known.
    Known(bool),
    Hashes(Sha256<'a>),
}

#[derive(Debug, Serialize)]
pub(crate) struct Sha256<'a> {
    pub(crate) sha256: &'a str,
}

impl<'a> Page<'a> {
    /// A page without files.
    pub(crate) fn new(name: &'a str) -> Self {
        let meta = Meta { api_version: API_VERSION };
        Self { meta, name, project_status: None, versions: Vec::new(), files: Vec::new() }
    }

    /// A page of what is hosted. Files are beside it: their addresses are relative. Those of provenances must not be: they are below
    /// `index`, the simple API's URL.
    pub(crate) fn of(project: &'a Project, index: &str) -> Self {
        let served = project.status != Status::Quarantined;
        let releases = project.releases.values().filter(|_| served);
        let files = releases.flat_map(|release| &release.files);
        let marked = project.status != Status::Active || project.status_reason.is_some();
        Self {
            project_status: marked.then(|| StatusMark {
                status: project.status.as_str(),
                reason: project.status_reason.as_deref(),
            }),
            versions: project.releases.keys().map(crate::version::Version::as_str).collect(),
            files: files.map(|file| file_entry(file, provenance_url(file, &project.name, index))).collect(),
            ..Self::new(project.name.as_str())
        }
    }
}

/// A time as JSON has it.
pub(crate) fn render_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The list of projects: their normal names and how they are spelt.
pub(crate) fn render_index(form: Form, projects: &[(&str, &str)]) -> Vec<u8> {
    if form == Form::Json {
        let projects = projects.iter().map(|&(_, display)| IndexEntry { name: display }).collect();
        let index = Index { meta: Meta { api_version: API_VERSION }, projects };
        return serde_json::to_vec(&index).unwrap_or_default();
    }
    let mut out = head("Simple index", None);
    for (name, display) in projects {
        // Relative: some clients take the address for the name.
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "<a href=\"{}/\">{}</a><br>", escape_html(name), escape_html(display));
    }
    out.push_str("</body>\n</html>\n");
    out.into_bytes()
}

/// A project's page.
pub(crate) fn render_page(form: Form, page: &Page<'_>) -> Vec<u8> {
    if form == Form::Json {
        return serde_json::to_vec(page).unwrap_or_default();
    }
    let mut out = head(&format!("Links for {}", page.name), page.project_status.as_ref());
    for file in &page.files {
        anchor(&mut out, file);
    }
    out.push_str("</body>\n</html>\n");
    out.into_bytes()
}

fn provenance_url(file: &File, project: &ProjectName, index: &str) -> Option<String> {
    file.provenance.as_ref()?;
    Some(provenance_of(&file.name, project, index))
}

/// Where a file's provenance is.
pub(crate) fn provenance_of(file: &str, project: &ProjectName, index: &str) -> String {
    format!("{index}/{project}/{}.provenance", encode_path_segment(file))
}

fn file_entry(file: &File, provenance: Option<String>) -> FileEntry<'_> {
    FileEntry {
        filename: &file.name,
        url: encode_path_segment(&file.name).into_owned(),
        hashes: BTreeMap::from([("sha256", file.sha256())]),
        size: Some(file.data.size),
        upload_time: Some(render_time(file.uploaded)),
        requires_python: file.requires_python.as_deref(),
        yanked: Yanked::of(file.yanked.as_deref()),
        core_metadata: match &file.metadata.sha256 {
            Some(sha256) if file.metadata_served => CoreMetadata::Hashes(Sha256 { sha256 }),
            _ => CoreMetadata::Known(false),
        },
        gpg_sig: file.signature.is_some(),
        provenance,
    }
}

fn anchor(out: &mut String, file: &FileEntry<'_>) {
    let href = escape_html(&file.url);
    let _ = write!(out, "<a href=\"{href}");
    // One digest has room; the strongest that installers know first.
    let strongest = ["sha256", "sha512", "sha384", "sha224", "sha1", "md5"];
    if let Some((name, hex)) = strongest.into_iter().find_map(|name| Some((name, file.hashes.get(name)?))) {
        let _ = write!(out, "#{name}={}", escape_html(hex));
    }
    out.push('"');
    if let Some(python) = file.requires_python {
        let _ = write!(out, " data-requires-python=\"{}\"", escape_html(python));
    }
    match file.yanked {
        Yanked::Mark(false) => {}
        Yanked::Mark(true) => out.push_str(" data-yanked=\"\""),
        Yanked::Reason(reason) => {
            let _ = write!(out, " data-yanked=\"{}\"", escape_html(reason));
        }
    }
    match &file.core_metadata {
        CoreMetadata::Known(false) => {}
        CoreMetadata::Known(true) => out.push_str(" data-core-metadata=\"true\""),
        CoreMetadata::Hashes(Sha256 { sha256 }) => {
            let _ = write!(out, " data-core-metadata=\"sha256={}\"", escape_html(sha256));
        }
    }
    if let Some(url) = &file.provenance {
        let _ = write!(out, " data-provenance=\"{}\"", escape_html(url));
    }
    let _ = writeln!(out, " data-gpg-sig=\"{}\">{}</a><br>", file.gpg_sig, escape_html(file.filename));
}

fn head(title: &str, status: Option<&StatusMark<'_>>) -> String {
    let title = escape_html(title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\n"
    );
    if let Some(StatusMark { status, reason }) = status {
        let _ = writeln!(out, "<meta name=\"pypi:project-status\" content=\"{}\">", escape_html(status));
        if let Some(reason) = reason {
            let _ = writeln!(
                out,
                "<meta name=\"pypi:project-status-reason\" content=\"{}\">",
                escape_html(reason)
            );
        }
    }
    let _ = write!(out, "<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n");
    out
}
