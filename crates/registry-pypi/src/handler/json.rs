//! The JSON API.

use std::{sync::Arc, time::SystemTime};

use http::HeaderValue;
use http_body_util::BodyExt as _;
use registry_core::{
    Response,
    auth::Action,
    http::{Refusal, Representation},
};

use super::{
    call::{Call, page_headers},
    foreign, moved, name,
    simple::told,
};
use crate::{
    error::Error,
    store::project::Status,
    upstream::{self, Found},
    version::Version,
    wire::{json::render, metadata::Metadata},
};

/// `GET /pypi/<project>/json` and `GET /pypi/<project>/<version>/json`.
pub(crate) async fn get(call: &Call<'_>, text: &str, wanted: Option<&str>) -> Result<Response, Error> {
    let no_release = || Refusal::NotFound("the project has no such release".to_owned());
    let project = name(text)?;
    if project.as_str() != text {
        let version = wanted.map(|wanted| format!("/{}", registry_core::http::encode_path_segment(wanted)));
        return Ok(moved(call, &format!("/{project}{}/json", version.unwrap_or_default())));
    }
    let wanted: Option<Version> = wanted.map(str::parse).transpose().map_err(|_| no_release())?;
    let actor = call.allow(&project, Action::Read).await?;
    let projects = call.registry.projects();
    let found = upstream::find(call.registry, &actor, &project).await?.ok_or_else(Error::no_project)?;
    let document = match found {
        Found::Hosted(document) => document,
        // What is hosted is what the project is; single versions can be of the other registry.
        Found::Both(document, foreign) => match &wanted {
            Some(wanted) if !document.releases.contains_key(wanted) => {
                return foreign::json(call, &actor, *foreign, Some(wanted)).await;
            }
            _ => document,
        },
        Found::Foreign(foreign) => return foreign::json(call, &actor, *foreign, wanted.as_ref()).await,
    };
    if document.status == Status::Quarantined {
        return Err(Error::no_project());
    }
    let found = match &wanted {
        Some(wanted) => document.releases.get_key_value(wanted),
        None => document.latest(),
    };
    let (version, release) = found.ok_or_else(no_release)?;
    told(call, &actor, &project).await?;
    let urls = call.urls();
    let (store, key) = (projects.store(), projects.key(&project));
    let whole = wanted.is_none();
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    let variant = format!("json {privacy} {whole} {version} {}", urls.base);
    if let Some(found) = store.derived_cached::<Representation>(&key, &document.revision, &variant) {
        return Ok(found.respond(&call.parts));
    }
    let body = store.read_artifact(std::slice::from_ref(&release.info), None).await?;
    // A mebibyte at most: it was limited on its way in.
    let bytes = body.collect().await.map_err(Refusal::internal)?.to_bytes();
    let metadata = Metadata::parse(&bytes).map_err(Refusal::internal)?;
    let representation: Arc<Representation> = store.derived(&key, &document.revision, &variant, || {
        let representation = Representation::new(
            HeaderValue::from_static("application/json"),
            render(&document, version, release, &metadata, &urls, whole).into(),
            Some(SystemTime::from(document.modified)),
            page_headers(&actor),
        );
        let weight = representation.weight();
        (representation, weight)
    });
    Ok(representation.respond(&call.parts))
}
