//! `POST /api/v1/gems`: a gem goes to the store while it arrives and is looked into.

use std::{pin::Pin, sync::Arc, task::ready};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{StatusCode, header};
use parking_lot::Mutex;
use registry_core::{
    Actor, Body, BodyError, Response,
    archive::write_inspected,
    auth::Action,
    hooks::Operation,
    http::{
        Refusal, drain_body,
        form::{Form, FormLimits},
        respond_text,
    },
    storage::{ArtifactSpec, PendingArtifact, StorageError, UnknownFields, UpdateError},
};

use super::call::Call;
use crate::{
    archive::{self, GemLimits, GemParts, Peek},
    error::Error,
    names::{full_name, split_full_name},
    store::{changes, gem::Release},
    upstream,
    wire::spec::{ReadSpec, Spec},
};

/// So much of a gem is looked at to find its name before it goes to its place. Usually it is in the first few kilobytes.
const MAX_PEEK: usize = 1 << 20;

/// Metadata of more bytes than this is read on a thread of its own.
const INLINE_METADATA: usize = 64 << 10;

/// What somebody reads who may not push a gem.
const REFUSAL: &str = "You do not have permission to push to this gem. Ask for the write action on it.";

/// A request's body that can be read to its end after whoever had it as a stream gave up.
#[derive(Clone)]
struct Upload(Arc<Mutex<Body>>);

impl Upload {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn stream(&self) -> Body {
        let body = Arc::clone(&self.0);
        Body::from_stream(stream::poll_fn(move |cx| {
            loop {
                let frame = ready!(http_body::Body::poll_frame(Pin::new(&mut *body.lock()), cx));
                match frame {
                    None => return std::task::Poll::Ready(None),
                    Some(Err(error)) => return std::task::Poll::Ready(Some(Err(error))),
                    Some(Ok(frame)) => {
                        if let Ok(piece) = frame.into_data() {
                            return std::task::Poll::Ready(Some(Ok::<Bytes, BodyError>(piece)));
                        }
                    }
                }
            }
        }))
    }

    fn rest(&self) -> Body {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A gem that was taken in.
struct Received {
    data: PendingArtifact,
    spec: Spec,
}

/// Takes a gem.
pub(crate) async fn post(call: &mut Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    call.allows_some(&actor, Action::Write)?;
    let body = call.take_body();
    if !is_form(call) {
        let upload = Upload::new(body);
        let received = receive(call, &actor, upload.stream()).await;
        call.put_body(upload.rest());
        return store(call, &actor, received?).await;
    }
    // With attestations the gem is a part of a form. They are read and not kept.
    let mut form = Form::new(&call.parts.headers, body, FormLimits::default())?;
    let received = from_form(call, &actor, &mut form).await;
    let rest = form.into_body();
    match received {
        Ok(received) => store(call, &actor, received).await,
        Err(error) => {
            drain_body(rest).await;
            Err(error)
        }
    }
}

fn is_form(call: &Call<'_>) -> bool {
    let value = call.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        value.get(..19).is_some_and(|essence| essence.eq_ignore_ascii_case("multipart/form-data"))
    })
}

async fn from_form(call: &Call<'_>, actor: &Actor, form: &mut Form) -> Result<Received, Error> {
    let mut received = None;
    while let Some(part) = form.next().await? {
        if part.name != "gem" {
            continue;
        }
        if received.is_some() {
            return Err(Error::bad("The form has several gems."));
        }
        let body = form.file();
        received = Some(match receive(call, actor, body).await {
            Ok(received) => received,
            Err(error) => return Err(form.take_failure().map_or(error, Error::from)),
        });
    }
    received.ok_or_else(|| Error::bad("The form has no part \"gem\"."))
}

