//! The JSON documents, and what Bundler asks where it has no compact index.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, StatusCode};
use registry_core::{
    Actor, Response,
    auth::Action,
    http::{Query, Refusal, Representation, respond_json, respond_text, respond_with},
    storage::Versioned,
};
use serde_json::{Value, json};

use super::{
    call::{Call, fresh_headers},
    foreign,
};
use crate::{
    error::Error,
    names::{GemName, Platform},
    store::gem::{Gem, Release},
    version::Version,
    wire,
};

/// The most gems of one request.
const MAX_GEMS: usize = 200;

/// The answer of a document about a gem, made once a revision.
fn respond(
    call: &Call<'_>,
    actor: &Actor,
    gem: &Versioned<Gem>,
    variant: &str,
    make: impl FnOnce() -> Value,
) -> Response {
    let gems = call.registry.gems();
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    let variant = format!("{variant} {privacy}");
    let form: Arc<Representation> =
        gems.store().derived(&gems.key(&gem.name), &gem.revision, &variant, || {
            let form = Representation::new(
                HeaderValue::from_static("application/json"),
                make().to_string().into(),
                Some(SystemTime::from(gem.modified)),
                fresh_headers(actor),
            );
            let weight = form.weight();
            (form, weight)
        });
    form.respond(&call.parts)
}

fn not_found() -> Error {
    Refusal::NotFound("This rubygem could not be found.".to_owned()).into()
}

/// The gem, if it has a version that is listed.
async fn listed(call: &Call<'_>, text: &str) -> Result<(Actor, Arc<Versioned<Gem>>, Arc<Release>), Error> {
    let (actor, gem) = match call.read_gem(text).await {
        Err(Error::Common(Refusal::NotFound(_))) => return Err(not_found()),
        other => other?,
    };
    let latest = gem.latest().cloned().ok_or_else(not_found)?;
    Ok((actor, gem, latest))
}

/// `GET /api/v1/gems/<gem>.json`.
pub(crate) async fn gem(call: &Call<'_>, text: &str) -> Result<Response, Error> {
    if let Some(response) = foreign::json(call, text, "gems").await? {
        return Ok(response);
    }
    let (actor, gem, latest) = listed(call, text).await?;
    let base = call.base_url();
    Ok(respond(call, &actor, &gem, &format!("gem {base}"), || wire::json::gem(&latest, &base)))
}

/// `GET /api/v1/versions/<gem>.json`.
pub(crate) async fn versions(call: &Call<'_>, text: &str) -> Result<Response, Error> {
    if let Some(response) = foreign::json(call, text, "versions").await? {
        return Ok(response);
    }
    let (actor, gem, _) = listed(call, text).await?;
    Ok(respond(call, &actor, &gem, "versions", || wire::json::versions(&gem)))
}

/// `GET /api/v1/versions/<gem>/latest.json`.
pub(crate) async fn latest(call: &Call<'_>, text: &str) -> Result<Response, Error> {
    let latest = match listed(call, text).await {
        Ok((_, _, latest)) => latest.spec.version.to_string(),
        Err(Error::Common(Refusal::NotFound(_))) => "unknown".to_owned(),
        Err(error) => return Err(error),
    };
    Ok(respond_json(StatusCode::OK, &json!({"version": latest})))
}

/// `GET /api/v2/rubygems/<gem>/versions/<version>.json`.
pub(crate) async fn version(call: &Call<'_>, text: &str, number: &str) -> Result<Response, Error> {
    let (actor, gem, _) = listed(call, text).await?;
    let no_version = || Refusal::NotFound("This version could not be found.".to_owned());
    let number: Version = number.parse().map_err(|_| no_version())?;
    let query = Query::of(&call.parts).map_err(|error| Error::bad(error.to_string()))?;
    let release = if let Some(text) = query.get("platform") {
        let platform: Platform = text.parse().map_err(|_| no_version())?;
        gem.find(&number, &platform).filter(|release| release.is_visible())
    } else {
        // The one for every platform, or the only one that there is.
        let of_number = || gem.visible().filter(|release| release.spec.version == number);
        of_number().find(|release| release.spec.platform.is_ruby()).or(of_number().next())
    };
    let release = release.cloned().ok_or_else(no_version)?;
    let base = call.base_url();
    let variant = format!("version {} {base}", release.slug());
    Ok(respond(call, &actor, &gem, &variant, || wire::json::whole_version(&release, &base)))
}

/// `GET /api/v1/dependencies`.
pub(crate) async fn dependencies(call: &Call<'_>, json: bool) -> Result<Response, Error> {
    if !call.registry.config().dependencies_api {
        return Err(Refusal::NotFound("The dependency API is off: use the compact index.".to_owned()).into());
    }
    let actor = call.actor().await?;
    call.allows_some(&actor, Action::Read)?;
    let query = Query::of(&call.parts).map_err(|error| Error::bad(error.to_string()))?;
    let names: Vec<&str> =
        query.all("gems").flat_map(|gems| gems.split(',')).filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_GEMS {
        return Err(Error::TooManyGems(MAX_GEMS));
    }
    if names.is_empty() && !json {
        return Ok(respond_text(StatusCode::OK, ""));
    }
    let mut found: Vec<Arc<Release>> = Vec::new();
    for name in names {
        let Ok(name) = name.parse::<GemName>() else { continue };
        if call.allows(&actor, name.as_str(), Action::Read).await.is_err() {
            continue;
        }
        if let Some(gem) = call.registry.gems().load(&name).await? {
            found.extend(gem.visible().cloned());
        }
    }
    let specs = found.iter().map(|release| &release.spec);
    Ok(if json {
        respond_json(StatusCode::OK, &wire::dependencies::render_json(specs))
    } else {
        let body = wire::dependencies::render_marshal(specs);
        respond_with(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), body)
    })
}
