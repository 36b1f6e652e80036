//! Looks into archives without unpacking them, for protocols that must know what they are given.
//!
//! Archives are hostile. Nothing is written to a disk, and nothing is kept in memory but what the caller chooses, under a limit.
//! `tar` reads while the bytes pass on their way to the store ([`write_inspected`]); `zip`, whose directory is at the
//! end, reads what has just been written ([`crate::storage::Store::inspect`]).

mod links;
mod name;
#[cfg(feature = "archive-tar")]
pub mod tar;
#[cfg(feature = "archive-zip")]
pub mod zip;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use crate::{
    Body, BodyError,
    storage::{ArtifactSpec, Key, PendingArtifact, StorageError, Store, UpdateError},
};

/// More than this many bytes are looked into on a thread that may block: they can unpack to a thousand times as many.
const INLINE_BYTES: usize = 32 << 10;

/// What becomes of an entry's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// They are kept, under the limits for what is kept.
    Keep,
    /// They are read through: a tar's go to [`tar::Visitor::piece`], a zip's are checked against their checksum.
    Pass,
    /// They are of no interest.
    Skip,
}

/// Which links an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRule {
    /// Any; whoever unpacks it is left to find out.
    Any,
    /// Those that stay inside what the archive unpacks to, whatever is unpacked first.
    Inside,
    /// None, neither symbolic nor hard.
    Refused,
}

/// An entry that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its path without `./` and double slashes; what is not UTF-8 in it is replaced.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What an archive turned out to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many entries, folders and links included.
    pub entries: u64,
    /// How many files.
    pub files: u64,
    /// The files' bytes, unpacked.
    pub file_bytes: u64,
    /// What was kept, in the archive's order. A path may be there more than once in a tar.
    pub kept: Vec<Kept>,
}

/// Looks at bytes as they pass.
pub trait Inspect: Send + 'static {
    /// Why bytes are refused.
    type Error: Send + 'static;

    /// Reads a piece. May take long: it is called where that does no harm.
    fn feed(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
}

/// [`Store::write_artifact`] of bytes that are looked at as they pass. What `inspector` refuses ends the writing, and nothing is left.
/// Its verdict on the whole is the caller's to ask for (and the artefact's to drop if it is a refusal).
pub async fn write_inspected<I: Inspect>(
    store: &Store,
    key: &Key,
    body: Body,
    spec: ArtifactSpec,
    inspector: I,
) -> Result<(PendingArtifact, I), UpdateError<I::Error>> {
    let left = Arc::new(Mutex::new(None));
    let outcome = Arc::clone(&left);
    let pieces = stream::unfold(Some((body.into_data_stream(), inspector)), move |state| {
        let outcome = Arc::clone(&outcome);
        async move {
            let (mut pieces, inspector) = state?;
            match pieces.next().await {
                None => {
                    *outcome.lock() = Some(Ok(inspector));
                    None
                }
                Some(Err(error)) => Some((Err(error), None)),
                Some(Ok(piece)) => match look(inspector, piece).await {
                    Ok((inspector, piece)) => Some((Ok(piece), Some((pieces, inspector)))),
                    Err(Some(error)) => {
                        *outcome.lock() = Some(Err(error));
                        Some((Err(BodyError::new("the content was refused")), None))
                    }
                    Err(None) => Some((Err(BodyError::new("an inspection panicked")), None)),
                },
            }
        }
    });
    let written = store.write_artifact(key, Body::from_stream(pieces.boxed()), spec).await;
    let outcome = left.lock().take();
    match (outcome, written) {
        (Some(Err(refused)), _) => Err(UpdateError::Refused(refused)),
        (_, Err(error)) => Err(UpdateError::Storage(error)),
        (Some(Ok(inspector)), Ok(artifact)) => Ok((artifact, inspector)),
        (None, Ok(_)) => Err(UpdateError::Storage(StorageError::Body(BodyError::new(
            "the content was not read to its end",
        )))),
    }
}

/// Feeds a piece, where it may block if it is large. `Err(None)`: it panicked.
async fn look<I: Inspect>(mut inspector: I, piece: Bytes) -> Result<(I, Bytes), Option<I::Error>> {
    if piece.len() <= INLINE_BYTES {
        return match inspector.feed(&piece) {
            Ok(()) => Ok((inspector, piece)),
            Err(error) => Err(Some(error)),
        };
    }
    let looked = tokio::task::spawn_blocking(move || match inspector.feed(&piece) {
        Ok(()) => Ok((inspector, piece)),
        Err(error) => Err(error),
    });
    looked.await.map_err(|_panicked| None)?.map_err(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Instance, Protocol,
        storage::{Storage, StorageOptions},
    };

    /// Refuses a zero, and counts the rest.
    #[derive(Debug)]
    struct NoZero(usize);

    impl Inspect for NoZero {
        type Error = &'static str;

        fn feed(&mut self, piece: &[u8]) -> Result<(), &'static str> {
            self.0 += piece.len();
            if piece.contains(&0) { Err("a zero") } else { Ok(()) }
        }
    }

    async fn write(pieces: Vec<Result<Bytes, BodyError>>) -> (Result<usize, String>, usize) {
        let storage = Storage::memory(StorageOptions::default());
        let store = storage.store(&Instance::new(Protocol::Npm.into(), Protocol::Npm, Vec::new()));
        let key = store.key().fixed("x").build();
        let body = Body::from_stream(stream::iter(pieces));
        let result = write_inspected(&store, &key, body, ArtifactSpec::default(), NoZero(0)).await;
        let result = match result {
            Ok((artifact, inspector)) => {
                assert_eq!(artifact.keep().size, inspector.0 as u64);
                Ok(inspector.0)
            }
            Err(UpdateError::Refused(error)) => Err(error.to_owned()),
            Err(UpdateError::Storage(error)) => Err(error.to_string()),
        };
        storage.drained().await;
        (result, store.list(&store.key().build()).await.unwrap().len())
    }

    #[tokio::test]
    async fn bytes_are_looked_at_and_stored() {
        let small = || Ok(Bytes::from_static(b"abc"));
        let large = |byte| Ok(Bytes::from(vec![byte; INLINE_BYTES + 1]));
        assert_eq!(write(vec![small(), large(1), small()]).await, (Ok(INLINE_BYTES + 7), 1));
        assert_eq!(write(Vec::new()).await, (Ok(0), 1));
        assert_eq!(write(vec![small(), large(0), small()]).await, (Err("a zero".to_owned()), 0));
        assert_eq!(write(vec![Ok(Bytes::from_static(b"a\0"))]).await, (Err("a zero".to_owned()), 0));
        let gone = vec![small(), Err(BodyError::new("gone"))];
        assert_eq!(write(gone).await, (Err("the request's body ended early".to_owned()), 0));
    }
}
