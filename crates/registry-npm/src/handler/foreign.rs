//! Reading packages of other registries.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Response,
    http::{Refusal, Representation},
    storage::{Revision, Versioned},
    upstream::ArtifactHead,
};

use super::{call::Call, read};
use crate::{
    error::{Error, json_bytes},
    names::PackageName,
    store::packument::Packument,
    upstream::Foreign,
    version::Version,
    wire::{
        foreign::{merge, render_packument, render_tags, render_version},
        packument::{Form, Urls},
        path::tarball_version,
    },
};

/// A document that is larger is rendered on a thread of its own.
const LARGE: usize = 256 << 10;

/// A packument of another registry, beside what is hosted of it where both are shown.
pub(crate) async fn packument(
    call: &Call<'_>,
    name: &PackageName,
    hosted: Option<Arc<Versioned<Packument>>>,
    foreign: &Foreign,
    form: Form,
    max_age: Option<u64>,
) -> Result<Response, Error> {
    if hosted.is_none() && foreign.sifted.hidden.len() == foreign.index.releases.len() {
        // Nothing is left to show: the reason says which rule hides it, and until when.
        let last = foreign.sifted.hidden.last();
        return Err(last.map_or_else(
            || Error::no_package(name.as_str()),
            |(_, denial)| Refusal::NotFound(format!("no version of \"{name}\" is shown: {denial}")).into(),
        ));
    }
    let revision = hosted.as_ref().map(|hosted| hosted.revision.clone());
    let representation = rendered(call, foreign, form, max_age, revision.as_ref().map(Revision::as_str), {
        let (name, document, index) = (name.clone(), foreign.document.clone(), Arc::clone(&foreign.index));
        let sifted = foreign.sifted.clone();
        move |urls: Urls<'_>| {
            let theirs = render_packument(&name, document.raw(), &index, &sifted, form, urls);
            match &hosted {
                None => theirs,
                Some(hosted) => {
                    let ours = crate::wire::packument::render_packument(hosted, form, urls);
                    let removed = |version: &str| {
                        version.parse::<Version>().is_ok_and(|version| hosted.removed.contains_key(&version))
                    };
                    merge(&ours, &theirs, &removed)
                }
            }
        }
    })
    .await?;
    let mut response = representation.respond(&call.parts);
    foreign.mark(response.headers_mut());
    Ok(response)
}

/// A form of another registry's document, made once for its bytes, the base URL, the hidden versions and what is hosted beside it.
async fn rendered(
    call: &Call<'_>,
    foreign: &Foreign,
    form: Form,
    max_age: Option<u64>,
    hosted: Option<&str>,
    render: impl Fn(Urls<'_>) -> Vec<u8> + Send + 'static,
) -> Result<Arc<Representation>, Error> {
    let urls = call.urls();
    let variant = format!(
        "{} for {} at {} hiding {} beside {}",
        form.content_type(),
        max_age.unwrap_or_default(),
        urls.base,
        foreign.sifted.tag,
        hosted.unwrap_or_default()
    );
    if let Some(found) = foreign.document.derived_cached(&variant) {
        return Ok(found);
    }
    let (document, modified) = (foreign.document.clone(), foreign.index.modified);
    let (origin, base) = (urls.origin.to_owned(), urls.base.to_owned());
    let large = document.raw().len() > LARGE;
    let make = move || {
        document.derived(&variant, || {
            let body = render(Urls { origin: &origin, base: &base });
            let representation = Representation::new(
                HeaderValue::from_static(form.content_type()),
                body.into(),
                modified.map(SystemTime::from),
                read::document_headers(max_age),
            );
            let weight = representation.weight();
            (representation, weight)
        })
    };
    if !large {
        return Ok(make());
    }
    // At most a few at once, and whoever waited finds what the one before made.
    let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
    Ok(tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?)
}

/// One version of another registry.
pub(crate) async fn version(
    call: &Call<'_>,
    name: &PackageName,
    foreign: Foreign,
    wanted: &str,
) -> Result<Response, Error> {
    let mut foreign = foreign;
    let mut resolved = foreign.index.resolve(wanted, &foreign.sifted);
    if resolved.is_none() {
        foreign = foreign.newer(call.registry).await?;
        resolved = foreign.index.resolve(wanted, &foreign.sifted);
    }
    let not_found = || {
        let wanted: String = wanted.chars().take(64).collect();
        Refusal::NotFound(format!("\"{name}\" has no version or dist-tag \"{wanted}\""))
    };
    let version = resolved.ok_or_else(not_found)?;
    foreign.release(call.registry, &version)?.ok_or_else(not_found)?;
    let bytes = render_version(name, foreign.document.raw(), &version, call.urls()).ok_or_else(not_found)?;
    let mut response = json_bytes(StatusCode::OK, bytes);
    foreign.mark(response.headers_mut());
    Ok(response)
}

/// The tags of another registry's package.
pub(crate) fn tags(foreign: &Foreign) -> Response {
    let mut response = json_bytes(StatusCode::OK, render_tags(&foreign.index.tags(&foreign.sifted)));
    foreign.mark(response.headers_mut());
    response
}

/// A tarball of another registry.
pub(crate) async fn tarball(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    foreign: Foreign,
    file: &str,
) -> Result<Response, Error> {
    let not_found = || {
        let file: String = file.chars().take(300).collect();
        Refusal::NotFound(format!("\"{name}\" has no file \"{file}\""))
    };
    let version = tarball_version(name.base(), file).ok_or_else(not_found)?;
    let mut foreign = foreign;
    if !foreign.index.releases.contains_key(version) {
        foreign = foreign.newer(call.registry).await?;
    }
    let release = foreign.release(call.registry, version)?.ok_or_else(not_found)?;
    read::told(call, actor, name, Some(version)).await?;
    let artifact = foreign.tarball(version, release, &call.parts.method).await?.ok_or_else(not_found)?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let content_type = Some(HeaderValue::from_static("application/octet-stream"));
    Ok(artifact.respond(&call.parts, ArtifactHead { content_type, etag: None, headers }).await?)
}

/// The attestations of a version of another registry.
pub(crate) async fn attestations(
    call: &Call<'_>,
    foreign: &Foreign,
    version: &str,
) -> Result<Response, Error> {
    let not_found = || Refusal::NotFound("no attestations found".to_owned());
    foreign.release(call.registry, version)?.ok_or_else(not_found)?;
    let document = foreign.attestations(version).await?.ok_or_else(not_found)?;
    let mut response = json_bytes(StatusCode::OK, document.raw().clone());
    document.provenance().put_on(response.headers_mut());
    Ok(response)
}
