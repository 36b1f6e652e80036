//! One request on its way: who asks, what they may do, and the body.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{StatusCode, request::Parts};
use registry_core::{
    Actor, Body, PackageRegistry as _, Protocol,
    auth::{Action, AuthError},
    catalog::CatalogEntry,
    http::{ReadBodyError, Refusal, drain_body, read_body},
};
use tokio::sync::Mutex;

use crate::{error::Error, names::ArtifactName, registry::MavenRegistry};

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) registry: &'r MavenRegistry,
    pub(crate) parts: Parts,
    /// Behind a lock only to make a shared `Call` sendable; it is always at hand.
    body: Mutex<Option<Body>>,
}

impl<'r> Call<'r> {
    pub(crate) fn new(registry: &'r MavenRegistry, parts: Parts, body: Body) -> Self {
        Self { registry, parts, body: Mutex::new(Some(body)) }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.registry.services().clock.now()
    }

    // ----- who

    /// Who asks. Wrong credentials are an error even where none would do.
    pub(crate) async fn actor(&self) -> Result<Actor, Error> {
        Ok(self.registry.services().authenticate(self.registry.instance(), &self.parts).await?)
    }

    /// Whether the actor may do this to the artifact.
    pub(crate) async fn allows(
        &self,
        actor: &Actor,
        name: &ArtifactName,
        action: Action,
    ) -> Result<(), AuthError> {
        self.allows_named(actor, &name.to_string(), action).await
    }

    async fn allows_named(&self, actor: &Actor, name: &str, action: Action) -> Result<(), AuthError> {
        self.registry.services().authorize(self.registry.instance(), actor, name, action).await
    }

    /// Whether the actor may do this to something here, as far as their scopes tell.
    pub(crate) fn allows_some(&self, actor: &Actor, action: Action) -> bool {
        let instance = &self.registry.instance().name;
        let may = |scopes: &Arc<_>| {
            registry_core::auth::ScopeSet::allows_any(scopes, Protocol::Maven, instance, action)
        };
        actor.scopes.as_ref().is_none_or(may) && !(actor.read_only && action != Action::Read)
    }

    /// Who asks, if they may read something: whoever may not is asked for credentials on every path, or clients would never
    /// send theirs.
    pub(crate) async fn somebody(&self) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        if self.allows_some(&actor, Action::Read) || self.allows_some(&actor, Action::Write) {
            return Ok(actor);
        }
        Err(if actor.is_anonymous() { AuthError::Missing.into() } else { self.unreadable("this repository") })
    }

    /// Who asks, if they may read the artifact. To others it is not there: clients go on to their next repository then, and stop at
    /// any other refusal. Who sent no credentials is asked for them.
    pub(crate) async fn reader(&self, name: &ArtifactName) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        match self.allows(&actor, name, Action::Read).await {
            Ok(()) => Ok(actor),
            Err(AuthError::Forbidden(_)) => Err(self.unreadable(&format!("\"{name}\""))),
            Err(error) => Err(error.into()),
        }
    }

    /// What is answered to who may not read something.
    pub(crate) fn unreadable(&self, what: &str) -> Error {
        if self.registry.config().reveal_forbidden {
            Refusal::Forbidden(format!("you do not have permission to read {what}")).into()
        } else {
            Error::no_file()
        }
    }

    /// Who asks, if they may do this to the artifact.
    pub(crate) async fn allow(&self, name: &ArtifactName, action: Action) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        match self.allows(&actor, name, action).await {
            Ok(()) => Ok(actor),
            Err(AuthError::Forbidden(_)) => {
                let what = if action == Action::Delete { "delete from" } else { "deploy to" };
                Err(Refusal::Forbidden(format!("you do not have permission to {what} \"{name}\"")).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Who asks, if they may deploy something.
    pub(crate) async fn writer(&self) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        if self.allows_some(&actor, Action::Write) {
            return Ok(actor);
        }
        Err(if actor.is_anonymous() {
            AuthError::Missing.into()
        } else {
            Refusal::Forbidden("you do not have permission to deploy to this repository".to_owned()).into()
        })
    }

    /// All artifacts that the actor may read, as the catalog knows them, in the order of their names.
    pub(crate) async fn readable(
        &self,
        actor: &Actor,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Arc<CatalogEntry>>, Error> {
        let all = self.registry.services().catalog.all(&self.registry.instance().name).await?;
        let mut readable = Vec::new();
        for entry in all {
            if wanted(&entry.name) && self.allows_named(actor, &entry.name, Action::Read).await.is_ok() {
                readable.push(entry);
            }
        }
        Ok(readable)
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

    /// The body whole, at most `limit` bytes.
    pub(crate) async fn read(&mut self, limit: u64) -> Result<Bytes, Error> {
        if self.announced().is_some_and(|length| length > limit) {
            return Err(ReadBodyError::TooLarge { limit }.into());
        }
        let body = self.take_body();
        Ok(read_body(&self.parts.headers, body, limit).await?)
    }

    /// Reads a body that nobody wanted, so that its sender reads the answer. Who asked first whether to send it has not begun.
    pub(crate) async fn drain(&mut self, error: &Error) {
        let asked = self.parts.headers.contains_key(http::header::EXPECT);
        let early = matches!(
            error.status(),
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::CONFLICT
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::BAD_REQUEST
        );
        if let Some(body) = self.body.get_mut().take()
            && !(asked && early)
        {
            drain_body(body).await;
        }
    }
}
