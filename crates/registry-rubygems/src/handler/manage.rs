//! Yanking, and taking that back.

use http::StatusCode;
use registry_core::{
    Actor, Response,
    auth::Action,
    hooks::Operation,
    http::{Refusal, respond_text},
    storage::Draft,
};

use super::call::Call;
use crate::{
    error::Error,
    names::{GemName, Platform, slug},
    store::{changes, gem::Gem},
    version::Version,
};

/// What somebody reads who may not yank.
const REFUSAL: &str = "This API key cannot perform the specified action on this gem.";

/// A version that a request names.
struct Target {
    actor: Actor,
    name: GemName,
    version: Version,
    platform: Platform,
}

impl Target {
    fn slug(&self) -> String {
        slug(&self.version, &self.platform)
    }
}

/// `DELETE /api/v1/gems/yank`.
pub(crate) async fn yank(call: &mut Call<'_>) -> Result<Response, Error> {
    let target = target(call).await?;
    let config = call.registry.config();
    if !config.yank {
        return Err(Refusal::Forbidden("This registry does not yank: push a new version.".to_owned()).into());
    }
    let keep = call.registry.keep_yanked();
    let now = call.registry.services().clock.now();
    let (version, platform) = (target.version.clone(), target.platform.clone());
    let change = move |draft: &mut Draft<Gem>| changes::yank(draft, &version, &platform, keep, now);
    let slug = target.slug();
    call.registry
        .change::<Error>(&target.actor, Operation::Delete, (&target.name, Some(&slug)), change)
        .await?;
    Ok(respond_text(StatusCode::OK, format!("Successfully deleted gem: {} ({})", target.name, target.slug())))
}

/// `PUT /api/v1/gems/unyank`.
pub(crate) async fn unyank(call: &mut Call<'_>) -> Result<Response, Error> {
    let target = target(call).await?;
    let now = call.registry.services().clock.now();
    let (version, platform) = (target.version.clone(), target.platform.clone());
    let change = move |draft: &mut Draft<Gem>| changes::unyank(draft, &version, &platform, now);
    let slug = target.slug();
    call.registry.change::<Error>(&target.actor, Operation::Put, (&target.name, Some(&slug)), change).await?;
    Ok(respond_text(
        StatusCode::OK,
        format!("Successfully restored gem: {} ({})", target.name, target.slug()),
    ))
}

/// The version that the parameters name, if who asks may yank it.
async fn target(call: &mut Call<'_>) -> Result<Target, Error> {
    let actor = call.actor().await?;
    if call.allows_some(&actor, Action::Delete).is_err() {
        call.allows_some(&actor, Action::Write)?;
    }
    let parameters = call.parameters().await?;
    let name: GemName = parameters.required("gem_name")?.parse().map_err(|_| Error::no_gem())?;
    call.check(&actor, &name, &[Action::Delete, Action::Write], REFUSAL).await?;
    let text = parameters.required("version")?;
    let version =
        text.parse().map_err(|_| Refusal::NotFound("This version could not be found".to_owned()))?;
    let platform = match parameters.get("platform")? {
        None => Platform::ruby(),
        Some(text) => {
            text.parse().map_err(|_| Refusal::NotFound("This version could not be found".to_owned()))?
        }
    };
    if call.registry.gems().load(&name).await?.is_none() {
        return Err(Error::no_gem());
    }
    Ok(Target { actor, name, version, platform })
}
