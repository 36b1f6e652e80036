//! Owners by the newer route (`/-/package/<package>/owners`); the older one is a change of the document.

use http::StatusCode;
use registry_core::{Actor, Response, auth::Action, hooks::Operation, http::Refusal};
use serde::Deserialize;
use serde_json::json;

use super::call::{Call, done};
use crate::{
    error::{Error, json_response},
    names::PackageName,
    store::changes::{self, OwnerChange},
};

#[derive(Deserialize)]
struct UserInBody {
    #[serde(alias = "username", alias = "name")]
    user: String,
}

/// `GET …/owners`.
pub(crate) async fn list(call: &Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let (_, document) = call.read_package(name).await?;
    let owners: Vec<_> = document
        .owners
        .iter()
        .map(|owner| json!({"username": owner.name, "name": owner.name, "email": owner.email}))
        .collect();
    Ok(json_response(StatusCode::OK, &owners.into()))
}

/// `PUT …/owners` with `{"user": …}`.
pub(crate) async fn add_named_in_body(call: &mut Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let body: UserInBody = call.json().await?;
    insert(call, &actor, name, &body.user).await
}

/// `PUT …/owners/<user>`.
pub(crate) async fn add(call: &Call<'_>, name: &PackageName, user: &str) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    insert(call, &actor, name, user).await
}

async fn insert(call: &Call<'_>, actor: &Actor, name: &PackageName, user: &str) -> Result<Response, Error> {
    let person = call
        .known_person(user)
        .await?
        .ok_or_else(|| Refusal::NotFound("an owner must be a user of this registry".to_owned()))?;
    commit(call, actor, name, OwnerChange::Add(person)).await
}

/// `DELETE …/owners/<user>`.
pub(crate) async fn remove(call: &Call<'_>, name: &PackageName, user: &str) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    commit(call, &actor, name, OwnerChange::Remove(user.to_owned())).await
}

async fn commit(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    wanted: OwnerChange,
) -> Result<Response, Error> {
    let (owned, change) = (name.clone(), call.registry.new_change());
    let change = move |draft: &mut _| changes::change_owner(draft, &owned, &wanted, &change);
    let written = call.registry.change(actor, Operation::Put, (name, None), change).await?;
    Ok(done(StatusCode::OK, name, written.as_deref().map(|written| &written.value)))
}
