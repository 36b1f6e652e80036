//! One request on its way: who asks, what they may do, where clients reach us, and the body.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, request::Parts};
use registry_core::{
    Actor, Body, PackageRegistry as _, Response,
    auth::{Action, AuthError},
    http::{ReadBodyError, Refusal, drain_body, read_body},
    storage::{StorageError, Versioned},
};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::{
    config::AccessLevel,
    error::{Error, json_response},
    names::PackageName,
    registry::NpmRegistry,
    store::packument::{Packument, Person},
    upstream::{self, Found},
    wire::packument::Urls,
};

/// The largest body of a request that is not about a package's document.
const SMALL_BODY: u64 = 64 << 10;

/// A request.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) registry: &'r NpmRegistry,
    pub(crate) parts: Parts,
    /// Behind a lock only to make a shared `Call` sendable; it is always at hand.
    body: Mutex<Option<Body>>,
    origin: String,
    base: String,
}

impl<'r> Call<'r> {
    pub(crate) fn new(registry: &'r NpmRegistry, parts: Parts, body: Body, base_path: &str) -> Self {
        let origin = registry.services().public_url.origin(&parts);
        let base = format!("{origin}{base_path}");
        Self { registry, parts, body: Mutex::new(Some(body)), origin, base }
    }

    /// Where clients reach us.
    pub(crate) fn urls(&self) -> Urls<'_> {
        Urls { origin: &self.origin, base: &self.base }
    }

    // ----- who

    /// Who asks. Wrong credentials are an error even where none would do.
    pub(crate) async fn actor(&self) -> Result<Actor, Error> {
        Ok(self.registry.services().authenticate(self.registry.instance(), &self.parts).await?)
    }

    /// A user who was authenticated: their name, and the actor.
    pub(crate) async fn user(&self) -> Result<(Arc<str>, Actor), Error> {
        let actor = self.actor().await?;
        match &actor.user {
            Some(user) => Ok((Arc::clone(user), actor)),
            None => Err(AuthError::Missing.into()),
        }
    }

    /// Whether the actor may do this to the package.
    pub(crate) async fn allows(
        &self,
        actor: &Actor,
        name: &PackageName,
        action: Action,
    ) -> Result<(), AuthError> {
        self.registry.services().authorize(self.registry.instance(), actor, name.as_str(), action).await
    }

    /// Whether the actor may read the package: a name that a user may not read is answered as one that is not there.
    pub(crate) async fn allow_read(&self, actor: &Actor, name: &PackageName) -> Result<(), Error> {
        match self.allows(actor, name, Action::Read).await {
            Ok(()) => Ok(()),
            Err(AuthError::Forbidden(_)) => Err(Error::no_package(name.as_str())),
            Err(error) => Err(error.into()),
        }
    }

    /// Who asks, if they may do this to the package.
    pub(crate) async fn allow(&self, name: &PackageName, action: Action) -> Result<Actor, Error> {
        let actor = self.actor().await?;
        match self.allows(&actor, name, action).await {
            Ok(()) => Ok(actor),
            Err(AuthError::Forbidden(_)) => Err(forbidden(name, action)),
            Err(error) => Err(error.into()),
        }
    }

    /// The package, if it is there and who asks may read it.
    pub(crate) async fn read_package(
        &self,
        name: &PackageName,
    ) -> Result<(Actor, Arc<Versioned<Packument>>), Error> {
        let actor = self.actor().await?;
        self.allow_read(&actor, name).await?;
        let document = self.registry.packages().load(name).await?;
        let document = document.ok_or_else(|| Error::no_package(name.as_str()))?;
        check_visible(&actor, document.access)?;
        Ok((actor, document))
    }

    /// The package, here or in another registry, if who asks may read it.
    pub(crate) async fn find_package(&self, name: &PackageName) -> Result<(Actor, Found), Error> {
        let actor = self.actor().await?;
        self.allow_read(&actor, name).await?;
        let found = upstream::find(self.registry, &actor, name).await?;
        let found = found.ok_or_else(|| Error::no_package(name.as_str()))?;
        if let Found::Hosted(document) | Found::Both(document, _) = &found {
            check_visible(&actor, document.access)?;
        }
        Ok((actor, found))
    }

    /// A user as packuments name one.
    pub(crate) async fn person(&self, actor: &Actor) -> Person {
        let name = actor.name().to_owned();
        let email = match &actor.user {
            // The address is an extra: a provider that does not answer must not stop a publish.
            Some(user) => self.registry.services().auth.user(user).await.ok().flatten().and_then(|u| u.email),
            None => None,
        };
        Person { name, email: email.unwrap_or_default() }
    }

    /// A user by name, as packuments name one; `None` where there is none.
    pub(crate) async fn known_person(&self, name: &str) -> Result<Option<Person>, Error> {
        let user = self.registry.services().auth.user(name).await?;
        Ok(user.map(|user| Person { name: user.name, email: user.email.unwrap_or_default() }))
    }

    // ----- what

    /// The body, once.
    pub(crate) fn take_body(&mut self) -> Body {
        self.body.get_mut().take().unwrap_or_default()
    }

    /// The body whole, at most `limit` bytes after decoding.
    pub(crate) async fn read(&mut self, limit: u64) -> Result<Bytes, Error> {
        let announced = self.body.get_mut().as_ref().and_then(Body::known_length);
        if announced.is_some_and(|length| length > limit) {
            // Left where it is: whoever sends it should read the answer, so it is drained first.
            return Err(ReadBodyError::TooLarge { limit }.into());
        }
        let body = self.take_body();
        Ok(read_body(&self.parts.headers, body, limit).await?)
    }

    /// A small body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let bytes = self.read(SMALL_BODY).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::bad(format!("the request's body is not the JSON expected here: {error}")))
    }

    /// A small body as it is.
    pub(crate) async fn small_body(&mut self) -> Result<Bytes, Error> {
        self.read(SMALL_BODY).await
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, key: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(found, _)| found == key)
            .map(|(_, value)| value.into_owned())
    }

    /// Reads a body that nobody wanted.
    pub(crate) async fn drain(&mut self) {
        if let Some(body) = self.body.get_mut().take() {
            drain_body(body).await;
        }
    }
}

