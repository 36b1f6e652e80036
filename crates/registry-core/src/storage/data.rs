//! Artefacts: streaming them in while they are hashed, and out again.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange};

use super::{
    ArtifactSpec, DataRef, Digests, Hashes, Key, PendingArtifact, StorageError, WantedDigests,
    engine::{Engine, path, storage_error},
    sink::DataSink,
};
use crate::{Body, BodyError};

/// Bytes that are hashed before other tasks get their turn.
const HASHED_AT_ONCE: usize = 256 * 1024;

/// The largest data object that is kept in memory after it was served.
const MOST_KEPT: u64 = 256 * 1024;

/// Deletes pending bytes when dropped.
#[derive(Debug)]
pub(crate) struct Cleanup {
    engine: Arc<Engine>,
    key: Option<Key>,
}

impl Cleanup {
    pub(crate) fn of(engine: &Arc<Engine>, key: Key) -> Self {
        Self { engine: Arc::clone(engine), key: Some(key) }
    }

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
        let mut taken = Taken::new(&spec)?;
        let mut sink = DataSink::open(self, key);
        while let Some(piece) = pieces.try_next().await.map_err(StorageError::Body)? {
            // The check of the limits comes first, the sink's parts are written while the next ones are hashed.
            taken.take(&piece).await?;
            sink.write(piece).await?;
        }
        let (_, digests) = taken.finish(&spec)?;
        let data = DataRef { sha256: Some(digests.sha256.clone()), ..sink.finish().await? };
        Ok(PendingArtifact { digests, ..PendingArtifact::of(self, data) })
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

    /// [`Engine::read_data`] for a client: a small data object is kept in memory, since what is fetched once is fetched
    /// often, and its bytes never change.
    pub(crate) async fn serve_data(
        self: &Arc<Self>,
        parts: &[DataRef],
        range: Option<Range<u64>>,
    ) -> Result<Body, StorageError> {
        let [data] = parts else { return self.read_data(parts, range).await };
        if data.size > MOST_KEPT {
            return self.read_data(parts, range).await;
        }
        if let Some(bytes) = self.cache.data(&data.key) {
            let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
            return Ok(match range.map(|range| (at(range.start), at(range.end))) {
                None => Body::from(bytes),
                Some((start, end)) if start < end => Body::from(bytes.slice(start..end)),
                Some(_) => Body::empty(),
            });
        }
        if range.is_some() {
            return self.read_data(parts, range).await;
        }
        let mut pieces = self.open_data(data.clone(), 0..data.size).await?;
        let mut whole = BytesMut::with_capacity(usize::try_from(data.size).unwrap_or(0));
        while let Some(piece) = pieces.try_next().await? {
            whole.extend_from_slice(&piece);
        }
        let bytes = whole.freeze();
        if bytes.len() as u64 != data.size {
            let what = format!("{} of its {} bytes could be read", bytes.len(), data.size);
            return Err(StorageError::Damaged { key: data.key.to_string(), what });
        }
        self.cache.keep_data(&data.key, bytes.clone());
        Ok(Body::from(bytes))
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

    /// Reads data objects, as one content, and hashes them again: their size and digests.
    pub(crate) async fn hash_data(
        self: &Arc<Self>,
        parts: &[DataRef],
        wanted: WantedDigests,
    ) -> Result<(u64, Digests), StorageError> {
        let (mut hashes, mut size) = (Hashes::new(wanted), 0_u64);
        let mut pieces = self.read_data(parts, None).await?.into_data_stream();
        while let Some(piece) = pieces.try_next().await.map_err(StorageError::Body)? {
            size = size.saturating_add(piece.len() as u64);
            hash(&mut hashes, &piece).await;
        }
        Ok((size, hashes.finish()))
    }

    pub(crate) async fn delete_data(&self, key: &Key) -> Result<(), StorageError> {
        self.cache.forget_data(key);
        let location = path(key);
        let mut deleted = self.documents.delete_stream(stream::once(async move { Ok(location) }).boxed());
        match deleted.next().await {
            None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Some(Err(error)) => Err(storage_error(key, error)),
        }
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
        Ok(Self { hashes: Hashes::new(spec.all_digests()), size: 0, length: spec.length, most })
    }

    async fn take(&mut self, piece: &[u8]) -> Result<(), StorageError> {
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > self.most {
            return Err(StorageError::TooLarge { limit: self.most });
        }
        if let Some(length) = self.length.filter(|length| self.size > *length) {
            return Err(mismatch("length", &length, &format!("more than {length}")));
        }
        hash(&mut self.hashes, piece).await;
        Ok(())
    }

    fn finish(self, spec: &ArtifactSpec) -> Result<(u64, Digests), StorageError> {
        if let Some(length) = self.length.filter(|length| *length != self.size) {
            return Err(mismatch("length", &length, &self.size));
        }
        let digests = self.hashes.finish();
        for (name, expected, got) in [
            ("sha256", &spec.sha256, Some(&digests.sha256)),
            ("sha512", &spec.sha512, digests.sha512.as_ref()),
            ("sha1", &spec.sha1, digests.sha1.as_ref()),
            ("md5", &spec.md5, digests.md5.as_ref()),
            ("blake2b-256", &spec.blake2b_256, digests.blake2b_256.as_ref()),
        ] {
            if let Some((got, expected)) = got.zip(expected.as_ref())
                && !got.eq_ignore_ascii_case(expected)
            {
                return Err(mismatch(name, expected, got));
            }
        }
        Ok((self.size, digests))
    }
}

/// Hashes a piece; other tasks get their turn.
async fn hash(hashes: &mut Hashes, piece: &[u8]) {
    let mut pieces = piece.chunks(HASHED_AT_ONCE).peekable();
    while let Some(piece) = pieces.next() {
        hashes.update(piece);
        if pieces.peek().is_some() {
            tokio::task::yield_now().await;
        }
    }
}

fn mismatch(what: &'static str, expected: &dyn ToString, actual: &dyn ToString) -> StorageError {
    StorageError::Mismatch { what, expected: expected.to_string(), actual: actual.to_string() }
}
