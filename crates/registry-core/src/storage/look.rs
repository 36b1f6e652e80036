//! Looking into stored bytes with code that reads and seeks as in a file: a zip's directory, a wheel's metadata.

use std::{
    collections::VecDeque,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::runtime::Handle;

use super::{
    DataRef, StorageError,
    engine::{Engine, Place, path, storage_error},
    folder::OpenedFile,
};

/// What a store is asked for at once. Reads that go straight on ask for twice as much each time, up to the second number.
const BLOCK_BYTES: u64 = 256 * 1024;
const MOST_BLOCK_BYTES: u64 = 2 * 1024 * 1024;
/// What is kept of what was read.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Stored bytes as something to read and seek in, for code that blocks. [`super::Store::inspect`] makes one.
///
/// Memory is bounded (about 6 MiB), whatever the size. A failure of the store is an [`io::Error`] here, and the result of
/// `inspect`, whatever the code made of it.
#[derive(Debug)]
pub struct ArtifactReader {
    source: Source,
    length: u64,
    at: u64,
    blocks: Blocks,
    failed: Option<StorageError>,
}

/// Where blocks come from.
#[derive(Debug)]
enum Source {
    /// The files themselves, in order, each with where it begins: the operating system caches them better than we could.
    Files(Vec<(u64, DataRef, OpenedFile)>),
    /// Ranged reads.
    Store { engine: Arc<Engine>, parts: Vec<DataRef>, runtime: Handle },
}

impl ArtifactReader {
    /// Opens data objects as one content. Blocks on a folder.
    pub(super) fn open(
        engine: &Arc<Engine>,
        parts: Vec<DataRef>,
        runtime: Handle,
    ) -> Result<Self, StorageError> {
        let length = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.size));
        let source = match &engine.place {
            Place::Folder { folder, .. } => {
                let mut begin = 0_u64;
                let mut files = Vec::with_capacity(parts.len());
                for part in parts {
                    let file = folder.open_file(&path(&part.key)).map_err(|error| match error {
                        object_store::Error::NotFound { .. } => {
                            StorageError::Missing { key: part.key.to_string() }
                        }
                        error => storage_error(&part.key, error),
                    })?;
                    if file.size() != part.size {
                        return Err(StorageError::Damaged {
                            key: part.key.to_string(),
                            what: format!("it has {} bytes instead of {}", file.size(), part.size),
                        });
                    }
                    let size = part.size;
                    files.push((begin, part, file));
                    begin = begin.saturating_add(size);
                }
                Source::Files(files)
            }
            Place::Bucket | Place::Memory => Source::Store { engine: Arc::clone(engine), parts, runtime },
        };
        Ok(Self { source, length, at: 0, blocks: Blocks::default(), failed: None })
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the store failed with.
    pub(super) fn take_failure(&mut self) -> Option<StorageError> {
        self.failed.take()
    }

    fn read_here(&mut self, buffer: &mut [u8]) -> Result<usize, StorageError> {
        if buffer.is_empty() || self.at >= self.length {
            return Ok(0);
        }
        match &self.source {
            Source::Files(files) => {
                let holds = |(begin, part, _): &&(u64, DataRef, OpenedFile)| {
                    (*begin..begin.saturating_add(part.size)).contains(&self.at)
                };
                let Some((begin, part, file)) = files.iter().find(holds) else { return Ok(0) };
                let read = file.read_at(buffer, self.at.saturating_sub(*begin));
                let read = read.map_err(|error| super::engine::unavailable(&part.key, error))?;
                if read == 0 {
                    return Err(ends_early(part));
                }
                Ok(read)
            }
            Source::Store { engine, parts, runtime } => {
                let (at, length) = (self.at, self.length);
                let block = self.blocks.at(at, length, |range| {
                    runtime.block_on(async {
                        let wanted = range.end.saturating_sub(range.start);
                        let body = engine.read_data(parts, Some(range)).await?;
                        let mut whole = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
                        let mut pieces = body.into_data_stream();
                        while let Some(piece) = pieces.try_next().await.map_err(StorageError::Body)? {
                            whole.extend_from_slice(&piece);
                        }
                        match parts.first() {
                            Some(part) if whole.len() as u64 != wanted => Err(ends_early(part)),
                            _ => Ok(Bytes::from(whole)),
                        }
                    })
                })?;
                let take = block.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..take), block.get(..take)) {
                    to.copy_from_slice(from);
                }
                Ok(take)
            }
        }
    }
}

