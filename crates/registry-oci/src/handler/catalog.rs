//! The list of repositories, as far as the caller may pull from them.

use http::{StatusCode, header};
use registry_core::{
    Protocol, Response,
    auth::{Access, Action, ScopeSet},
    http::respond_json,
};
use serde_json::json;

use super::{Call, set};
use crate::{
    access::Caller,
    error::Error,
    wire::{
        challenge::ChallengeError,
        page::{PageRequest, render_next},
    },
};

/// `GET /v2/_catalog`.
pub(super) async fn list(call: &Call<'_>) -> Result<Response, Error> {
    let registry = call.registry;
    let caller = registry.identify(call.parts, call.base, "registry:catalog:*").await?;
    let page = PageRequest::parse(call.query(), registry.config.page_size)?;
    let scopes = readable(call, &caller)?;
    let instance = &registry.instance.name;
    let may_pull = |name: &str| {
        let kind = Protocol::Oci.resource_type();
        scopes.allows(&Access { protocol: Protocol::Oci, instance, kind, name, action: Action::Read })
    };
    let size = page.size.unwrap_or(registry.config.page_size);
    let found = registry
        .services
        .catalog
        .page(instance, page.last.as_deref(), size.saturating_add(1), &may_pull)
        .await?;
    let shown: Vec<&str> = found.iter().take(size).map(|entry| entry.name.as_str()).collect();
    let mut response = respond_json(StatusCode::OK, &json!({ "repositories": shown }));
    if found.len() > size
        && let Some(last) = shown.last()
    {
        set(&mut response, header::LINK, &render_next(&call.location("/_catalog"), size, last, ""));
    }
    Ok(response)
}

/// The scopes that decide what is listed; an error where nothing may be listed at all.
fn readable(call: &Call<'_>, caller: &Caller) -> Result<ScopeSet, Error> {
    let registry = call.registry;
    let refused = |error| Error::Unauthorized {
        challenge: Box::new(registry.challenge(call.parts, call.base, "registry:catalog:*", error)),
        message: "the list of repositories needs the scope registry:catalog:*",
    };
    if let Some(entries) = caller.signed_access() {
        let entry = entries.into_iter().find(|entry| entry.is_registry("catalog"));
        let entry = entry.ok_or_else(|| refused(Some(ChallengeError::InsufficientScope)))?;
        // They were written by us into a token that we signed.
        return Ok(ScopeSet::parse(entry.scopes).unwrap_or_default());
    }
    let scopes = caller.actor.scopes.as_deref().cloned().unwrap_or_default();
    if scopes.allows_any(Protocol::Oci, &registry.instance.name, Action::Read) {
        return Ok(scopes);
    }
    if caller.is_authenticated() {
        return Err(Error::Denied("no repository may be listed with these credentials".to_owned()));
    }
    Err(refused(None))
}
