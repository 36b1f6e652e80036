//! When tokens were last used, written down seldom.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinHandle};

use super::directory::Directory;

/// How old what is written may be before it is written anew, in seconds.
pub(super) const EVERY: i64 = 60;
/// How long uses are collected before they are written, so that a request never waits for it.
const COLLECT: Duration = Duration::from_secs(5);

/// Collects uses and writes them in the background. The task begins with the first use and ends with [`Usage::stop`] or
/// when this is dropped.
#[derive(Debug)]
pub(super) struct Usage<D> {
    shared: Arc<Shared<D>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared<D> {
    directory: Arc<D>,
    pending: Mutex<HashMap<Arc<str>, DateTime<Utc>>>,
    news: Notify,
}

impl<D: Directory> Usage<D> {
    pub(super) fn new(directory: Arc<D>) -> Self {
        let shared = Shared { directory, pending: Mutex::default(), news: Notify::new() };
        Self { shared: Arc::new(shared), task: Mutex::default() }
    }

    /// Notes a use. Without an async runtime it is kept until [`Usage::write`].
    pub(super) fn note(&self, token_id: &Arc<str>, at: DateTime<Utc>) {
        self.shared.pending.lock().insert(Arc::clone(token_id), at);
        self.shared.news.notify_one();
        let mut task = self.task.lock();
        if task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let shared = Arc::clone(&self.shared);
            *task = Some(runtime.spawn(async move {
                loop {
                    shared.news.notified().await;
                    tokio::time::sleep(COLLECT).await;
                    shared.write().await;
                }
            }));
        }
    }

    /// When a token was last used, as far as it is not written yet.
    pub(super) fn pending(&self, token_id: &str) -> Option<DateTime<Utc>> {
        self.shared.pending.lock().get(token_id).copied()
    }

    /// Writes what was collected and ends the task.
    pub(super) async fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
        }
        self.shared.write().await;
    }
}

impl<D> Drop for Usage<D> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

impl<D: Directory> Shared<D> {
    async fn write(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        for (id, at) in pending {
            let change = Box::new(move |token: &mut super::directory::TokenDocument| {
                // Another node may have written the same use of the same minute.
                let due = token.last_used.is_none_or(|last| (at - last).num_seconds() >= EVERY / 2);
                if due {
                    token.last_used = Some(at);
                }
                due
            });
            if let Err(error) = self.directory.change_token(&id, change).await {
                // Nothing depends on it: the next use is written again.
                tracing::debug!(token.id = %id, %error, "could not write when a token was last used");
            }
        }
    }
}
