//! Hooks that remember what they saw and refuse when they are told to.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::hooks::{Denied, HookEvent, Hooks, StorageHooks};

/// Writes down every hook's call; refuses all operations while it is given a reason.
#[derive(Debug, Default)]
pub struct Recorder {
    seen: Mutex<Vec<String>>,
    reason: Mutex<Option<&'static str>>,
}

impl Recorder {
    /// One that refuses nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The recorder as the storage's only hooks.
    pub fn hooks(self: &Arc<Self>) -> Hooks {
        Hooks::new(vec![Arc::<Self>::clone(self)])
    }

    /// From now on refuses everything for this reason, or nothing.
    pub fn refuse(&self, reason: Option<&'static str>) {
        *self.reason.lock() = reason;
    }

    /// All calls so far: `before put PACKAGE VERSION ACTOR`, with `-` for what an event does not say.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    /// The operations that were done so far: `put PACKAGE VERSION ACTOR`.
    pub fn done(&self) -> Vec<String> {
        self.seen().iter().filter_map(|line| line.strip_prefix("after ")).map(str::to_owned).collect()
    }

    fn note(&self, when: &str, event: &HookEvent) {
        self.seen.lock().push(format!(
            "{when} {} {} {} {}",
            event.operation.as_str(),
            event.package.as_deref().unwrap_or("-"),
            event.version.as_deref().unwrap_or("-"),
            event.actor.name(),
        ));
    }

    fn decide(&self, event: &HookEvent) -> Result<(), Denied> {
        self.note("before", event);
        self.reason.lock().map_or(Ok(()), |reason| Err(Denied::new(reason)))
    }
}

#[async_trait]
impl StorageHooks for Recorder {
    async fn before_put(&self, event: &HookEvent) -> Result<(), Denied> {
        self.decide(event)
    }

    async fn after_put(&self, event: &HookEvent) {
        self.note("after", event);
    }

    async fn before_get(&self, event: &HookEvent) -> Result<(), Denied> {
        self.decide(event)
    }

    async fn after_get(&self, event: &HookEvent) {
        self.note("after", event);
    }

    async fn before_delete(&self, event: &HookEvent) -> Result<(), Denied> {
        self.decide(event)
    }

    async fn after_delete(&self, event: &HookEvent) {
        self.note("after", event);
    }
}
