//! The JSON API: a project or a release with everything that is known of it.

use serde_json::{Map, Value, json};

use super::{metadata::Metadata, simple::render_time};
use crate::{
    names::ProjectName,
    store::project::{File, Project, Release},
    version::Version,
};

/// Where clients find a project's pages.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    /// Of the simple API, without a slash at its end.
    pub(crate) index: String,
    /// Of the JSON API, without a slash at its end.
    pub(crate) base: String,
}

impl Urls {
    /// Of a file.
    pub(crate) fn file(&self, project: &ProjectName, file: &str) -> String {
        format!("{}/{project}/{}", self.index, registry_core::http::encode_path_segment(file))
    }
}

/// The answer about a release; with all releases where it is the project that was asked for.
pub(crate) fn render(
    project: &Project,
    version: &Version,
    release: &Release,
    metadata: &Metadata,
    urls: &Urls,
    whole: bool,
) -> Vec<u8> {
    let reason = release.files.iter().find_map(|file| file.yanked.as_deref());
    let info = Info {
        project: &project.name,
        display: &project.display,
        version: version.as_str(),
        yanked: release.is_yanked().then_some(reason.unwrap_or_default()),
    };
    let files = |release: &Release| -> Vec<Value> {
        release.files.iter().map(|file| render_file(project, file, urls)).collect()
    };
    let mut answer = json!({
        "info": render_info(&info, metadata, urls),
        "last_serial": project.modified.timestamp_micros(),
        "ownership": {"organization": null, "roles": []},
        "urls": files(release),
        "vulnerabilities": [],
    });
    if let (true, Some(answer)) = (whole, answer.as_object_mut()) {
        let releases: Map<String, Value> = project
            .releases
            .iter()
            .map(|(version, release)| (version.to_string(), files(release).into()))
            .collect();
        answer.insert("releases".to_owned(), releases.into());
    }
    answer.to_string().into_bytes()
}

/// What of a release does not stand in its metadata.
#[derive(Debug)]
pub(crate) struct Info<'a> {
    pub(crate) project: &'a ProjectName,
    pub(crate) display: &'a str,
    pub(crate) version: &'a str,
    /// Why it is yanked, which may be empty.
    pub(crate) yanked: Option<&'a str>,
}

/// What is told of a release itself.
pub(crate) fn render_info(info: &Info<'_>, metadata: &Metadata, urls: &Urls) -> Value {
    let text = |name: &str| metadata.one(name).unwrap_or_default();
    let list = |name: &str| {
        let all: Vec<&str> = metadata.all(name).collect();
        if all.is_empty() { Value::Null } else { json!(all) }
    };
    let links: Map<String, Value> = metadata
        .all("project-url")
        .filter_map(|line| line.split_once(','))
        .map(|(label, url)| (label.trim().to_owned(), url.trim().into()))
        .collect();
    let Info { project, display, version, yanked } = info;
    let page = format!("{}/{project}/", urls.index);
    json!({
        "author": text("author"),
        "author_email": text("author-email"),
        "bugtrack_url": null,
        "classifiers": metadata.all("classifier").collect::<Vec<_>>(),
        "description": metadata.description(),
        "description_content_type": metadata.one("description-content-type"),
        "docs_url": null,
        "download_url": text("download-url"),
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "dynamic": list("dynamic"),
        "home_page": text("home-page"),
        "keywords": text("keywords"),
        "license": metadata.one("license"),
        "license_expression": metadata.one("license-expression"),
        "license_files": list("license-file"),
        "maintainer": text("maintainer"),
        "maintainer_email": text("maintainer-email"),
        "name": display,
        "package_url": page,
        "platform": metadata.one("platform"),
        "project_url": page,
        "project_urls": if links.is_empty() { Value::Null } else { links.into() },
        "provides_extra": list("provides-extra"),
        "release_url": format!("{}/{project}/{version}/json", urls.base),
        "requires_dist": list("requires-dist"),
        "requires_python": metadata.one("requires-python"),
        "summary": text("summary"),
        "version": version,
        "yanked": yanked.is_some(),
        "yanked_reason": yanked.filter(|reason| !reason.is_empty()),
    })
}

fn render_file(project: &Project, file: &File, urls: &Urls) -> Value {
    let core_metadata = match &file.metadata.sha256 {
        Some(sha256) if file.metadata_served => json!({"sha256": sha256}),
        _ => json!(false),
    };
    json!({
        "comment_text": file.comment.as_deref().unwrap_or_default(),
        "core-metadata": core_metadata,
        "digests": {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256()},
        "downloads": -1,
        "filename": file.name,
        "has_sig": file.signature.is_some(),
        "md5_digest": file.md5,
        "packagetype": file.kind.as_str(),
        "python_version": file.python,
        "requires_python": file.requires_python,
        "size": file.data.size,
        "upload_time": file.uploaded.format("%Y-%m-%dT%H:%M:%S").to_string(),
        "upload_time_iso_8601": render_time(file.uploaded),
        "url": urls.file(&project.name, &file.name),
        "yanked": file.yanked.is_some(),
        "yanked_reason": file.yanked.as_deref().filter(|reason| !reason.is_empty()),
    })
}
