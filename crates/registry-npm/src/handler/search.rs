//! Search over the catalog.

use std::sync::Arc;

use http::StatusCode;
use registry_core::{
    Actor, PackageRegistry as _, Response,
    auth::{Action, AuthError},
    upstream::{Failure, FailureKind, Source, Unanswered},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use crate::{
    error::{Error, json_response},
    names::PackageName,
    registry::Entry,
    upstream,
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
    let mut objects: Vec<_> = readable
        .iter()
        .skip(query.from)
        .take(query.size)
        .map(|(entry, details)| {
            let score = query.score(entry, details).unwrap_or_default();
            render_result(entry, details, score, base)
        })
        .collect();
    let mut total = readable.len() as u64;
    if let Some(source) = source(call, &actor).await? {
        // What is here comes first; the other registry is asked for the rest of the page.
        let from = query.from.saturating_sub(readable.len());
        let size = query.size.saturating_sub(objects.len());
        let (found, more) = foreign(call, &actor, &source, from, size).await?;
        objects.extend(found);
        total = total.saturating_add(more);
    }
    let time = call.registry.services().clock.now().to_rfc2822();
    let body = json!({"objects": objects, "total": total, "time": time});
    Ok(json_response(StatusCode::OK, &body))
}

/// The upstream that is asked, if one may be: a text that names what is hosted or reserved here is not told to anybody.
async fn source(call: &Call<'_>, actor: &Actor) -> Result<Option<Source>, Error> {
    if !call.registry.upstreams().exist() {
        return Ok(None);
    }
    for word in call.query("text").unwrap_or_default().split_whitespace() {
        let name = match word.split_once(':') {
            Some(("scope", scope)) => format!("@{}/x", scope.trim_start_matches('@')),
            Some(_) => continue,
            None => word.to_owned(),
        };
        let Ok(name) = name.parse::<PackageName>() else { continue };
        if !upstream::is_foreign(call.registry, actor, &name).await? {
            return Ok(None);
        }
    }
    upstream::nameless(call.registry, actor).await
}

#[derive(Deserialize)]
struct ForeignResults {
    #[serde(default)]
    objects: Vec<Value>,
    #[serde(default)]
    total: u64,
}

/// What an upstream finds, without what is ours or must not be read; and how many it finds in all.
async fn foreign(
    call: &Call<'_>,
    actor: &Actor,
    source: &Source,
    from: usize,
    size: usize,
) -> Result<(Vec<Value>, u64), Error> {
    let text = call.query("text").unwrap_or_default();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("text", &text)
        .append_pair("size", &size.max(1).to_string())
        .append_pair("from", &from.to_string())
        .finish();
    let Some(answer) = source.forward(&upstream::search(&query)).await.found()? else {
        // It knows no search.
        return Ok((Vec::new(), 0));
    };
    let results: ForeignResults = serde_json::from_slice(&answer.body).map_err(|_| {
        let kind = FailureKind::BadBody("its search results are no JSON".to_owned());
        Unanswered::from(Failure::new(source.id(), kind))
    })?;
    let mut found = Vec::new();
    for object in results.objects {
        let name = object
            .pointer("/package/name")
            .and_then(Value::as_str)
            .and_then(|name| name.parse::<PackageName>().ok());
        let Some(name) = name else { continue };
        if found.len() < size
            && call.allows(actor, &name, Action::Read).await.is_ok()
            && upstream::is_foreign(call.registry, actor, &name).await?
        {
            found.push(object);
        }
    }
    Ok((found, results.total))
}
