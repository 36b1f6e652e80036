//! Uploads (sheet section 2.3).

use http::{HeaderName, StatusCode, header};
use registry_core::{Body, Response};

use super::{Call, created, empty, set};
use crate::{
    access::{Caller, Need},
    error::Error,
    names::{Algorithm, Digest, RepositoryName},
    store::{Chunk, SessionAddress},
    upstream,
    wire::range::{ChunkRange, render_received},
};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// `POST /v2/<name>/blobs/uploads/`: a mount, a whole blob, or a new session.
pub(super) async fn open(call: &Call<'_>, name: &RepositoryName, body: Body) -> Result<Response, Error> {
    let query = call.query();
    let mount = query.last("mount");
    let from = query.last("from").and_then(|from| from.parse::<RepositoryName>().ok());
    let caller = call.registry.admit(call.parts, call.base, name, Need::Push, from.as_ref()).await?;
    upstream::refuse_taken(call, &caller.actor, name).await?;
    if let Some(digest) = mount.and_then(|digest| digest.parse::<Digest>().ok()) {
        // An invalid source is as good as one that has nothing; none at all means: from anywhere.
        let anywhere = query.last("from").is_none_or(|from| from.is_empty());
        if mounted(call, &caller, name, &digest, from, anywhere).await? {
            return Ok(created(&blob_location(call, name, &digest), &digest));
        }
    } else if let Some(digest) = query.last("digest") {
        let digest: Digest = digest.parse()?;
        call.registry.store.put_whole(name, &digest, chunk(call, body), &caller.actor).await?;
        return Ok(created(&blob_location(call, name, &digest), &digest));
    }
    let algorithm = match query.last("digest-algorithm") {
        None => Algorithm::Sha256,
        Some(name) => Algorithm::from_name(&name).ok_or(crate::names::DigestError::Unsupported)?,
    };
    let id = call.registry.store.open_session(name, caller.principal(), algorithm).await?;
    let mut response = progress(call, name, id.as_str(), 0, StatusCode::ACCEPTED);
    if let Some(bytes) = call.registry.config.min_chunk_bytes {
        set(&mut response, CHUNK_MIN_LENGTH, &bytes.to_string());
    }
    Ok(response)
}

/// Tries a mount. Whatever stands in its way (no source, no right to it) means no mount, and tells nothing.
async fn mounted(
    call: &Call<'_>,
    caller: &Caller,
    name: &RepositoryName,
    digest: &Digest,
    from: Option<RepositoryName>,
    anywhere: bool,
) -> Result<bool, Error> {
    let store = &call.registry.store;
    let sources = match from {
        Some(from) => vec![from],
        None if anywhere => store.discover(digest).await?,
        None => Vec::new(),
    };
    for source in sources {
        if call.registry.may_mount_from(caller, &source).await?
            && store.mount(&source, name, digest, &caller.actor).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `GET` and `HEAD` of a session: how far it is.
pub(super) async fn status(call: &Call<'_>, name: &RepositoryName, id: &str) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Push, None).await?;
    let location = upload_location(call, name, id);
    let session = call.registry.store.session(address(&caller, name, id, &location)).await?;
    Ok(progress(call, name, id, session.received, StatusCode::NO_CONTENT))
}

/// `PATCH` of a session: more bytes.
pub(super) async fn append(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &str,
    body: Body,
) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Push, None).await?;
    let location = upload_location(call, name, id);
    let store = &call.registry.store;
    let session = store.session(address(&caller, name, id, &location)).await?;
    let received = store.append(session, chunk(call, body), &location).await?;
    Ok(progress(call, name, id, received, StatusCode::ACCEPTED))
}

/// `PUT` of a session: the last bytes, or none, and the digest of all.
pub(super) async fn finish(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &str,
    body: Body,
) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Push, None).await?;
    let digest: Digest = call.query().last("digest").ok_or(Error::DigestMissing)?.parse()?;
    let location = upload_location(call, name, id);
    let address = address(&caller, name, id, &location);
    call.registry.store.finish_session(address, &digest, chunk(call, body), &caller.actor).await?;
    Ok(created(&blob_location(call, name, &digest), &digest))
}

/// `DELETE` of a session. Who may push may give up.
pub(super) async fn cancel(call: &Call<'_>, name: &RepositoryName, id: &str) -> Result<Response, Error> {
    let caller = call.registry.admit(call.parts, call.base, name, Need::Push, None).await?;
    let location = upload_location(call, name, id);
    let session = call.registry.store.session(address(&caller, name, id, &location)).await?;
    call.registry.store.cancel_session(session).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn address<'a>(
    caller: &'a Caller,
    repository: &'a RepositoryName,
    id: &'a str,
    location: &'a str,
) -> SessionAddress<'a> {
    SessionAddress { repository, principal: caller.principal(), id, location }
}

fn chunk(call: &Call<'_>, body: Body) -> Chunk {
    let range = call
        .parts
        .headers
        .get(header::CONTENT_RANGE)
        .map(|value| value.to_str().ok().and_then(ChunkRange::parse).ok_or(()));
    let announced = call.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    Chunk { range, length: announced.or_else(|| body.known_length()), body }
}

fn progress(call: &Call<'_>, name: &RepositoryName, id: &str, received: u64, status: StatusCode) -> Response {
    let mut response = empty(status);
    set(&mut response, header::LOCATION, &upload_location(call, name, id));
    set(&mut response, header::RANGE, &render_received(received));
    set(&mut response, UPLOAD_UUID, id);
    response
}

fn upload_location(call: &Call<'_>, name: &RepositoryName, id: &str) -> String {
    call.location(&format!("/{name}/blobs/uploads/{id}"))
}

fn blob_location(call: &Call<'_>, name: &RepositoryName, digest: &Digest) -> String {
    call.location(&format!("/{name}/blobs/{digest}"))
}
