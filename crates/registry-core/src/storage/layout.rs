//! `_system/layout.json`: which version of the layout a store has.

use serde::{Deserialize, Serialize};

use super::{Created, Document, Key, Storage, StorageError, UnknownFields};

/// The layout that this version reads and writes.
const VERSION: u32 = 1;

/// The document that tells a store's layout.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Layout {
    version: u32,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Document for Layout {
    const SCHEMA: u32 = 1;
}

pub(crate) fn key() -> Key {
    Key::from_encoded("_system/layout.json")
}

/// Marks a new store with the layout, and refuses one with a newer layout.
pub(crate) async fn claim(storage: &Storage) -> Result<(), StorageError> {
    let store = storage.system();
    let key = key();
    let found = if let Some(layout) = store.read::<Layout>(&key).await? {
        layout
    } else {
        let layout = Layout { version: VERSION, unknown: UnknownFields::default() };
        match store.create(&key, layout).await? {
            Created::Now(layout) | Created::Exists(layout) => layout,
        }
    };
    if found.version > VERSION {
        return Err(StorageError::Newer { key: key.to_string(), found: found.version, known: VERSION });
    }
    Ok(())
}
