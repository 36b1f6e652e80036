//! Lists and searches over the catalog.

use http::StatusCode;
use registry_core::{
    Pattern, Response,
    http::{Query, Refusal, encode_query_value},
};
use serde_json::{Map, Value, json};

use super::{call::Call, foreign};
use crate::{
    error::{Error, json_response},
    wire::listing::{score, search_result},
};

/// How many results a page has, unless the client says.
const PAGE: usize = 15;

/// The most results of a page.
const MAX_PAGE: usize = 100;

/// `GET /packages/list.json`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.reader().await?;
    let query = Query::of(&call.parts)?;
    let filter = query.get("filter").map(pattern).transpose()?;
    let (vendor, kind) = (query.get("vendor"), query.get("type"));
    let fields: Vec<&str> =
        query.iter().filter(|(key, _)| key.starts_with("fields[")).map(|(_, v)| v).collect();
    let all = call.readable(&actor).await?;
    let entries = all.iter().filter(|(entry, details)| {
        filter.as_ref().is_none_or(|filter| filter.matches(&entry.name))
            && vendor.is_none_or(|vendor| entry.name.split('/').next() == Some(vendor))
            && kind.is_none_or(|kind| details.kind == kind)
    });
    if fields.is_empty() {
        let names: Vec<&str> = entries.map(|(entry, _)| entry.name.as_str()).collect();
        return Ok(json_response(StatusCode::OK, &json!({"packageNames": names})));
    }
    let mut packages = Map::new();
    for (entry, details) in entries {
        let mut shown = Map::new();
        for field in &fields {
            let value = match *field {
                "type" => json!(details.kind),
                "repository" => json!(details.repository),
                "abandoned" => details.abandoned.clone().unwrap_or(Value::Bool(false)),
                _ => return Err(Error::bad("fields[] are type, repository and abandoned")),
            };
            shown.insert((*field).to_owned(), value);
        }
        packages.insert(entry.name.clone(), shown.into());
    }
    Ok(json_response(StatusCode::OK, &json!({"packages": packages})))
}

/// A filter: part of a name, in which `*` stands for any run of characters.
fn pattern(text: &str) -> Result<Pattern, Error> {
    let text = text.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b'*');
    if text.is_empty() || text.len() > 191 || !text.bytes().all(plain) {
        return Err(Error::bad("the filter is not a package name with * for any run of characters"));
    }
    Ok(Pattern::new(&text))
}

/// `GET /search.json`.
pub(crate) async fn search(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.reader().await?;
    let query = Query::of(&call.parts)?;
    let number = |key: &str, default: usize, most: usize| match query.get(key) {
        None | Some("") => Ok(default),
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| Error::bad(format!("{key} is a number from 1 to {most}"))),
    };
    let (size, page) = (number("per_page", PAGE, MAX_PAGE)?, number("page", 1, 1_000_000)?);
    let text = query.get("q").unwrap_or_default();
    let words: Vec<String> = text.to_lowercase().split_whitespace().take(16).map(str::to_owned).collect();
    let kind = query.get("type").filter(|kind| !kind.is_empty());
    let tags: Vec<String> = query
        .iter()
        .filter(|(key, _)| *key == "tags" || key.starts_with("tags["))
        .map(|(_, v)| v.to_lowercase())
        .collect();
    let entries = call.readable(&actor).await?;
    let mut found: Vec<_> = entries
        .iter()
        .filter(|(entry, details)| {
            let tagged = |tag: &String| entry.keywords.iter().any(|keyword| keyword.to_lowercase() == *tag);
            kind.is_none_or(|kind| details.kind == kind) && (tags.is_empty() || tags.iter().any(tagged))
        })
        .filter_map(|(entry, details)| Some((score(entry, &words)?, entry, details)))
        .collect();
    found.sort_by(|(a, a_entry, _), (b, b_entry, _)| b.cmp(a).then_with(|| a_entry.name.cmp(&b_entry.name)));
    let mut results: Vec<Value> = found
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|(_, entry, details)| search_result(entry, details, &call.base))
        .collect();
    // What is here comes first; the other repository is asked for the rest of the page.
    let rest = size.saturating_sub(results.len());
    let their_page = page.saturating_sub(found.len() / size).max(1);
    let asked = (text, kind.unwrap_or_default());
    let (theirs, more) = foreign::search(call, &actor, asked, (their_page, size)).await?;
    results.extend(theirs.into_iter().take(rest));
    let total = found.len().saturating_add(more);
    let mut body = json!({"results": results, "total": total});
    if page.saturating_mul(size) < total
        && let Some(body) = body.as_object_mut()
    {
        let mut next = format!("{}/search.json?page={}", call.base, page + 1);
        for (key, value) in query.iter().filter(|(key, _)| *key != "page") {
            next.extend(["&", &encode_query_value(key), "=", &encode_query_value(value)]);
        }
        body.insert("next".to_owned(), next.into());
    }
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /providers/<name>.json`: who provides a name that need not be a package.
pub(crate) async fn providers(call: &Call<'_>, name: &str) -> Result<Response, Error> {
    let actor = call.reader().await?;
    let entries = call.readable(&actor).await?;
    let providers: Vec<Value> = entries
        .iter()
        .filter(|(_, details)| details.provides.iter().any(|provided| provided == name))
        .map(|(entry, details)| {
            let description = entry.summary.as_deref().unwrap_or_default();
            json!({"name": entry.name, "description": description, "type": details.kind})
        })
        .collect();
    if providers.is_empty() {
        return Err(Refusal::NotFound("no package here provides this".to_owned()).into());
    }
    Ok(json_response(StatusCode::OK, &json!({"providers": providers})))
}
