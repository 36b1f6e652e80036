//! Writing one data object, without hashing it.

use std::{mem, sync::Arc};

use bytes::Bytes;
use object_store::{MultipartUpload, PutMultipartOptions, PutOptions, PutPayload};
use tokio::task::JoinSet;

use super::{
    DataRef, Key, StorageError,
    engine::{Engine, Place, path, storage_error, unavailable},
    folder::InPlace,
};

/// The size of an upload's parts; services want at least 5 MiB and at most 10,000 parts, and some want all
/// but the last of one size.
const BUCKET_PART_BYTES: usize = 8 * 1024 * 1024;
const FOLDER_PART_BYTES: usize = 1024 * 1024;
/// Parts on their way at the same time. An upload holds one more in memory, the one that fills.
const PARTS_IN_FLIGHT: usize = 3;

/// A data object that is being written. What fits into one part is one put; nothing is created before the first part
/// is full. Dropped before it is finished, it removes what it wrote.
pub(crate) struct DataSink {
    engine: Arc<Engine>,
    key: Key,
    part_bytes: usize,
    part: Part,
    written: u64,
    upload: Option<Upload>,
}

impl DataSink {
    /// Begins a data object at the readable `key`, to which a random suffix is added.
    pub(crate) fn open(engine: &Arc<Engine>, key: &Key) -> Self {
        let part_bytes = match engine.place {
            Place::Folder { .. } | Place::Memory => FOLDER_PART_BYTES,
            Place::Bucket => BUCKET_PART_BYTES,
        };
        Self {
            engine: Arc::clone(engine),
            key: key.with_random_suffix(),
            part_bytes,
            part: Part::default(),
            written: 0,
            upload: None,
        }
    }

    /// Takes bytes; returns when there is room for more. Parts are written in the background.
    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        self.written = self.written.saturating_add(bytes.len() as u64);
        while self.part.bytes.saturating_add(bytes.len()) >= self.part_bytes {
            self.part.push(bytes.split_to(self.part_bytes.saturating_sub(self.part.bytes).min(bytes.len())));
            let upload = match &mut self.upload {
                Some(upload) => upload,
                None => self.upload.insert(Upload::begin(&self.engine, &self.key).await?),
            };
            upload.put_part(mem::take(&mut self.part).into_payload()).await?;
        }
        self.part.push(bytes);
        Ok(())
    }

    /// How many bytes it has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Makes the object durable. The caller sees to it that it is named or removed.
    pub(crate) async fn finish(self) -> Result<DataRef, StorageError> {
        let Self { engine, key, part, written, upload, .. } = self;
        if let Some(mut upload) = upload {
            if part.bytes > 0 {
                upload.put_part(part.into_payload()).await?;
            }
            upload.complete().await?;
        } else {
            let mut options = PutOptions::default();
            options.extensions.insert(InPlace);
            let put = engine.artifacts.put_opts(&path(&key), part.into_payload(), options).await;
            put.map_err(|error| storage_error(&key, error))?;
        }
        Ok(DataRef { key, size: written, sha256: None })
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
    inner: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    async fn begin(engine: &Arc<Engine>, key: &Key) -> Result<Self, StorageError> {
        let mut options = PutMultipartOptions::default();
        options.extensions.insert(InPlace);
        let upload = engine.artifacts.put_multipart_opts(&path(key), options).await;
        let upload = upload.map_err(|error| storage_error(key, error))?;
        Ok(Self { engine: Arc::clone(engine), key: key.clone(), inner: Some(upload), parts: JoinSet::new() })
    }

    async fn put_part(&mut self, payload: PutPayload) -> Result<(), StorageError> {
        while self.parts.len() >= PARTS_IN_FLIGHT {
            self.part_ended().await?;
        }
        if let Some(upload) = &mut self.inner {
            self.parts.spawn(upload.put_part(payload));
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StorageError> {
        while !self.parts.is_empty() {
            self.part_ended().await?;
        }
        if let Some(upload) = &mut self.inner {
            upload.complete().await.map_err(|error| storage_error(&self.key, error))?;
        }
        self.inner = None;
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
        let Some(mut upload) = self.inner.take() else { return };
        let key = self.key.clone();
        self.engine.tasks.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::warn!(key = %key, error = %error, "an upload could not be aborted; its parts may stay");
            }
        });
    }
}
