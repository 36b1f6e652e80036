//! The compact index, with the headers that Bundler checks what it holds by.

use std::{
    io::Write as _,
    ops::Range,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use registry_core::{
    Actor, Body, Response,
    http::{ArtifactResponse, Refusal, accepts_gzip, respond_artifact},
};

use super::{
    call::{Call, fresh_headers},
    foreign,
    view::View,
};
use crate::{
    error::Error,
    store::{digests::ContentDigests, index::Index},
    upstream::Found,
    wire,
};

/// Smaller files fit into one packet as they are.
const MIN_COMPRESSED: usize = 512;
/// Larger files are sent as they are: compressing them takes longer than a request should.
const MAX_COMPRESSED: usize = 1 << 20;

/// A file of the compact index in memory.
#[derive(Debug)]
pub(super) struct CompactFile {
    body: Bytes,
    digests: ContentDigests,
    /// `None` inside: it does not pay.
    gzip: OnceLock<Option<Bytes>>,
}

impl CompactFile {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        let body = text.into();
        Self { digests: ContentDigests::of(&body), body, gzip: OnceLock::new() }
    }

    fn weight(&self) -> usize {
        self.body.len().saturating_mul(3) / 2
    }

    fn gzip(&self) -> Option<&Bytes> {
        let make = || {
            if !(MIN_COMPRESSED..=MAX_COMPRESSED).contains(&self.body.len()) {
                return None;
            }
            let mut encoder = GzEncoder::new(Vec::with_capacity(self.body.len() / 2), Compression::default());
            encoder.write_all(&self.body).ok()?;
            let packed = encoder.finish().ok()?;
            (packed.len() < self.body.len() / 10 * 9).then(|| packed.into())
        };
        self.gzip.get_or_init(make).as_ref()
    }

    pub(super) async fn respond(self: Arc<Self>, call: &Call<'_>, actor: &Actor) -> Result<Response, Error> {
        let headers = headers(actor, &self.digests)?;
        let packed = (!call.parts.headers.contains_key(header::RANGE) && accepts_gzip(&call.parts.headers))
            .then(|| self.gzip().cloned())
            .flatten();
        let is_packed = packed.is_some();
        let bytes = packed.unwrap_or_else(|| self.body.clone());
        let open = {
            let bytes = bytes.clone();
            move |range: Option<Range<u64>>| {
                let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                let part =
                    range.map_or_else(|| bytes.clone(), |range| bytes.slice(at(range.start)..at(range.end)));
                async move { Ok(Body::from(part)) }
            }
        };
        let artifact = artifact(bytes.len() as u64, &self.digests, headers)?;
        let mut response = respond_artifact(&call.parts, artifact, open).await?;
        if is_packed && response.status() == StatusCode::OK {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

/// The headers by which clients know the content: both digests are of the whole and uncompressed file, whatever part is sent.
fn headers(actor: &Actor, digests: &ContentDigests) -> Result<HeaderMap, Error> {
    let mut headers = fresh_headers(actor);
    let sha256 = STANDARD.encode(digests.sha256);
    let value = |text: String| HeaderValue::try_from(text).map_err(Refusal::internal);
    headers.insert(HeaderName::from_static("repr-digest"), value(format!("sha-256=:{sha256}:"))?);
    headers.insert(HeaderName::from_static("digest"), value(format!("sha-256={sha256}"))?);
    Ok(headers)
}

/// The entity tag has to be the MD5 of the file: Bundler compares them.
fn artifact(size: u64, digests: &ContentDigests, headers: HeaderMap) -> Result<ArtifactResponse, Error> {
    let etag = format!("\"{}\"", hex::encode(digests.md5));
    Ok(ArtifactResponse {
        size,
        etag: HeaderValue::try_from(etag).map_err(Refusal::internal)?,
        content_type: HeaderValue::from_static("text/plain; charset=utf-8"),
        modified: None,
        headers,
    })
}

/// `GET /versions`.
pub(crate) async fn versions(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    if call.registry.upstreams().exist()
        && let Some(response) = foreign::versions(call, &actor).await?
    {
        return Ok(response);
    }
    let gems = call.registry.gems();
    let announcer = gems.announcer();
    let view = {
        // The sum of the log is only read for who may not see all of it.
        let quick = View::of(call, &actor, &Index::default()).await?;
        match quick {
            View::All => View::All,
            View::Some { .. } => View::of(call, &actor, &announcer.snapshot().await?.index).await?,
        }
    };
    let log = announcer.log().await?;
    let key = announcer.key();
    if let View::Some { .. } = view {
        let variant = format!("versions {}", view.fingerprint());
        let known = gems.store().derived_cached::<CompactFile>(&key, &log.revision, &variant);
        let file = if let Some(file) = known {
            file
        } else {
            let text = view.filter(&announcer.text(&log).await?);
            gems.store().derived(&key, &log.revision, &variant, || weighed(CompactFile::new(text)))
        };
        return file.respond(call, &actor).await;
    }
    let known = gems.store().derived_cached::<ContentDigests>(&key, &log.revision, "digests");
    let digests = if let Some(digests) = known {
        digests
    } else {
        let digests = log.content_digests(&key)?;
        gems.store().derived(&key, &log.revision, "digests", || (digests, 64))
    };
    let artifact = artifact(log.length(), &digests, headers(&actor, &digests)?)?;
    let store = gems.store().clone();
    let open = move |range: Option<Range<u64>>| {
        let (store, log) = (store.clone(), Arc::clone(&log));
        async move { log.read(&store, range.unwrap_or(0..log.length())).await }
    };
    Ok(respond_artifact(&call.parts, artifact, open).await?)
}

/// `GET /names`.
pub(crate) async fn names(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    call.allows_some(&actor, registry_core::auth::Action::Read)?;
    if call.registry.upstreams().exist()
        && let Some(response) = foreign::names(call, &actor).await?
    {
        return Ok(response);
    }
    let gems = call.registry.gems();
    let snapshot = gems.announcer().snapshot().await?;
    let view = View::of(call, &actor, &snapshot.index).await?;
    let variant = format!("names {} {}", snapshot.index.position, view.fingerprint());
    let file = gems.store().derived(&gems.announcer().key(), &snapshot.log.revision, &variant, || {
        let names = snapshot.index.names().filter(|name| view.has(name));
        weighed(CompactFile::new(wire::compact::names(names)))
    });
    file.respond(call, &actor).await
}

/// `GET /info/<gem>`.
pub(crate) async fn info(call: &Call<'_>, text: &str) -> Result<Response, Error> {
    let (actor, found) = call.find_gem(text).await?;
    let gem = match found {
        Found::Hosted(gem) => gem,
        Found::Foreign(theirs) => return foreign::info(call, &actor, &theirs, None).await,
        Found::Both(gem, theirs) => return foreign::info(call, &actor, &theirs, Some(&gem)).await,
    };
    let gems = call.registry.gems();
    let file = gems
        .store()
        .derived(&gems.key(&gem.name), &gem.revision, "info", || weighed(CompactFile::new(gem.info())));
    file.respond(call, &actor).await
}

pub(super) fn weighed(file: CompactFile) -> (CompactFile, usize) {
    let weight = file.weight();
    (file, weight)
}
