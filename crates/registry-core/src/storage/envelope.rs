//! How a document is stored: JSON with its schema, its revision and the last operations, compressed when large.
//!
//! ```json
//! {"schema":1,"operations":["k2h…","Zx1…"],"document":{…}}
//! ```
//!
//! The last operation is the revision. An operation's id tells a writer whose answer was lost that its write
//! arrived.

use std::{fmt, io, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};

use super::{Document, Key, Revision, StorageError, Versioned};

/// How many operations a document remembers.
pub(crate) const REMEMBERED_OPERATIONS: usize = 64;
/// Documents larger than this are compressed.
const COMPRESS_OVER_BYTES: usize = 64 * 1024;
const COMPRESSION_LEVEL: i32 = 1;
/// The most that a document may hold when it is unpacked: a guard against damage, not a quota.
const MAX_UNPACKED_BYTES: usize = 1024 * 1024 * 1024;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One write of a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OperationId([u8; 12]);

impl OperationId {
    pub(crate) fn random() -> Self {
        let mut id = [0; 12];
        for (to, from) in id.iter_mut().zip(uuid::Uuid::new_v4().as_bytes()) {
            *to = *from;
        }
        Self(id)
    }

    pub(crate) fn revision(self) -> Revision {
        Revision(Arc::from(self.to_string()))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for OperationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OperationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.try_into().map_err(|_| serde::de::Error::custom("no operation id"))?))
    }
}

