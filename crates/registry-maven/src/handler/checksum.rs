//! Checksums on their way in, each in a file beside the one that it is of.

use http::StatusCode;
use registry_core::{
    Actor, Response,
    hooks::Operation,
    http::respond_empty,
    storage::{Draft, StorageError},
};

use super::{call::Call, metadata::MAX_CHECKSUM};
use crate::{
    error::Error,
    names::VersionName,
    store::{
        changes,
        version::{File, Version},
    },
    wire::checksum::{Algorithm, ChecksumError, Checksums},
};

/// Takes a checksum: compared with the file's, or kept until the file comes.
pub(super) async fn put(
    call: &mut Call<'_>,
    actor: &Actor,
    version: &VersionName,
    of: &str,
    algorithm: Algorithm,
) -> Result<Response, Error> {
    if Algorithm::split(of).is_some() {
        return Err(Error::bad("checksums have no checksums of their own"));
    }
    let artifacts = call.registry.artifacts();
    if !artifacts.fits(version, of) {
        return Err(Error::bad("the path is too long for this repository's store"));
    }
    let body = call.read(MAX_CHECKSUM).await?;
    let digits = algorithm.parse(&body).map_err(|error: ChecksumError| Error::from(error))?;
    let mut announced = Checksums::default();
    announced.set(algorithm, digits.clone());
    if let Some(document) = artifacts.version(version).await?
        && let Some(found) = document.files.get(of)
    {
        return match changes::check_checksums(&found.checksums(), &announced) {
            Ok(()) => Ok(respond_empty(StatusCode::CREATED)),
            Err(error) => Err(contradicted(call, actor, version, of, found, error).await?),
        };
    }
    let (key, now, name, of) = (artifacts.version_key(version), call.now(), version.clone(), of.to_owned());
    let expect =
        move |draft: &mut Draft<Version>| changes::expect(draft, &name, &of, (algorithm, &digits), now);
    artifacts.store().update(&key, expect).await?;
    Ok(respond_empty(StatusCode::CREATED))
}

/// A file and its checksum contradict each other. Where both are of one deployment the bytes were damaged on their way, so the
/// file is taken back: it would be served with checksums that say that it is whole, and stand in the way of the right one. The result is
/// what the client is told.
async fn contradicted(
    call: &Call<'_>,
    actor: &Actor,
    version: &VersionName,
    of: &str,
    found: &File,
    why: Error,
) -> Result<Error, Error> {
    let now = call.now();
    tracing::warn!(version = %version, file = of, user = actor.name(), "an uploaded checksum is refused: {why}");
    if !changes::can_be_taken_back(found, actor.name(), now) {
        return Ok(why);
    }
    let artifacts = call.registry.artifacts();
    let store = artifacts.store();
    let permit = store
        .permit_with(|| {
            let event = store.event(Operation::Delete, &artifacts.file_key(version, of), actor);
            event.package(version.artifact().to_string()).version(version.version())
        })
        .await;
    let permit = match permit {
        Ok(permit) => permit,
        Err(StorageError::Denied(_)) => return Ok(why),
        Err(error) => return Err(error.into()),
    };
    let (name, bytes) = (of.to_owned(), found.data.clone());
    let take_back = move |draft: &mut Draft<Version>| {
        changes::take_back(draft, &name, &bytes, now);
        Ok::<(), Error>(())
    };
    let ((), document) = store.commit(&artifacts.version_key(version), permit, take_back).await?;
    if let Some(artifact) = artifacts.tell(version, document, now).await? {
        call.registry.tell_catalog(version.artifact(), &artifact);
    }
    Ok(Error::bad(format!("{why}; the file was not kept, so upload it again")))
}
