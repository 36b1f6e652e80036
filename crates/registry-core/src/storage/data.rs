//! Artefacts: streaming them in while they are hashed, and out again.

use std::{mem, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, MultipartUpload, PutMultipartOptions, PutOptions, PutPayload};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use tokio::task::JoinSet;

use super::{
    ArtifactSpec, DataRef, Digests, Key, PendingArtifact, StorageError, WantedDigests,
    engine::{Engine, Place, path, storage_error, unavailable},
    folder::InPlace,
};
use crate::{Body, BodyError};

/// Bytes that are hashed before other tasks get their turn.
const HASHED_AT_ONCE: usize = 256 * 1024;
/// The size of an upload's parts; services want at least 5 MiB and at most 10,000 parts, and some want all
/// but the last of one size.
const BUCKET_PART_BYTES: usize = 8 * 1024 * 1024;
const FOLDER_PART_BYTES: usize = 1024 * 1024;
/// Parts on their way at the same time. An upload holds one more in memory, the one that fills.
const PARTS_IN_FLIGHT: usize = 3;

/// Deletes pending bytes when dropped.
#[derive(Debug)]
pub(crate) struct Cleanup {
    engine: Arc<Engine>,
    key: Option<Key>,
}

impl Cleanup {
    /// Leaves the bytes where they are.
    pub(crate) fn disarm(mut self) {
        self.key = None;
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let engine = Arc::clone(&self.engine);
            self.engine.tasks.spawn(async move {
                if let Err(error) = engine.delete_data(&key).await {
                    tracing::warn!(key = %key, error = %error, "unreferenced bytes could not be deleted; gc will");
                }
            });
        }
    }
}

impl Engine {
    /// Streams `pieces` to a new data object.
    pub(crate) async fn write_data(
        self: &Arc<Self>,
        key: &Key,
        mut pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
        spec: ArtifactSpec,
    ) -> Result<PendingArtifact, StorageError> {
        let key = key.with_random_suffix();
        let part_bytes = match self.place {
            Place::Folder { .. } | Place::Memory => FOLDER_PART_BYTES,
            Place::Bucket => BUCKET_PART_BYTES,
        };
        let mut taken = Taken::new(&spec)?;
        let mut part = Part::default();
        let mut upload: Option<Upload> = None;
        while let Some(piece) = pieces.try_next().await.map_err(StorageError::Body)? {
            taken.take(&piece).await?;
            let mut piece = piece;
            while part.bytes.saturating_add(piece.len()) >= part_bytes {
                part.push(piece.split_to(part_bytes.saturating_sub(part.bytes).min(piece.len())));
                if upload.is_none() {
                    upload = Some(self.begin_upload(&key).await?);
                }
                if let Some(upload) = &mut upload {
                    upload.put_part(mem::take(&mut part).into_payload()).await?;
                }
            }
            part.push(piece);
        }
        let (size, digests) = taken.finish(&spec)?;
        match upload {
            Some(mut upload) => {
                if part.bytes > 0 {
                    upload.put_part(part.into_payload()).await?;
                }
                upload.complete().await?;
            }
            None => self.put_data(&key, part.into_payload()).await?,
        }
        let data = DataRef { key: key.clone(), size, sha256: Some(digests.sha256.clone()) };
        let cleanup = Some(Cleanup { engine: Arc::clone(self), key: Some(key) });
        Ok(PendingArtifact { data, digests, cleanup })
    }

    /// Streams data objects, or a range of what they are together.
    pub(crate) async fn read_data(
        self: &Arc<Self>,
        parts: &[DataRef],
        range: Option<Range<u64>>,
    ) -> Result<Body, StorageError> {
        let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.size));
        let range = range.unwrap_or(0..total);
        let length = range.end.min(total).saturating_sub(range.start);
        if length == 0 {
            return Ok(Body::empty());
        }
        let mut wanted = Vec::with_capacity(parts.len());
        let mut start = 0_u64;
        for part in parts {
            let end = start.saturating_add(part.size);
            let of_part = range.start.max(start)..range.end.min(end);
            if !of_part.is_empty() {
                let within = of_part.start.saturating_sub(start)..of_part.end.saturating_sub(start);
                wanted.push((part.clone(), within));
            }
            start = end;
        }
        let mut wanted = wanted.into_iter();
        let Some((first, within)) = wanted.next() else { return Ok(Body::empty()) };
        // Opened before the answer begins, so that what is missing is an error and no broken body.
        let first = self.open_data(first, within).await?;
        if wanted.len() == 0 {
            return Ok(Body::from_sized_stream(length, first));
        }
        let engine = Arc::clone(self);
        let rest = stream::iter(wanted)
            .then(move |(part, within)| {
                let engine = Arc::clone(&engine);
                async move { engine.open_data(part, within).await }
            })
            .try_flatten();
        Ok(Body::from_sized_stream(length, first.chain(rest)))
    }

    async fn open_data(
        &self,
        data: DataRef,
        within: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, StorageError>> + Send + Unpin + use<>, StorageError> {
        let whole = within == (0..data.size);
        let options = GetOptions {
            range: (!whole).then(|| GetRange::Bounded(within.clone())),
            ..GetOptions::default()
        };
        let result = match self.artifacts.get_opts(&path(&data.key), options).await {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(StorageError::Missing { key: data.key.to_string() });
            }
            Err(error) => return Err(storage_error(&data.key, error)),
        };
        if result.meta.size != data.size || result.range != within {
            return Err(StorageError::Damaged {
                key: data.key.to_string(),
                what: format!("it has {} bytes instead of {}", result.meta.size, data.size),
            });
        }
        Ok(result.into_stream().map_err(move |error| storage_error(&data.key, error)))
    }

    pub(crate) async fn delete_data(&self, key: &Key) -> Result<(), StorageError> {
        let location = path(key);
        let mut deleted = self.documents.delete_stream(stream::once(async move { Ok(location) }).boxed());
        match deleted.next().await {
            None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Some(Err(error)) => Err(storage_error(key, error)),
        }
    }

    async fn put_data(&self, key: &Key, payload: PutPayload) -> Result<(), StorageError> {
        let mut options = PutOptions::default();
        options.extensions.insert(InPlace);
        self.artifacts
            .put_opts(&path(key), payload, options)
            .await
            .map_err(|error| storage_error(key, error))?;
        Ok(())
    }

    async fn begin_upload(self: &Arc<Self>, key: &Key) -> Result<Upload, StorageError> {
        let mut options = PutMultipartOptions::default();
        options.extensions.insert(InPlace);
        let upload = self
            .artifacts
            .put_multipart_opts(&path(key), options)
            .await
            .map_err(|error| storage_error(key, error))?;
        Ok(Upload { engine: Arc::clone(self), key: key.clone(), upload: Some(upload), parts: JoinSet::new() })
    }
}

