//! Search over the catalog.

use std::sync::Arc;

use http::StatusCode;
use registry_core::{
    PackageRegistry as _, Response,
    auth::{Action, AuthError},
};
use serde_json::json;

use super::call::Call;
use crate::{
    error::{Error, json_response},
    registry::Entry,
    wire::search::{Query, details, render_result},
};

/// Everything in the catalog, with what npm's lists show of it.
pub(crate) async fn entries(call: &Call<'_>) -> Result<Vec<Entry>, Error> {
    let entries = call.registry.services().catalog.all(&call.registry.instance().name).await?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| {
            let details = Arc::new(details(&entry)?);
            Some((entry, details))
        })
        .collect())
}

/// `GET /-/v1/search`.
pub(crate) async fn search(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let query = Query::parse(call.parts.uri.query())?;
    let instance = call.registry.instance();
    let may_read_some = actor
        .scopes
        .as_deref()
        .is_none_or(|scopes| scopes.allows_any(instance.protocol, &instance.name, Action::Read));
    if !may_read_some {
        let refused =
            if actor.is_anonymous() { AuthError::Missing } else { AuthError::Forbidden(String::new()) };
        return Err(refused.into());
    }
    let entries = entries(call).await?;
    let mut found: Vec<(f64, &Entry)> =
        entries.iter().filter_map(|entry| Some((query.score(&entry.0, &entry.1)?, entry))).collect();
    // Deprecated ones last; names make the order stable from page to page.
    found.sort_by(|(a_score, (a, a_details)), (b_score, (b, b_details))| {
        a_details
            .deprecated
            .cmp(&b_details.deprecated)
            .then_with(|| b_score.total_cmp(a_score))
            .then_with(|| a.name.cmp(&b.name))
    });
    let readable = call.readable(&actor, found.iter().map(|(_, entry)| *entry)).await?;
    let base = call.urls().base;
    let objects: Vec<_> = readable
        .iter()
        .skip(query.from)
        .take(query.size)
        .map(|(entry, details)| {
            let score = query.score(entry, details).unwrap_or_default();
            render_result(entry, details, score, base)
        })
        .collect();
    let time = call.registry.services().clock.now().to_rfc2822();
    let body = json!({"objects": objects, "total": readable.len(), "time": time});
    Ok(json_response(StatusCode::OK, &body))
}