/// A restricted package is for users, whatever the anonymous actor may read.
pub(crate) fn check_visible(actor: &Actor, access: AccessLevel) -> Result<(), Error> {
    match access {
        AccessLevel::Restricted if actor.is_anonymous() => Err(AuthError::Missing.into()),
        _ => Ok(()),
    }
}

/// What somebody without the right is told: the package's name and nothing about themselves.
pub(crate) fn forbidden(name: &PackageName, action: Action) -> Error {
    let what = match action {
        Action::Delete => "unpublish from",
        Action::Read => "read",
        Action::Write => "publish to or change",
    };
    Refusal::Forbidden(format!("you do not have permission to {what} \"{name}\"")).into()
}

/// The answer to a change that was made.
pub(crate) fn done(status: StatusCode, name: &PackageName, document: Option<&Packument>) -> Response {
    let rev = document.map(|document| document.rev.as_str()).unwrap_or_default();
    json_response(status, &serde_json::json!({"ok": true, "success": true, "id": name.as_str(), "rev": rev}))
}

impl Call<'_> {
    /// All packages that the actor may read, as the catalog knows them.
    pub(crate) async fn readable(
        &self,
        actor: &Actor,
        entries: impl Iterator<Item = &crate::registry::Entry>,
    ) -> Result<Vec<crate::registry::Entry>, StorageError> {
        let mut readable = Vec::new();
        for entry in entries {
            let Ok(name) = entry.0.name.parse::<PackageName>() else { continue };
            if check_visible(actor, entry.1.access).is_ok()
                && self.allows(actor, &name, Action::Read).await.is_ok()
            {
                readable.push(entry.clone());
            }
        }
        Ok(readable)
    }
}