fn ends_early(part: &DataRef) -> StorageError {
    StorageError::Damaged { key: part.key.to_string(), what: "it ends early".to_owned() }
}

/// What was read last.
#[derive(Debug, Default)]
struct Blocks {
    /// The last used in front.
    kept: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// Where the last read of the store ended, and how much it was.
    last: Option<(u64, u64)>,
}

impl Blocks {
    /// What there is from `at` on: never empty where `at` lies before `length`.
    fn at(
        &mut self,
        at: u64,
        length: u64,
        fetch: impl FnOnce(Range<u64>) -> Result<Bytes, StorageError>,
    ) -> Result<Bytes, StorageError> {
        let within = |begin: u64, block: &Bytes| {
            let skip = usize::try_from(at.checked_sub(begin)?).ok()?;
            (skip < block.len()).then(|| block.slice(skip..))
        };
        let held = self.kept.iter().position(|(begin, block)| within(*begin, block).is_some());
        let (begin, block) = if let Some(held) = held.and_then(|held| self.kept.remove(held)) {
            held
        } else {
            let begin = at - at % BLOCK_BYTES;
            let size = match self.last {
                Some((end, size)) if end == begin => size.saturating_mul(2).min(MOST_BLOCK_BYTES),
                _ => BLOCK_BYTES,
            };
            let end = begin.saturating_add(size).min(length);
            let block = fetch(begin..end)?;
            self.last = Some((end, size));
            self.bytes = self.bytes.saturating_add(block.len());
            while self.bytes > CACHE_BYTES
                && let Some((_, oldest)) = self.kept.pop_back()
            {
                self.bytes = self.bytes.saturating_sub(oldest.len());
            }
            (begin, block)
        };
        let rest = within(begin, &block).unwrap_or_default();
        self.kept.push_front((begin, block));
        Ok(rest)
    }
}

impl Read for ArtifactReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.read_here(buffer) {
            Ok(read) => {
                self.at = self.at.saturating_add(read as u64);
                Ok(read)
            }
            Err(error) => {
                let told = io::Error::other(error.to_string());
                self.failed = Some(error);
                Err(told)
            }
        }
    }
}

impl Seek for ArtifactReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A content of a byte for each block, and what was asked of the store.
    fn read(blocks: &mut Blocks, at: u64, length: u64, asked: &mut Vec<Range<u64>>) -> usize {
        let block = blocks.at(at, length, |range| {
            asked.push(range.clone());
            Ok(Bytes::from(vec![7; usize::try_from(range.end - range.start).unwrap()]))
        });
        assert!(blocks.bytes <= CACHE_BYTES, "{}", blocks.bytes);
        assert_eq!(blocks.bytes, blocks.kept.iter().map(|(_, block)| block.len()).sum::<usize>());
        block.unwrap().len()
    }

    #[test]
    fn what_is_held_is_not_asked_for_again() {
        let (mut blocks, mut asked) = (Blocks::default(), Vec::new());
        let length = 10 * BLOCK_BYTES + 5;
        assert_eq!(read(&mut blocks, length - 1, length, &mut asked), 1);
        assert_eq!(read(&mut blocks, length - 5, length, &mut asked), 5);
        assert_eq!(read(&mut blocks, 3, length, &mut asked) as u64, BLOCK_BYTES - 3);
        assert_eq!(read(&mut blocks, length - 2, length, &mut asked), 2);
        assert_eq!(asked, [10 * BLOCK_BYTES..length, 0..BLOCK_BYTES]);
    }

    #[test]
    fn reading_straight_on_asks_for_more_each_time() {
        let (mut blocks, mut asked) = (Blocks::default(), Vec::new());
        let length = 100 * BLOCK_BYTES;
        let mut at = 0;
        while at < length {
            at += read(&mut blocks, at, length, &mut asked) as u64;
        }
        let sizes: Vec<u64> = asked.iter().map(|range| (range.end - range.start) / BLOCK_BYTES).collect();
        assert_eq!(sizes[..5], [1, 2, 4, 8, 8]);
        assert!(sizes.len() < 20, "{sizes:?}");
        assert!(asked.windows(2).all(|two| two[0].end == two[1].start));
    }
}
