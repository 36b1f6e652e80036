//! Lists and searches over the catalog.

use std::sync::Arc;

use http::StatusCode;
use registry_core::{
    Actor, PackageRegistry as _, Response,
    auth::Action,
    catalog::CatalogEntry,
    http::{Query, respond_json},
};
use serde_json::Value;

use super::call::Call;
use crate::{error::Error, names::GemName, wire};

/// Gems of one page of a search.
const PAGE: usize = 30;
/// Names that are suggested.
const SUGGESTIONS: usize = 10;
/// The longest text that is searched for.
const MAX_QUERY: usize = 255;
/// The most gems of a user that are told.
const MAX_OWN: usize = 500;

/// The gems that somebody may read and for which `choose` gives a rank, lowest rank first and then by name.
async fn chosen(
    call: &Call<'_>,
    actor: &Actor,
    choose: impl Fn(&CatalogEntry) -> Option<u8>,
) -> Result<Vec<Arc<CatalogEntry>>, Error> {
    call.allows_some(actor, Action::Read)?;
    let entries = call.registry.services().catalog.all(&call.registry.instance().name).await?;
    let mut found = Vec::new();
    for entry in entries {
        if let Some(rank) = choose(&entry)
            && call.allows(actor, &entry.name, Action::Read).await.is_ok()
        {
            found.push((rank, entry));
        }
    }
    found.sort_by(|(a_rank, a), (b_rank, b)| a_rank.cmp(b_rank).then_with(|| a.name.cmp(&b.name)));
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

/// The text of `query`, in lower case.
fn text(call: &Call<'_>) -> Result<(String, usize), Error> {
    let query = Query::of(&call.parts).map_err(|error| Error::bad(error.to_string()))?;
    let text = query.get("query").filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Error::bad("Request is missing param query."))?;
    if text.len() > MAX_QUERY {
        return Err(Error::bad(format!("The query has more than {MAX_QUERY} characters.")));
    }
    let page = match query.get("page") {
        None | Some("") => 1,
        Some(page) => page.parse().map_err(|_| Error::bad("The page is a number."))?,
    };
    Ok((text.trim().to_lowercase(), page.max(1)))
}

/// How well an entry fits: its name is the text, begins with it, or has it; or its summary has it.
fn rank(entry: &CatalogEntry, text: &str) -> Option<u8> {
    let name = entry.name.to_lowercase();
    let in_summary = || entry.summary.as_ref().is_some_and(|summary| summary.to_lowercase().contains(text));
    if name == text {
        Some(0)
    } else if name.starts_with(text) {
        Some(1)
    } else if name.contains(text) {
        Some(2)
    } else {
        in_summary().then_some(3)
    }
}

/// The gems' own documents.
async fn documents(call: &Call<'_>, entries: &[Arc<CatalogEntry>]) -> Result<Vec<Value>, Error> {
    let base = call.base_url();
    let mut documents = Vec::with_capacity(entries.len());
    for entry in entries {
        let Ok(name) = entry.name.parse::<GemName>() else { continue };
        if let Some(gem) = call.registry.gems().load(&name).await?
            && let Some(latest) = gem.latest()
        {
            documents.push(wire::json::gem(latest, &base));
        }
    }
    Ok(documents)
}

/// `GET /api/v1/search.json`.
pub(crate) async fn search(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let (text, page) = text(call)?;
    let found = chosen(call, &actor, |entry| rank(entry, &text)).await?;
    let from = (page - 1).saturating_mul(PAGE).min(found.len());
    let of_page = found.get(from..from.saturating_add(PAGE).min(found.len())).unwrap_or_default();
    Ok(respond_json(StatusCode::OK, &documents(call, of_page).await?))
}

/// `GET /api/v1/search/autocomplete`.
pub(crate) async fn autocomplete(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let (text, _) = text(call)?;
    let begins = |entry: &CatalogEntry| entry.name.to_lowercase().starts_with(&text).then_some(0);
    let found = chosen(call, &actor, begins).await?;
    let names: Vec<&str> = found.iter().take(SUGGESTIONS).map(|entry| entry.name.as_str()).collect();
    Ok(respond_json(StatusCode::OK, &names))
}

/// Whether one of an entry's lists has a text.
fn lists(entry: &CatalogEntry, list: &str, text: &str) -> bool {
    let items = entry.details.get(list).and_then(Value::as_array);
    items.is_some_and(|items| items.iter().any(|item| item.as_str() == Some(text)))
}

/// `GET /api/v1/gems.json`: the gems that the caller owns.
pub(crate) async fn own_gems(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let user = actor.user.clone().ok_or(registry_core::auth::AuthError::Missing)?;
    let found = chosen(call, &actor, |entry| lists(entry, "owners", &user).then_some(0)).await?;
    let shown = found.get(..MAX_OWN.min(found.len())).unwrap_or_default();
    Ok(respond_json(StatusCode::OK, &documents(call, shown).await?))
}

/// `GET /api/v1/gems/<gem>/reverse_dependencies.json`.
pub(crate) async fn reverse_dependencies(call: &Call<'_>, text: &str) -> Result<Response, Error> {
    let (actor, gem) = call.read_gem(text).await?;
    let query = Query::of(&call.parts).map_err(|error| Error::bad(error.to_string()))?;
    let kinds: &[&str] = match query.get("only") {
        Some("runtime") => &["runtime"],
        Some("development") => &["development"],
        None | Some("") => &["runtime", "development"],
        Some(_) => return Err(Error::bad("only is runtime or development.")),
    };
    let needs =
        |entry: &CatalogEntry| kinds.iter().any(|kind| lists(entry, kind, gem.name.as_str())).then_some(0);
    let found = chosen(call, &actor, needs).await?;
    let names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
    Ok(respond_json(StatusCode::OK, &names))
}
