//! Yanking, taking that back, and how every change to a gem is committed.

use std::sync::Arc;

use chrono::TimeDelta;
use http::StatusCode;
use registry_core::{
    Actor, Response,
    auth::Action,
    hooks::Operation,
    http::respond_text,
    storage::{Draft, Permit, StorageError, UpdateError, Versioned},
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
        return Err(Error::Forbidden("This registry does not yank: push a new version.".to_owned()));
    }
    let keep = TimeDelta::days(config.yanked_days.into());
    let now = call.registry.services().clock.now();
    let (version, platform) = (target.version.clone(), target.platform.clone());
    let change = move |draft: &mut Draft<Gem>| changes::yank(draft, &version, &platform, keep, now);
    change_gem(call, &target, Operation::Delete, change).await?;
    Ok(respond_text(StatusCode::OK, format!("Successfully deleted gem: {} ({})", target.name, target.slug())))
}

/// `PUT /api/v1/gems/unyank`.
pub(crate) async fn unyank(call: &mut Call<'_>) -> Result<Response, Error> {
    let target = target(call).await?;
    let now = call.registry.services().clock.now();
    let (version, platform) = (target.version.clone(), target.platform.clone());
    let change = move |draft: &mut Draft<Gem>| changes::unyank(draft, &version, &platform, now);
    change_gem(call, &target, Operation::Put, change).await?;
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
    let version = text.parse().map_err(|_| Error::NotFound("This version could not be found".to_owned()))?;
    let platform = match parameters.get("platform")? {
        None => Platform::ruby(),
        Some(text) => {
            text.parse().map_err(|_| Error::NotFound("This version could not be found".to_owned()))?
        }
    };
    if call.registry.gems().load(&name).await?.is_none() {
        return Err(Error::no_gem());
    }
    Ok(Target { actor, name, version, platform })
}

async fn change_gem<F>(call: &Call<'_>, target: &Target, operation: Operation, change: F) -> Result<(), Error>
where
    F: FnMut(&mut Draft<Gem>) -> Result<(), Error> + Send + 'static,
{
    let gems = call.registry.gems();
    let permit = gems
        .store()
        .permit_with(|| {
            let key = gems.file_key(&target.name, &target.version, &target.platform);
            gems.store()
                .event(operation, &key, &target.actor)
                .package(target.name.as_str())
                .version(target.slug())
        })
        .await?;
    let ((), gem) = commit(call, &target.name, permit, change).await?;
    call.tell_catalog(&gem);
    Ok(())
}

/// Changes a gem and what is announced of it. It goes on to its end when the client goes away; where the process dies, the marker tells
/// the next one that the log may lack it.
pub(crate) async fn commit<T, F>(
    call: &Call<'_>,
    name: &GemName,
    permit: Permit,
    change: F,
) -> Result<(T, Arc<Versioned<Gem>>), Error>
where
    T: Send + 'static,
    F: FnMut(&mut Draft<Gem>) -> Result<T, Error> + Send + 'static,
{
    let gems = call.registry.gems().clone();
    let name = name.clone();
    let work = async move {
        let announcer = gems.announcer();
        let marker = announcer.mark(&name).await?;
        let committed = gems.store().commit(&gems.key(&name), permit, change).await;
        let (value, gem) = match committed {
            Ok((value, Some(gem))) => (value, gem),
            Ok((_, None)) => return Err(Error::no_gem()),
            Err(UpdateError::Refused(error)) => return Err(error),
            Err(UpdateError::Storage(error)) => {
                if matches!(error, StorageError::Unavailable { .. }) {
                    // It may have been done.
                    marker.keep();
                }
                return Err(error.into());
            }
        };
        // Also where nothing was changed: the operation that was repeated may have ended before this.
        if let Err(error) = announcer.announce(&name).await {
            marker.keep();
            return Err(error.into());
        }
        drop(marker);
        Ok((value, gem))
    };
    call.registry.finish(work).await
}
