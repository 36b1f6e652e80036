//! One request on its way: who asks, what they may do, where clients reach us, and the body.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::request::Parts;
use registry_core::{
    Actor, Body, PackageRegistry as _,
    auth::{Action, AuthError},
    catalog::CatalogEntry,
    http::{ReadBodyError, Refusal, drain_body, read_body},
};
use tokio::sync::Mutex;

use crate::{
    error::Error,
    names::PackageName,
    registry::ComposerRegistry,
    wire::listing::{Details, details},
};

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) registry: &'r ComposerRegistry,
    pub(crate) parts: Parts,
    /// Behind a lock only to make a shared `Call` sendable; it is always at hand.
    body: Mutex<Option<Body>>,
    /// The registry's URL, without a slash at its end.
    pub(crate) base: String,
}

impl<'r> Call<'r> {
    pub(crate) fn new(registry: &'r ComposerRegistry, parts: Parts, body: Body, base_path: &str) -> Self {
        let base = registry.services().public_url.origin(&parts) + base_path;
        Self { registry, parts, body: Mutex::new(Some(body)), base }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.registry.services().clock.now()
    }

    // ----- who

    /// Who asks. Wrong credentials are an error even where none would do.
    pub(crate) async fn actor(&self) -> Result<Actor, Error> {
        Ok(self.registry.services().authenticate(self.registry.instance(), &self.parts).await?)
    }

    pub(crate) async fn allows(&self, actor: &Actor, name: &str, action: Action) -> Result<(), AuthError> {
        self.registry.services().authorize(self.registry.instance(), actor, name, action).await
    }

    /// Whether the actor may read anything here, as far as their scopes tell.
    fn reads_some(&self, actor: &Actor) -> bool {
        let instance = self.registry.instance();
        let scopes = actor.scopes.as_deref();
        scopes.is_some_and(|scopes| scopes.allows_any(instance.protocol, &instance.name, Action::Read))
    }

    /// Who asks, if they may read something: what every list begins with.
    pub(crate) async fn reader(&self) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        if actor.scopes.is_none() || self.reads_some(&actor) {
            return Ok(actor);
        }
        let refused =
            if actor.is_anonymous() { AuthError::Missing } else { AuthError::Forbidden(String::new()) };
        Err(refused.into())
    }

    /// Who asks, if they may read the package. Who may read others is told that it is not there: the client takes any other
    /// refusal of one package for the end of everything.
    pub(crate) async fn read_access(&self, name: &PackageName) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        match self.allows(&actor, name.as_str(), Action::Read).await {
            Ok(()) => Ok(actor),
            Err(AuthError::Forbidden(_) | AuthError::Missing) if self.reads_some(&actor) => {
                Err(Error::no_package(name.as_str()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Who asks, if they may do this to the package.
    pub(crate) async fn allow(&self, name: &PackageName, action: Action) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        match self.allows(&actor, name.as_str(), action).await {
            Ok(()) => Ok(actor),
            Err(AuthError::Forbidden(_)) => {
                let what = if action == Action::Delete { "delete from" } else { "publish to or change" };
                Err(Refusal::Forbidden(format!("you do not have permission to {what} \"{name}\"")).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All packages that the actor may read, as the catalog knows them, in the order of their names.
    pub(crate) async fn readable(
        &self,
        actor: &Actor,
    ) -> Result<Arc<Vec<(Arc<CatalogEntry>, Details)>>, Error> {
        let registry = self.registry;
        let place = (registry.instance(), registry.packages().store());
        let list = registry.services().listed(place, actor, "search", |entries| {
            let shown: Vec<_> = entries.iter().map(|entry| (Arc::clone(entry), details(entry))).collect();
            let weight = shown.len().saturating_mul(512);
            (shown, weight)
        });
        Ok(list.await?)
    }

    // ----- what

    /// The body, once.
    pub(crate) fn take_body(&mut self) -> Body {
        self.body.get_mut().take().unwrap_or_default()
    }

    /// How long the body is, where that is known.
    pub(crate) fn announced(&mut self) -> Option<u64> {
        self.body.get_mut().as_ref().and_then(Body::known_length)
    }

    /// The body whole, at most `limit` bytes after decoding.
    pub(crate) async fn read(&mut self, limit: u64) -> Result<Bytes, Error> {
        if self.announced().is_some_and(|length| length > limit) {
            return Err(ReadBodyError::TooLarge { limit }.into());
        }
        let body = self.take_body();
        Ok(read_body(&self.parts.headers, body, limit).await?)
    }

    /// Reads a body that nobody wanted, so that its sender reads the answer.
    pub(crate) async fn drain(&mut self) {
        if let Some(body) = self.body.get_mut().take() {
            drain_body(body).await;
        }
    }
}