/// Writes a gem to its place and looks into it.
async fn receive(call: &Call<'_>, actor: &Actor, body: Body) -> Result<Received, Error> {
    let config = call.registry.config();
    let gems = call.registry.gems();
    let mut pieces = body.into_data_stream();
    let (mut begin, mut size, mut peek) = (Vec::new(), 0_usize, Peek::new());
    let mut packed = None;
    while packed.is_none() && peek.goes_on() && size <= MAX_PEEK {
        let Some(piece) = pieces.try_next().await.map_err(StorageError::Body)? else { break };
        size = size.saturating_add(piece.len());
        packed = peek.feed(&piece);
        begin.push(Ok::<Bytes, BodyError>(piece));
    }
    let early = match packed {
        Some(packed) => {
            let read = read_spec(call, archive::unpack("metadata.gz", &packed)?).await?;
            may_push(call, actor, &read.spec).await?;
            Some(read.spec)
        }
        None => None,
    };
    let key = match &early {
        Some(spec) => gems.file_key(&spec.name, &spec.version, &spec.platform),
        None => gems.incoming_key(),
    };
    let limits = GemLimits { unpacked_bytes: config.max_unpacked_bytes, entries: config.max_entries };
    let spec = ArtifactSpec { max_bytes: Some(config.max_gem_bytes), ..ArtifactSpec::default() };
    let body = Body::from_stream(stream::iter(begin).chain(pieces));
    let written = write_inspected(gems.store(), &key, body, spec, archive::inspector(limits)).await;
    let (data, inspector) = match written {
        Ok(written) => written,
        Err(UpdateError::Refused(error)) => return Err(Error::Tar(error)),
        Err(UpdateError::Storage(error)) => return Err(error.into()),
    };
    let finish = move || archive::finish(inspector);
    let GemParts { metadata, is_signed } =
        tokio::task::spawn_blocking(finish).await.map_err(Refusal::internal)??;
    let read = read_spec(call, metadata).await?;
    if read.is_signed && !is_signed {
        return Err(Error::Gem("it names certificates, and not all of its parts are signed".to_owned()));
    }
    let spec = read.spec;
    if early.as_ref().is_some_and(|early| early.name == spec.name && early.slug() == spec.slug()) {
        return Ok(Received { data, spec });
    }
    // The name came late: the bytes are copied to where they belong.
    may_push(call, actor, &spec).await?;
    let key = gems.file_key(&spec.name, &spec.version, &spec.platform);
    let body = gems.store().read_artifact(std::slice::from_ref(data.data()), None).await?;
    let copied = gems.store().write_artifact(&key, body, ArtifactSpec::default()).await?;
    Ok(Received { data: copied, spec })
}

/// Reads a specification, where it may take its time if it is long.
async fn read_spec(call: &Call<'_>, yaml: String) -> Result<ReadSpec, Error> {
    let now = call.registry.services().clock.now();
    if yaml.len() <= INLINE_METADATA {
        return Ok(Spec::parse(&yaml, now)?);
    }
    let read = tokio::task::spawn_blocking(move || Spec::parse(&yaml, now));
    Ok(read.await.map_err(Refusal::internal)??)
}

/// Whether this version can be pushed by the actor, as far as that is known without the bytes.
async fn may_push(call: &Call<'_>, actor: &Actor, spec: &Spec) -> Result<(), Error> {
    call.check(actor, &spec.name, &[Action::Write], REFUSAL).await?;
    if call.registry.config().reserves(spec.name.as_str()) {
        return Err(Refusal::Forbidden("This gem name is reserved.".to_owned()).into());
    }
    if upstream::is_taken(call.registry, actor, &spec.name).await? {
        return Err(Error::taken(&spec.name));
    }
    let gems = call.registry.gems();
    let gem = gems.store().read::<crate::store::gem::Gem>(&gems.key(&spec.name)).await?;
    changes::check_new(gem.as_deref().map(|gem| &gem.value), spec, None)?;
    // A file's name can be read in several ways; no two versions share one.
    let full = full_name(&spec.name, &spec.version, &spec.platform);
    for (name, version, platform) in split_full_name(&full) {
        if name != spec.name
            && let Some(gem) = gems.load(&name).await?
            && gem.find(&version, &platform).is_some()
        {
            return Err(Refusal::Conflict(format!(
                "There was a problem saving your gem: the file name {full}.gem is that of another gem's version."
            )).into());
        }
    }
    Ok(())
}

/// Adds the version to its gem.
async fn store(call: &Call<'_>, actor: &Actor, received: Received) -> Result<Response, Error> {
    let Received { data, spec } = received;
    let gems = call.registry.gems().clone();
    let sha256 = data.digests().sha256.clone();
    let size = data.size();
    let mut permit = gems
        .store()
        .permit_with(|| {
            gems.store()
                .event(Operation::Put, &gems.file_key(&spec.name, &spec.version, &spec.platform), actor)
                .package(spec.name.as_str())
                .version(spec.slug())
                .size(size)
                .digest(format!("sha256:{sha256}"))
                .content_type("application/octet-stream")
        })
        .await?;
    let now = call.registry.services().clock.now();
    let (name, slug) = (spec.name.clone(), spec.slug());
    let release = Release {
        spec,
        created: now,
        pusher: actor.name().to_owned(),
        sha256,
        data: Some(permit.attach(data)),
        yanked: None,
        unknown: UnknownFields::default(),
    };
    let max_versions = call.registry.config().max_versions;
    let change =
        move |draft: &mut registry_core::storage::Draft<_>| changes::add(draft, &release, max_versions);
    let is_new = call.registry.commit::<_, Error>(&name, permit, change).await?;
    let text = if is_new {
        format!("Successfully registered gem: {name} ({slug})")
    } else {
        format!("Gem was already pushed: {name} ({slug})")
    };
    Ok(respond_text(StatusCode::OK, text))
}
