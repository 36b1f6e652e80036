//! Deleting files, versions and artifacts.

use http::StatusCode;
use registry_core::{
    Response,
    auth::Action,
    http::{Refusal, respond_empty},
};

use super::call::Call;
use crate::{
    error::Error,
    names::{Folder, VersionName},
    wire::checksum::Algorithm,
};

fn open_for_deleting(call: &Call<'_>) -> Result<(), Error> {
    if call.registry.config().allow_delete {
        return Ok(());
    }
    Err(Refusal::Forbidden("this repository deletes nothing".to_owned()).into())
}

/// `DELETE <group>/<artifact>/<version>/<file>`.
pub(crate) async fn file(call: &Call<'_>, version: &VersionName, file: &str) -> Result<Response, Error> {
    let actor = call.allow(version.artifact(), Action::Delete).await?;
    open_for_deleting(call)?;
    let document = call.registry.artifacts().version(version).await?.ok_or_else(Error::no_file)?;
    if let Some((of, _)) = Algorithm::split(file)
        && document.files.contains_key(of)
    {
        return Err(Refusal::MethodNotAllowed("GET, HEAD, PUT, POST, OPTIONS").into());
    }
    call.registry.remove(&actor, version, Some(file)).await?;
    Ok(respond_empty(StatusCode::NO_CONTENT))
}

/// `DELETE <folder>/`: a version, or an artifact with all its versions.
pub(crate) async fn folder(call: &Call<'_>, folder: Folder<'_>) -> Result<Response, Error> {
    let artifacts = call.registry.artifacts();
    let version = folder.version();
    let artifact = folder.artifact();
    let (Some(name), version) = (&artifact, version) else {
        call.somebody().await?;
        return Err(Error::bad("versions and artifacts can be deleted, groups cannot"));
    };
    if let Some(version) = version {
        // The same folder can be an artifact's: what is asked for must be allowed before anybody learns which it is.
        let actor = call.actor().await?;
        if call.allows(&actor, version.artifact(), Action::Delete).await.is_ok()
            && artifacts.version(&version).await?.is_some()
        {
            open_for_deleting(call)?;
            call.registry.remove(&actor, &version, None).await?;
            return Ok(respond_empty(StatusCode::NO_CONTENT));
        }
        if artifacts.artifact(name).await?.is_none() {
            call.allow(version.artifact(), Action::Delete).await?;
            open_for_deleting(call)?;
            return Err(Error::no_file());
        }
    }
    let actor = call.allow(name, Action::Delete).await?;
    open_for_deleting(call)?;
    let document = artifacts.artifact(name).await?.ok_or_else(Error::no_file)?;
    call.registry.remove_all(&actor, &document).await?;
    Ok(respond_empty(StatusCode::NO_CONTENT))
}
