//! Reading projects of other indexes.

use std::sync::Arc;

use http::{HeaderValue, Method};
use http_body_util::{BodyExt as _, Limited};
use registry_core::{
    Actor, Response,
    http::{Refusal, Representation, immutable_headers},
    storage::Versioned,
    upstream::{ArtifactHead, UpstreamArtifact},
};
use serde_json::{Map, Value, json};

use super::{
    call::{Call, page_headers},
    simple::told,
};
use crate::{
    error::Error,
    names::ProjectName,
    store::project::Project,
    upstream::{Foreign, bad_body},
    version::Version,
    wire::{
        foreign::{self, CoreMetadataHash, ForeignFile},
        json::{Info, Urls, render_info},
        metadata::{MAX_METADATA, Metadata},
        negotiate::Form,
        simple::{Page, render_page, render_time},
    },
};

/// A page with more files than this is rendered on a thread of its own.
const LARGE: usize = 1000;

/// A project's page from another index, beside what is hosted of it where both are shown.
pub(crate) async fn page(
    call: &Call<'_>,
    actor: &Actor,
    project: &Foreign,
    hosted: Option<Arc<Versioned<Project>>>,
    form: Form,
) -> Result<Response, Error> {
    let Foreign { name, document, page, hidden, .. } = project;
    if hosted.is_none()
        && let Some(denial) = hidden.last.as_ref().filter(|_| hidden.files.len() == page.files.len())
    {
        // Nothing is left to show: the reason says which rule hides it, and until when.
        return Err(Refusal::Forbidden(format!("no file of {name} is shown: {denial}")).into());
    }
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    let index = call.urls().index;
    let variant = format!(
        "{form:?} {privacy} {index} hiding {} beside {}",
        hidden.tag,
        hosted.as_ref().map_or("", |hosted| hosted.revision.as_str())
    );
    let representation = if let Some(found) = document.derived_cached(&variant) {
        found
    } else {
        let large = page.files.len() > LARGE;
        let (name, document, page) = (name.clone(), document.clone(), Arc::clone(page));
        let (hidden, headers) = (hidden.clone(), page_headers(actor));
        let make = move || {
            document.derived(&variant, || {
                let hides = |file: &ForeignFile| hidden.files.contains(&file.name);
                let theirs = foreign::page(&name, &page, hides, &index);
                let whole = match &hosted {
                    None => theirs,
                    Some(hosted) => {
                        foreign::merge(Page::of(hosted, &index), theirs, |file| hosted.has_had(file))
                    }
                };
                let body = render_page(form, &whole).into();
                let content_type = HeaderValue::from_static(form.content_type());
                let representation = Representation::new(content_type, body, None, headers);
                let weight = representation.weight();
                (representation, weight)
            })
        };
        if large {
            // At most a few at once, and whoever waited finds what the one before made.
            let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
            tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?
        } else {
            make()
        }
    };
    let mut response = representation.respond(&call.parts);
    project.mark(response.headers_mut());
    Ok(response)
}

/// A file of another index, or its metadata.
pub(crate) async fn file(
    call: &Call<'_>,
    actor: &Actor,
    project: Foreign,
    text: &str,
) -> Result<Response, Error> {
    let base = text.strip_suffix(".metadata");
    let name = project.name.clone();
    let (project, file) =
        project.file(call.registry, base.unwrap_or(text)).await?.ok_or_else(|| no_file(&name))?;
    told(call, actor, &name).await?;
    let method = &call.parts.method;
    let (found, content_type) = match base {
        Some(_) => (project.metadata(&file, method).await?, "text/plain; charset=utf-8"),
        None => (project.bytes(&file, method).await?, "application/octet-stream"),
    };
    send(call, actor, found.ok_or_else(|| no_file(&name))?, content_type, "Authorization").await
}

/// What attests where a file of another index comes from.
pub(crate) async fn provenance(
    call: &Call<'_>,
    actor: &Actor,
    project: Foreign,
    version: Option<&Version>,
    text: &str,
    content_type: &'static str,
) -> Result<Response, Error> {
    let name = project.name.clone();
    let (project, file) = project.file(call.registry, text).await?.ok_or_else(|| no_file(&name))?;
    if version.is_some_and(|version| file.version.as_ref() != Some(version)) {
        return Err(no_file(&name));
    }
    told(call, actor, &name).await?;
    let found = project.provenance(&file, &call.parts.method).await?.ok_or_else(|| no_file(&name))?;
    send(call, actor, found, content_type, "Accept, Authorization").await
}

fn no_file(project: &ProjectName) -> Error {
    Refusal::NotFound(format!("there is no such file of the project {project}")).into()
}

async fn send(
    call: &Call<'_>,
    actor: &Actor,
    found: UpstreamArtifact,
    content_type: &'static str,
    vary: &'static str,
) -> Result<Response, Error> {
    let content_type = Some(HeaderValue::from_static(content_type));
    let head = ArtifactHead { content_type, etag: None, headers: immutable_headers(actor, vary) };
    Ok(found.respond(&call.parts, head).await?)
}

