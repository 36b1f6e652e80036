//! Typed documents and what a change to one sees.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A type that is stored as a JSON document.
///
/// Give every struct in it a `#[serde(flatten)] unknown: UnknownFields`, so that fields which a newer version wrote
/// survive a rewrite.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync + fmt::Debug + 'static {
    /// The version of this document's form. A document with a newer one is refused rather than misread.
    const SCHEMA: u32;

    /// About how many bytes the value holds in memory, for the bounded cache. The default takes the encoded size.
    fn weight(&self, encoded: usize) -> usize {
        encoded
    }
}

/// Fields that this version does not know; they are written back as they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(pub serde_json::Map<String, serde_json::Value>);

/// What identifies one state of a document. It is random, so a document that changes from A to B and back to A has three.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub(crate) Arc<str>);

impl Revision {
    /// The revision as text, fit for an ETag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document as it was read, with its revision.
#[derive(Debug)]
pub struct Versioned<D> {
    /// The value.
    pub value: D,
    /// Which state of the document this is.
    pub revision: Revision,
}

impl<D> Deref for Versioned<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.value
    }
}

/// The document inside [`crate::storage::Store::update`]'s closure: there or not, changed or not.
///
/// A closure that returns an error must not have changed the draft: other callers' changes may share the write.
#[derive(Debug)]
pub struct Draft<D> {
    base: Option<Arc<Versioned<D>>>,
    value: Option<D>,
    pub(crate) changed: bool,
}

impl<D: Document> Draft<D> {
    /// A draft of what was read. It is copied when it is first changed.
    pub(crate) fn new(base: Option<Arc<Versioned<D>>>) -> Self {
        Self { base, value: None, changed: false }
    }

    /// The document to write, if anything changed.
    pub(crate) fn into_changed(self) -> Option<D> {
        self.value.filter(|_| self.changed)
    }

    /// The document as it stands, if it exists.
    pub fn get(&self) -> Option<&D> {
        self.value.as_ref().or(self.base.as_ref().map(|base| &base.value))
    }

    /// The revision of what was read, before any change.
    pub fn revision(&self) -> Option<&Revision> {
        self.base.as_ref().map(|base| &base.revision)
    }

    /// The document for changing, if it exists. It will be written.
    pub fn edit(&mut self) -> Option<&mut D> {
        if self.value.is_none() {
            self.value = self.base.as_ref().map(|base| base.value.clone());
        }
        self.changed |= self.value.is_some();
        self.value.as_mut()
    }

    /// The document for changing, made from `default` where it does not exist. It will be written.
    pub fn edit_or_insert_with(&mut self, default: impl FnOnce() -> D) -> &mut D {
        self.changed = true;
        let base = &self.base;
        self.value.get_or_insert_with(|| base.as_ref().map_or_else(default, |base| base.value.clone()))
    }

    /// Replaces the document. It will be written.
    pub fn set(&mut self, value: D) {
        self.changed = true;
        self.value = Some(value);
    }
}
