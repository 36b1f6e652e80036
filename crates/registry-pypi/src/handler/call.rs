//! One request on its way: who asks, what they may do, where clients reach us, and the body.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use registry_core::{
    Actor, Body, PackageRegistry as _, Protocol,
    auth::{Action, AuthError},
    http::{Refusal, drain_body, read_body},
};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::{error::Error, names::ProjectName, registry::PypiRegistry, wire::json::Urls};

/// The largest body that is not an upload.
const SMALL_BODY: u64 = 64 << 10;

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) registry: &'r PypiRegistry,
    pub(crate) parts: Parts,
    /// The base path that the request came by.
    pub(crate) base: String,
    /// Behind a lock only to make a shared `Call` sendable; it is always at hand.
    body: Mutex<Option<Body>>,
}

impl<'r> Call<'r> {
    pub(crate) fn new(registry: &'r PypiRegistry, parts: Parts, body: Body, base: String) -> Self {
        Self { registry, parts, base, body: Mutex::new(Some(body)) }
    }

    /// Where clients reach us.
    pub(crate) fn urls(&self) -> Urls {
        let origin = self.registry.services().public_url.origin(&self.parts);
        Urls {
            index: format!("{origin}{}", self.registry.index_path()),
            base: format!("{origin}{}", self.registry.base_path()),
        }
    }

    // ----- who

    /// Who asks. Wrong credentials are an error even where none would do.
    pub(crate) async fn actor(&self) -> Result<Actor, Error> {
        Ok(self.registry.services().authenticate(self.registry.instance(), &self.parts).await?)
    }

    /// Whether the actor may do this to the project.
    pub(crate) async fn allows(
        &self,
        actor: &Actor,
        name: &ProjectName,
        action: Action,
    ) -> Result<(), AuthError> {
        self.registry.services().authorize(self.registry.instance(), actor, name.as_str(), action).await
    }

    /// Who asks, if they may do this to the project. A name that may not be read is never answered as one that is not there, or clients
    /// would look for it elsewhere.
    pub(crate) async fn allow(&self, name: &ProjectName, action: Action) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        self.permit(&actor, name, action).await?;
        Ok(actor)
    }

    /// Whether the actor may do this to the project, with a refusal that says what.
    pub(crate) async fn permit(
        &self,
        actor: &Actor,
        name: &ProjectName,
        action: Action,
    ) -> Result<(), Error> {
        let what = match action {
            Action::Delete => "delete from",
            Action::Read => "read",
            Action::Write => "upload to or change",
        };
        match self.allows(actor, name, action).await {
            Err(AuthError::Forbidden(_)) => {
                Err(Refusal::Forbidden(format!("you do not have permission to {what} the project {name}"))
                    .into())
            }
            other => Ok(other?),
        }
    }

    /// Whether the actor may do this to some project: for lists, and before a body is read.
    pub(crate) fn allows_some(&self, actor: &Actor, action: Action) -> Result<(), Error> {
        let instance = &self.registry.instance().name;
        let may =
            actor.scopes.as_ref().is_none_or(|scopes| scopes.allows_any(Protocol::Pypi, instance, action));
        if may && !(actor.read_only && action != Action::Read) {
            return Ok(());
        }
        Err(if actor.is_anonymous() {
            AuthError::Missing.into()
        } else {
            Refusal::Forbidden("you do not have permission to do this in this registry".to_owned()).into()
        })
    }

    // ----- what

    /// The body, once.
    pub(crate) fn take_body(&mut self) -> Body {
        self.body.get_mut().take().unwrap_or_default()
    }

    /// A small body.
    pub(crate) async fn small_body(&mut self) -> Result<Bytes, Error> {
        let body = self.take_body();
        Ok(read_body(&self.parts.headers, body, SMALL_BODY).await?)
    }

    /// A small body as JSON; the default where there is none.
    pub(crate) async fn json<T: DeserializeOwned + Default>(&mut self) -> Result<T, Error> {
        let bytes = self.small_body().await?;
        if bytes.is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::bad(format!("the request's body is not the JSON expected here: {error}")))
    }

    /// Reads a body that nobody wanted.
    pub(crate) async fn drain(&mut self) {
        if let Some(body) = self.body.get_mut().take() {
            drain_body(body).await;
        }
    }
}

/// The headers of pages that change: caches ask each time, and what needed credentials is for their owner alone.
pub(crate) fn page_headers(actor: &Actor) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let cache = if actor.is_anonymous() { "no-cache" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}
