//! Who may read a package, and lists of what somebody may do.

use std::collections::BTreeMap;

use http::StatusCode;
use registry_core::{Response, auth::Action, hooks::Operation, http::Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, done};
use crate::{
    config::AccessLevel,
    error::{Error, json_bytes, json_response},
    names::PackageName,
    store::changes,
    wire::{packument::render_collaborators, publish::parse_access},
};

/// `GET …/access`.
pub(crate) async fn get(call: &Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let (_, document) = call.read_package(name).await?;
    let access = match document.access {
        AccessLevel::Public => "public",
        AccessLevel::Restricted => "restricted",
    };
    Ok(json_response(StatusCode::OK, &json!({"access": access, "publish_requires_tfa": false})))
}

#[derive(Deserialize)]
struct AccessChange {
    #[serde(default)]
    access: Option<String>,
    #[serde(default)]
    publish_requires_tfa: Option<bool>,
}

/// `POST …/access`.
pub(crate) async fn set(call: &mut Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let wanted: AccessChange = call.json().await?;
    if wanted.publish_requires_tfa == Some(true) {
        return Err(Error::bad("this registry has no two-factor authentication to require"));
    }
    let Some(access) = parse_access(wanted.access.as_deref())? else {
        return if wanted.publish_requires_tfa.is_some() {
            Ok(done(StatusCode::OK, name, None))
        } else {
            Err(Error::bad("access is \"public\" or \"restricted\""))
        };
    };
    let (owned, change) = (name.clone(), call.registry.new_change());
    let change = move |draft: &mut _| changes::change_access(draft, &owned, access, &change);
    let written = call.registry.change(&actor, Operation::Put, (name, None), change).await?;
    Ok(done(StatusCode::OK, name, written.as_deref().map(|written| &written.value)))
}

/// `GET …/visibility`.
pub(crate) async fn visibility(call: &Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let (_, document) = call.read_package(name).await?;
    let public = document.access == AccessLevel::Public;
    Ok(json_response(StatusCode::OK, &json!({"public": public})))
}

/// `GET …/collaborators[?user=…]`.
pub(crate) async fn collaborators(call: &Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let (_, document) = call.read_package(name).await?;
    let mut owners = document.owners.clone();
    if let Some(user) = call.query("user") {
        owners.retain(|owner| owner.name == user);
    }
    Ok(json_bytes(StatusCode::OK, render_collaborators(&owners)))
}

/// `GET /-/org/<scope>/package`: the packages of a scope, and what the asker may do with each. 404 where there are none,
/// so that npm asks for the user of that name instead.
pub(crate) async fn org_packages(call: &Call<'_>, scope: &str) -> Result<Response, Error> {
    let (_, actor) = call.user().await?;
    let prefix = format!("@{}/", scope.trim_start_matches('@'));
    let entries = super::search::entries(call).await?;
    let of_scope = entries.iter().filter(|(entry, _)| entry.name.starts_with(&prefix));
    let mut map = BTreeMap::new();
    for (entry, _) in call.readable(&actor, of_scope).await? {
        let Ok(name) = entry.name.parse::<PackageName>() else { continue };
        let may_write = call.allows(&actor, &name, Action::Write).await.is_ok();
        map.insert(entry.name.clone(), if may_write { "write" } else { "read" });
    }
    if map.is_empty() {
        return Err(Refusal::NotFound("no packages of this scope found".to_owned()).into());
    }
    Ok(json_response(StatusCode::OK, &json!(map)))
}

/// `GET /-/user/<user>/package`: the packages that a user owns.
pub(crate) async fn user_packages(call: &Call<'_>, user: &str) -> Result<Response, Error> {
    let (_, actor) = call.user().await?;
    let entries = super::search::entries(call).await?;
    let owned = entries
        .iter()
        .filter(|(_, details)| details.maintainers.iter().any(|maintainer| maintainer.name == user));
    let map: BTreeMap<String, Value> = call
        .readable(&actor, owned)
        .await?
        .into_iter()
        .map(|(entry, _)| (entry.name.clone(), Value::from("write")))
        .collect();
    Ok(json_response(StatusCode::OK, &json!(map)))
}
