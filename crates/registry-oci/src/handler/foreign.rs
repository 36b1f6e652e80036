//! Reading repositories of other registries.

use http::{HeaderName, HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Response,
    hooks::Operation,
    http::{Representation, respond_with},
    upstream::ArtifactHead,
};
use serde_json::{Map, Value, json};

use super::{
    Call,
    blobs::{self, OCTET_STREAM},
    etag, manifests,
    referrers::FILTERS_APPLIED,
    set,
};
use crate::{
    access::Caller,
    error::Error,
    names::{Digest, Reference},
    upstream::{Theirs, media_type_of},
    wire::{media_type, page::escape},
};

/// For which registry an answer is, where the client said which it means.
const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// A manifest of another registry.
pub(super) async fn manifest(
    call: &Call<'_>,
    actor: &Actor,
    theirs: &Theirs,
    of: &Reference,
) -> Result<Response, Error> {
    let found = theirs.manifest(of).await?.ok_or_else(|| Error::ManifestUnknown { reference: of.clone() })?;
    told(call, actor, theirs, Some(of), &found.digest).await?;
    let form = found.document.derived(&format!("manifest {}", found.digest), || {
        let kind = HeaderValue::from_str(&media_type_of(&found.document));
        let kind = kind.unwrap_or_else(|_| HeaderValue::from_static("application/json"));
        let (raw, headers) = (found.document.raw().clone(), manifests::headers(&found.digest));
        let form = Representation::verbatim(kind, raw, etag(&found.digest), None, headers);
        let weight = form.weight();
        (form, weight)
    });
    let mut response = form.respond(call.parts);
    found.document.provenance().put_on(response.headers_mut());
    mark(theirs, &mut response);
    Ok(response)
}

/// Asks and tells the hooks of a read.
async fn told(
    call: &Call<'_>,
    actor: &Actor,
    theirs: &Theirs,
    of: Option<&Reference>,
    digest: &Digest,
) -> Result<(), Error> {
    let store = &call.registry.store;
    let event = || {
        let key = store.link_key(theirs.name(), digest);
        let event = store.store().event(Operation::Get, &key, actor);
        let event = event.package(theirs.name().as_str()).digest(digest.as_str());
        match of {
            Some(Reference::Tag(tag)) => event.version(tag.as_str()),
            Some(Reference::Digest(_)) | None => event,
        }
    };
    let permit = store.store().permit_with(event).await?;
    store.store().finish(permit).await;
    Ok(())
}

fn mark(theirs: &Theirs, response: &mut Response) {
    if let Some(namespace) = &theirs.namespace {
        set(response, NAMESPACE, namespace);
    }
}

/// A blob of another registry.
pub(super) async fn blob(
    call: &Call<'_>,
    caller: &Caller,
    theirs: &Theirs,
    digest: &Digest,
) -> Result<Response, Error> {
    told(call, &caller.actor, theirs, None, digest).await?;
    let found = theirs.blob(digest, &call.parts.method).await?;
    let found = found.ok_or_else(|| Error::BlobUnknown { digest: digest.clone() })?;
    let head = ArtifactHead {
        content_type: Some(HeaderValue::from_static(OCTET_STREAM)),
        etag: Some(etag(digest)),
        headers: blobs::headers(caller, digest),
    };
    let mut response = blobs::in_range(found.respond(call.parts, head).await?);
    mark(theirs, &mut response);
    Ok(response)
}

/// What refers to a manifest of another registry, page by page as it is there. What was pushed here for a repository that is merged
/// comes with the first page.
pub(super) async fn referrers(call: &Call<'_>, theirs: &Theirs, subject: &Digest) -> Result<Response, Error> {
    let query = call.query();
    let wanted = query.last("artifactType").filter(|wanted| !wanted.is_empty());
    // Theirs is passed on as it was given to the client.
    let page = query.last("page").unwrap_or_default();
    let found = theirs.referrers(subject, &page).await?;
    let mut manifests: Vec<Value> = Vec::new();
    if page.is_empty() {
        for digest in call.registry.store.referrer_candidates(theirs.name(), subject).await? {
            if let Some(referrer) = call.registry.store.referrer(theirs.name(), subject, &digest).await? {
                manifests.extend(serde_json::to_value(&referrer));
            }
        }
    }
    if let Some((document, _)) = &found {
        let object = serde_json::from_slice::<Map<String, Value>>(document.raw()).unwrap_or_default();
        let listed = object.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
        let known: Vec<Value> = manifests.iter().filter_map(|one| one.get("digest").cloned()).collect();
        manifests.extend(
            listed.into_iter().filter(|one| one.get("digest").is_some_and(|digest| !known.contains(digest))),
        );
    }
    let kind = |one: &Value| one.get("artifactType").and_then(Value::as_str).map(str::to_owned);
    manifests.retain(|one| wanted.as_deref().is_none_or(|wanted| kind(one).as_deref() == Some(wanted)));
    let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    let content_type = HeaderValue::from_static(media_type::OCI_INDEX);
    let mut response = respond_with(StatusCode::OK, content_type, body.to_string());
    if let Some((document, next)) = &found {
        document.provenance().put_on(response.headers_mut());
        if let Some(next) = next {
            let filter = wanted.as_deref().map(|wanted| format!("&artifactType={}", escape(wanted)));
            let (filter, namespace) = (filter.unwrap_or_default(), theirs.said_on());
            let path = call.location(&format!("/{}/referrers/{subject}", theirs.name()));
            let link = format!("<{path}?page={}{filter}{namespace}>; rel=\"next\"", escape(next));
            set(&mut response, header::LINK, &link);
        }
    }
    if wanted.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    mark(theirs, &mut response);
    Ok(response)
}
