//! Who a request comes from.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use crate::auth::ScopeSet;

/// Who a request comes from. A host may put one into the request's extensions; it then reaches the auth provider,
/// hooks and upstream resolution with its organisation, session, address and attributes unchanged.
///
/// Cloning is cheap.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Actor {
    /// The user's name; `None` is the anonymous actor.
    pub user: Option<Arc<str>>,
    /// The organisation the host counts this actor to.
    pub org: Option<Arc<str>>,
    /// The host's session.
    pub session: Option<Arc<str>>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Free-form facts of the host.
    pub attributes: Option<Arc<BTreeMap<String, String>>>,
    /// What the credentials (or the host) grant. `None` before authentication: the auth provider decides.
    pub scopes: Option<Arc<ScopeSet>>,
    /// The id of the token that was presented, if one was.
    pub token_id: Option<Arc<str>>,
    /// Whether the token is for reading only.
    pub read_only: bool,
}

impl Actor {
    /// The actor without a name.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// An actor with a user's name and no scopes yet.
    pub fn user(name: impl Into<Arc<str>>) -> Self {
        Self { user: Some(name.into()), ..Self::default() }
    }

    /// Sets what the actor may do.
    pub fn with_scopes(mut self, scopes: impl Into<Arc<ScopeSet>>) -> Self {
        self.scopes = Some(scopes.into());
        self
    }

    /// Sets the organisation.
    pub fn with_org(mut self, org: impl Into<Arc<str>>) -> Self {
        self.org = Some(org.into());
        self
    }

    /// Sets the session.
    pub fn with_session(mut self, session: impl Into<Arc<str>>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Sets the client's address.
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Adds one free-form attribute.
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let mut all = self.attributes.as_deref().cloned().unwrap_or_default();
        all.insert(name.into(), value.into());
        self.attributes = Some(Arc::new(all));
        self
    }

    /// Whether the actor has no name.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_none()
    }

    /// The name for logs: the user's, or `anonymous`.
    pub fn name(&self) -> &str {
        self.user.as_deref().unwrap_or("anonymous")
    }
}

/// A place in a request's extensions where authentication leaves the actor that it found, so that whoever put it there
/// (a server's access log) learns who asked. Cloning is cheap; all clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct ActorSlot(Arc<OnceLock<Actor>>);

impl ActorSlot {
    /// Leaves the actor; the first one stays.
    pub fn fill(&self, actor: &Actor) {
        self.0.get_or_init(|| actor.clone());
    }

    /// The actor that was found, once authentication has run.
    pub fn actor(&self) -> Option<&Actor> {
        self.0.get()
    }
}
