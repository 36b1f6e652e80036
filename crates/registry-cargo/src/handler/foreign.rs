//! Reading crates of other registries.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use registry_core::{Actor, Response, auth::Action, storage::Versioned, upstream::ArtifactHead};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::{Call, json_response},
    read::{file_headers, index_file, told},
};
use crate::{
    error::Error,
    names::CrateName,
    store::document::CrateDocument,
    upstream::{self, Foreign},
    version::Version,
    wire::{foreign::ForeignRelease, index},
};

/// A crate's index file from another registry, after the lines of what is hosted where both are shown. Hosted versions win.
pub(crate) async fn index(
    call: &Call<'_>,
    actor: &Actor,
    theirs: Foreign,
    hosted: Option<Arc<Versioned<CrateDocument>>>,
) -> Result<Response, Error> {
    if hosted.is_none()
        && let Some((_, denial)) = theirs.sifted.hidden.last()
        && theirs.sifted.hidden.len() == theirs.index.releases.len()
    {
        // Nothing is left to show: the reason says which rule hides it, and until when.
        return Err(registry_core::upstream::Unanswered::from(denial.clone()).into());
    }
    told(call, actor, &theirs.index.name, None).await?;
    let beside = hosted.as_ref().map_or("", |hosted| hosted.revision.as_str());
    let variant = format!("index hiding {} beside {beside}", theirs.sifted.tag);
    let representation = theirs.document.derived(&variant, || {
        let lines = hosted.as_ref().map(|hosted| index::render(hosted)).unwrap_or_default();
        let shown = |release: &ForeignRelease| {
            theirs.shows(release) && !hosted.as_ref().is_some_and(|hosted| hosted.has_had(&release.version))
        };
        index_file(theirs.index.render(lines, shown), None)
    });
    let mut response = representation.respond(&call.parts);
    theirs.mark(response.headers_mut());
    Ok(response)
}

/// The file of a version of another registry.
pub(crate) async fn download(
    call: &Call<'_>,
    actor: &Actor,
    theirs: Foreign,
    version: &Version,
) -> Result<Response, Error> {
    let name = theirs.index.name.clone();
    let no_version = || Error::no_version(&name, version);
    let (theirs, release) = theirs.release(call.registry, version).await?.ok_or_else(no_version)?;
    told(call, actor, &name, Some(version)).await?;
    let file = theirs.file(&release, &call.parts.method).await?.ok_or_else(no_version)?;
    let head = ArtifactHead {
        content_type: Some(HeaderValue::from_static("application/gzip")),
        etag: None,
        headers: file_headers(),
    };
    Ok(file.respond(&call.parts, head).await?)
}

/// What the index of another registry says of a crate, as JSON. There is no more to it here: the rest stands in the crates.
pub(crate) fn krate(theirs: &Foreign) -> Response {
    let all: Vec<&ForeignRelease> = theirs.index.releases.iter().filter(|one| theirs.shows(one)).collect();
    let highest = |only_stable: bool| {
        let candidates = all.iter().filter(|one| !only_stable || !one.version.is_prerelease() && !one.yanked);
        let best = candidates.max_by(|a, b| {
            (!a.yanked, !a.version.is_prerelease())
                .cmp(&(!b.yanked, !b.version.is_prerelease()))
                .then_with(|| a.version.compare(&b.version))
        });
        best.map(|one| one.version.to_string())
    };
    let name = theirs.index.name.as_str();
    let body = json!({
        "crate": {
            "id": name,
            "name": name,
            "max_version": highest(false),
            "max_stable_version": highest(true),
            "newest_version": all.last().map(|one| one.version.to_string()),
            "downloads": 0,
        },
        "versions": versions_of(theirs, &all),
    });
    marked(theirs, &body)
}

/// The versions of a crate of another registry.
pub(crate) fn versions(theirs: &Foreign) -> Response {
    let all: Vec<&ForeignRelease> = theirs.index.releases.iter().filter(|one| theirs.shows(one)).collect();
    marked(theirs, &json!({"versions": versions_of(theirs, &all)}))
}

