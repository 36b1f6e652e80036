//! Files, their metadata and their signatures.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};
use registry_core::{
    Response,
    auth::Action,
    hooks::Operation,
    http::{ArtifactResponse, respond_artifact},
    storage::DataRef,
};

use super::call::Call;
use crate::{
    error::Error,
    names::ProjectName,
    store::project::{File, Status},
    version::Version,
};

/// `GET /simple/<project>/<file>`, also with `.metadata` or `.asc` behind it.
pub(crate) async fn get(call: &Call<'_>, name: &ProjectName, text: &str) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Read).await?;
    let projects = call.registry.projects();
    let project = projects.load(name).await?.ok_or_else(Error::no_project)?;
    let found = || -> Option<(&Version, &File, &DataRef, &'static str)> {
        if let Some((version, file)) = project.file(text) {
            return Some((version, file, &file.data, "application/octet-stream"));
        }
        if let Some((version, file)) = text.strip_suffix(".metadata").and_then(|name| project.file(name)) {
            return file.metadata_served.then_some((
                version,
                file,
                &file.metadata,
                "text/plain; charset=utf-8",
            ));
        }
        let (version, file) = text.strip_suffix(".asc").and_then(|name| project.file(name))?;
        Some((version, file, file.signature.as_ref()?, "application/pgp-signature"))
    };
    let (version, file, data, content_type) =
        found().ok_or_else(|| Error::NotFound(format!("there is no such file of the project {name}")))?;
    if project.status == Status::Quarantined {
        return Err(Error::Forbidden(format!("the project {name} is quarantined: its files are not served")));
    }
    let store = projects.store();
    let permit = store
        .permit_with(|| {
            let digest = data.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
            store
                .event(Operation::Get, &projects.file_key(name, text), &actor)
                .package(name.as_str())
                .version(version.as_str())
                .size(data.size)
                .digest(digest.unwrap_or_default())
                .content_type(content_type)
        })
        .await?;
    let etag = format!("\"{}\"", data.sha256.as_deref().unwrap_or_default());
    let mut headers = HeaderMap::new();
    // The bytes under a name never change. Whether they may be read can, so only what everybody may read is kept by others.
    let cache = if actor.is_anonymous() {
        "public, max-age=31536000, immutable"
    } else {
        "private, max-age=31536000, immutable"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let artifact = ArtifactResponse {
        size: data.size,
        etag: HeaderValue::try_from(etag).map_err(|error| Error::Internal(Box::new(error)))?,
        content_type: HeaderValue::from_static(content_type),
        modified: Some(SystemTime::from(file.uploaded)),
        headers,
    };
    let (reader, data) = (store.clone(), data.clone());
    let open = move |range| {
        let (store, data) = (reader.clone(), data.clone());
        async move { store.read_artifact(&[data], range).await }
    };
    let response = respond_artifact(&call.parts, artifact, open).await?;
    store.finish(permit).await;
    Ok(response)
}
