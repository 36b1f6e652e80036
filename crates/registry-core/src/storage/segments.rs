//! Content of any size as a row of data objects, each written once at its final place.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{Key, PendingArtifact, StorageError, engine::Engine, sink::DataSink};

/// The size at which a data object is closed and the next begun: far below what stores take (5 TiB in 10,000 parts),
/// small enough to lose little when a process dies.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Writes content of any size as a row of data objects. Nothing is hashed: the caller hashes what it hands over, while what
/// it handed over before is being written.
///
/// Dropped before [`SegmentWriter::finish`], it leaves nothing.
pub struct SegmentWriter {
    engine: Arc<Engine>,
    key: Key,
    segment_bytes: u64,
    current: Option<DataSink>,
    written: Vec<PendingArtifact>,
}

impl SegmentWriter {
    pub(super) fn new(engine: Arc<Engine>, key: &Key) -> Self {
        Self { engine, key: key.clone(), segment_bytes: SEGMENT_BYTES, current: None, written: Vec::new() }
    }

    /// Takes bytes, and comes back when there is room for more.
    pub async fn write(&mut self, mut piece: Bytes) -> Result<(), StorageError> {
        while !piece.is_empty() {
            let sink = self.current.get_or_insert_with(|| DataSink::open(&self.engine, &self.key));
            let room = self.segment_bytes.saturating_sub(sink.written());
            let fits = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
            sink.write(piece.split_to(fits)).await?;
            if sink.written() >= self.segment_bytes {
                self.close().await?;
            }
        }
        Ok(())
    }

    /// Makes everything durable: the data objects in their order. They are deleted unless they are kept.
    pub async fn finish(mut self) -> Result<Vec<PendingArtifact>, StorageError> {
        self.close().await?;
        Ok(self.written)
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        if let Some(sink) = self.current.take() {
            let data = sink.finish().await?;
            self.written.push(PendingArtifact::of(&self.engine, data));
        }
        Ok(())
    }
}

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentWriter")
            .field("key", &self.key)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        Instance, Protocol,
        storage::{DataRef, Storage, StorageOptions, Store},
    };

    fn store() -> (Storage, Store) {
        let storage = Storage::memory(StorageOptions::default());
        let store = storage.store(&Instance::new(Protocol::Oci.into(), Protocol::Oci, Vec::new()));
        (storage, store)
    }

    async fn write(store: &Store, segment_bytes: u64, pieces: &[Bytes]) -> Vec<PendingArtifact> {
        let mut writer = store.segment_writer(&store.key().fixed("data").build());
        writer.segment_bytes = segment_bytes;
        for piece in pieces {
            writer.write(piece.clone()).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    #[tokio::test]
    async fn content_rolls_over_several_objects_and_reads_back_as_one() {
        let (_storage, store) = store();
        let part = 1 << 20;
        for (length, sizes) in [
            (0, vec![]),
            (1, vec![1]),
            (part, vec![part]),
            (2 * part, vec![2 * part]),
            (2 * part + 1, vec![2 * part, 1]),
            (5 * part + 7, vec![2 * part, 2 * part, part + 7]),
        ] {
            let content: Bytes =
                (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>().into();
            for step in [100_000, 3 * part] {
                let pieces: Vec<Bytes> = content.chunks(step).map(Bytes::copy_from_slice).collect();
                let written = write(&store, 2 * part as u64, &pieces).await;
                let data: Vec<DataRef> = written.into_iter().map(PendingArtifact::keep).collect();
                assert_eq!(
                    data.iter().map(|d| usize::try_from(d.size).unwrap()).collect::<Vec<_>>(),
                    sizes,
                    "{length}/{step}"
                );
                let body = store.read_artifact(&data, None).await.unwrap();
                assert!(body.collect().await.unwrap().to_bytes() == content);
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_kept_is_deleted() {
        let (storage, store) = store();
        let root = store.key().build();
        let part = Bytes::from(vec![1; 3 << 20]);
        drop(write(&store, 1 << 20, std::slice::from_ref(&part)).await);
        let mut unfinished = store.segment_writer(&store.key().fixed("data").build());
        unfinished.write(part).await.unwrap();
        drop(unfinished);
        storage.drained().await;
        assert_eq!(store.list(&root).await.unwrap().len(), 0);
    }
}
