//! What is kept of an upstream's documents and artefacts: records in the store, under `_cache`.
//!
//! ```text
//! <instance>/_cache/<upstream>/<identity>/<kind>/<resource>/_document.json   a document as it came, and its record
//! <instance>/_cache/<upstream>/<identity>/<kind>/<resource>/_artifact.json   the record of an artefact
//! <instance>/_cache/<upstream>/<identity>/<kind>/<resource>/_artifact~…      its bytes
//! ```
//!
//! Nothing hosted names anything of it: it can be dropped as a whole. Fields of newer versions are not kept, for the same reason.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::source::Upstream;
use crate::storage::{DataRef, Digests, Document, Key, KeyBuilder, Store};

/// What something is called, in the words of its protocol: the same for all spellings of one thing. It becomes a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    kind: &'static str,
    segments: Vec<String>,
}

impl Resource {
    /// A resource of a kind (`packuments`, `manifests`), to be completed with what tells it from others.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, segments: Vec::new() }
    }

    /// One more segment. It may hold anything.
    pub fn segment(mut self, segment: impl Into<String>) -> Self {
        self.segments.push(segment.into());
        self
    }

    /// The parts of a name between its slashes, each as a segment.
    pub fn segments(mut self, name: &str) -> Self {
        self.segments.extend(name.split('/').map(str::to_owned));
        self
    }

    /// A name as it stands in the keys of what is called by it.
    pub(crate) fn encoded_name(name: &str) -> String {
        KeyBuilder::root().segments(name).build().to_string()
    }

    fn key(&self, store: &Store, upstream: &Upstream, last: &'static str) -> Key {
        let mut key = store.key().fixed("_cache").segment(upstream.id().as_str()).segment(&upstream.identity);
        key = key.fixed(self.kind);
        for segment in &self.segments {
            key = key.segment(segment);
        }
        key.fixed(last).build()
    }

    pub(crate) fn document_key(&self, store: &Store, upstream: &Upstream) -> Key {
        self.key(store, upstream, "_document.json")
    }

    pub(crate) fn artifact_key(&self, store: &Store, upstream: &Upstream) -> Key {
        self.key(store, upstream, "_artifact.json")
    }

    pub(crate) fn data_key(&self, store: &Store, upstream: &Upstream) -> Key {
        self.key(store, upstream, "_artifact")
    }
}

/// An upstream's document as it came, with no encoding, and what is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredDocument {
    /// The configured URL at which it was asked for: a copy from elsewhere is none.
    pub(crate) upstream: String,
    pub(crate) fetched: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_age: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
    /// Of the body, in hex.
    pub(crate) sha256: String,
    /// The body is gone from the upstream: nothing is served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
    pub(crate) body: StoredBytes,
}

impl Document for StoredDocument {
    const SCHEMA: u32 = 1;
}

/// Bytes in a JSON document: as text where they are text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredBytes(pub(crate) Bytes);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoded<'a> {
    Text(Cow<'a, str>),
    Base64(String),
}

impl Serialize for StoredBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Encoded::Text(text.into()),
            Err(_) => Encoded::Base64(STANDARD.encode(&self.0)),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StoredBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Encoded::deserialize(deserializer)? {
            Encoded::Text(text) => Ok(Self(text.into_owned().into())),
            Encoded::Base64(text) => {
                STANDARD.decode(text).map(|bytes| Self(bytes.into())).map_err(D::Error::custom)
            }
        }
    }
}

/// What is known of an artefact of which every byte is here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredArtifact {
    /// The configured URL of the upstream that it is from.
    pub(crate) upstream: String,
    pub(crate) fetched: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_modified: Option<String>,
    pub(crate) size: u64,
    /// Digests that were computed; SHA-256 always.
    pub(crate) digests: Digests,
    /// The bytes, in order.
    pub(crate) data: Vec<DataRef>,
    /// Removed from the cache: nothing is served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
}

impl Document for StoredArtifact {
    const SCHEMA: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_whether_text_or_not() {
        for (bytes, want) in [
            (&b"{\"a\":\"\xc3\xbc\"}"[..], r#"{"text":"{\"a\":\"ü\"}"}"#),
            (b"\x04\x08\xff", r#"{"base64":"BAj/"}"#),
            (b"", r#"{"text":""}"#),
        ] {
            let stored = StoredBytes(Bytes::from_static(bytes));
            let text = serde_json::to_string(&stored).unwrap();
            assert_eq!(text, want);
            assert_eq!(serde_json::from_str::<StoredBytes>(&text).unwrap(), stored);
        }
        assert!(serde_json::from_str::<StoredBytes>(r#"{"base64":"%"}"#).is_err());
    }
}
