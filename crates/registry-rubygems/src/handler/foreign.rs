//! Reading gems of other registries.

use std::{collections::HashSet, sync::Arc};

use http::{HeaderValue, StatusCode};
use registry_core::{
    Actor, Response,
    hooks::Operation,
    http::{Refusal, Representation, immutable_headers, respond_json},
    storage::Versioned,
    upstream::{ArtifactHead, Unanswered, UpstreamArtifact, UpstreamDocument},
};
use serde_json::Value;

use super::{
    call::{Call, fresh_headers},
    compact::{CompactFile, weighed},
    view::View,
};
use crate::{
    error::Error,
    store::{gem::Gem, index::Index},
    upstream::{self, Foreign, Found},
    wire::{
        compact,
        foreign::{ForeignRelease, merge_versions},
        specs::{self, SpecsKind},
    },
};

/// `/info/<gem>` of another registry, after the lines of what is hosted where both are shown. Hosted versions win.
pub(super) async fn info(
    call: &Call<'_>,
    actor: &Actor,
    theirs: &Foreign,
    hosted: Option<&Versioned<Gem>>,
) -> Result<Response, Error> {
    if hosted.is_none()
        && let Some((_, denial)) = theirs.sifted.hidden.last()
        && theirs.sifted.hidden.len() == theirs.info.releases.len()
    {
        // Nothing is left to show: the reason says which rule hides it, and until when.
        return Err(Unanswered::from(denial.clone()).into());
    }
    let beside = hosted.map_or("", |hosted| hosted.revision.as_str());
    let variant = format!("info hiding {} beside {beside}", theirs.sifted.tag);
    let file = theirs.document.derived(&variant, || {
        if hosted.is_none() && theirs.sifted.hidden.is_empty() {
            return weighed(CompactFile::new(theirs.document.raw().clone()));
        }
        let ours = |release: &ForeignRelease| {
            hosted.is_some_and(|gem| gem.releases.iter().any(|one| one.slug() == release.slug))
        };
        let shown = |release: &ForeignRelease| theirs.shows(release) && !ours(release);
        weighed(CompactFile::new(theirs.info.render(hosted.map(|gem| gem.info()), shown)))
    });
    let mut response = file.respond(call, actor).await?;
    theirs.mark(response.headers_mut());
    Ok(response)
}

/// The file of a version of another registry.
pub(super) async fn gem(
    call: &Call<'_>,
    actor: &Actor,
    theirs: &Foreign,
    release: &ForeignRelease,
) -> Result<Response, Error> {
    let gems = call.registry.gems();
    let event = || {
        let event = gems.store().event(Operation::Get, &gems.key(&theirs.name), actor);
        event.package(theirs.name.as_str()).version(&release.slug)
    };
    let permit = gems.store().permit_with(event).await?;
    gems.store().finish(permit).await;
    let found = theirs.file(release, &call.parts.method).await?.ok_or_else(Error::no_gem)?;
    send(call, actor, found).await
}

/// The quick specification of a version of another registry.
pub(super) async fn quick(
    call: &Call<'_>,
    actor: &Actor,
    theirs: &Foreign,
    release: &ForeignRelease,
) -> Result<Response, Error> {
    let found = theirs.quick(release, &call.parts.method).await?.ok_or_else(Error::no_gem)?;
    send(call, actor, found).await
}

async fn send(call: &Call<'_>, actor: &Actor, found: UpstreamArtifact) -> Result<Response, Error> {
    let head = ArtifactHead {
        content_type: Some(HeaderValue::from_static("application/octet-stream")),
        etag: None,
        headers: immutable_headers(actor, "Authorization"),
    };
    Ok(found.respond(&call.parts, head).await?)
}

/// The list of all gems, as everybody sees it who sees all, and what it depends on.
struct All {
    document: UpstreamDocument,
    text: Arc<String>,
    tag: String,
}

/// The list of the other registry without what is ours, with ours behind it: made once for each state of both.
async fn all(call: &Call<'_>, actor: &Actor) -> Result<Option<All>, Error> {
    let Some(document) = upstream::versions(call.registry, actor).await? else { return Ok(None) };
    let announcer = call.registry.gems().announcer();
    let log = announcer.log().await?;
    let tag = format!("all beside {}", log.revision.as_str());
    if let Some(text) = document.derived_cached::<String>(&tag) {
        return Ok(Some(All { document, text, tag }));
    }
    let ours = announcer.text(&log).await?;
    let theirs = std::str::from_utf8(document.raw()).map_err(Refusal::internal)?;
    // Whatever was pushed here, in whatever case, yanked or not.
    let hosted: HashSet<String> =
        ours.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_ascii_lowercase())).collect();
    let lines = theirs.split_once(compact::SEPARATOR).map_or("", |(_, lines)| lines);
    let hidden = upstream::not_theirs(call.registry, actor, lines, &hosted).await?;
    let text = document.derived(&tag, || {
        let text = merge_versions(theirs, &ours, |name| !hidden.contains(name));
        let weight = text.len();
        (text, weight)
    });
    Ok(Some(All { document, text, tag }))
}

