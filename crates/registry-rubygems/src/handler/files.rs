//! Versions' files, and their quick specifications.

use std::{sync::Arc, time::SystemTime};

use http::HeaderValue;
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    hooks::Operation,
    http::{ArtifactResponse, Refusal, Representation, immutable_headers, respond_artifact},
    storage::Versioned,
};

use super::{call::Call, foreign};
use crate::{
    error::Error,
    names::{slug, split_full_name},
    store::gem::{Gem, Release},
    upstream::{self, Foreign},
    wire::{foreign::ForeignRelease, gemspec},
};

/// What a full name was found to mean.
struct Found {
    actor: Actor,
    gem: Arc<Versioned<Gem>>,
    release: Arc<Release>,
}

/// A version here or elsewhere.
enum Place {
    Here(Found),
    There(Actor, Box<Foreign>, ForeignRelease),
}

/// The version that a full name means. Several readings are decided by what is published, here and then elsewhere.
async fn find(call: &Call<'_>, full: &str) -> Result<Place, Error> {
    let actor = call.actor().await?;
    let mut refused = None;
    for (name, version, platform) in split_full_name(full) {
        match call.allows(&actor, name.as_str(), Action::Read).await {
            Ok(()) => {}
            Err(error) => {
                refused = Some(error);
                continue;
            }
        }
        let Some(gem) = call.registry.gems().load(&name).await? else { continue };
        let is_served = |release: &&Arc<Release>| {
            release.is_visible() || (call.registry.config().keep_yanked_files && release.can_come_back())
        };
        if let Some(release) = gem.find(&version, &platform).filter(is_served).cloned() {
            return Ok(Place::Here(Found { actor, gem, release }));
        }
    }
    if call.registry.upstreams().exist() {
        for (name, version, platform) in split_full_name(full) {
            if call.allows(&actor, name.as_str(), Action::Read).await.is_err() {
                continue;
            }
            let theirs = match upstream::find(call.registry, &actor, &name).await? {
                Some(upstream::Found::Foreign(theirs)) => theirs,
                Some(upstream::Found::Both(gem, theirs)) if gem.find(&version, &platform).is_none() => theirs,
                _ => continue,
            };
            if let Some((theirs, release)) = theirs.release(call.registry, &slug(&version, &platform)).await?
            {
                return Ok(Place::There(actor, Box::new(theirs), release));
            }
        }
    }
    match refused {
        None => {
            call.allows_some(&actor, Action::Read)?;
            Err(Error::no_gem())
        }
        Some(AuthError::Forbidden(_)) => Err(Error::no_gem()),
        Some(error) => Err(error.into()),
    }
}

/// `GET /gems/<full name>.gem`.
pub(crate) async fn gem(call: &Call<'_>, full: &str) -> Result<Response, Error> {
    let Found { actor, release, .. } = match find(call, full).await? {
        Place::Here(found) => found,
        Place::There(actor, theirs, release) => return foreign::gem(call, &actor, &theirs, &release).await,
    };
    let data = release.data.clone().ok_or_else(Error::no_gem)?;
    let gems = call.registry.gems();
    let (store, spec) = (gems.store(), &release.spec);
    let permit = store
        .permit_with(|| {
            store
                .event(Operation::Get, &gems.file_key(&spec.name, &spec.version, &spec.platform), &actor)
                .package(spec.name.as_str())
                .version(release.slug())
                .size(data.size)
                .digest(format!("sha256:{}", release.sha256))
                .content_type("application/octet-stream")
        })
        .await?;
    let artifact = ArtifactResponse {
        size: data.size,
        etag: HeaderValue::try_from(format!("\"{}\"", release.sha256)).map_err(Refusal::internal)?,
        content_type: HeaderValue::from_static("application/octet-stream"),
        modified: Some(SystemTime::from(release.created)),
        headers: immutable_headers(&actor, "Authorization"),
    };
    let reader = store.clone();
    let open = move |range| {
        let (store, data) = (reader.clone(), data.clone());
        async move { store.serve_artifact(&[data], range).await }
    };
    let response = respond_artifact(&call.parts, artifact, open).await?;
    store.finish(permit).await;
    Ok(response)
}

/// `GET /quick/Marshal.4.8/<full name>.gemspec.rz`: made from the gem's document, and kept in memory.
pub(crate) async fn quick(call: &Call<'_>, full: &str) -> Result<Response, Error> {
    let Found { actor, gem, release } = match find(call, full).await? {
        Place::Here(found) => found,
        Place::There(actor, theirs, release) => return foreign::quick(call, &actor, &theirs, &release).await,
    };
    let gems = call.registry.gems();
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    let variant = format!("quick {privacy} {}", release.slug());
    let form = gems.store().derived(&gems.key(&gem.name), &gem.revision, &variant, || {
        let form = Representation::new(
            HeaderValue::from_static("application/octet-stream"),
            gemspec::render(&release.spec).into(),
            Some(SystemTime::from(release.created)),
            super::call::fresh_headers(&actor),
        );
        let weight = form.weight();
        (form, weight)
    });
    Ok(form.respond(&call.parts))
}
