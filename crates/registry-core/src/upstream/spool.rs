//! Bytes on their way from an upstream: one writes, any number read behind, each at its own pace.
//!
//! The newest megabyte is kept in memory, so that who keeps up reads no file; the rest lies in a temporary file that has no name.
//! The last byte is withheld until the whole is known to be right: nobody sees a clean end of wrong bytes.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Failure;

/// What is kept in memory.
const RING: usize = 1 << 20;
/// What is read from the file at once.
const BLOCK: usize = 256 << 10;

/// How it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// So many bytes may be read.
    pub(crate) readable: u64,
    /// How it ended, if it has.
    pub(crate) end: Option<Result<(), Failure>>,
}

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces with where each begins, without gaps up to the newest.
    ring: VecDeque<(u64, Bytes)>,
    ring_bytes: usize,
    received: u64,
    /// The file, and how many bytes it has.
    file: Option<Arc<File>>,
    filed: u64,
}

impl Spool {
    /// An empty one. Its file, if it comes to need one, lies in the folder; in the system's for temporary files where that is empty.
    pub(crate) fn new(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder, state: Mutex::default(), progress: watch::Sender::new(Progress::default()) }
    }

    /// How many bytes came.
    pub(crate) fn received(&self) -> u64 {
        self.state.lock().received
    }

    /// Takes a piece. Comes back when it is where readers find it.
    pub(crate) async fn push(&self, piece: Bytes) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let full = {
            let mut state = self.state.lock();
            let at = state.received;
            state.received += piece.len() as u64;
            state.ring_bytes += piece.len();
            state.ring.push_back((at, piece));
            state.ring_bytes > RING
        };
        if full {
            self.spill().await?;
        }
        let readable = self.received().saturating_sub(1);
        self.progress.send_modify(|progress| progress.readable = readable);
        Ok(())
    }

    /// Writes what is only in memory to the file, and lets go of the older half.
    async fn spill(&self) -> io::Result<()> {
        let (file, from, pieces) = {
            let state = self.state.lock();
            let new = state.ring.iter().filter(|(at, _)| *at >= state.filed);
            (state.file.clone(), state.filed, new.map(|(_, piece)| piece.clone()).collect::<Vec<_>>())
        };
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(open(&folder)?),
            };
            let mut at = from;
            for piece in pieces {
                write_all_at(&file, &piece, at)?;
                at += piece.len() as u64;
            }
            Ok::<_, io::Error>((file, at))
        });
        let (file, filed) = written.await.map_err(io::Error::other)??;
        let mut state = self.state.lock();
        state.file = Some(file);
        state.filed = filed;
        while state.ring_bytes > RING / 2 {
            let Some((_, piece)) = state.ring.pop_front() else { break };
            state.ring_bytes = state.ring_bytes.saturating_sub(piece.len());
        }
        Ok(())
    }

    /// All of it is here and right: the last byte may be read.
    pub(crate) fn finish(&self) {
        let readable = self.received();
        self.progress.send_replace(Progress { readable, end: Some(Ok(())) });
    }

    /// It ended badly: readers get an error after what they may read.
    pub(crate) fn fail(&self, failure: Failure) {
        self.progress.send_modify(|progress| progress.end = Some(Err(failure)));
    }

    /// How it stands, to be watched.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// What can be read at a place now: from memory, or a block of the file.
    async fn read(&self, from: u64, readable: u64) -> io::Result<Bytes> {
        let file = {
            let state = self.state.lock();
            let found = state.ring.iter().rev().find(|(at, _)| *at <= from);
            if let Some((at, piece)) = found {
                let start = usize::try_from(from - at).unwrap_or(usize::MAX).min(piece.len());
                let left = usize::try_from(readable - from).unwrap_or(usize::MAX);
                let end = start.saturating_add(left).min(piece.len());
                return Ok(piece.slice(start..end));
            }
            state.file.clone().ok_or_else(|| io::Error::other("the spool lost its beginning"))?
        };
        let length = usize::try_from(readable - from).unwrap_or(usize::MAX).min(BLOCK);
        tokio::task::spawn_blocking(move || {
            let mut block = vec![0; length];
            let mut filled = 0;
            while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match read_at(&file, rest, from + filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            block.truncate(filled);
            Ok(block.into())
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Bytes of a spool, from a place on: as they come, to the end of the range or of everything.
pub(crate) fn read(
    spool: Arc<Spool>,
    range: Option<Range<u64>>,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let (start, end) = range.map_or((0, u64::MAX), |range| (range.start, range.end));
    let watched = spool.watch();
    stream::try_unfold((spool, watched, start), move |(spool, mut watched, at)| async move {
        if at >= end {
            return Ok(None);
        }
        let progress = {
            let ready = |progress: &Progress| progress.readable > at || progress.end.is_some();
            let found = watched.wait_for(ready).await.map_err(io::Error::other)?;
            found.clone()
        };
        let readable = progress.readable.min(end);
        if readable > at {
            let piece = spool.read(at, readable).await?;
            if piece.is_empty() {
                return Err(io::Error::other("the spool is shorter than it was"));
            }
            let next = at + piece.len() as u64;
            return Ok(Some((piece, (spool, watched, next))));
        }
        match progress.end {
            Some(Err(failure)) => Err(io::Error::other(failure)),
            _ => Ok(None),
        }
    })
}

/// A file without a name.
fn open(folder: &Path) -> io::Result<File> {
    if folder.as_os_str().is_empty() {
        tempfile::tempfile()
    } else {
        std::fs::create_dir_all(folder)?;
        tempfile::tempfile_in(folder)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::upstream::FailureKind;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    async fn collect(spool: &Arc<Spool>, range: Option<Range<u64>>) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = read(Arc::clone(spool), range).try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn readers_follow_at_their_own_pace() {
        for length in [0, 1, 1000, RING, 3 * RING + 17] {
            let all = content(length);
            let spool = Arc::new(Spool::new(Path::new("")));
            let early = tokio::spawn({
                let spool = Arc::clone(&spool);
                async move { collect(&spool, None).await }
            });
            for piece in all.chunks(70_001) {
                spool.push(Bytes::copy_from_slice(piece)).await.unwrap();
                tokio::task::yield_now().await;
            }
            spool.finish();
            assert!(early.await.unwrap().unwrap() == all, "{length}");
            assert!(collect(&spool, None).await.unwrap() == all, "{length}");
            let (from, to) = (length / 3, length * 2 / 3);
            let part = collect(&spool, Some(from as u64..to as u64)).await.unwrap();
            assert!(part == all[from..to], "{length}");
            assert!(spool.state.lock().ring_bytes <= RING + 70_001);
        }
    }

    #[tokio::test]
    async fn checklist_1_the_last_byte_is_withheld_until_the_end_is_good() {
        let spool = Arc::new(Spool::new(Path::new("")));
        spool.push(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(spool.watch().borrow().readable, 2);
        let id = "up".parse().unwrap();
        spool.fail(Failure::new(&id, FailureKind::Integrity("sha512")));
        let error = collect(&spool, None).await.unwrap_err();
        assert!(error.to_string().contains("sha512"), "{error}");
        // What was asked for and is readable is served.
        assert_eq!(collect(&spool, Some(0..2)).await.unwrap(), b"ab");
    }
}
