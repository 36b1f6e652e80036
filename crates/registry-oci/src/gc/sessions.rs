//! Upload sessions and the data that they brought.

use std::collections::{HashMap, HashSet};

use registry_core::storage::{Draft, Key, ListEntry, StorageError, Versioned};

use super::Collector;
use crate::store::{BlobDescriptor, SessionState, UploadSession};

impl Collector<'_> {
    /// Walks the sessions, one day at a time.
    pub(super) async fn collect_sessions(&self) -> Result<(), StorageError> {
        let store = self.store.store();
        let root = self.store.uploads_key();
        for day in store.children(&root, None, usize::MAX).await? {
            let folder = root.child().listed(&day).build();
            let (mut documents, mut data) = (Vec::new(), HashMap::<String, Vec<ListEntry>>::new());
            for entry in store.list(&folder).await? {
                match entry.key.as_str().rsplit_once('~') {
                    Some((session, _)) => data.entry(session.to_owned()).or_default().push(entry),
                    None => documents.push(entry),
                }
            }
            for entry in &documents {
                self.examined();
                let Some(session) = store.read_fresh::<UploadSession>(&entry.key).await? else { continue };
                let beside = data.remove(entry.key.as_str()).unwrap_or_default();
                self.collect_session(entry, &session, &beside).await?;
            }
            for entry in data.into_values().flatten() {
                if self.is_abandoned(&entry) {
                    self.remove_entry(&entry).await?;
                }
            }
        }
        Ok(())
    }

    async fn collect_session(
        &self,
        entry: &ListEntry,
        session: &Versioned<UploadSession>,
        beside: &[ListEntry],
    ) -> Result<(), StorageError> {
        let named: HashSet<&Key> = session.parts.iter().map(|part| &part.key).collect();
        for data in beside.iter().filter(|data| !named.contains(&data.key)) {
            if self.is_abandoned(data) && !self.owner_names(session, &data.key).await? {
                self.remove_entry(data).await?;
            }
        }
        let rested = self.is_past(session.updated, self.upload_expiry.max(self.grace));
        let keeps_data = match &session.state {
            SessionState::Open if !rested => return Ok(()),
            SessionState::Open => !self.give_up(&entry.key, session).await?,
            SessionState::Cancelled => false,
            // The data belongs to the blob's descriptor; this document says so as long as it is there.
            SessionState::Finished(_) if session.parts.is_empty() => false,
            SessionState::Finished(_) => match session.parts.first() {
                Some(part) if rested && !self.owner_names(session, &part.key).await? => {
                    !self.give_up(&entry.key, session).await?
                }
                _ => true,
            },
        };
        // The id has run out: nobody can go on with the session, even without its document.
        if !keeps_data && rested && session.state != SessionState::Open {
            self.remove_entry(entry).await?;
        }
        Ok(())
    }

    /// Whether the blob that a session became owns this data.
    async fn owner_names(&self, session: &UploadSession, data: &Key) -> Result<bool, StorageError> {
        let SessionState::Finished(digest) = &session.state else { return Ok(false) };
        let descriptor =
            self.store.store().read_fresh::<BlobDescriptor>(&self.store.descriptor_key(digest)).await?;
        Ok(descriptor.is_some_and(|descriptor| descriptor.parts.iter().any(|part| part.key == *data)))
    }

    /// Takes a session's data from it and removes it; `false` where the session went on meanwhile.
    async fn give_up(&self, key: &Key, session: &Versioned<UploadSession>) -> Result<bool, StorageError> {
        if !self.run.dry_run {
            let (received, updated) = (session.received, session.updated);
            let change = move |draft: &mut Draft<UploadSession>| {
                let unchanged = draft.get().is_some_and(|s| s.received == received && s.updated == updated);
                if unchanged && let Some(session) = draft.edit() {
                    session.state = SessionState::Cancelled;
                    session.parts.clear();
                    session.tail = None;
                    session.hash = None;
                }
                Ok::<_, StorageError>(unchanged)
            };
            if !self.store.store().update(key, change).await?.0 {
                return Ok(false);
            }
        }
        self.remove_data(&session.parts).await?;
        Ok(true)
    }
}
