//! `gem owner`. Owners are told; what somebody may do, their scopes say.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode};
use registry_core::{
    Response,
    auth::Action,
    hooks::Operation,
    http::{Refusal, respond_json, respond_text, respond_with},
    storage::Draft,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{call::Call, route::Form};
use crate::{
    error::Error,
    names::GemName,
    store::{changes, gem::Gem},
};

/// A change to a gem's owners.
type Edit = fn(&mut Draft<Gem>, &str, DateTime<Utc>) -> Result<(), Error>;

/// What somebody reads who may not change the owners.
const REFUSAL: &str = "You do not have permission to manage this gem.";

/// `GET /api/v1/gems/<gem>/owners`.
pub(crate) async fn list(call: &Call<'_>, text: &str, form: Form) -> Result<Response, Error> {
    let (_, gem) = call.read_gem(text).await?;
    let owners: Vec<Value> =
        gem.owners.iter().map(|owner| json!({"id": id(owner), "handle": owner})).collect();
    Ok(respond(form, &owners))
}

/// A number for a user, the same each time and at most 31 bits.
pub(super) fn id(user: &str) -> u32 {
    let digest = Sha256::digest(user.as_bytes());
    digest.iter().take(4).fold(0_u32, |id, byte| (id << 8) | u32::from(*byte)) >> 1
}

/// A list of flat objects as JSON or YAML. Strings are in quotes as in JSON, which YAML reads.
fn respond(form: Form, items: &[Value]) -> Response {
    if form == Form::Json {
        return respond_json(StatusCode::OK, items);
    }
    let mut out = if items.is_empty() { "--- []\n" } else { "---\n" }.to_owned();
    for item in items {
        out.push_str(&yaml(item, "- ", "  "));
    }
    respond_with(StatusCode::OK, HeaderValue::from_static("application/yaml; charset=utf-8"), out)
}

/// A flat object as YAML; the first line begins with another text than the others.
pub(super) fn yaml(item: &Value, first: &str, others: &str) -> String {
    let mut out = String::new();
    for (at, (key, value)) in item.as_object().into_iter().flatten().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}{key}: {value}", if at == 0 { first } else { others });
    }
    out
}

/// `POST /api/v1/gems/<gem>/owners`.
pub(crate) async fn add(call: &mut Call<'_>, text: &str) -> Result<Response, Error> {
    let owner = change(call, text, changes::add_owner, true).await?;
    Ok(respond_text(StatusCode::OK, format!("{owner} was added as an owner.")))
}

/// `DELETE /api/v1/gems/<gem>/owners`.
pub(crate) async fn remove(call: &mut Call<'_>, text: &str) -> Result<Response, Error> {
    change(call, text, changes::remove_owner, false).await?;
    Ok(respond_text(StatusCode::OK, "Owner removed successfully."))
}

async fn change(call: &mut Call<'_>, text: &str, edit: Edit, must_exist: bool) -> Result<String, Error> {
    let actor = call.actor().await?;
    call.allows_some(&actor, Action::Write)?;
    let name: GemName = text.parse().map_err(|_| Error::no_gem())?;
    call.check(&actor, &name, &[Action::Write], REFUSAL).await?;
    let parameters = call.parameters().await?;
    let wanted = match parameters.get("email")? {
        Some(wanted) => wanted,
        None => parameters.required("handle")?,
    };
    let gems = call.registry.gems();
    let gem = gems.load(&name).await?.ok_or_else(Error::no_gem)?;
    // Somebody who was an owner may be no user any more.
    let owner = match user(call, &wanted).await? {
        Some(user) => user,
        None if !must_exist && gem.owners.contains(&wanted) => wanted,
        None => return Err(Refusal::NotFound("Owner could not be found.".to_owned()).into()),
    };
    let key = gems.key(&name);
    let event = || gems.store().event(Operation::Put, &key, &actor).package(name.as_str());
    let (now, changed) = (call.registry.services().clock.now(), owner.clone());
    let change = move |draft: &mut _| edit(draft, &changed, now);
    if let Some(gem) = gems.store().change(&key, event, change).await? {
        call.registry.tell_catalog(&gem);
    }
    Ok(owner)
}

/// A user by name or e-mail address.
async fn user(call: &Call<'_>, wanted: &str) -> Result<Option<String>, Error> {
    let auth = &call.registry.services().auth;
    if let Some(user) = auth.user(wanted).await? {
        return Ok(Some(user.name));
    }
    if !wanted.contains('@') {
        return Ok(None);
    }
    let users = auth.users().await?;
    let found = users
        .into_iter()
        .find(|user| user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(wanted)));
    Ok(found.map(|user| user.name))
}
