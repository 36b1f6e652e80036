//! Deleting versions and packages, and abandoning packages.

use http::StatusCode;
use registry_core::{
    Response,
    auth::Action,
    hooks::Operation,
    http::{Refusal, respond_empty},
};
use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use crate::{
    error::{Error, json_response},
    names::PackageName,
    store::{changes, package::Abandoned},
    version::Version,
};

/// The largest body.
const BODY_BYTES: u64 = 64 << 10;

/// `DELETE /packages/<package>/<version>` and `DELETE /packages/<package>`.
pub(crate) async fn remove(
    call: &Call<'_>,
    name: &PackageName,
    version: Option<&str>,
) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Delete).await?;
    if !call.registry.config().allow_delete {
        return Err(Refusal::Forbidden("this registry deletes nothing".to_owned()).into());
    }
    let packages = call.registry.packages();
    let package = packages.load(name).await?.ok_or_else(|| Error::no_package(name.as_str()))?;
    let version: Option<Version> = match version {
        // What is no version is not there either.
        Some(text) => {
            Some(text.parse().map_err(|_| Refusal::NotFound("there is no such version".to_owned()))?)
        }
        None => None,
    };
    let identity = version.as_ref().map(Version::identity);
    if identity
        .as_ref()
        .map_or(package.releases.is_empty(), |identity| !package.releases.contains_key(identity))
    {
        return Err(Refusal::NotFound("there is no such version".to_owned()).into());
    }
    let now = call.now();
    let change = move |draft: &mut _| changes::remove(draft, identity.as_deref(), now);
    let what = (name, version.as_ref().map(Version::as_str));
    call.registry.change(&actor, Operation::Delete, what, change).await?;
    Ok(respond_empty(StatusCode::NO_CONTENT))
}

/// What is to be used in an abandoned package's place.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    replacement: Option<PackageName>,
}

/// `PUT` and `DELETE /packages/<package>/abandoned`.
pub(crate) async fn abandon(call: &mut Call<'_>, name: &PackageName, is: bool) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let body = call.read(BODY_BYTES).await?;
    let replacement = match body.trim_ascii() {
        b"" => Replacement::default(),
        _ if !is => Replacement::default(),
        body => serde_json::from_slice(body).map_err(|error| {
            Error::bad(format!("the request's body is not {{\"replacement\": \"vendor/package\"}}: {error}"))
        })?,
    };
    if replacement.replacement.as_ref() == Some(name) {
        return Err(Error::Unprocessable("a package cannot replace itself".to_owned()));
    }
    let abandoned = is.then(|| replacement.replacement.map_or(Abandoned::Simply(true), Abandoned::For));
    let packages = call.registry.packages();
    let package = packages.load(name).await?.filter(|package| !package.releases.is_empty());
    if package.is_none() {
        return Err(Error::no_package(name.as_str()));
    }
    let now = call.now();
    let set = abandoned.clone();
    let change = move |draft: &mut _| changes::abandon(draft, set.as_ref(), now);
    call.registry.change(&actor, Operation::Put, (name, None), change).await?;
    Ok(json_response(StatusCode::OK, &json!({"name": name.as_str(), "abandoned": abandoned})))
}
