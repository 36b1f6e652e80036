//! `cargo search`, over the catalog.

use std::sync::Arc;

use http::StatusCode;
use registry_core::{
    PackageRegistry as _, Response,
    auth::{Action, AuthError},
    catalog::CatalogEntry,
    http::{Query, QueryError},
};
use serde_json::json;

use super::{
    call::{Call, json_response},
    foreign,
};
use crate::{error::Error, names::CrateName, wire::catalog::rank};

/// The most crates in an answer.
const MAX_PER_PAGE: usize = 100;

/// `GET /api/v1/crates`.
pub(crate) async fn search(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
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
    let query = Query::of(&call.parts).map_err(|error: QueryError| Error::bad(error.to_string()))?;
    let number = |name: &str, default: usize| match query.get(name) {
        None | Some("") => Ok(default),
        Some(text) => text.parse().map_err(|_| Error::bad(format!("{name} is a number"))),
    };
    let per_page = number("per_page", 10)?.clamp(1, MAX_PER_PAGE);
    let page = number("page", 1)?.max(1);
    let text = query.get("q").unwrap_or_default().trim().to_lowercase();

    let entries = call.registry.services().catalog.all(&instance.name).await?;
    let mut found: Vec<(u8, Arc<CatalogEntry>)> = Vec::new();
    for entry in entries {
        let Some(rank) = rank(&text, &entry) else { continue };
        let Ok(name) = entry.name.parse::<CrateName>() else { continue };
        if call.allows(&actor, &name, Action::Read).await.is_ok() {
            found.push((rank, entry));
        }
    }
    // Names make the order stable from page to page.
    found.sort_by(|(a_rank, a), (b_rank, b)| a_rank.cmp(b_rank).then_with(|| a.name.cmp(&b.name)));
    let mut crates: Vec<_> = found
        .iter()
        .skip((page - 1).saturating_mul(per_page))
        .take(per_page)
        .map(|(_, entry)| {
            json!({
                "name": entry.name,
                "max_version": entry.latest.as_deref().unwrap_or_default(),
                "description": entry.summary,
            })
        })
        .collect();
    // What is here comes first; the other registry is asked for the rest of the page.
    let rest = per_page.saturating_sub(crates.len());
    let before = (page - 1).saturating_mul(per_page).saturating_sub(found.len());
    let (theirs, more) = foreign::search(call, &actor, &text, (before, rest), per_page).await?;
    crates.extend(theirs);
    let total = (found.len() as u64).saturating_add(more);
    Ok(json_response(StatusCode::OK, &json!({"crates": crates, "meta": {"total": total}})))
}
