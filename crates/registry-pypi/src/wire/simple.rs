//! The simple API's pages: PEP 503 and 592 in HTML, PEP 691 and 700 in JSON, with 658/714 and 792 in both.

use std::fmt::Write as _;

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

#[derive(Serialize)]
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

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Page<'a> {
    meta: Meta,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_status: Option<StatusMark<'a>>,
    versions: Vec<&'a str>,
    files: Vec<FileEntry<'a>>,
}

#[derive(Serialize)]
struct StatusMark<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FileEntry<'a> {
    filename: &'a str,
    url: String,
    hashes: Sha256<'a>,
    size: u64,
    upload_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires_python: Option<&'a str>,
    yanked: Yanked<'a>,
    core_metadata: CoreMetadata<'a>,
    gpg_sig: bool,
    provenance: Option<String>,
}

#[derive(Serialize)]
struct Sha256<'a> {
    sha256: &'a str,
}

/// An empty reason means different things to different installers, so it is never sent.
#[derive(Serialize)]
#[serde(untagged)]
enum Yanked<'a> {
    Mark(bool),
    Reason(&'a str),
}

#[derive(Serialize)]
#[serde(untagged)]
enum CoreMetadata<'a> {
    None(bool),
    Hashes(Sha256<'a>),
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

/// A project's page. Files are beside it: their addresses are relative. Those of provenances must not be: they are below `index`, the
/// simple API's URL.
pub(crate) fn render_page(form: Form, project: &Project, index: &str) -> Vec<u8> {
    let served = project.status != Status::Quarantined;
    let releases = || project.releases.values().filter(|_| served);
    let files = releases().flat_map(|release| &release.files);
    if form == Form::Json {
        let page = Page {
            meta: Meta { api_version: API_VERSION },
            name: project.name.as_str(),
            project_status: (project.status != Status::Active || project.status_reason.is_some()).then(
                || StatusMark { status: project.status.as_str(), reason: project.status_reason.as_deref() },
            ),
            versions: project.releases.keys().map(crate::version::Version::as_str).collect(),
            files: files.map(|file| file_entry(file, provenance_url(file, &project.name, index))).collect(),
        };
        return serde_json::to_vec(&page).unwrap_or_default();
    }
    let mut out = head(&format!("Links for {}", project.name), Some(project));
    for file in files {
        anchor(&mut out, file, provenance_url(file, &project.name, index));
    }
    out.push_str("</body>\n</html>\n");
    out.into_bytes()
}

fn provenance_url(file: &File, project: &ProjectName, index: &str) -> Option<String> {
    file.provenance.as_ref()?;
    Some(format!("{index}/{project}/{}.provenance", encode_path_segment(&file.name)))
}

fn file_entry(file: &File, provenance: Option<String>) -> FileEntry<'_> {
    FileEntry {
        filename: &file.name,
        url: encode_path_segment(&file.name).into_owned(),
        hashes: Sha256 { sha256: file.sha256() },
        size: file.data.size,
        upload_time: render_time(file.uploaded),
        requires_python: file.requires_python.as_deref(),
        yanked: match file.yanked.as_deref() {
            None => Yanked::Mark(false),
            Some("") => Yanked::Mark(true),
            Some(reason) => Yanked::Reason(reason),
        },
        core_metadata: match &file.metadata.sha256 {
            Some(sha256) if file.metadata_served => CoreMetadata::Hashes(Sha256 { sha256 }),
            _ => CoreMetadata::None(false),
        },
        gpg_sig: file.signature.is_some(),
        provenance,
    }
}

fn anchor(out: &mut String, file: &File, provenance: Option<String>) {
    let href = escape_html(&encode_path_segment(&file.name));
    let _ = write!(out, "<a href=\"{href}#sha256={}\"", file.sha256());
    if let Some(python) = &file.requires_python {
        let _ = write!(out, " data-requires-python=\"{}\"", escape_html(python));
    }
    if let Some(reason) = &file.yanked {
        let _ = write!(out, " data-yanked=\"{}\"", escape_html(reason));
    }
    if let (true, Some(sha256)) = (file.metadata_served, &file.metadata.sha256) {
        let _ = write!(out, " data-core-metadata=\"sha256={sha256}\"");
    }
    if let Some(url) = provenance {
        let _ = write!(out, " data-provenance=\"{}\"", escape_html(&url));
    }
    let _ =
        writeln!(out, " data-gpg-sig=\"{}\">{}</a><br>", file.signature.is_some(), escape_html(&file.name));
}

fn head(title: &str, project: Option<&Project>) -> String {
    let title = escape_html(title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\n"
    );
    if let Some(project) = project.filter(|p| p.status != Status::Active || p.status_reason.is_some()) {
        let status = project.status.as_str();
        let _ = writeln!(out, "<meta name=\"pypi:project-status\" content=\"{status}\">");
        if let Some(reason) = &project.status_reason {
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
