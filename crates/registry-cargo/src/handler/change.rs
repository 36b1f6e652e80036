//! Yanking, its undoing, and deleting.

use http::StatusCode;
use registry_core::{Response, auth::Action, hooks::Operation, http::Refusal};
use serde_json::json;

use super::call::{Call, json_response};
use crate::{error::Error, names::CrateName, store::changes, version::Version};

/// `DELETE …/yank` and `PUT …/unyank`, which brings a content type and no body.
pub(crate) async fn yank(
    call: &Call<'_>,
    asked: &CrateName,
    version: &Version,
    yanked: bool,
) -> Result<Response, Error> {
    let (actor, name) = &call.allow(asked, &[Action::Delete, Action::Write]).await?;
    let now = call.registry.services().clock.now();
    let (krate, wanted) = (name.clone(), version.clone());
    let change = move |draft: &mut _| changes::yank(draft, &krate, &wanted, yanked, now);
    call.registry.change(actor, Operation::Put, (name, Some(version)), change).await?;
    Ok(json_response(StatusCode::OK, &json!({"ok": true})))
}

/// `DELETE …/{crate}` and `DELETE …/{crate}/{version}`.
pub(crate) async fn delete(
    call: &Call<'_>,
    asked: &CrateName,
    version: Option<&Version>,
) -> Result<Response, Error> {
    let (actor, name) = &call.allow(asked, &[Action::Delete]).await?;
    if !call.registry.config().allow_delete {
        return Err(Refusal::Forbidden("this registry does not delete: yank the version".to_owned()).into());
    }
    let now = call.registry.services().clock.now();
    let (krate, wanted) = (name.clone(), version.cloned());
    let change = move |draft: &mut _| changes::delete(draft, &krate, wanted.as_ref(), now);
    call.registry.change(actor, Operation::Delete, (name, version), change).await?;
    Ok(json_response(StatusCode::OK, &json!({"ok": true})))
}