/// Pieces that become one part.
#[derive(Default)]
struct Part {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Part {
    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes = self.bytes.saturating_add(piece.len());
            self.pieces.push(piece);
        }
    }

    fn into_payload(self) -> PutPayload {
        self.pieces.into_iter().collect()
    }
}

/// An upload under way; dropped before it is complete, it is aborted.
struct Upload {
    engine: Arc<Engine>,
    key: Key,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    async fn put_part(&mut self, payload: PutPayload) -> Result<(), StorageError> {
        while self.parts.len() >= PARTS_IN_FLIGHT {
            self.part_ended().await?;
        }
        if let Some(upload) = &mut self.upload {
            self.parts.spawn(upload.put_part(payload));
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StorageError> {
        while !self.parts.is_empty() {
            self.part_ended().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(|error| storage_error(&self.key, error))?;
        }
        self.upload = None;
        Ok(())
    }

    async fn part_ended(&mut self) -> Result<(), StorageError> {
        match self.parts.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(storage_error(&self.key, error)),
            Some(Err(error)) => Err(unavailable(&self.key, error)),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        let key = self.key.clone();
        self.engine.tasks.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::warn!(key = %key, error = %error, "an upload could not be aborted; its parts may stay");
            }
        });
    }
}

/// What has come in so far.
struct Taken {
    hashes: Hashes,
    size: u64,
    length: Option<u64>,
    most: u64,
}

impl Taken {
    fn new(spec: &ArtifactSpec) -> Result<Self, StorageError> {
        let most = spec.max_bytes.unwrap_or(u64::MAX);
        if spec.length.is_some_and(|length| length > most) {
            return Err(StorageError::TooLarge { limit: most });
        }
        Ok(Self { hashes: Hashes::new(spec), size: 0, length: spec.length, most })
    }

    async fn take(&mut self, piece: &[u8]) -> Result<(), StorageError> {
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > self.most {
            return Err(StorageError::TooLarge { limit: self.most });
        }
        if let Some(length) = self.length.filter(|length| self.size > *length) {
            return Err(mismatch("length", length, format!("more than {length}")));
        }
        let mut pieces = piece.chunks(HASHED_AT_ONCE).peekable();
        while let Some(piece) = pieces.next() {
            self.hashes.update(piece);
            if pieces.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn finish(self, spec: &ArtifactSpec) -> Result<(u64, Digests), StorageError> {
        if let Some(length) = self.length.filter(|length| *length != self.size) {
            return Err(mismatch("length", length, self.size));
        }
        let digests = self.hashes.finish();
        let got = [Some(&digests.sha256), digests.sha512.as_ref(), digests.sha1.as_ref()];
        let expected = [&spec.sha256, &spec.sha512, &spec.sha1];
        for (name, (got, expected)) in
            ["sha256", "sha512", "sha1"].into_iter().zip(got.into_iter().zip(expected))
        {
            if let Some((got, expected)) = got.zip(expected.as_ref())
                && !got.eq_ignore_ascii_case(expected)
            {
                return Err(mismatch(name, expected, got));
            }
        }
        Ok((self.size, digests))
    }
}

fn mismatch(what: &'static str, expected: impl ToString, actual: impl ToString) -> StorageError {
    StorageError::Mismatch { what, expected: expected.to_string(), actual: actual.to_string() }
}

struct Hashes {
    sha256: Sha256,
    sha512: Option<Sha512>,
    sha1: Option<Sha1>,
}

impl Hashes {
    fn new(spec: &ArtifactSpec) -> Self {
        let WantedDigests { sha512, sha1 } = spec.digests;
        Self {
            sha256: Sha256::new(),
            sha512: (sha512 || spec.sha512.is_some()).then(Sha512::new),
            sha1: (sha1 || spec.sha1.is_some()).then(Sha1::new),
        }
    }

    fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        if let Some(hash) = &mut self.sha512 {
            hash.update(piece);
        }
        if let Some(hash) = &mut self.sha1 {
            hash.update(piece);
        }
    }

    fn finish(self) -> Digests {
        Digests {
            sha256: hex::encode(self.sha256.finalize()),
            sha512: self.sha512.map(|hash| hex::encode(hash.finalize())),
            sha1: self.sha1.map(|hash| hex::encode(hash.finalize())),
        }
    }
}
