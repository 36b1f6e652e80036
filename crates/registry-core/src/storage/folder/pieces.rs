//! The buffers that files are read into. They are used again: a new one costs more than the read itself, since the system
//! has to find and clear its memory first.

use std::{
    io::{self, ErrorKind},
    mem,
    ops::Range,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::fs_ops::OpenFile;

/// Bytes that are read at once: few enough to be in the processor's cache still when they are sent.
pub(super) const PIECE_BYTES: u64 = 128 * 1024;
/// The same, as a buffer's length.
const BUFFER_BYTES: usize = 128 * 1024;
/// Smaller reads get a buffer of their own size.
const SMALL_BYTES: usize = 32 * 1024;
/// Buffers that are kept for the next read, 4 MiB in all.
const KEPT: usize = 32;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A part of a file on its way to a client.
#[derive(Debug)]
pub(super) struct Piece {
    buffer: Box<[u8]>,
    /// How much of the buffer is the piece.
    pub(super) length: usize,
}

impl Piece {
    /// A buffer for a range.
    pub(super) fn of(range: &Range<u64>) -> io::Result<Self> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let reused = if (SMALL_BYTES..=BUFFER_BYTES).contains(&length) { FREE.lock().pop() } else { None };
        let buffer = reused.unwrap_or_else(|| {
            let size = if length < SMALL_BYTES { length } else { length.max(BUFFER_BYTES) };
            vec![0; size].into_boxed_slice()
        });
        Ok(Self { buffer, length })
    }

    /// Where the bytes go.
    pub(super) fn buffer_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.length).unwrap_or_default()
    }

    /// Reads what is missing after the first `have` bytes of the piece that begins at `start`. Blocks.
    pub(super) fn fill(&mut self, file: &dyn OpenFile, start: u64, have: usize) -> io::Result<()> {
        let rest = self.buffer_mut().get_mut(have..).unwrap_or_default();
        let wanted = rest.len();
        if file.read_at(rest, start.saturating_add(have as u64))? < wanted {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// The bytes. The buffer comes back when the last of them is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.length == self.buffer.len() && self.length < SMALL_BYTES {
            let mut piece = self;
            return Bytes::from(mem::take(&mut piece.buffer).into_vec());
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.buffer.len() == BUFFER_BYTES {
            let mut free = FREE.lock();
            if free.len() < KEPT {
                free.push(mem::take(&mut self.buffer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_shows_only_its_own_bytes_and_its_buffer_returns() {
        let mut large = Piece::of(&(0..PIECE_BYTES)).unwrap();
        large.buffer_mut().fill(7);
        let bytes = large.into_bytes();
        assert_eq!(bytes.len(), BUFFER_BYTES);
        drop(bytes);
        for length in [0_u64, 1, 100, SMALL_BYTES as u64, 100_000] {
            let piece = Piece::of(&(5..5 + length)).unwrap();
            assert_eq!(piece.as_ref().len() as u64, length);
            assert_eq!(piece.into_bytes().len() as u64, length);
        }
        assert!(FREE.lock().len() <= KEPT);
    }
}
