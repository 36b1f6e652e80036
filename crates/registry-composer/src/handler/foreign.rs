//! Reading packages of other repositories.

use std::{borrow::Cow, collections::HashSet, sync::Arc, time::SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, header, request::Parts};
use registry_core::{
    Actor, Response,
    auth::Action,
    http::Refusal,
    storage::{Digests, Versioned, WantedDigests},
    upstream::{ArtifactHead, Failure, FailureKind, Unanswered, UpstreamArtifact, UpstreamId},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    call::Call,
    read::{archive_headers, form, told},
};
use crate::{
    error::Error,
    names::PackageName,
    store::package::Package,
    upstream::{self, Foreign},
    version::{compare, identity},
    wire::metadata::{Entry, Part, document, entries},
};

/// A document with more versions than this is rendered on a thread of its own.
const LARGE: usize = 200;

/// One half of a package's metadata from another repository, beside what is hosted of it where both are shown. Hosted versions win.
pub(crate) async fn metadata(
    call: &Call<'_>,
    name: &PackageName,
    theirs: Foreign,
    hosted: Option<Arc<Versioned<Package>>>,
    part: Part,
) -> Result<Response, Error> {
    let beside = hosted.as_ref().map_or("", |hosted| hosted.revision.as_str());
    let shown = format!("{part:?} of {name} at {} hiding {} beside {beside}", call.base, theirs.sifted.tag);
    let fetched = theirs.document.fetched();
    let modified = told_time(fetched, &shown);
    let variant = format!("{shown} as of {}", fetched.timestamp());
    let large = theirs.versions.len() > LARGE;
    let (of, base) = (name.clone(), call.base.clone());
    let theirs = Arc::new(theirs);
    let representation = if let Some(found) = theirs.document.derived_cached(&variant) {
        found
    } else {
        let theirs = Arc::clone(&theirs);
        let make = move || {
            theirs.document.derived(&variant, || {
                let body = render(&of, &theirs, hosted.as_deref().map(|hosted| &hosted.value), part, &base);
                let form = form(body, Some(SystemTime::from(modified)));
                let weight = form.weight();
                (form, weight)
            })
        };
        if large {
            let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
            tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?
        } else {
            make()
        }
    };
    let mut response = representation.respond(&exactly(&call.parts, modified));
    theirs.mark(response.headers_mut());
    Ok(response)
}

/// The time by which clients know a document again. They have no finer validator, and the text depends on more than on the upstream's
/// document: on the base URL, the rules, what is hosted beside. All of that moves the time by up to a day, the same on every node.
fn told_time(fetched: DateTime<Utc>, shown: &str) -> DateTime<Utc> {
    let hash = Digests::of(shown.as_bytes(), WantedDigests::default()).sha256;
    let number = hash.get(..8).and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap_or_default();
    fetched.checked_sub_signed(TimeDelta::seconds(number.rem_euclid(86_400))).unwrap_or(fetched)
}

/// A request to which "not modified" is said of exactly this time: who holds a later one holds the text of other rules.
fn exactly(parts: &Parts, modified: DateTime<Utc>) -> Cow<'_, Parts> {
    let Some(since) = parts.headers.get(header::IF_MODIFIED_SINCE) else { return Cow::Borrowed(parts) };
    let since = since.to_str().ok().and_then(|text| DateTime::parse_from_rfc2822(text).ok());
    if since.is_some_and(|since| since.timestamp() == modified.timestamp()) {
        return Cow::Borrowed(parts);
    }
    let mut parts = parts.clone();
    parts.headers.remove(header::IF_MODIFIED_SINCE);
    Cow::Owned(parts)
}

fn render(name: &PackageName, theirs: &Foreign, hosted: Option<&Package>, part: Part, base: &str) -> Vec<u8> {
    let shown = theirs.versions.iter().filter(|version| {
        theirs.shows(version) && hosted.is_none_or(|hosted| !hosted.has_had(&identity(&version.normalized)))
    });
    let mut all: Vec<(&str, Entry)> =
        shown.map(|version| (version.normalized.as_str(), version.entry(name, base))).collect();
    if let Some(hosted) = hosted {
        all.extend(entries(hosted, part, base));
        all.sort_by(|(a, _), (b, _)| compare(b, a));
    }
    let entries: Vec<Entry> = all.into_iter().map(|(_, entry)| entry).collect();
    document(name.as_str(), &entries)
}

