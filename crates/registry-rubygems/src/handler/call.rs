//! One request on its way: who asks, what they may do, where clients reach us, and the body.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use registry_core::{
    Actor, Body, PackageRegistry as _, Protocol,
    auth::{Action, AuthError},
    http::{Query, Refusal, drain_body, read_body},
    storage::Versioned,
};
use tokio::sync::Mutex;

use crate::{
    error::Error,
    names::GemName,
    registry::RubygemsRegistry,
    store::gem::Gem,
    upstream::{self, Found},
};

/// The largest body that is no gem.
const SMALL_BODY: u64 = 64 << 10;

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) registry: &'r RubygemsRegistry,
    pub(crate) parts: Parts,
    /// The base path that the request came by.
    base: String,
    /// Behind a lock only to make a shared `Call` sendable; it is always at hand.
    body: Mutex<Option<Body>>,
}

impl<'r> Call<'r> {
    pub(crate) fn new(registry: &'r RubygemsRegistry, parts: Parts, body: Body, base: String) -> Self {
        Self { registry, parts, base, body: Mutex::new(Some(body)) }
    }

    /// Where clients reach us, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        format!("{}{}", self.registry.services().public_url.origin(&self.parts), self.base)
    }

    // ----- who

    /// Who asks. Wrong credentials are an error even where none would do.
    pub(crate) async fn actor(&self) -> Result<Actor, Error> {
        Ok(self.registry.services().authenticate(self.registry.instance(), &self.parts).await?)
    }

    /// Whether the actor may do this to the gem.
    pub(crate) async fn allows(&self, actor: &Actor, name: &str, action: Action) -> Result<(), AuthError> {
        self.registry.services().authorize(self.registry.instance(), actor, name, action).await
    }

    /// Whether the actor may do one of these to the gem. `refusal` is what somebody reads who may not.
    pub(crate) async fn check(
        &self,
        actor: &Actor,
        name: &GemName,
        actions: &[Action],
        refusal: &str,
    ) -> Result<(), Error> {
        let mut refused = AuthError::Missing;
        for action in actions {
            match self.allows(actor, name.as_str(), *action).await {
                Ok(()) => return Ok(()),
                Err(error) => refused = error,
            }
        }
        Err(match refused {
            AuthError::Forbidden(_) => Refusal::Forbidden(refusal.to_owned()).into(),
            other => other.into(),
        })
    }

    /// A gem that who asks may read, here or elsewhere.
    pub(crate) async fn find_gem(&self, text: &str) -> Result<(Actor, Found), Error> {
        if !self.registry.upstreams().exist() {
            let (actor, gem) = self.read_gem(text).await?;
            return Ok((actor, Found::Hosted(gem)));
        }
        let (actor, name) = self.readable(text).await?;
        let found = upstream::find(self.registry, &actor, &name).await?;
        found.map(|found| (actor, found)).ok_or_else(Error::no_gem)
    }

    /// A gem that who asks may read; one that a user may not read is answered as one that is not there, as it is not in that user's
    /// `/versions` either.
    pub(crate) async fn read_gem(&self, text: &str) -> Result<(Actor, Arc<Versioned<Gem>>), Error> {
        let (actor, name) = self.readable(text).await?;
        let gem = self.registry.gems().load(&name).await?.ok_or_else(Error::no_gem)?;
        Ok((actor, gem))
    }

    /// Who asks, and the name, if they may read it.
    async fn readable(&self, text: &str) -> Result<(Actor, GemName), Error> {
        let actor = self.actor().await?;
        let Ok(name) = text.parse::<GemName>() else {
            self.allows_some(&actor, Action::Read)?;
            return Err(Error::no_gem());
        };
        match self.allows(&actor, name.as_str(), Action::Read).await {
            Ok(()) => Ok((actor, name)),
            Err(AuthError::Forbidden(_)) => Err(Error::no_gem()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the actor may do this to some gem: for lists, and before a body is read.
    pub(crate) fn allows_some(&self, actor: &Actor, action: Action) -> Result<(), Error> {
        let instance = &self.registry.instance().name;
        let may = actor
            .scopes
            .as_ref()
            .is_none_or(|scopes| scopes.allows_any(Protocol::Rubygems, instance, action));
        if may && !(actor.read_only && action != Action::Read) {
            return Ok(());
        }
        Err(if actor.is_anonymous() {
            AuthError::Missing.into()
        } else {
            Refusal::Forbidden(
                "This API key cannot perform the specified action in this registry.".to_owned(),
            )
            .into()
        })
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

    /// The parameters of a request: those of the query, and behind them those of a form in the body, whatever the method. Clients send
    /// forms with DELETE, and what stands between drops such bodies.
    pub(crate) async fn parameters(&mut self) -> Result<Parameters, Error> {
        let body = self.take_body();
        let form = read_body(&self.parts.headers, body, SMALL_BODY).await?;
        let query = Bytes::copy_from_slice(self.parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Parameters { query, form })
    }

    /// Reads a body that nobody wanted.
    pub(crate) async fn drain(&mut self) {
        if let Some(body) = self.body.get_mut().take() {
            drain_body(body).await;
        }
    }
}

/// The parameters of a request.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    query: Bytes,
    form: Bytes,
}

impl Parameters {
    /// The first value of a name that is not empty.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, Error> {
        for text in [&self.form, &self.query] {
            let pairs = Query::parse_form(text)
                .map_err(|error| Error::bad(format!("The form cannot be read: {error}.")))?;
            if let Some(value) = pairs.get(name).filter(|value| !value.is_empty()) {
                return Ok(Some(value.to_owned()));
            }
        }
        Ok(None)
    }

    /// The value of a name that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<String, Error> {
        self.get(name)?.ok_or_else(|| Error::bad(format!("The parameter {name} is missing.")))
    }

    /// Whether a box is ticked.
    pub(crate) fn is_set(&self, name: &str) -> Result<bool, Error> {
        Ok(matches!(self.get(name)?.as_deref(), Some("true" | "1" | "on")))
    }
}

/// The headers of documents that change: caches ask each time, and what needed credentials is for their owner alone.
pub(crate) fn fresh_headers(actor: &Actor) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let cache = if actor.is_anonymous() { "no-cache" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}
