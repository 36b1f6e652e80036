//! `specs.4.8.gz` and its sisters.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::HeaderValue;
use parking_lot::Mutex;
use registry_core::{
    Actor, Response,
    http::{Refusal, Representation},
};

use super::{
    call::{Call, fresh_headers},
    foreign,
    view::View,
};
use crate::{
    error::Error,
    store::announce::Snapshot,
    wire::specs::{self, SpecsKind},
};

/// Lists of more versions than this …
const LARGE: usize = 5_000;
/// … are rendered so often at most, and on a thread of their own.
const LIFE: Duration = Duration::from_secs(2);

/// The lists as everybody sees who sees all, as they were last rendered.
#[derive(Debug, Default)]
pub(crate) struct SpecsCache {
    lists: Mutex<HashMap<(SpecsKind, bool, bool), Rendered>>,
    /// Held while a large list is rendered.
    renderer: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Rendered {
    epoch: String,
    position: u64,
    versions: usize,
    at: Instant,
    form: Arc<Representation>,
}

impl Rendered {
    fn is_good_for(&self, snapshot: &Snapshot) -> bool {
        let is_current = self.epoch == snapshot.index.epoch && self.position == snapshot.index.position;
        is_current || (self.versions > LARGE && self.at.elapsed() < LIFE)
    }
}

/// `GET /specs.4.8.gz` and the like.
pub(crate) async fn get(call: &Call<'_>, kind: SpecsKind, gzip: bool) -> Result<Response, Error> {
    let actor = call.actor().await?;
    call.allows_some(&actor, registry_core::auth::Action::Read)?;
    if call.registry.upstreams().exist()
        && let Some(response) = foreign::specs(call, &actor, kind, gzip).await?
    {
        return Ok(response);
    }
    let snapshot = call.registry.gems().announcer().snapshot().await?;
    let view = View::of(call, &actor, &snapshot.index).await?;
    if let View::Some { .. } = view {
        let gems = call.registry.gems();
        let variant = format!("{kind:?} {gzip} {} {}", snapshot.index.position, view.fingerprint());
        let key = gems.announcer().key();
        let form = gems.store().derived(&key, &snapshot.log.revision, &variant, || {
            let form = render(kind, gzip, &snapshot, &actor, &view);
            let weight = form.weight();
            (form, weight)
        });
        return Ok(form.respond(&call.parts));
    }
    let cache = call.registry.specs();
    let key = (kind, gzip, actor.is_anonymous());
    let known = |snapshot: &Snapshot| {
        let lists = cache.lists.lock();
        lists.get(&key).filter(|found| found.is_good_for(snapshot)).map(|found| Arc::clone(&found.form))
    };
    if let Some(form) = known(&snapshot) {
        return Ok(form.respond(&call.parts));
    }
    let versions = snapshot.index.versions();
    let form = if versions <= LARGE {
        Arc::new(render(kind, gzip, &snapshot, &actor, &view))
    } else {
        // One at a time, and whoever waited finds what the one before made.
        let _turn = cache.renderer.lock().await;
        if let Some(form) = known(&snapshot) {
            return Ok(form.respond(&call.parts));
        }
        let (snapshot, actor) = (snapshot.clone(), actor.clone());
        let rendered = tokio::task::spawn_blocking(move || render(kind, gzip, &snapshot, &actor, &View::All));
        Arc::new(rendered.await.map_err(Refusal::internal)?)
    };
    let rendered = Rendered {
        epoch: snapshot.index.epoch.clone(),
        position: snapshot.index.position,
        versions,
        at: Instant::now(),
        form: Arc::clone(&form),
    };
    cache.lists.lock().insert(key, rendered);
    Ok(form.respond(&call.parts))
}

fn render(kind: SpecsKind, gzip: bool, snapshot: &Snapshot, actor: &Actor, view: &View) -> Representation {
    let allowed = |name: &str| view.has(name);
    let list = specs::render(kind, snapshot.index.listed(&allowed));
    let body = if gzip { specs::gzip(&list) } else { list };
    // No Content-Encoding, ever: clients unpack the file themselves.
    let content_type = HeaderValue::from_static("application/octet-stream");
    let modified = SystemTime::from(snapshot.log.modified);
    Representation::new(content_type, body.into(), Some(modified), fresh_headers(actor))
}
