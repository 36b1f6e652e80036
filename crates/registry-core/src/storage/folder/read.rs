//! Reads: small files whole in one hop to the blocking pool, larger ones in pieces. What the system has in memory is read
//! in place; what it has not, ahead.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{Attributes, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, path::Path};
use tokio::task::JoinHandle;

use super::{
    FolderStore, Inner,
    fs_ops::OpenFile,
    object_meta, panicked,
    pieces::{PIECE_BYTES, Piece},
    store_error,
};

pub(super) async fn get(
    store: &FolderStore,
    location: &Path,
    options: GetOptions,
) -> object_store::Result<GetResult> {
    let wanted = location.clone();
    let opened = store.read(location, move |inner| Ok(open(inner, &wanted, &options))).await??;
    let Opened { file, meta, range, first } = opened;
    let rest = range.start.saturating_add(first.len() as u64)..range.end;
    let payload = if rest.is_empty() {
        stream::once(async move { Ok(first) }).boxed()
    } else {
        let pieces = Pieces { location: location.clone(), file: Arc::from(file), rest, ahead: None };
        stream::once(async move { Ok(first) }).chain(stream::try_unfold(pieces, Pieces::next)).boxed()
    };
    Ok(GetResult {
        payload: GetResultPayload::Stream(payload),
        meta,
        range,
        attributes: Attributes::default(),
        extensions: object_store::Extensions::default(),
    })
}

pub(super) async fn get_ranges(
    store: &FolderStore,
    location: &Path,
    ranges: Vec<Range<u64>>,
) -> object_store::Result<Vec<Bytes>> {
    let wanted = location.clone();
    let read = move |inner: &Inner| {
        let opened = match open(inner, &wanted, &GetOptions::default().with_head(true)) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        ranges
            .into_iter()
            .map(|range| match GetRange::Bounded(range).as_range(opened.meta.size) {
                Ok(range) => read_exactly(&*opened.file, range),
                Err(error) => Err(io::Error::new(ErrorKind::InvalidInput, error.to_string())),
            })
            .collect::<io::Result<Vec<_>>>()
            .map(Ok)
    };
    store.read(location, read).await?
}

/// A file of the store that code which blocks reads by itself.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    file: Box<dyn OpenFile>,
    size: u64,
}

impl OpenedFile {
    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Fills as much of `buffer` as the file holds from `offset` on. Blocks.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

impl FolderStore {
    /// Opens a file to read at will. Blocks.
    pub(crate) fn open_file(&self, location: &Path) -> object_store::Result<OpenedFile> {
        let opened = open(&self.inner, location, &GetOptions::default().with_head(true))?;
        Ok(OpenedFile { file: opened.file, size: opened.meta.size })
    }
}

struct Opened {
    file: Box<dyn OpenFile>,
    meta: ObjectMeta,
    range: Range<u64>,
    first: Bytes,
}

fn open(inner: &Inner, location: &Path, options: &GetOptions) -> object_store::Result<Opened> {
    let failed = |error| store_error(location, error);
    let path = inner.file_path(location)?;
    inner.pending.wait(location.as_ref()).map_err(failed)?;
    let file = inner.files.open(&path).map_err(failed)?;
    let stat = file.stat().map_err(failed)?;
    if stat.is_dir {
        return Err(failed(ErrorKind::NotFound.into()));
    }
    let meta = object_meta(location.clone(), &stat);
    options.check_preconditions(&meta)?;
    let range = match &options.range {
        None => 0..meta.size,
        Some(range) => range.as_range(meta.size).map_err(|error| object_store::Error::Generic {
            store: "folder",
            source: error.to_string().into(),
        })?,
    };
    let first = if options.head {
        Bytes::new()
    } else {
        let end = range.end.min(range.start.saturating_add(PIECE_BYTES));
        read_exactly(&*file, range.start..end).map_err(failed)?
    };
    let range = if options.head { 0..0 } else { range };
    Ok(Opened { file, meta, range, first })
}

fn read_exactly(file: &dyn OpenFile, range: Range<u64>) -> io::Result<Bytes> {
    let mut piece = Piece::of(&range)?;
    piece.fill(file, range.start, 0)?;
    Ok(piece.into_bytes())
}

/// What is left of a file that is being sent.
struct Pieces {
    location: Path,
    file: Arc<dyn OpenFile>,
    rest: Range<u64>,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Pieces {
    async fn next(mut self) -> object_store::Result<Option<(Bytes, Self)>> {
        let read = match self.ahead.take() {
            Some(ahead) => ahead.await.map_err(panicked)?,
            None if self.rest.is_empty() => return Ok(None),
            None => self.read().await?,
        };
        let bytes = read.map_err(|error| store_error(&self.location, error))?;
        Ok(Some((bytes, self)))
    }

    /// Reads the next piece: in place where the system has it in memory, which spares a hop to another thread for each
    /// piece; else in the blocking pool, and the piece after it ahead.
    async fn read(&mut self) -> object_store::Result<io::Result<Bytes>> {
        let range = self.step();
        let mut piece = match Piece::of(&range) {
            Ok(piece) => piece,
            Err(error) => return Ok(Err(error)),
        };
        let at_hand = self.file.read_at_hand(piece.buffer_mut(), range.start);
        if at_hand >= piece.length {
            return Ok(Ok(piece.into_bytes()));
        }
        let file = Arc::clone(&self.file);
        let waiting = tokio::task::spawn_blocking(move || {
            piece.fill(&*file, range.start, at_hand)?;
            Ok(piece.into_bytes())
        });
        let read = waiting.await.map_err(panicked)?;
        if !self.rest.is_empty() {
            let (file, range) = (Arc::clone(&self.file), self.step());
            self.ahead = Some(tokio::task::spawn_blocking(move || read_exactly(&*file, range)));
        }
        Ok(read)
    }

    /// Takes the next piece's range from what is left.
    fn step(&mut self) -> Range<u64> {
        let end = self.rest.end.min(self.rest.start.saturating_add(PIECE_BYTES));
        let range = self.rest.start..end;
        self.rest.start = end;
        range
    }
}
