//! Blobs: read and deleted.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use registry_core::{
    Response,
    hooks::Operation,
    http::{ArtifactResponse, may_redirect, respond_artifact},
    storage::StorageError,
};

use super::{CONTENT_DIGEST, Call, digest_value, empty, etag, foreign};
use crate::{
    access::{Caller, Need},
    error::Error,
    names::{Digest, RepositoryName},
    store::Blob,
    upstream::Theirs,
};

/// What a blob is served as, whatever is in it.
pub(super) const OCTET_STREAM: &str = "application/octet-stream";

/// `GET` and `HEAD /v2/<name>/blobs/<digest>`.
pub(super) async fn get(call: &Call<'_>, name: &RepositoryName, digest: &Digest) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Pull, None).await?;
    let store = &call.registry.store;
    let Some(blob) = store.blob(name, digest).await? else {
        if let Some(theirs) = Theirs::of(call, &caller.actor, name).await? {
            return foreign::blob(call, &caller, &theirs, digest).await;
        }
        return Err(Error::BlobUnknown { digest: digest.clone() });
    };
    let event = || {
        store
            .store()
            .event(Operation::Get, &store.link_key(name, digest), &caller.actor)
            .package(name.as_str())
            .digest(digest.as_str())
            .size(blob.size)
            .content_type(OCTET_STREAM)
    };
    let permit = store.store().permit_with(event).await?;
    let artifact = ArtifactResponse {
        size: blob.size,
        etag: etag(digest),
        content_type: HeaderValue::from_static(OCTET_STREAM),
        modified: None,
        headers: headers(&caller, digest),
    };
    if let Some(response) = redirected(call, &blob, &artifact, digest).await {
        store.store().finish(permit).await;
        return Ok(response);
    }
    let data = store.store().clone();
    let answered =
        respond_artifact(call.parts, artifact, move |range| blob.clone().open(data.clone(), range)).await;
    let response = match answered {
        // The blob was collected between its look-up and now.
        Err(StorageError::Missing { key }) => {
            tracing::error!(key = %key, "data of a blob is missing");
            return Err(Error::BlobUnknown { digest: digest.clone() });
        }
        answered => answered?,
    };
    store.store().finish(permit).await;
    Ok(in_range(response))
}

/// The headers of a blob. What a digest names never changes; who may see it does.
pub(super) fn headers(caller: &Caller, digest: &Digest) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_DIGEST, digest_value(digest));
    let cache = if caller.is_authenticated() {
        HeaderValue::from_static("private, max-age=31536000, immutable")
    } else {
        HeaderValue::from_static("public, max-age=31536000, immutable")
    };
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// The answer, in the protocol's own form where the range does not lie in the blob.
pub(super) fn in_range(response: Response) -> Response {
    if response.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        return response;
    }
    let mut error = Error::RangeUnsatisfiable.render(false);
    if let Some(range) = response.headers().get(header::CONTENT_RANGE) {
        error.headers_mut().insert(header::CONTENT_RANGE, range.clone());
    }
    error
}

/// The redirect to where the blob's bytes lie, where that is wanted and would answer the request as we would.
async fn redirected(
    call: &Call<'_>,
    blob: &Blob,
    artifact: &ArtifactResponse,
    digest: &Digest,
) -> Option<Response> {
    let config = &call.registry.config;
    let data = blob.whole_object()?;
    if !config.redirect || !may_redirect(call.parts, artifact) {
        return None;
    }
    let store = call.registry.store.store();
    let url = match store.presign(data, config.redirect_valid(), OCTET_STREAM).await {
        Ok(url) => url?,
        Err(error) => {
            tracing::warn!(key = %data.key, error = %error, "no address could be signed; the blob is streamed");
            return None;
        }
    };
    let mut location = HeaderValue::from_str(url.expose()).ok()?;
    // It lets whoever reads it read the blob.
    location.set_sensitive(true);
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(CONTENT_DIGEST, digest_value(digest));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// `DELETE /v2/<name>/blobs/<digest>`: takes it out of this repository only.
pub(super) async fn delete(
    call: &Call<'_>,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Delete, None).await?;
    if !call.registry.config.delete.blobs {
        return Err(Error::Unsupported { what: "blobs cannot be deleted here", allow: "GET, HEAD" });
    }
    if call.registry.store.delete_blob(name, digest, &caller.actor).await? {
        Ok(empty(StatusCode::ACCEPTED))
    } else {
        Err(Error::BlobUnknown { digest: digest.clone() })
    }
}