/// An archive of another repository.
pub(crate) async fn archive(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    theirs: Foreign,
    file: &str,
) -> Result<Response, Error> {
    let no_archive = || Refusal::NotFound(format!("\"{name}\" has no such archive"));
    let archive = theirs.archive(call.registry, file).await?.ok_or_else(no_archive)?;
    told(call, actor, name, archive.version()).await?;
    let found = archive.fetch(call.registry, &call.parts.method).await?.ok_or_else(no_archive)?;
    answer(call, file, &found).await
}

/// An archive of a package that no other repository has any more.
pub(crate) async fn kept_archive(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    file: &str,
) -> Result<Response, Error> {
    let found = upstream::kept_archive(call.registry, actor, name, file).await?;
    let found = found.ok_or_else(|| Error::no_package(name.as_str()))?;
    told(call, actor, name, None).await?;
    answer(call, file, &found).await
}

async fn answer(call: &Call<'_>, file: &str, found: &UpstreamArtifact) -> Result<Response, Error> {
    let zip = file.rsplit_once('.').is_some_and(|(_, kind)| kind == "zip");
    let content_type = if zip { "application/zip" } else { "application/octet-stream" };
    let content_type = Some(HeaderValue::from_static(content_type));
    let head = ArtifactHead { content_type, etag: None, headers: archive_headers() };
    Ok(found.respond(&call.parts, head).await?)
}

/// What an upstream finds, without what is ours or must not be read, and how many it finds in all. A text that names something hosted or
/// reserved here is not told to anybody.
pub(crate) async fn search(
    call: &Call<'_>,
    actor: &Actor,
    (text, kind): (&str, &str),
    (page, size): (usize, usize),
) -> Result<(Vec<Value>, usize), Error> {
    #[derive(Deserialize)]
    struct Results {
        #[serde(default)]
        results: Vec<Map<String, Value>>,
        #[serde(default)]
        total: usize,
    }
    let nothing = Ok((Vec::new(), 0));
    let Some(searched) = upstream::searched(call.registry, actor).await? else { return nothing };
    for word in text.split_whitespace() {
        // A whole name is told to that upstream alone which is asked for it.
        if let Ok(name) = word.parse::<PackageName>()
            && upstream::asked_first(call.registry, actor, &name).await?.as_ref() != Some(&searched)
        {
            return nothing;
        }
        let vendor = format!("{}/x", word.split('/').next().unwrap_or_default());
        if let Ok(name) = vendor.parse::<PackageName>()
            && (upstream::is_reserved(call.registry, actor, &name).await?
                || upstream::is_denied(call.registry, actor, &name).await?)
        {
            return nothing;
        }
    }
    let more = format!("&page={page}&per_page={size}");
    let Some(answer) = upstream::search(call.registry, (actor, &searched), (text, kind), &more).await? else {
        return nothing;
    };
    let Ok(answer) = serde_json::from_slice::<Results>(&answer.body) else { return nothing };
    let mut found = Vec::new();
    for one in answer.results.into_iter().take(size) {
        let name = one.get("name").and_then(Value::as_str).and_then(|name| name.parse::<PackageName>().ok());
        let Some(name) = name else { continue };
        if call.allows(actor, name.as_str(), Action::Read).await.is_ok()
            && upstream::asked_first(call.registry, actor, &name).await?.as_ref() == Some(&searched)
        {
            let shown = ["name", "description", "url", "repository", "downloads", "favers", "abandoned"];
            let shown = shown.into_iter().filter_map(|key| Some((key.to_owned(), one.get(key)?.clone())));
            found.push(Value::Object(shown.collect()));
        }
    }
    Ok((found, answer.total))
}

/// What an upstream knows of advisories on packages that are its own. That it cannot be asked is no answer: clients would take it for
/// "there are none".
pub(crate) async fn advisories(
    call: &Call<'_>,
    whom: (&Actor, &UpstreamId),
    names: &HashSet<String>,
) -> Result<Map<String, Value>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Advisories {
        Of(Map<String, Value>),
        #[allow(dead_code, reason = "an empty object is written as an empty list")]
        None(Vec<()>),
    }
    #[derive(Deserialize)]
    struct Answer {
        advisories: Advisories,
    }
    let Some((source, answer)) = upstream::advisories(call.registry, whom, names).await? else {
        return Ok(Map::new());
    };
    let answer: Answer = serde_json::from_slice(&answer.body).map_err(|_| {
        let kind = FailureKind::BadBody("its advisories are none".to_owned());
        Unanswered::from(Failure::new(source.id(), kind))
    })?;
    let Advisories::Of(all) = answer.advisories else { return Ok(Map::new()) };
    Ok(all.into_iter().filter(|(name, _)| names.contains(name)).collect())
}
