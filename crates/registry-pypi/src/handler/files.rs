//! Files, their metadata, their signatures and their provenance.

use std::time::SystemTime;

use http::HeaderValue;
use registry_core::{
    Actor, Response,
    auth::Action,
    hooks::Operation,
    http::{ArtifactResponse, Refusal, immutable_headers, negotiate, respond_artifact},
    storage::DataRef,
};

use super::{call::Call, foreign};
use crate::{
    error::Error,
    names::ProjectName,
    store::project::{File, Project, Status},
    upstream::{self, Found},
    version::Version,
};

/// The types that a provenance comes as; the bytes are the same.
const PROVENANCE_TYPES: [&str; 2] = ["application/vnd.pypi.integrity.v1+json", "application/json"];

/// Something of a file that is served.
struct Served<'p> {
    version: &'p Version,
    file: &'p File,
    data: &'p DataRef,
    content_type: &'static str,
    vary: &'static str,
}

/// `GET /simple/<project>/<file>`, also with `.metadata`, `.asc` or `.provenance` behind it.
pub(crate) async fn get(call: &Call<'_>, name: &ProjectName, text: &str) -> Result<Response, Error> {
    if let Some(file) = text.strip_suffix(".provenance") {
        return provenance(call, name, None, file).await;
    }
    let actor = call.allow(name, Action::Read).await?;
    let project = match upstream::find(call.registry, &actor, name).await?.ok_or_else(Error::no_project)? {
        Found::Hosted(project) => project,
        Found::Both(project, foreign) => {
            let file = text.strip_suffix(".metadata").or(text.strip_suffix(".asc")).unwrap_or(text);
            if !project.has_had(file) {
                return foreign::file(call, &actor, *foreign, text).await;
            }
            project
        }
        Found::Foreign(foreign) => return foreign::file(call, &actor, *foreign, text).await,
    };
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
        found().ok_or_else(|| Refusal::NotFound(format!("there is no such file of the project {name}")))?;
    let found = Served { version, file, data, content_type, vary: "Authorization" };
    send(call, &actor, &project, text, found).await
}

/// `GET /pypi/integrity/<project>/<version>/<file>/provenance`.
pub(crate) async fn provenance(
    call: &Call<'_>,
    name: &ProjectName,
    version: Option<&str>,
    text: &str,
) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Read).await?;
    let wanted: Option<Version> = version
        .map(str::parse)
        .transpose()
        .map_err(|_| Refusal::NotFound("there is no such release".to_owned()))?;
    let at = negotiate(&call.parts.headers, &PROVENANCE_TYPES);
    let content_type = at
        .and_then(|at| PROVENANCE_TYPES.get(at).copied())
        .ok_or(Error::NotAcceptable("application/vnd.pypi.integrity.v1+json and application/json"))?;
    let project = match upstream::find(call.registry, &actor, name).await?.ok_or_else(Error::no_project)? {
        Found::Hosted(project) => project,
        Found::Both(project, foreign) if !project.has_had(text) => {
            return foreign::provenance(call, &actor, *foreign, wanted.as_ref(), text, content_type).await;
        }
        Found::Both(project, _) => project,
        Found::Foreign(foreign) => {
            return foreign::provenance(call, &actor, *foreign, wanted.as_ref(), text, content_type).await;
        }
    };
    let found = project.file(text).filter(|(version, _)| wanted.as_ref().is_none_or(|w| w == *version));
    let (version, file) =
        found.ok_or_else(|| Refusal::NotFound(format!("there is no such file of the project {name}")))?;
    let data = file
        .provenance
        .as_ref()
        .ok_or_else(|| Refusal::NotFound(format!("no attestations came with the file {text}")))?;
    let found = Served { version, file, data, content_type, vary: "Accept, Authorization" };
    send(call, &actor, &project, &format!("{text}.provenance"), found).await
}

/// Sends what was found under this name.
async fn send(
    call: &Call<'_>,
    actor: &Actor,
    project: &Project,
    text: &str,
    found: Served<'_>,
) -> Result<Response, Error> {
    let Served { version, file, data, content_type, vary } = found;
    let name = &project.name;
    if project.status == Status::Quarantined {
        return Err(Refusal::Forbidden(format!(
            "the project {name} is quarantined: its files are not served"
        ))
        .into());
    }
    let projects = call.registry.projects();
    let store = projects.store();
    let permit = store
        .permit_with(|| {
            let digest = data.digest();
            store
                .event(Operation::Get, &projects.file_key(name, text), actor)
                .package(name.as_str())
                .version(version.as_str())
                .size(data.size)
                .digest(digest.unwrap_or_default())
                .content_type(content_type)
        })
        .await?;
    let etag = format!("\"{}\"", data.sha256.as_deref().unwrap_or_default());
    let headers = immutable_headers(actor, vary);
    let artifact = ArtifactResponse {
        size: data.size,
        etag: HeaderValue::try_from(etag).map_err(Refusal::internal)?,
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