/// A document as read or written.
#[derive(Debug)]
pub(crate) struct Decoded<D> {
    pub(crate) document: Arc<Versioned<D>>,
    /// Oldest first; the last is the revision.
    pub(crate) operations: Vec<OperationId>,
    /// The size of the JSON.
    pub(crate) encoded_bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Envelope<D> {
    schema: u32,
    operations: Vec<OperationId>,
    document: D,
}

/// Renders the next state of a document that `operation` writes over one with `previous` operations.
pub(crate) fn encode<D: Document>(
    key: &Key,
    value: D,
    operation: OperationId,
    previous: &[OperationId],
) -> Result<(Vec<u8>, Decoded<D>), StorageError> {
    let from = previous.len().saturating_sub(REMEMBERED_OPERATIONS - 1);
    let mut operations = previous.get(from..).unwrap_or_default().to_vec();
    operations.push(operation);
    let failed = |error: &dyn fmt::Display| StorageError::Damaged {
        key: key.to_string(),
        what: format!("the new state cannot be written: {error}"),
    };
    let envelope = Envelope { schema: D::SCHEMA, operations, document: &value };
    let json = serde_json::to_vec(&envelope).map_err(|error| failed(&error))?;
    let operations = envelope.operations;
    let encoded_bytes = json.len();
    let stored = if encoded_bytes > COMPRESS_OVER_BYTES {
        zstd::bulk::compress(&json, COMPRESSION_LEVEL).map_err(|error| failed(&error))?
    } else {
        json
    };
    let document = Arc::new(Versioned { value, revision: operation.revision() });
    Ok((stored, Decoded { document, operations, encoded_bytes }))
}

/// Reads a stored document.
pub(crate) fn decode<D: Document>(key: &Key, stored: &[u8]) -> Result<Decoded<D>, StorageError> {
    if !stored.starts_with(&ZSTD_MAGIC) {
        return parse(key, stored);
    }
    let json = unpack(stored).map_err(|error| StorageError::Damaged {
        key: key.to_string(),
        what: format!("it cannot be unpacked: {error}"),
    })?;
    parse(key, &json)
}

fn unpack(stored: &[u8]) -> io::Result<Vec<u8>> {
    let capacity = zstd::bulk::Decompressor::upper_bound(stored).unwrap_or(MAX_UNPACKED_BYTES);
    if capacity > MAX_UNPACKED_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    zstd::bulk::decompress(stored, capacity)
}

fn parse<D: Document>(key: &Key, json: &[u8]) -> Result<Decoded<D>, StorageError> {
    let newer = |found| StorageError::Newer { key: key.to_string(), found, known: D::SCHEMA };
    match serde_json::from_slice::<Envelope<D>>(json) {
        Ok(envelope) if envelope.schema > D::SCHEMA => Err(newer(envelope.schema)),
        Ok(Envelope { operations, document, .. }) => {
            let damaged =
                || StorageError::Damaged { key: key.to_string(), what: "it has no revision".to_owned() };
            let revision = operations.last().ok_or_else(damaged)?.revision();
            let document = Arc::new(Versioned { value: document, revision });
            Ok(Decoded { document, operations, encoded_bytes: json.len() })
        }
        Err(error) => match serde_json::from_slice::<Envelope<IgnoredAny>>(json) {
            // A newer version may have written something else there.
            Ok(envelope) if envelope.schema > D::SCHEMA => Err(newer(envelope.schema)),
            _ => Err(StorageError::Damaged { key: key.to_string(), what: error.to_string() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::UnknownFields;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
        #[serde(flatten)]
        unknown: UnknownFields,
    }

    impl Document for Note {
        const SCHEMA: u32 = 2;
    }

    fn key() -> Key {
        Key::from_encoded("notes/one")
    }

    fn note(text: &str) -> Note {
        Note { text: text.to_owned(), unknown: UnknownFields::default() }
    }

    #[test]
    fn a_newer_schema_is_refused_whatever_it_holds() {
        for document in [r#"{"text":"x"}"#, "[]"] {
            let json = format!(r#"{{"schema":3,"operations":["AAAAAAAAAAAAAAAA"],"document":{document}}}"#);
            let error = decode::<Note>(&key(), json.as_bytes()).unwrap_err();
            assert!(matches!(error, StorageError::Newer { found: 3, known: 2, .. }), "{error}");
        }
    }

    #[test]
    fn damage_is_told() {
        for stored in [
            &b""[..],
            b"{",
            br#"{"schema":1,"operations":[],"document":{"text":"x"}}"#,
            br#"{"schema":1,"operations":["?"],"document":{"text":"x"}}"#,
            b"\x28\xb5\x2f\xfd",
            b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let error = decode::<Note>(&key(), stored).unwrap_err();
            assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn the_last_operations_are_remembered_and_unknown_fields_survive() {
        let json = br#"{"schema":1,"operations":["AAAAAAAAAAAAAAAA"],"document":{"text":"x","later":[1]}}"#;
        let mut state = decode::<Note>(&key(), json).unwrap();
        let mut ids = Vec::new();
        for _ in 0..100 {
            let id = OperationId::random();
            ids.push(id);
            let (stored, _) = encode(&key(), state.document.value.clone(), id, &state.operations).unwrap();
            state = decode(&key(), &stored).unwrap();
        }
        assert_eq!(state.operations, ids[100 - REMEMBERED_OPERATIONS..]);
        assert_eq!(state.document.revision, ids[99].revision());
        assert_eq!(state.document.value.unknown.0["later"], serde_json::json!([1]));
    }

    #[test]
    fn large_documents_are_compressed() {
        let (small, _) = encode(&key(), note("x"), OperationId::random(), &[]).unwrap();
        assert!(small.starts_with(b"{"));
        let text = "x".repeat(COMPRESS_OVER_BYTES);
        let (large, _) = encode(&key(), note(&text), OperationId::random(), &[]).unwrap();
        assert!(large.len() < 1024);
        assert_eq!(decode::<Note>(&key(), &large).unwrap().document.text, text);
    }

    proptest! {
        #[test]
        fn documents_round_trip(text in "\\PC{0,300}") {
            let (stored, written) = encode(&key(), note(&text), OperationId::random(), &[]).unwrap();
            let read = decode::<Note>(&key(), &stored).unwrap();
            prop_assert_eq!(&read.document.value, &written.document.value);
            prop_assert_eq!(&read.document.revision, &written.document.revision);
        }

        #[test]
        fn no_bytes_panic(stored in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode::<Note>(&key(), &stored).is_err());
        }
    }
}