/// One version of a crate of another registry.
pub(crate) async fn version(call: &Call<'_>, theirs: Foreign, version: &Version) -> Result<Response, Error> {
    let name = theirs.index.name.clone();
    let found = theirs.release(call.registry, version).await?;
    let (theirs, release) = found.ok_or_else(|| Error::no_version(&name, version))?;
    Ok(marked(&theirs, &json!({"version": one(&theirs.index.name, &release)})))
}

/// The newest first.
fn versions_of(theirs: &Foreign, all: &[&ForeignRelease]) -> Vec<Value> {
    all.iter().rev().map(|release| one(&theirs.index.name, release)).collect()
}

fn one(name: &CrateName, release: &ForeignRelease) -> Value {
    let version = &release.version;
    json!({
        "crate": name.as_str(),
        "num": version.to_string(),
        "dl_path": format!("/api/v1/crates/{name}/{version}/download"),
        "yanked": release.yanked,
        "created_at": release.published,
        "checksum": release.cksum,
    })
}

fn marked(theirs: &Foreign, body: &Value) -> Response {
    let mut response = json_response(StatusCode::OK, body);
    theirs.mark(response.headers_mut());
    response
}

#[derive(Deserialize)]
struct ForeignResults {
    #[serde(default)]
    crates: Vec<Value>,
    #[serde(default)]
    meta: ForeignMeta,
}

#[derive(Default, Deserialize)]
struct ForeignMeta {
    #[serde(default)]
    total: u64,
}

/// So many of what an upstream finds after those before, without what is ours or must not be read, and how many it finds in all. Its
/// pages are as long as ours and seldom begin where ours do, so two of them may be asked for. A text that is the name of something hosted
/// or reserved here is not told to anybody.
pub(crate) async fn search(
    call: &Call<'_>,
    actor: &Actor,
    text: &str,
    (before, mut rest): (usize, usize),
    per_page: usize,
) -> Result<(Vec<Value>, u64), Error> {
    if !call.registry.upstreams().exist() {
        return Ok((Vec::new(), 0));
    }
    for word in text.split_whitespace() {
        let Ok(name) = word.parse::<CrateName>() else { continue };
        if !upstream::is_foreign(call.registry, actor, &name).await? {
            return Ok((Vec::new(), 0));
        }
    }
    let per_page = per_page.max(1);
    let (first, mut skip) = ((before / per_page).saturating_add(1), before % per_page);
    let (mut found, mut total) = (Vec::new(), 0);
    for page in [first, first.saturating_add(1)] {
        let Some(results) = found_there(call, actor, text, (page, per_page)).await? else { break };
        total = results.meta.total;
        let more = results.crates.len() >= per_page;
        for one in results.crates.into_iter().take(per_page).skip(skip).take(rest) {
            rest = rest.saturating_sub(1);
            let name =
                one.get("name").and_then(Value::as_str).and_then(|name| name.parse::<CrateName>().ok());
            let Some(name) = name else { continue };
            if call.allows(actor, &name, Action::Read).await.is_ok()
                && upstream::is_foreign(call.registry, actor, &name).await?
            {
                found.push(json!({
                    "name": name.as_str(),
                    "max_version": one.get("max_version").cloned().unwrap_or_default(),
                    "description": one.get("description").cloned().unwrap_or_default(),
                }));
            }
        }
        skip = 0;
        if rest == 0 || !more {
            break;
        }
    }
    Ok((found, total))
}

/// A page of what an upstream finds, if it can be asked and understood.
async fn found_there(
    call: &Call<'_>,
    actor: &Actor,
    text: &str,
    (page, per_page): (usize, usize),
) -> Result<Option<ForeignResults>, Error> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("q", text)
        .append_pair("per_page", &per_page.to_string())
        .append_pair("page", &page.to_string())
        .finish();
    let answer = upstream::search(call.registry, actor, &query).await?;
    Ok(answer.and_then(|answer| serde_json::from_slice(&answer.body).ok()))
}
