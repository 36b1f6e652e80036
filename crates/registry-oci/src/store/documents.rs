//! The documents.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use registry_core::storage::{DataRef, Document, UnknownFields};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::{
    hash::HashState,
    names::{Digest, RepositoryName, Tag},
    session::SessionKey,
};

/// Whether something lives, may be collected, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// In use, or not known to be out of use.
    Live,
    /// Nothing was found to refer to it. Whoever finds it so and needs it makes it live again.
    Condemned,
    /// Reads as absent. Its data goes a grace later.
    Dead,
}

/// A phase and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) phase: Phase,
    pub(crate) since: DateTime<Utc>,
}

impl Life {
    pub(crate) fn live(now: DateTime<Utc>) -> Self {
        Self { phase: Phase::Live, since: now }
    }

    pub(crate) fn condemned(now: DateTime<Utc>) -> Self {
        Self { phase: Phase::Condemned, since: now }
    }

    pub(crate) fn dead(now: DateTime<Utc>) -> Self {
        Self { phase: Phase::Dead, since: now }
    }

    pub(crate) fn is_dead(self) -> bool {
        self.phase == Phase::Dead
    }

    pub(crate) fn is_live(self) -> bool {
        self.phase == Phase::Live
    }
}

/// A large blob: who owns its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BlobDescriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) life: Life,
    pub(crate) parts: Vec<DataRef>,
    /// A repository that linked it, as a hint for mounts without a source.
    pub(crate) repository: RepositoryName,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// That a repository has a blob, and where its bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BlobLink {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) life: Life,
    /// A small blob's bytes.
    #[serde(default, with = "base64_bytes", skip_serializing_if = "Option::is_none")]
    pub(crate) inline: Option<Bytes>,
    /// A large blob's data, owned by its descriptor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<DataRef>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// A manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManifestRecord {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) life: Life,
    /// The exact bytes of a small manifest.
    #[serde(default, with = "text_bytes", skip_serializing_if = "Option::is_none")]
    pub(crate) inline: Option<Bytes>,
    /// The exact bytes of a large one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<DataRef>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// Where a tag points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TagRecord {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Tag,
    /// `None`: the tag was deleted.
    pub(crate) digest: Option<Digest>,
    pub(crate) updated: DateTime<Utc>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// That a tag was deleted once: lists look at such tags more closely.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UntaggedMark {
    pub(super) tag: Tag,
    #[serde(flatten)]
    pub(super) unknown: UnknownFields,
}

/// That a manifest names a subject. Whether the manifest lives, its own record says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReferrerMark {
    pub(crate) subject: Digest,
    pub(crate) referrer: Digest,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionState {
    /// It takes bytes.
    Open,
    /// It became this blob.
    Finished(Digest),
    /// It was given up.
    Cancelled,
}

/// An upload that holds bytes, or ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UploadSession {
    pub(crate) repository: RepositoryName,
    pub(crate) state: SessionState,
    /// How many bytes are durably here.
    pub(crate) received: u64,
    /// Where they are, but for the last ones …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<DataRef>,
    /// … which are here.
    #[serde(default, with = "base64_bytes", skip_serializing_if = "Option::is_none")]
    pub(crate) tail: Option<Bytes>,
    /// The hash over all of them.
    pub(crate) hash: Option<HashState>,
    pub(crate) updated: DateTime<Utc>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// What proves session ids.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SessionSecret {
    key: String,
}

impl SessionSecret {
    pub(super) fn random() -> Self {
        let mut bytes = [0u8; 32];
        let chance = [
            uuid::Uuid::new_v4().into_bytes(),
            uuid::Uuid::new_v4().into_bytes(),
            uuid::Uuid::new_v4().into_bytes(),
        ];
        // An UUID has some fixed bits: three of them have chance enough for 32 bytes, drawn together by a hash.
        bytes.copy_from_slice(&sha2::Sha256::digest(chance.as_flattened()));
        Self { key: hex::encode(bytes) }
    }

    pub(super) fn session_key(&self) -> Option<SessionKey> {
        Some(SessionKey::new(hex::decode(&self.key).ok()?.try_into().ok()?))
    }
}

impl std::fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionSecret")
    }
}

macro_rules! documents {
    ($($name:ty),*) => { $(impl Document for $name { const SCHEMA: u32 = 1; })* };
}

documents!(
    BlobDescriptor,
    BlobLink,
    ManifestRecord,
    TagRecord,
    UntaggedMark,
    ReferrerMark,
    UploadSession,
    SessionSecret
);

/// Bytes in base64.
mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde hands a field over like this")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_str(&BASE64.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        let Some(text) = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        BASE64.decode(text.as_bytes()).map(|bytes| Some(bytes.into())).map_err(D::Error::custom)
    }
}

/// Bytes that are UTF-8, as a string.
mod text_bytes {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, ser::Error as _};

    #[expect(clippy::ref_option, reason = "serde hands a field over like this")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_str(std::str::from_utf8(bytes).map_err(S::Error::custom)?),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Bytes::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_round_trip_and_keep_unknown_fields() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let link = BlobLink {
            digest: digest.clone(),
            size: 3,
            life: Life::live(DateTime::UNIX_EPOCH),
            inline: Some(Bytes::from_static(&[0, 255, 7])),
            parts: Vec::new(),
            unknown: UnknownFields::default(),
        };
        let mut json = serde_json::to_value(&link).unwrap();
        assert_eq!(json["inline"], "AP8H");
        json["later"] = serde_json::json!({"a": 1});
        let back: BlobLink = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(back.inline, link.inline);
        assert_eq!(serde_json::to_value(&back).unwrap(), json);
    }

    #[test]
    fn manifests_keep_their_exact_bytes() {
        let body = Bytes::from_static(b"{ \"a\" :\t\"\\u00e9\xc3\xa9\"\r\n}");
        let record = ManifestRecord {
            repository: "a/b".parse().unwrap(),
            digest: crate::hash::Hasher::digest(crate::names::Algorithm::Sha256, &body),
            media_type: "a/b".into(),
            size: body.len() as u64,
            life: Life::live(DateTime::UNIX_EPOCH),
            inline: Some(body.clone()),
            data: None,
            unknown: UnknownFields::default(),
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<ManifestRecord>(&text).unwrap().inline, Some(body));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let secret = SessionSecret::random();
        assert_eq!(format!("{secret:?}"), "SessionSecret");
        assert!(secret.session_key().is_some());
    }
}
