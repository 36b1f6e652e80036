//! Deleting files, versions and artifacts.

use http::StatusCode;
use registry_core::{Actor, Response, auth::Action, hooks::Operation, http::respond_empty};

use super::call::Call;
use crate::{
    error::Error,
    names::{Folder, VersionName},
    store::changes::{self, Rules},
    wire::checksum::Algorithm,
};

fn open_for_deleting(call: &Call<'_>) -> Result<(), Error> {
    if call.registry.config().allow_delete {
        return Ok(());
    }
    Err(Error::Forbidden("this repository deletes nothing".to_owned()))
}

/// `DELETE <group>/<artifact>/<version>/<file>`.
pub(crate) async fn file(call: &Call<'_>, version: &VersionName, file: &str) -> Result<Response, Error> {
    let actor = call.allow(version.artifact(), Action::Delete).await?;
    open_for_deleting(call)?;
    let document = call.registry.artifacts().version(version).await?.ok_or_else(Error::no_file)?;
    if let Some((of, _)) = Algorithm::split(file)
        && document.files.contains_key(of)
    {
        return Err(Error::MethodNotAllowed("GET, HEAD, PUT, POST, OPTIONS"));
    }
    remove(call, &actor, version, Some(file)).await?;
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
            remove(call, &actor, &version, None).await?;
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
    for version in document.versions.keys() {
        let Some(version) = VersionName::new(name.clone(), version) else { continue };
        match remove(call, &actor, &version, None).await {
            // Somebody else was faster.
            Ok(()) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(respond_empty(StatusCode::NO_CONTENT))
}

async fn remove(
    call: &Call<'_>,
    actor: &Actor,
    version: &VersionName,
    file: Option<&str>,
) -> Result<(), Error> {
    let artifacts = call.registry.artifacts();
    let store = artifacts.store();
    let key = artifacts.version_key(version);
    let permit = store
        .permit_with(|| {
            let at = file.map_or_else(|| key.clone(), |file| artifacts.file_key(version, file));
            store
                .event(Operation::Delete, &at, actor)
                .package(version.artifact().to_string())
                .version(version.version())
        })
        .await?;
    let (name, file, now) = (version.clone(), file.map(str::to_owned), call.now());
    let rules = Rules::from(call.registry.config());
    let ((), document) = store
        .commit(&key, permit, move |draft| changes::remove(draft, &name, file.as_deref(), rules, now))
        .await?;
    if let Some(artifact) = artifacts.tell(version, document, now).await? {
        call.tell_catalog(version.artifact(), Some(&artifact));
    }
    Ok(())
}
