//! What cargo resolves and builds from: `config.json`, index files, `.crate` files.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use registry_core::{
    Actor, PackageRegistry as _, Response,
    auth::{AuthError, AuthRequest, Scope},
    hooks::Operation,
    http::{ArtifactResponse, Refusal, Representation, respond_artifact},
};
use serde_json::json;

use super::{
    call::{Call, json_response},
    foreign,
};
use crate::{error::Error, names::CrateName, upstream::Found, version::Version, wire::index};

/// `GET /config.json`. A client sends no token here until it is told 401, and none later unless `auth-required` is true.
pub(crate) async fn config(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let auth_required = auth_required(call).await?;
    if auth_required && actor.is_anonymous() {
        return Err(AuthError::Missing.into());
    }
    let base = call.base();
    let body = json!({"dl": format!("{base}/api/v1/crates"), "api": base, "auth-required": auth_required});
    Ok(json_response(StatusCode::OK, &body))
}

/// Whether clients must send their token with what they read.
async fn auth_required(call: &Call<'_>) -> Result<bool, Error> {
    if let Some(set) = call.registry.config().auth_required {
        return Ok(set);
    }
    let instance = call.registry.instance();
    let anonymous =
        call.registry.services().auth.authenticate(&AuthRequest::new(instance, None, None)).await?;
    let everything: Scope = format!("{}:crate:*:read", instance.name).parse().map_err(Refusal::internal)?;
    let reads_all = anonymous
        .scopes
        .is_some_and(|scopes| scopes.covers_within(&instance.name, instance.protocol, &everything));
    Ok(!reads_all)
}

/// `GET /{prefix}/{name}`: rendered and compressed once a revision.
pub(crate) async fn index(call: &Call<'_>, name: &CrateName) -> Result<Response, Error> {
    let (actor, found) = call.find_crate(name).await?;
    let document = match found {
        Found::Hosted(document) => document,
        Found::Foreign(theirs) => return foreign::index(call, &actor, *theirs, None).await,
        Found::Both(document, theirs) => return foreign::index(call, &actor, *theirs, Some(document)).await,
    };
    told(call, &actor, name, None).await?;
    let crates = call.registry.crates();
    let representation = crates.store().derived(&crates.key(name), &document.revision, "index", || {
        let modified = Some(SystemTime::from(document.modified));
        index_file(index::render(&document).into(), modified)
    });
    Ok(representation.respond(&call.parts))
}

/// An index file as it is sent, and its weight.
pub(super) fn index_file(body: Bytes, modified: Option<SystemTime>) -> (Representation, usize) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    let representation = Representation::new(content_type, body, modified, headers);
    let weight = representation.weight();
    (representation, weight)
}

/// The headers of a crate's file. The bytes of a version never change. Whether they may be read can, so only the client keeps them.
pub(super) fn file_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// Asks and tells the hooks of a read: of a crate, or of the file of one of its versions.
pub(super) async fn told(
    call: &Call<'_>,
    actor: &Actor,
    name: &CrateName,
    version: Option<&Version>,
) -> Result<(), Error> {
    let crates = call.registry.crates();
    let permit = crates
        .store()
        .permit_with(|| {
            let event = crates.store().event(Operation::Get, &crates.key(name), actor).package(name.as_str());
            match version {
                Some(version) => event.version(version.to_string()),
                None => event,
            }
        })
        .await?;
    crates.store().finish(permit).await;
    Ok(())
}

/// `GET …/download`.
pub(crate) async fn download(
    call: &Call<'_>,
    name: &CrateName,
    version: &Version,
) -> Result<Response, Error> {
    let (actor, found) = call.find_crate(name).await?;
    let document = match found {
        Found::Hosted(document) => document,
        Found::Both(document, theirs) => {
            if !document.has_had(version) {
                return foreign::download(call, &actor, *theirs, version).await;
            }
            document
        }
        Found::Foreign(theirs) => return foreign::download(call, &actor, *theirs, version).await,
    };
    let release = document.releases.get(version).ok_or_else(|| Error::no_version(name, version))?;
    let sha256 = release.data.sha256.clone().unwrap_or_default();
    let crates = call.registry.crates();
    let permit = crates
        .store()
        .permit_with(|| {
            let key = crates.file_key(&document.name, version);
            crates
                .store()
                .event(Operation::Get, &key, &actor)
                .package(document.name.as_str())
                .version(version.to_string())
                .size(release.data.size)
                .digest(format!("sha256:{sha256}"))
                .content_type("application/gzip")
        })
        .await?;
    let artifact = ArtifactResponse {
        size: release.data.size,
        etag: HeaderValue::try_from(format!("\"{sha256}\"")).map_err(Refusal::internal)?,
        content_type: HeaderValue::from_static("application/gzip"),
        modified: Some(SystemTime::from(release.published)),
        headers: file_headers(),
    };
    let (store, data) = (crates.store().clone(), release.data.clone());
    let open = move |range| {
        let (store, data) = (store.clone(), data.clone());
        async move { store.read_artifact(&[data], range).await }
    };
    let response = respond_artifact(&call.parts, artifact, open).await?;
    crates.store().finish(permit).await;
    Ok(response)
}
