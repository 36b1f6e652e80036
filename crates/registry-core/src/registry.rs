//! What a protocol crate implements, and what it stands on.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    Actor, ActorSlot, Body, Instance,
    administration::{AdministrationError, PackageDetails, Yank},
    auth::{Access, Action, AuthError, AuthProvider, AuthRequest, Credentials},
    catalog::Catalog,
    clock::Clock,
    http::PublicUrl,
    maintenance::{GcRun, VerifyRun},
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

/// A registry: one protocol under one or more base paths.
#[async_trait]
pub trait PackageRegistry: Send + Sync + fmt::Debug {
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

    /// Collects what nobody can reach any more. Safe while serving, and while other nodes collect.
    async fn collect_garbage(&self, run: &GcRun) -> Result<(), StorageError>;

    /// Reads everything and hashes it again; faults go to the report.
    async fn verify(&self, run: &VerifyRun) -> Result<(), StorageError>;

    /// Tells the catalog anew what exists.
    async fn rebuild_catalog(&self) -> Result<(), StorageError>;

    /// How a client is set up for this registry, as plain text with the base URL filled in (for `/`).
    fn client_settings(&self, base_url: &str) -> String;

    /// Paths at the host's root that this registry answers beside its base paths (npm's `/-/npm/v1/oidc/…`), as prefixes.
    fn root_aliases(&self) -> &[&'static str] {
        &[]
    }

    // ----- what an operator does past the protocol (see `crate::administration`)

    /// A package with all that is known of its versions, deleted ones included.
    async fn show_package(&self, name: &str) -> Result<PackageDetails, AdministrationError> {
        let _ = name;
        Err(AdministrationError::not_offered(self.instance().protocol, "way to show packages", ""))
    }

    /// Yanks a version, or takes that back. Done already is done.
    async fn yank_version(
        &self,
        actor: &Actor,
        name: &str,
        version: &str,
        yank: &Yank,
    ) -> Result<(), AdministrationError> {
        let _ = (actor, name, version, yank);
        Err(AdministrationError::not_offered(self.instance().protocol, "yank", ""))
    }

    /// Deletes one version, or the package with all of them. What is deleted leaves a tombstone.
    async fn delete_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let _ = (actor, name, version);
        Err(AdministrationError::not_offered(self.instance().protocol, "way to delete", ""))
    }

    /// Clears the tombstone of a deleted version, or of a package of which everything was deleted, so that it can be published
    /// again as if it had never been there. Refuses where something would be lost that can still be had.
    async fn forget_package(
        &self,
        actor: &Actor,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), AdministrationError> {
        let _ = (actor, name, version);
        Err(AdministrationError::not_offered(self.instance().protocol, "tombstones to forget", ""))
    }
}
