//! What a protocol crate implements, and what it stands on.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    Actor, ActorSlot, Body, Instance,
    administration::Administration,
    auth::{Access, Action, AuthError, AuthProvider, AuthRequest, Credentials},
    catalog::Catalog,
    clock::Clock,
    http::PublicUrl,
    maintenance::Maintenance,
    storage::{Storage, StorageError},
    upstream::UpstreamEngine,
};

/// A request as registries take it.
pub type Request = http::Request<Body>;

/// An answer as registries give it.
pub type Response = http::Response<Body>;

/// What all registries of a process share. Cloning is cheap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Services {
    /// Where everything is kept.
    pub storage: Storage,
    /// Who may do what.
    pub auth: Arc<dyn AuthProvider>,
    /// What exists.
    pub catalog: Catalog,
    /// How clients reach us.
    pub public_url: PublicUrl,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Other registries that are asked for what is not here.
    pub upstreams: UpstreamEngine,
}

impl Services {
    /// Services from their parts, with the machine's clock, URLs taken from each request, and no upstreams.
    pub fn new(storage: Storage, auth: Arc<dyn AuthProvider>, catalog: Catalog) -> Self {
        Self {
            storage,
            auth,
            catalog,
            public_url: PublicUrl::default(),
            clock: Arc::new(crate::clock::SystemClock),
            upstreams: UpstreamEngine::none(),
        }
    }

    /// Who sent the request, by its `Authorization` header and the host's [`Actor`] in its extensions. An [`ActorSlot`]
    /// in the extensions is told too.
    pub async fn authenticate(
        &self,
        instance: &Instance,
        request: &http::request::Parts,
    ) -> Result<Actor, AuthError> {
        let credentials = Credentials::from_headers(&request.headers)
            .map_err(|_| AuthError::Invalid("the Authorization header cannot be read"))?;
        let host_actor = request.extensions.get::<Actor>();
        let actor =
            self.auth.authenticate(&AuthRequest::new(instance, credentials.as_ref(), host_actor)).await?;
        if let Some(slot) = request.extensions.get::<ActorSlot>() {
            slot.fill(&actor);
        }
        Ok(actor)
    }

    /// Whether the actor may do `action` to the instance's resource `name`.
    pub async fn authorize(
        &self,
        instance: &Instance,
        actor: &Actor,
        name: &str,
        action: Action,
    ) -> Result<(), AuthError> {
        let access = Access {
            protocol: instance.protocol,
            instance: &instance.name,
            kind: instance.protocol.resource_type(),
            name,
            action,
        };
        self.auth.authorize(actor, &access).await
    }
}

/// Why a registry could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The store failed.
    #[error("registry `{instance}` could not read its store")]
    Storage {
        /// The instance.
        instance: String,
        /// Why.
        #[source]
        source: StorageError,
    },
}

/// A registry: one protocol under one or more base paths. Its garbage collection and the like are its [`Maintenance`], what an
/// operator does to its packages its [`Administration`].
#[async_trait]
pub trait PackageRegistry: Administration + Maintenance + Send + Sync + fmt::Debug {
    /// The instance: its protocol, name and base paths.
    fn instance(&self) -> &Instance;

    /// Called once before the first request.
    async fn init(&self) -> Result<(), InitError> {
        Ok(())
    }

    /// Answers a request whose path lies under one of the base paths (the path is whole, base path included). Never fails: what
    /// goes wrong is an answer in the protocol's own error format.
    async fn handle(&self, request: Request) -> Response;

    /// Called once after the last request: background work ends before it returns.
    async fn shutdown(&self) {}

    /// How a client is set up for this registry, as plain text with the base URL filled in (for `/`).
    fn client_settings(&self, base_url: &str) -> String;

    /// Paths at the host's root that this registry answers beside its base paths (npm's `/-/npm/v1/oidc/…`), as prefixes.
    fn root_aliases(&self) -> &[&'static str] {
        &[]
    }
}