/// The sum of the list of all gems, made once for each state.
fn index(all: &All) -> Result<Arc<Index>, Error> {
    let made = all.document.derived(&format!("index of {}", all.tag), || {
        let mut index = Index::of("theirs");
        let key = registry_core::storage::KeyBuilder::root().fixed("versions").build();
        let fed = index.feed(&key, &all.text);
        (fed.map(|()| Arc::new(index)).map_err(|error| error.to_string()), all.text.len().saturating_mul(3))
    });
    (*made).clone().map_err(|wrong| Refusal::internal(wrong).into())
}

async fn view(call: &Call<'_>, actor: &Actor, all: &All) -> Result<View, Error> {
    // The sum is only made for who may not see all of it.
    match View::of(call, actor, &Index::default()).await? {
        View::All => Ok(View::All),
        View::Some { .. } => {
            let index = index(all)?;
            View::of(call, actor, &index).await
        }
    }
}

/// `/versions` of another registry and of what is hosted.
pub(super) async fn versions(call: &Call<'_>, actor: &Actor) -> Result<Option<Response>, Error> {
    let Some(all) = all(call, actor).await? else { return Ok(None) };
    let view = view(call, actor, &all).await?;
    let variant = format!("versions of {} for {}", all.tag, view.fingerprint());
    let file = all.document.derived(&variant, || {
        weighed(match &view {
            View::All => CompactFile::new((*all.text).clone()),
            View::Some { .. } => CompactFile::new(view.filter(&all.text)),
        })
    });
    let mut response = file.respond(call, actor).await?;
    all.document.provenance().put_on(response.headers_mut());
    Ok(Some(response))
}

/// `/names` of another registry and of what is hosted.
pub(super) async fn names(call: &Call<'_>, actor: &Actor) -> Result<Option<Response>, Error> {
    let Some(all) = all(call, actor).await? else { return Ok(None) };
    let (view, index) = (view(call, actor, &all).await?, index(&all)?);
    let variant = format!("names of {} for {}", all.tag, view.fingerprint());
    let file = all.document.derived(&variant, || {
        weighed(CompactFile::new(compact::names(index.names().filter(|name| view.has(name)))))
    });
    let mut response = file.respond(call, actor).await?;
    all.document.provenance().put_on(response.headers_mut());
    Ok(Some(response))
}

/// `/specs.4.8.gz` and the like of another registry and of what is hosted, made of the list of all gems: it says what they say.
pub(super) async fn specs(
    call: &Call<'_>,
    actor: &Actor,
    kind: SpecsKind,
    gzip: bool,
) -> Result<Option<Response>, Error> {
    let Some(all) = all(call, actor).await? else { return Ok(None) };
    let (view, index) = (view(call, actor, &all).await?, index(&all)?);
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    let variant = format!("{kind:?} {gzip} {privacy} of {} for {}", all.tag, view.fingerprint());
    let (document, headers) = (all.document.clone(), fresh_headers(actor));
    let make = move || {
        document.derived(&variant, || {
            let allowed = |name: &str| view.has(name);
            let list = specs::render(kind, index.listed(&allowed));
            let body = if gzip { specs::gzip(&list) } else { list };
            let content_type = HeaderValue::from_static("application/octet-stream");
            let form = Representation::new(content_type, body.into(), None, headers);
            let weight = form.weight();
            (form, weight)
        })
    };
    let form = tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?;
    Ok(Some(form.respond(&call.parts)))
}

/// What another registry says of a gem as JSON, with its files at this one. Nothing where the gem is hosted.
pub(super) async fn json(call: &Call<'_>, text: &str, kind: &str) -> Result<Option<Response>, Error> {
    if !call.registry.upstreams().exist() {
        return Ok(None);
    }
    let (_, Found::Foreign(theirs)) = call.find_gem(text).await? else { return Ok(None) };
    let Some(document) = theirs.json(kind).await? else { return Ok(None) };
    let mut value: Value = serde_json::from_slice(document.raw()).map_err(Refusal::internal)?;
    let base = call.base_url();
    if let Some(uri) = value.get_mut("gem_uri")
        && let Some(file) = uri.as_str().and_then(|uri| uri.rsplit('/').next()).map(str::to_owned)
    {
        *uri = format!("{base}/gems/{file}").into();
    }
    let mut response = respond_json(StatusCode::OK, &value);
    response.headers_mut().extend(fresh_headers(call.actor().await.as_ref().unwrap_or(&Actor::anonymous())));
    document.provenance().put_on(response.headers_mut());
    Ok(Some(response))
}
