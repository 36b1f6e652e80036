//! Metadata and archives.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderValue, header};
use registry_core::{
    Actor, Response,
    hooks::Operation,
    http::{ArtifactResponse, Refusal, Representation, respond_artifact},
    storage::Versioned,
};

use super::{call::Call, foreign};
use crate::{
    error::Error,
    names::PackageName,
    store::package::Package,
    upstream::{self, Found},
    wire::metadata::{Part, document, render},
};

/// A document with more versions than this is rendered on a thread of its own.
const LARGE: usize = 200;

/// `GET /p2/<package>.json` and `…~dev.json`.
pub(crate) async fn metadata(call: &Call<'_>, name: &PackageName, part: Part) -> Result<Response, Error> {
    let actor = call.read_access(name).await?;
    let found = match upstream::find(call.registry, &actor, name, part).await {
        // That one package is refused would be the end of a client's whole update: of what is denied there are no versions, here or,
        // for the client, anywhere else. Who asks for an archive is told why.
        Err(_) if upstream::is_denied(call.registry, &actor, name).await? => {
            return Ok(Arc::new(form(document(name.as_str(), &[]), None)).respond(&call.parts));
        }
        found => found?,
    };
    let representation = match found {
        Some(Found::Hosted(package)) => {
            told(call, &actor, name, None).await?;
            rendered(call, name, package, part).await?
        }
        Some(Found::Foreign(theirs)) => {
            told(call, &actor, name, None).await?;
            return foreign::metadata(call, name, *theirs, None, part).await;
        }
        Some(Found::Both(package, theirs)) => {
            told(call, &actor, name, None).await?;
            return foreign::metadata(call, name, *theirs, Some(package), part).await;
        }
        // Without versions, but not unknown: clients look for it nowhere else.
        None if upstream::is_reserved(call.registry, &actor, name).await? => {
            Arc::new(form(document(name.as_str(), &[]), None))
        }
        None => return Err(Error::no_package(name.as_str())),
    };
    Ok(representation.respond(&call.parts))
}

/// One half of a package's metadata, made once a revision and base URL.
async fn rendered(
    call: &Call<'_>,
    name: &PackageName,
    package: Arc<Versioned<Package>>,
    part: Part,
) -> Result<Arc<Representation>, Error> {
    let packages = call.registry.packages();
    let key = packages.key(name);
    let variant = format!("{part:?} {}", call.base);
    if let Some(found) = packages.store().derived_cached(&key, &package.revision, &variant) {
        return Ok(found);
    }
    let large = package.releases.len() > LARGE;
    let (store, base) = (packages.store().clone(), call.base.clone());
    let make = move || {
        store.derived(&key, &package.revision, &variant, || {
            let form = form(render(&package, part, &base), Some(SystemTime::from(package.modified)));
            let weight = form.weight();
            (form, weight)
        })
    };
    if !large {
        return Ok(make());
    }
    // At most a few at once, and whoever waited finds what the one before made.
    let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
    Ok(tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?)
}

pub(super) fn form(body: Vec<u8>, modified: Option<SystemTime>) -> Representation {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Representation::new(HeaderValue::from_static("application/json"), body.into(), modified, headers)
}

/// The headers of an archive. The bytes never change. Whether they may be read can, so only the client keeps them.
pub(super) fn archive_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// Asks and tells the hooks of a read: of metadata, or of another repository's archive of a version.
pub(super) async fn told(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    version: Option<&str>,
) -> Result<(), Error> {
    let packages = call.registry.packages();
    let event = || {
        let event = packages.store().event(Operation::Get, &packages.key(name), actor);
        event.package(name.as_str()).version_if_any(version)
    };
    let permit = packages.store().permit_with(event).await?;
    packages.store().finish(permit).await;
    Ok(())
}

/// `GET /dists/<package>/<reference>.zip`: also of what was replaced or deleted, for lock files that name it.
pub(crate) async fn archive(call: &Call<'_>, name: &PackageName, file: &str) -> Result<Response, Error> {
    let actor = call.read_access(name).await?;
    let packages = call.registry.packages();
    let found = upstream::find(call.registry, &actor, name, Part::Releases).await?;
    let no_archive = || Refusal::NotFound(format!("\"{name}\" has no such archive"));
    let of =
        |package: &Package| file.strip_suffix(".zip").and_then(|reference| package.dist(reference)).cloned();
    let Some(found) = found else { return foreign::kept_archive(call, &actor, name, file).await };
    let (package, dist) = match found {
        Found::Hosted(package) => {
            let dist = of(&package).ok_or_else(no_archive)?;
            (package, dist)
        }
        Found::Both(package, theirs) => match of(&package) {
            Some(dist) => (package, dist),
            None => return foreign::archive(call, &actor, name, *theirs, file).await,
        },
        Found::Foreign(theirs) => return foreign::archive(call, &actor, name, *theirs, file).await,
    };
    let version = package.releases.values().find(|release| release.dist.reference == dist.reference);
    let permit = packages
        .store()
        .permit_with(|| {
            let key = packages.archive_key(name, version.map(|release| release.version.as_str()));
            packages
                .store()
                .event(Operation::Get, &key, &actor)
                .package(name.as_str())
                .version_if_any(version.map(|release| &release.version))
                .size(dist.data.size)
                .digest(format!("sha256:{}", dist.data.sha256.as_deref().unwrap_or_default()))
                .content_type("application/zip")
        })
        .await?;
    let etag = HeaderValue::try_from(format!("\"{}\"", dist.reference));
    let artifact = ArtifactResponse {
        size: dist.data.size,
        etag: etag.map_err(Refusal::internal)?,
        content_type: HeaderValue::from_static("application/zip"),
        modified: version.map(|release| SystemTime::from(release.published)),
        headers: archive_headers(),
    };
    let (store, data) = (packages.store().clone(), dist.data);
    let open = move |range| {
        let (store, data) = (store.clone(), data.clone());
        async move { store.read_artifact(&[data], range).await }
    };
    let response = respond_artifact(&call.parts, artifact, open).await?;
    packages.store().finish(permit).await;
    Ok(response)
}
