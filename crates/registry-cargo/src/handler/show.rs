//! A crate and its versions as JSON, for tools; cargo itself reads the index.

use http::StatusCode;
use registry_core::Response;
use serde_json::{Value, json};

use super::{
    call::{Call, json_response},
    foreign,
};
use crate::{
    error::Error,
    names::CrateName,
    store::document::{CrateDocument, Release},
    upstream::Found,
    version::Version,
};

/// `GET /api/v1/crates/{crate}`.
pub(crate) async fn krate(call: &Call<'_>, name: &CrateName) -> Result<Response, Error> {
    let document = match call.find_crate(name).await?.1 {
        Found::Hosted(document) | Found::Both(document, _) => document,
        Found::Foreign(theirs) => return Ok(foreign::krate(&theirs)),
    };
    let (highest, release) = document.highest().ok_or_else(|| Error::no_crate(name))?;
    let stable = document
        .releases
        .iter()
        .filter(|(version, release)| !version.is_prerelease() && !release.yanked)
        .map(|(version, _)| version)
        .max_by(|a, b| a.compare(b))
        .map(ToString::to_string);
    let newest = document.releases.keys().next_back().map(ToString::to_string);
    let facts = &release.facts;
    let body = json!({
        "crate": {
            "id": document.name.as_str(),
            "name": document.name.as_str(),
            "description": facts.description,
            "max_version": highest.to_string(),
            "max_stable_version": stable,
            "newest_version": newest,
            "created_at": document.created,
            "updated_at": document.modified,
            // Not counted.
            "downloads": 0,
            "homepage": facts.homepage,
            "documentation": facts.documentation,
            "repository": facts.repository,
            "keywords": facts.keywords,
            "categories": facts.categories,
        },
        "versions": all(&document),
        "keywords": facts.keywords.iter().map(|word| json!({"id": word, "keyword": word})).collect::<Vec<_>>(),
        "categories": facts.categories.iter().map(|slug| json!({"id": slug, "slug": slug})).collect::<Vec<_>>(),
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /api/v1/crates/{crate}/versions`.
pub(crate) async fn versions(call: &Call<'_>, name: &CrateName) -> Result<Response, Error> {
    let document = match call.find_crate(name).await?.1 {
        Found::Hosted(document) | Found::Both(document, _) => document,
        Found::Foreign(theirs) => return Ok(foreign::versions(&theirs)),
    };
    Ok(json_response(StatusCode::OK, &json!({"versions": all(&document)})))
}

/// `GET /api/v1/crates/{crate}/{version}`.
pub(crate) async fn version(call: &Call<'_>, name: &CrateName, version: &Version) -> Result<Response, Error> {
    let document = match call.find_crate(name).await?.1 {
        Found::Hosted(document) => document,
        Found::Both(document, _) if document.has_had(version) => document,
        Found::Both(_, theirs) | Found::Foreign(theirs) => {
            return foreign::version(call, *theirs, version).await;
        }
    };
    let release = document.releases.get(version).ok_or_else(|| Error::no_version(name, version))?;
    Ok(json_response(StatusCode::OK, &json!({"version": one(&document, version, release)})))
}

/// All versions, the newest first.
fn all(document: &CrateDocument) -> Vec<Value> {
    document.releases.iter().rev().map(|(version, release)| one(document, version, release)).collect()
}

fn one(document: &CrateDocument, version: &Version, release: &Release) -> Value {
    json!({
        "crate": document.name.as_str(),
        "num": version.to_string(),
        "dl_path": format!("/api/v1/crates/{}/{version}/download", document.name),
        "yanked": release.yanked,
        "created_at": release.published,
        "checksum": release.data.sha256,
        "license": release.facts.license,
        "rust_version": release.facts.rust_version,
        "crate_size": release.data.size,
        "features": release.facts.features,
        "links": release.facts.links,
        "published_by": {"login": release.publisher},
    })
}
