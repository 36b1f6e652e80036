//! Yanking, deleting, and a project's status.

use http::StatusCode;
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    hooks::Operation,
    http::{Refusal, respond_json},
    storage::Draft,
};
use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use crate::{
    error::Error,
    names::ProjectName,
    store::{
        changes::{self, Target},
        project::{Project, Status},
    },
    version::Version,
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: Status,
    #[serde(default)]
    reason: String,
}

/// `DELETE /pypi/<project>[/<version>[/<file>]]`.
pub(crate) async fn delete(
    call: &Call<'_>,
    name: &ProjectName,
    version: Option<&str>,
    file: Option<&str>,
) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Delete).await?;
    let target = target(version, file)?;
    remove(call, &actor, name, target).await?;
    Ok(respond_json(StatusCode::OK, &json!({"ok": true})))
}

/// Deletes what the actor was found to be allowed to.
pub(super) async fn remove(
    call: &Call<'_>,
    actor: &Actor,
    name: &ProjectName,
    target: Target,
) -> Result<(), Error> {
    if !call.registry.config().delete {
        return Err(
            Refusal::Forbidden("this registry does not delete: yank the release instead".to_owned()).into()
        );
    }
    let now = call.registry.services().clock.now();
    let version = target.version.clone();
    let delete = move |draft: &mut Draft<Project>| changes::delete(draft, &target, now);
    call.registry.change(actor, Operation::Delete, (name, version.as_ref()), delete).await
}

/// `POST /pypi/<project>/<version>[/<file>]/yank`.
pub(crate) async fn yank(
    call: &mut Call<'_>,
    name: &ProjectName,
    version: &str,
    file: Option<&str>,
) -> Result<Response, Error> {
    let actor = may_yank(call, name).await?;
    let target = target(Some(version), file)?;
    let Reason { reason } = call.json().await?;
    changes::check_reason(&reason)?;
    set_yanked(call, &actor, name, target, Some(reason)).await
}

/// `DELETE /pypi/<project>/<version>[/<file>]/yank`.
pub(crate) async fn unyank(
    call: &Call<'_>,
    name: &ProjectName,
    version: &str,
    file: Option<&str>,
) -> Result<Response, Error> {
    let actor = may_yank(call, name).await?;
    let target = target(Some(version), file)?;
    set_yanked(call, &actor, name, target, None).await
}

async fn set_yanked(
    call: &Call<'_>,
    actor: &Actor,
    name: &ProjectName,
    target: Target,
    reason: Option<String>,
) -> Result<Response, Error> {
    let now = call.registry.services().clock.now();
    let operation = if reason.is_some() { Operation::Delete } else { Operation::Put };
    let version = target.version.clone();
    let yank = move |draft: &mut Draft<Project>| changes::yank(draft, &target, reason.as_deref(), now);
    call.registry.change(actor, operation, (name, version.as_ref()), yank).await?;
    Ok(respond_json(StatusCode::OK, &json!({"ok": true})))
}

/// `PUT /pypi/<project>/status`.
pub(crate) async fn set_status(call: &mut Call<'_>, name: &ProjectName) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let bytes = call.small_body().await?;
    let NewStatus { status, reason } = serde_json::from_slice(&bytes)
        .map_err(|error| Error::bad(format!("the request's body is not the JSON expected here: {error}")))?;
    changes::check_reason(&reason)?;
    let now = call.registry.services().clock.now();
    let set = move |draft: &mut Draft<Project>| changes::set_status(draft, status, Some(&reason), now);
    call.registry.change(&actor, Operation::Put, (name, None), set).await?;
    Ok(respond_json(StatusCode::OK, &json!({"ok": true, "status": status})))
}

/// Yanking is for those who may delete, and for those who may upload.
async fn may_yank(call: &Call<'_>, name: &ProjectName) -> Result<Actor, Error> {
    let actor = call.actor().await?;
    match call.allows(&actor, name, Action::Delete).await {
        Ok(()) => {}
        Err(AuthError::Forbidden(_) | AuthError::Missing) => call.permit(&actor, name, Action::Write).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(actor)
}

fn target(version: Option<&str>, file: Option<&str>) -> Result<Target, Error> {
    let version: Option<Version> = version.map(str::parse).transpose()?;
    Ok(Target { version, file: file.map(str::to_owned) })
}
