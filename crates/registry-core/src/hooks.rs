//! A host's say in every put, get and delete.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Actor, InstanceName, Protocol};

/// What is about to happen, or has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Content is published, changed or tagged.
    Put,
    /// Content is read.
    Get,
    /// Content is deleted, unpublished or yanked.
    Delete,
}

impl Operation {
    /// `put`, `get` or `delete`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Delete => "delete",
        }
    }
}

/// One operation as hooks see it. Facts that an operation does not have are `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HookEvent {
    /// What happens.
    pub operation: Operation,
    /// The readable key it happens at, e.g. `npm/packages/lib/-/lib-1.0.0.tgz`.
    pub key: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The instance.
    pub instance: InstanceName,
    /// Who asked.
    pub actor: Actor,
    /// The package, repository, crate …
    pub package: Option<String>,
    /// The version or tag.
    pub version: Option<String>,
    /// The artefact's size in bytes.
    pub size: Option<u64>,
    /// The artefact's digest, `sha256:…` or `sha512:…`.
    pub digest: Option<String>,
    /// Its media type.
    pub content_type: Option<String>,
}

impl HookEvent {
    /// An event with only what every operation has; [`crate::storage::Store::event`] is the usual way to make one.
    pub fn new(
        operation: Operation,
        protocol: Protocol,
        instance: InstanceName,
        key: impl Into<String>,
        actor: Actor,
    ) -> Self {
        Self {
            operation,
            key: key.into(),
            protocol,
            instance,
            actor,
            package: None,
            version: None,
            size: None,
            digest: None,
            content_type: None,
        }
    }

    /// Sets the package.
    pub fn package(mut self, package: impl Into<String>) -> Self {
        self.package = Some(package.into());
        self
    }

    /// Sets the version or tag.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the version or tag, where the operation is on one and not on the whole package.
    pub fn version_if_any(mut self, version: Option<impl Into<String>>) -> Self {
        self.version = version.map(Into::into);
        self
    }

    /// Sets the artefact's size.
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets the artefact's digest.
    pub fn digest(mut self, digest: impl Into<String>) -> Self {
        self.digest = Some(digest.into());
        self
    }

    /// Sets the media type.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }
}

/// A hook refused an operation. The client sees the reason in its protocol's error format, with status 403.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// A sentence for the client.
    pub reason: String,
}

impl Denied {
    /// Refuses with a sentence for the client.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Called around every put, get and delete, for every protocol.
///
/// `before_*` runs once per operation, before anything becomes visible, and may refuse it: nothing is left behind.
/// `after_*` runs at most once, after the commit; it cannot fail the operation.
#[async_trait]
pub trait StorageHooks: Send + Sync + fmt::Debug {
    /// Before content becomes visible. Size and digest are those of the bytes received.
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        let _ = event;
        Ok(())
    }

    /// After content became visible.
    async fn after_put(&self, event: &HookEvent) {
        let _ = event;
    }

    /// Before content is read.
    async fn before_get(&self, event: &HookEvent) -> Result<(), Denied> {
        let _ = event;
        Ok(())
    }

    /// After the answer to a read was begun.
    async fn after_get(&self, event: &HookEvent) {
        let _ = event;
    }

    /// Before content is deleted.
    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        let _ = event;
        Ok(())
    }

    /// After content was deleted.
    async fn after_delete(&self, event: &HookEvent) {
        let _ = event;
    }
}

/// The hooks of a storage, called in the order in which they were added; the first refusal wins.
#[derive(Clone, Debug, Default)]
pub struct Hooks(Arc<[Arc<dyn StorageHooks>]>);

impl Hooks {
    /// These hooks in this order.
    pub fn new(hooks: Vec<Arc<dyn StorageHooks>>) -> Self {
        Self(hooks.into())
    }

    /// Whether there are none, so that a hot path need not build an event.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks every hook before the operation.
    pub async fn before(&self, event: &HookEvent) -> Result<(), Denied> {
        for hook in self.0.iter() {
            match event.operation {
                Operation::Put => hook.before_put(event).await?,
                Operation::Get => hook.before_get(event).await?,
                Operation::Delete => hook.before_delete(event).await?,
            }
        }
        Ok(())
    }

    /// Tells every hook after the operation.
    pub async fn after(&self, event: &HookEvent) {
        for hook in self.0.iter() {
            match event.operation {
                Operation::Put => hook.after_put(event).await,
                Operation::Get => hook.after_get(event).await,
                Operation::Delete => hook.after_delete(event).await,
            }
        }
    }
}
