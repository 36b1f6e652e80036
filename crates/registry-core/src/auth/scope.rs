//! Scopes: `protocol:type:name:actions`.

use std::{fmt, str::FromStr};

use crate::{InstanceName, Protocol};

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `delete`: delete, unpublish, yank.
    Delete,
    /// `read` (= `pull`).
    Read,
    /// `write` (= `push`).
    Write,
}

/// One thing that somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The instance.
    pub instance: &'a InstanceName,
    /// The resource's type: [`Protocol::resource_type`], or another of the protocol's (`registry` for OCI's catalog).
    pub kind: &'a str,
    /// The resource's name.
    pub name: &'a str,
    /// What to do to it.
    pub action: Action,
}

/// A scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    text: Box<str>,
}

/// Why a text is no scope.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{scope}` is no scope: {reason}")]
pub struct ScopeError {
    /// The text.
    pub scope: String,
    /// What is wrong and how it should be.
    pub reason: &'static str,
}

/// Scopes together: what one grants, all grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(Vec<Scope>);

impl Scope {
    /// Whether this scope allows the access.
    pub fn allows(&self, access: &Access<'_>) -> bool {
        unimplemented!()
    }
}

impl ScopeSet {
    /// Whether any of the scopes allows the access.
    pub fn allows(&self, access: &Access<'_>) -> bool {
        unimplemented!()
    }

    /// Whether any scope allows the action on *some* resource of the protocol's instance: for lists and searches, which
    /// then show what [`ScopeSet::allows`].
    pub fn allows_any(&self, protocol: Protocol, instance: &InstanceName, action: Action) -> bool {
        unimplemented!()
    }

    /// Whether every access that `other` allows is allowed here too (a user mints tokens only within their own scopes).
    pub fn covers(&self, other: &Scope) -> bool {
        unimplemented!()
    }

    /// The scopes.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unimplemented!()
    }
}
