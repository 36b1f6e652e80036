//! Reads: small files whole in one hop to the blocking pool, larger ones in pieces that are read ahead.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{Attributes, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, path::Path};
use tokio::task::JoinHandle;

use super::{FolderStore, Inner, fs_ops::OpenFile, object_meta, panicked, store_error};

/// Bytes a hop to the blocking pool reads. While one piece is sent, the next one is read.
const PIECE_BYTES: u64 = 256 * 1024;

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
        stream::once(async move { Ok(first) })
            .chain(stream::try_unfold(pieces.read_ahead(), Pieces::next))
            .boxed()
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
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    if file.read_at(&mut buffer, range.start)? < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(buffer.into())
}

/// What is left of a file that is being sent.
struct Pieces {
    location: Path,
    file: Arc<dyn OpenFile>,
    rest: Range<u64>,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Pieces {
    /// Begins to read the next piece.
    fn read_ahead(mut self) -> Self {
        if !self.rest.is_empty() {
            let end = self.rest.end.min(self.rest.start.saturating_add(PIECE_BYTES));
            let piece = self.rest.start..end;
            self.rest.start = end;
            let file = Arc::clone(&self.file);
            self.ahead = Some(tokio::task::spawn_blocking(move || read_exactly(&*file, piece)));
        }
        self
    }

    async fn next(mut self) -> object_store::Result<Option<(Bytes, Self)>> {
        let Some(ahead) = self.ahead.take() else { return Ok(None) };
        let piece = ahead.await.map_err(panicked)?.map_err(|error| store_error(&self.location, error))?;
        Ok(Some((piece, self.read_ahead())))
    }
}