/// What is known of another index's project or release as JSON: its page says what files there are, and the metadata of one of them the rest.
pub(crate) async fn json(
    call: &Call<'_>,
    actor: &Actor,
    project: Foreign,
    wanted: Option<&Version>,
) -> Result<Response, Error> {
    let no_release = || Refusal::NotFound("the project has no such release".to_owned());
    let shown = || project.page.files.iter().filter(|file| !project.hidden.files.contains(&file.name));
    let version = match wanted {
        Some(wanted) => shown().filter_map(|file| file.version.as_ref()).find(|version| *version == wanted),
        None => latest(shown()),
    };
    let Some(version) = version else {
        let hidden = project.page.files.iter().find(|file| {
            file.version.as_ref().is_some_and(|version| wanted.is_none_or(|wanted| wanted == version))
        });
        if let Some(file) = hidden.map(|file| file.name.clone()) {
            // It is refused with the rule's reason.
            project.file(call.registry, &file).await?;
        }
        return Err(no_release().into());
    };
    told(call, actor, &project.name).await?;
    let of_version: Vec<&ForeignFile> =
        shown().filter(|file| file.version.as_ref() == Some(version)).collect();
    let metadata = match of_version.iter().find(|file| file.metadata != CoreMetadataHash::None) {
        Some(file) => read_metadata(&project, file).await?,
        None => Metadata::default(),
    };
    let urls = call.urls();
    let all_yanked = of_version.iter().all(|file| file.yanked.is_some());
    let info = Info {
        project: &project.name,
        display: metadata.one("name").unwrap_or(project.name.as_str()),
        version: version.as_str(),
        yanked: of_version.iter().find_map(|file| file.yanked.as_deref()).filter(|_| all_yanked),
    };
    let files = |files: &[&ForeignFile]| -> Vec<Value> {
        files.iter().map(|file| render_file(&project.name, file, &urls)).collect()
    };
    let mut answer = json!({
        "info": render_info(&info, &metadata, &urls),
        "last_serial": 0,
        "ownership": {"organization": null, "roles": []},
        "urls": files(&of_version),
        "vulnerabilities": [],
    });
    if let (None, Some(answer)) = (wanted, answer.as_object_mut()) {
        let mut releases = std::collections::BTreeMap::<&Version, Vec<&ForeignFile>>::new();
        for file in shown() {
            if let Some(version) = &file.version {
                releases.entry(version).or_default().push(file);
            }
        }
        let releases: Map<String, Value> = releases
            .into_iter()
            .map(|(version, of_version)| (version.to_string(), files(&of_version).into()))
            .collect();
        answer.insert("releases".to_owned(), releases.into());
    }
    let content_type = HeaderValue::from_static("application/json");
    let body = answer.to_string().into_bytes().into();
    let representation = Arc::new(Representation::new(content_type, body, None, page_headers(actor)));
    let mut response = representation.respond(&call.parts);
    project.mark(response.headers_mut());
    Ok(response)
}

/// The version that people mean when they name none.
fn latest<'f>(files: impl Iterator<Item = &'f ForeignFile>) -> Option<&'f Version> {
    let rank = |file: &&'f ForeignFile| {
        let version = file.version.as_ref();
        let is_final = version.is_some_and(|version| !version.is_prerelease());
        (file.yanked.is_none(), is_final, version)
    };
    files.filter(|file| file.version.is_some()).max_by(|a, b| rank(a).cmp(&rank(b)))?.version.as_ref()
}

async fn read_metadata(project: &Foreign, file: &ForeignFile) -> Result<Metadata, Error> {
    let wrong =
        |what: &str| bad_body(project.document.source(), format!("the metadata of {} {what}", file.name));
    let found = project.metadata(file, &Method::GET).await?.ok_or_else(|| wrong("is missing"))?;
    let limit = usize::try_from(MAX_METADATA).unwrap_or(usize::MAX);
    let body = Limited::new(found.open(None).await?, limit);
    let bytes = body.collect().await.map_err(|_| wrong("cannot be read"))?.to_bytes();
    Metadata::parse(&bytes).map_err(|_| wrong("is none"))
}

fn render_file(project: &ProjectName, file: &ForeignFile, urls: &Urls) -> Value {
    let core_metadata = match &file.metadata {
        CoreMetadataHash::None => json!(false),
        CoreMetadataHash::Unknown => json!(true),
        CoreMetadataHash::Sha256(sha256) => json!({"sha256": sha256}),
    };
    let wheel = file.name.strip_suffix(".whl");
    let python = wheel.and_then(|stem| stem.rsplit('-').nth(2)).unwrap_or("source");
    json!({
        "comment_text": "",
        "core-metadata": core_metadata,
        "digests": file.hashes,
        "downloads": -1,
        "filename": file.name,
        "has_sig": false,
        "md5_digest": file.hashes.get("md5"),
        "packagetype": if wheel.is_some() { "bdist_wheel" } else { "sdist" },
        "python_version": python,
        "requires_python": file.requires_python,
        "size": file.size,
        "upload_time": file.uploaded.map(|time| time.format("%Y-%m-%dT%H:%M:%S").to_string()),
        "upload_time_iso_8601": file.uploaded.map(render_time),
        "url": urls.file(project, &file.name),
        "yanked": file.yanked.is_some(),
        "yanked_reason": file.yanked.as_deref().filter(|reason| !reason.is_empty()),
    })
}
