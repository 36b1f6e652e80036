//! Stars: kept in each package's document, listed by the catalog.

use http::StatusCode;
use registry_core::{Response, auth::AuthError, hooks::Operation};
use serde::Deserialize;
use serde_json::json;

use super::call::{Call, check_visible, done};
use crate::{
    error::{Error, json_response},
    names::PackageName,
    store::changes,
};

#[derive(Deserialize)]
struct Starred {
    #[serde(default)]
    package: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// `PUT` or `DELETE /-/user/v1/star` with the package's name: stars it or takes the star away.
pub(crate) async fn set(call: &mut Call<'_>, starred: bool) -> Result<Response, Error> {
    let (user, actor) = call.user().await?;
    if actor.read_only {
        return Err(AuthError::Forbidden(String::new()).into());
    }
    let body: Starred = call.json().await?;
    let name: PackageName =
        body.package.or(body.name).ok_or_else(|| Error::bad("the body names no package"))?.parse()?;
    call.allow_read(&actor, &name).await?;
    let packages = call.registry.packages();
    let document = packages.load(&name).await?.ok_or_else(|| Error::no_package(name.as_str()))?;
    check_visible(&actor, document.access)?;
    let (owned, change) = (name.clone(), call.registry.new_change());
    let change = move |draft: &mut _| changes::change_star(draft, &owned, &user, starred, &change);
    let written = call.registry.change(&actor, Operation::Put, (&name, None), change).await?;
    Ok(done(StatusCode::OK, &name, written.as_deref().map(|written| &written.value)))
}

/// `GET /-/user/v1/star`: what the asker starred.
pub(crate) async fn own(call: &Call<'_>) -> Result<Response, Error> {
    let (user, _) = call.user().await?;
    Ok(json_response(StatusCode::OK, &json!(starred_by(call, &user).await?)))
}

/// `GET /-/user/<user>/stars`.
pub(crate) async fn of_user(call: &Call<'_>, user: &str) -> Result<Response, Error> {
    call.user().await?;
    Ok(json_response(StatusCode::OK, &json!(starred_by(call, user).await?)))
}

/// `GET /-/_view/starredByUser?key="<user>"`.
pub(crate) async fn view(call: &Call<'_>) -> Result<Response, Error> {
    let key = call.query("key").ok_or_else(|| Error::bad("`key` names the user"))?;
    let user = serde_json::from_str::<String>(&key).unwrap_or(key);
    let rows: Vec<_> =
        starred_by(call, &user).await?.into_iter().map(|name| json!({"value": name})).collect();
    Ok(json_response(StatusCode::OK, &json!({"rows": rows})))
}

/// The packages that a user starred and the asker may read.
async fn starred_by(call: &Call<'_>, user: &str) -> Result<Vec<String>, Error> {
    let actor = call.actor().await?;
    let entries = super::search::entries(call).await?;
    let starred = entries.iter().filter(|(_, details)| details.stars.iter().any(|star| star == user));
    let readable = call.readable(&actor, starred).await?;
    Ok(readable.into_iter().map(|(entry, _)| entry.name.clone()).collect())
}
