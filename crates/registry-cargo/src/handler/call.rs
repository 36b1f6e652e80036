//! One request on its way: who asks, what they may do, where clients reach us, and the body.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header, request::Parts};
use registry_core::{
    Actor, Body, PackageRegistry as _, Response,
    auth::{Action, AuthError},
    http::{Refusal, drain_body, read_body, respond_json},
    storage::Versioned,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    error::Error,
    names::CrateName,
    registry::CargoRegistry,
    store::document::CrateDocument,
    upstream::{self, Found},
};

/// The largest body of a request that is no publish.
const SMALL_BODY: u64 = 64 << 10;

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) registry: &'r CargoRegistry,
    pub(crate) parts: Parts,
    /// Behind a lock only to make a shared `Call` sendable; it is always at hand.
    body: Mutex<Option<Body>>,
    base: String,
}

impl<'r> Call<'r> {
    pub(crate) fn new(registry: &'r CargoRegistry, parts: Parts, body: Body, base_path: &str) -> Self {
        let base = format!("{}{base_path}", registry.services().public_url.origin(&parts));
        Self { registry, parts, body: Mutex::new(Some(body)), base }
    }

    /// Where clients reach the registry, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    // ----- who

    /// Who asks. Wrong credentials are an error even where none would do.
    pub(crate) async fn actor(&self) -> Result<Actor, Error> {
        Ok(self.registry.services().authenticate(self.registry.instance(), &self.parts).await?)
    }

    /// Whether the actor may do this to the crate.
    pub(crate) async fn allows(
        &self,
        actor: &Actor,
        name: &CrateName,
        action: Action,
    ) -> Result<(), AuthError> {
        self.registry.services().authorize(self.registry.instance(), actor, name.as_str(), action).await
    }

    /// Who asks, if they may do one of these to the crate, and the crate's name as it was published. Scopes tell upper from lower
    /// case and paths do not, so what counts is how the crate is called and not how it was asked for.
    pub(crate) async fn allow(
        &self,
        asked: &CrateName,
        actions: &[Action],
    ) -> Result<(Actor, CrateName), Error> {
        let actor = self.actor().await?;
        let document = self.registry.crates().read(asked).await?;
        let nothing_here = document.is_none() && self.registry.upstreams().exist();
        let published = document.map(|document| document.name.clone());
        let name = published.filter(|name| name.is_spelled_as(asked)).unwrap_or_else(|| asked.clone());
        self.check(&actor, &name, actions).await?;
        // It may be another registry's, of which nothing can be changed here.
        if nothing_here {
            return Err(Error::not_hosted(&name));
        }
        Ok((actor, name))
    }

    /// Whether the actor may do one of these to the crate.
    pub(crate) async fn check(
        &self,
        actor: &Actor,
        name: &CrateName,
        actions: &[Action],
    ) -> Result<(), Error> {
        let mut refused = Error::from(AuthError::Missing);
        for action in actions {
            match self.allows(actor, name, *action).await {
                Ok(()) => return Ok(()),
                Err(AuthError::Forbidden(_)) => {
                    let what = match action {
                        Action::Delete => "delete",
                        Action::Read => "read",
                        Action::Write => "publish or change",
                    };
                    refused =
                        Refusal::Forbidden(format!("you do not have permission to {what} \"{name}\"")).into();
                }
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    /// The crate, here or elsewhere, if who asks may read it.
    pub(crate) async fn find_crate(&self, name: &CrateName) -> Result<(Actor, Found), Error> {
        if !self.registry.upstreams().exist() {
            let (actor, document) = self.read_crate(name).await?;
            return Ok((actor, Found::Hosted(document)));
        }
        let actor = self.actor().await?;
        // Rights come before anybody is asked, and go by how the crate is called where that is known.
        let here = self.registry.crates().load(name).await?;
        self.may_read(&actor, name, here.as_ref().map_or(name, |document| &document.name)).await?;
        let found = upstream::find(self.registry, &actor, name).await?;
        found.map(|found| (actor, found)).ok_or_else(|| Error::no_crate(name))
    }

    /// The crate, if it is there and who asks may read it: a name that a user may not read is answered as one that is not there,
    /// since cargo asks for other spellings of a name and takes any other answer for a failure.
    pub(crate) async fn read_crate(
        &self,
        name: &CrateName,
    ) -> Result<(Actor, Arc<Versioned<CrateDocument>>), Error> {
        let actor = self.actor().await?;
        let document = self.registry.crates().load(name).await?;
        self.may_read(&actor, name, document.as_ref().map_or(name, |document| &document.name)).await?;
        let document = document.ok_or_else(|| Error::no_crate(name))?;
        Ok((actor, document))
    }

    async fn may_read(&self, actor: &Actor, asked: &CrateName, published: &CrateName) -> Result<(), Error> {
        match self.allows(actor, published, Action::Read).await {
            Ok(()) => Ok(()),
            Err(AuthError::Forbidden(_)) => Err(Error::no_crate(asked)),
            Err(error) => Err(error.into()),
        }
    }

    // ----- what

    /// The body, once.
    pub(crate) fn take_body(&mut self) -> Body {
        self.body.get_mut().take().unwrap_or_default()
    }

    /// Gives back what is left of a body, to be read before a refusal is answered.
    pub(crate) fn put_body(&mut self, body: Body) {
        *self.body.get_mut() = Some(body);
    }

    /// A small body as JSON, whatever type it is said to be.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let body = self.take_body();
        let bytes = read_body(&self.parts.headers, body, SMALL_BODY).await?;
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

/// A JSON answer that no cache keeps.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = respond_json(status, body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
