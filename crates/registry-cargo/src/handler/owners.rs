//! `cargo owner`. Owners are told; what somebody may do, their scopes say.

use http::StatusCode;
use registry_core::{Response, auth::Action, hooks::Operation, http::Refusal};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::call::{Call, json_response};
use crate::{error::Error, names::CrateName, store::changes};

/// The most users in a request.
const MAX_USERS: usize = 100;

#[derive(Deserialize)]
struct Users {
    #[serde(alias = "owners")]
    users: Vec<String>,
}

/// `GET …/owners`.
pub(crate) async fn list(call: &Call<'_>, name: &CrateName) -> Result<Response, Error> {
    let (_, document) = call.read_crate(name).await.map_err(|error| match error {
        Error::Common(Refusal::NotFound(_)) if call.registry.upstreams().exist() => Error::not_hosted(name),
        error => error,
    })?;
    let users: Vec<_> =
        document.owners.iter().map(|owner| json!({"id": id(owner), "login": owner, "name": null})).collect();
    Ok(json_response(StatusCode::OK, &json!({"users": users})))
}

/// A number for a user, which clients want and do not show: the same each time, and at most 31 bits.
fn id(login: &str) -> u32 {
    let digest = Sha256::digest(login.as_bytes());
    digest.iter().take(4).fold(0_u32, |id, byte| (id << 8) | u32::from(*byte)) >> 1
}

/// `PUT …/owners`.
pub(crate) async fn add(call: &mut Call<'_>, asked: &CrateName) -> Result<Response, Error> {
    let (actor, name) = call.allow(asked, &[Action::Write]).await?;
    let logins = users(call).await?;
    for login in &logins {
        if call.registry.services().auth.user(login).await?.is_none() {
            return Err(Error::bad("an owner must be a user of this registry"));
        }
    }
    let text = format!("{} added to the owners of {name}", logins.join(", "));
    let now = call.registry.services().clock.now();
    let krate = name.clone();
    let change = move |draft: &mut _| changes::add_owners(draft, &krate, &logins, now);
    call.registry.change(&actor, Operation::Put, (&name, None), change).await?;
    Ok(done(&text))
}

/// `DELETE …/owners`, with a body.
pub(crate) async fn remove(call: &mut Call<'_>, asked: &CrateName) -> Result<Response, Error> {
    let (actor, name) = call.allow(asked, &[Action::Write]).await?;
    let logins = users(call).await?;
    let text = format!("{} removed from the owners of {name}", logins.join(", "));
    let now = call.registry.services().clock.now();
    let krate = name.clone();
    let change = move |draft: &mut _| changes::remove_owners(draft, &krate, &logins, now);
    call.registry.change(&actor, Operation::Put, (&name, None), change).await?;
    Ok(done(&text))
}

async fn users(call: &mut Call<'_>) -> Result<Vec<String>, Error> {
    let Users { users } = call.json().await?;
    if users.is_empty() || users.len() > MAX_USERS {
        return Err(Error::bad(format!("name 1 to {MAX_USERS} users")));
    }
    Ok(users)
}

fn done(text: &str) -> Response {
    json_response(StatusCode::OK, &json!({"ok": true, "msg": text}))
}
