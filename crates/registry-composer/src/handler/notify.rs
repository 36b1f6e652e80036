//! What clients tell after an install, and ask about advisories.

use std::collections::HashSet;

use http::{Method, StatusCode};
use registry_core::{Response, upstream::UpstreamId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{call::Call, foreign};
use crate::{
    error::{Error, json_response},
    names::PackageName,
    upstream,
};

/// The largest body of a request that is not an upload.
const BODY_BYTES: u64 = 1 << 20;

/// The most names in one question.
const MAX_NAMES: usize = 20_000;

/// What a client installed.
#[derive(Debug, Deserialize)]
struct Notification {
    downloads: Vec<Download>,
}

/// One package that a client installed.
#[derive(Debug, Deserialize)]
struct Download {
    name: String,
    version: String,
}

/// `POST /downloads`.
pub(crate) async fn downloads(call: &mut Call<'_>) -> Result<Response, Error> {
    let actor = call.reader().await?;
    let body = call.read(BODY_BYTES).await?;
    let told: Notification = serde_json::from_slice(&body).map_err(|error| {
        Error::bad(format!(
            "the request's body is not {{\"downloads\": [{{\"name\", \"version\"}}]}}: {error}"
        ))
    })?;
    let mut unknown = 0_usize;
    for download in &told.downloads {
        let known = match download.name.parse::<PackageName>() {
            Ok(name) => is_known(call, &actor, &name).await? && !download.version.is_empty(),
            Err(_) => false,
        };
        unknown += usize::from(!known);
    }
    let counted = told.downloads.len() - unknown;
    metrics::counter!("composer_installs_total").increment(counted as u64);
    if unknown == 0 {
        return Ok(json_response(StatusCode::CREATED, &json!({"status": "success"})));
    }
    let status = if counted == 0 { "error" } else { "partial" };
    let message = format!("{unknown} of the packages are not here");
    Ok(json_response(StatusCode::OK, &json!({"status": status, "message": message})))
}

/// `GET` and `POST /api/security-advisories`: for names that are here that there are none, for others nothing. An empty list
/// keeps the client from asking others about packages that are private.
pub(crate) async fn advisories(call: &mut Call<'_>) -> Result<Response, Error> {
    let actor = call.reader().await?;
    let body =
        if call.parts.method == Method::POST { call.read(BODY_BYTES).await? } else { bytes::Bytes::new() };
    let query = call.parts.uri.query().unwrap_or_default().to_owned();
    let names: Vec<String> = [query.as_bytes(), &body]
        .into_iter()
        .flat_map(url::form_urlencoded::parse)
        .filter(|(key, _)| key == "packages" || key.starts_with("packages["))
        .take(MAX_NAMES + 1)
        .map(|(_, value)| value.into_owned())
        .collect();
    if names.len() > MAX_NAMES {
        return Err(Error::bad(format!("at most {MAX_NAMES} packages can be asked for at once")));
    }
    let mut advisories = Map::new();
    // Each upstream is told of the names alone that it would be asked for.
    let mut theirs: Vec<(UpstreamId, HashSet<String>)> = Vec::new();
    for name in names {
        if let Ok(parsed) = name.parse::<PackageName>()
            && is_known(call, &actor, &parsed).await?
        {
            if let Some(id) = upstream::asked_first(call.registry, &actor, &parsed).await? {
                match theirs.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, names)) => drop(names.insert(name.clone())),
                    None => theirs.push((id, HashSet::from([name.clone()]))),
                }
            }
            advisories.insert(name, Value::Array(Vec::new()));
        }
    }
    for (id, names) in &theirs {
        advisories.extend(foreign::advisories(call, (&actor, id), names).await?);
    }
    Ok(json_response(StatusCode::OK, &json!({"advisories": advisories})))
}

/// Whether a name belongs here and the actor may know.
async fn is_known(call: &Call<'_>, actor: &registry_core::Actor, name: &PackageName) -> Result<bool, Error> {
    if call.allows(actor, name.as_str(), registry_core::auth::Action::Read).await.is_err() {
        return Ok(false);
    }
    Ok(call.registry.packages().load(name).await?.is_some()
        || upstream::is_reserved(call.registry, actor, name).await?
        || upstream::asked_first(call.registry, actor, name).await?.is_some())
}
