//! Manifests: read, pushed, deleted (sheet section 2.4).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use registry_core::{
    Body, Response,
    hooks::Operation,
    http::{ArtifactResponse, ReadBodyError, Representation, read_body, respond_artifact},
};

use super::{CONTENT_DIGEST, Call, created, digest_value, empty, etag, foreign, set};
use crate::{
    access::Need,
    error::Error,
    hash::Hasher,
    names::{Algorithm, Digest, Reference, RepositoryName, Tag},
    store::{NewManifest, StoredManifest},
    upstream::{self, Theirs},
    wire::manifest::Manifest,
};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// `GET` and `HEAD /v2/<name>/manifests/<reference>`.
pub(super) async fn get(call: &Call<'_>, name: &RepositoryName, of: &Reference) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Pull, None).await?;
    let store = &call.registry.store;
    let Some(stored) = store.resolve(name, of).await? else {
        if let Some(theirs) = Theirs::of(call, &caller.actor, name).await? {
            return foreign::manifest(call, &caller.actor, &theirs, of).await;
        }
        return Err(unknown(call, name, of).await?);
    };
    let event = || {
        let event = store
            .store()
            .event(Operation::Get, stored.key(), &caller.actor)
            .package(name.as_str())
            .digest(stored.record().digest.as_str())
            .size(stored.record().size)
            .content_type(stored.media_type());
        match of {
            Reference::Tag(tag) => event.version(tag.as_str()),
            Reference::Digest(_) => event,
        }
    };
    let permit = store.store().permit_with(event).await?;
    let response = respond(call, &stored).await?;
    store.store().finish(permit).await;
    Ok(response)
}

async fn respond(call: &Call<'_>, stored: &StoredManifest) -> Result<Response, Error> {
    let store = call.registry.store.store();
    let record = stored.record();
    if let Some(bytes) = &record.inline {
        let make = || {
            let form = Representation::verbatim(
                media_type(stored),
                bytes.clone(),
                etag(&record.digest),
                None,
                headers(&record.digest),
            );
            let weight = form.weight();
            (form, weight)
        };
        return Ok(store.derived(stored.key(), &record.revision, "manifest", make).respond(call.parts));
    }
    let artifact = ArtifactResponse {
        size: record.size,
        etag: etag(&record.digest),
        content_type: media_type(stored),
        modified: None,
        headers: headers(&record.digest),
    };
    let (data, store) = (record.data.clone(), store.clone());
    let open = move |range| {
        let (data, store) = (data.clone(), store.clone());
        async move { store.serve_artifact(data.as_slice(), range).await }
    };
    Ok(respond_artifact(call.parts, artifact, open).await?)
}

fn media_type(stored: &StoredManifest) -> HeaderValue {
    // It was checked when it was pushed.
    HeaderValue::from_str(stored.media_type())
        .unwrap_or_else(|_| HeaderValue::from_static("application/json"))
}

pub(super) fn headers(digest: &Digest) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_DIGEST, digest_value(digest));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// What a manifest that is not there is called: the repository may not be there either.
async fn unknown(call: &Call<'_>, name: &RepositoryName, of: &Reference) -> Result<Error, Error> {
    let exists = call.registry.store.repository_exists(name).await?;
    Ok(if exists { Error::ManifestUnknown { reference: of.clone() } } else { Error::NameUnknown })
}

/// `PUT /v2/<name>/manifests/<reference>`.
pub(super) async fn put(
    call: &Call<'_>,
    name: &RepositoryName,
    of: Reference,
    body: Body,
) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Push, None).await?;
    upstream::refuse_taken(call, &caller.actor, name).await?;
    let named_tags = tags(call)?;
    let bytes = read(call, body).await?;
    let algorithm = match &of {
        Reference::Digest(digest) => digest.algorithm(),
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let digest = Hasher::digest(algorithm, &bytes);
    let manifest = Manifest::parse(&bytes, call.header(header::CONTENT_TYPE))?;
    let mut tags = named_tags.clone();
    let mut expected = None;
    match of {
        Reference::Digest(wanted) if wanted != digest => {
            return Err(Error::DigestMismatch { expected: wanted, actual: digest });
        }
        Reference::Digest(_) => {}
        Reference::Tag(tag) => {
            expected = if_match(call)?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    let new = NewManifest { digest, bytes, manifest, tags, expected };
    call.registry.store.put_manifest(name, &new, &caller.actor).await?;
    call.registry.note_push(name, new.tags.last());
    let mut response = created(&call.location(&format!("/{name}/manifests/{}", new.digest)), &new.digest);
    if let Some(subject) = &new.manifest.subject {
        set(&mut response, OCI_SUBJECT, subject.as_str());
    }
    for tag in named_tags {
        if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
            response.headers_mut().append(OCI_TAG, value);
        }
    }
    Ok(response)
}

async fn read(call: &Call<'_>, body: Body) -> Result<Bytes, Error> {
    if let Some(encoding) =
        call.header(header::CONTENT_ENCODING).filter(|e| !e.eq_ignore_ascii_case("identity"))
    {
        return Err(Error::ContentEncoding(encoding.to_owned()));
    }
    let limit = call.registry.config.max_manifest_bytes;
    read_body(&HeaderMap::new(), body, limit).await.map_err(|error| match error {
        ReadBodyError::TooLarge { limit } => Error::ManifestTooLarge { limit },
        other => Error::Body(other),
    })
}

/// The `tag` parameters, each once.
fn tags(call: &Call<'_>) -> Result<Vec<Tag>, Error> {
    let limit = call.registry.config.max_tags_per_push;
    let mut tags = Vec::new();
    for tag in call.query().all("tag") {
        let tag: Tag = tag.parse()?;
        if !tags.contains(&tag) {
            if tags.len() == limit {
                return Err(Error::TooManyTags { limit });
            }
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// The digest that `If-Match` wants the tag to have now.
fn if_match(call: &Call<'_>) -> Result<Option<Digest>, Error> {
    let Some(wanted) = call.header(header::IF_MATCH) else { return Ok(None) };
    wanted.trim().trim_matches('"').parse().map(Some).map_err(|_| Error::Precondition)
}

/// `DELETE /v2/<name>/manifests/<reference>`: a tag alone, or a manifest with its tags.
pub(super) async fn delete(
    call: &Call<'_>,
    name: &RepositoryName,
    of: &Reference,
) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Delete, None).await?;
    let (store, allowed) = (&call.registry.store, call.registry.config.delete);
    let deleted = match of {
        Reference::Tag(_) if !allowed.tags => {
            return Err(Error::Unsupported { what: "tags cannot be deleted here", allow: "GET, HEAD, PUT" });
        }
        Reference::Digest(_) if !allowed.manifests => {
            return Err(Error::Unsupported {
                what: "manifests cannot be deleted here",
                allow: "GET, HEAD, PUT",
            });
        }
        Reference::Tag(tag) => store.delete_tag(name, tag, &caller.actor).await?,
        Reference::Digest(digest) => store.delete_manifest(name, digest, &caller.actor).await?,
    };
    if !deleted {
        return Err(unknown(call, name, of).await?);
    }
    call.registry.note_delete(name).await?;
    Ok(empty(StatusCode::ACCEPTED))
}
