//! Whether a path is free for a file: where a folder is there can be none, and nothing lies below a file.

use futures_util::future;
use registry_core::{PackageRegistry as _, http::Refusal, storage::StorageError};

use super::call::Call;
use crate::{
    error::Error,
    names::{Folder, RepositoryPath},
};

/// Refuses a path at which there is a folder, or above which there is a file. Of two uploads at the same time neither need see the
/// other; their bytes do not meet in the store, whose keys are others.
pub(super) async fn check(call: &Call<'_>, path: &RepositoryPath) -> Result<(), Error> {
    let (file, is_folder) = future::try_join(file_above(call, path), is_folder(call, path.folder())).await?;
    match file {
        Some(file) => Err(Refusal::Conflict(format!("{file} is a file: nothing can lie below it")).into()),
        None if is_folder => {
            let path = path.segments().join("/");
            Err(Refusal::Conflict(format!("{path} is a folder: it takes no content of its own")).into())
        }
        None => Ok(()),
    }
}

/// The name of a file that the path leads through.
async fn file_above<'p>(call: &Call<'_>, path: &'p RepositoryPath) -> Result<Option<&'p str>, StorageError> {
    let artifacts = call.registry.artifacts();
    let above = path.above().filter_map(|(file, folder)| Some((file, folder.version()?)));
    let looks = above.map(|(file, version)| async move {
        let document = artifacts.version(&version).await?;
        let there = document.is_some_and(|document| document.files.contains_key(file));
        Ok::<_, StorageError>(there.then_some(file))
    });
    Ok(future::try_join_all(looks).await?.into_iter().flatten().next())
}

/// Whether there is a version, an artifact or a group of this path.
async fn is_folder(call: &Call<'_>, folder: Folder<'_>) -> Result<bool, StorageError> {
    let artifacts = call.registry.artifacts();
    if let Some(version) = folder.version()
        && artifacts.version(&version).await?.is_some()
    {
        return Ok(true);
    }
    if let Some(name) = folder.artifact()
        && artifacts.artifact(&name).await?.is_some()
    {
        return Ok(true);
    }
    // Of groups only the catalog knows. Names of files without any dot are rare.
    let Some(group) = folder.group() else { return Ok(false) };
    let (catalog, instance) = (&call.registry.services().catalog, &call.registry.instance().name);
    for below in [format!("{group}."), format!("{group}:")] {
        let next = catalog.page(instance, Some(&below), 1, &|_| true).await?;
        if next.first().is_some_and(|entry| entry.name.starts_with(&below)) {
            return Ok(true);
        }
    }
    Ok(false)
}
