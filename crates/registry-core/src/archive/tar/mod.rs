//! Looks into a tar, or a tar in gzip, while it passes.
//!
//! What is unpacked is counted and handed to a [`Visitor`], which chooses by the entry's path what is kept.
//!
//! ```
//! use registry_core::archive::{Take, tar::{Entry, Inspector, TarError, TarLimits, TarRules}};
//!
//! let wanted = |entry: &Entry<'_>| {
//!     Ok::<_, TarError>(if entry.name() == "lib-1.0.0/Cargo.toml" { Take::Keep } else { Take::Skip })
//! };
//! let mut inspector = Inspector::gzip(TarLimits::default(), TarRules::FILES, wanted);
//! # let _ = || -> Result<(), TarError> {
//! # let (first, second) = (b"", b"");
//! inspector.feed(first)?;
//! inspector.feed(second)?;
//! let (contents, _) = inspector.finish()?;
//! # let _ = contents; Ok(()) };
//! ```

mod header;
mod read;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{self, Write},
};

use flate2::write::{GzDecoder, MultiGzDecoder};

use super::{Contents, Inspect, Kept, LinkRule, Take, name};

/// How much a tar may be. Reaching a limit is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TarLimits {
    /// Unpacked bytes, headers included.
    pub unpacked_bytes: u64,
    /// Entries.
    pub entries: u64,
    /// A path's or a link's bytes.
    pub path_bytes: usize,
    /// The bytes of one extended header (pax, or GNU's long names), which is held in memory.
    pub header_bytes: u64,
    /// The bytes of one entry that is kept.
    pub kept_bytes: u64,
    /// How many entries are kept. As many times the bytes of one is what may be held, unless the visitor lets go of them.
    pub kept_entries: usize,
    /// How many times its packed size a tar in gzip may unpack to, if it unpacks to more than [`TarLimits::RATIO_FREE`]; told at its end.
    pub ratio: Option<u64>,
}

impl TarLimits {
    /// What may be unpacked to whatever the ratio.
    pub const RATIO_FREE: u64 = 1 << 20;
}

impl Default for TarLimits {
    /// 1 GiB in 100,000 entries, paths of 4 KiB, headers of 256 KiB; 16 kept entries of 4 MiB; any ratio.
    fn default() -> Self {
        Self {
            unpacked_bytes: 1 << 30,
            entries: 100_000,
            path_bytes: 4 << 10,
            header_bytes: 256 << 10,
            kept_bytes: 4 << 20,
            kept_entries: 16,
            ratio: None,
        }
    }
}

/// What a tar may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TarRules {
    /// Whether paths must be UTF-8 and lead to a place below the folder that the archive is unpacked to, on any system.
    pub inside: bool,
    /// Which links are allowed.
    pub links: LinkRule,
    /// Whether only files, folders and links are allowed: no devices, pipes, sparse files or kinds that are not known.
    pub plain: bool,
    /// Whether what readers read differently is refused: a size that is told twice, a header that names all entries, bytes after the
    /// end, gzip in more than one member.
    pub exact: bool,
}

impl TarRules {
    /// Anything that can be read.
    pub const ANY: Self = Self { inside: false, links: LinkRule::Any, plain: false, exact: false };
    /// Files, folders and links that stay inside, in one reading.
    pub const INSIDE: Self = Self { inside: true, links: LinkRule::Inside, plain: true, exact: true };
    /// Files and folders inside, in one reading.
    pub const FILES: Self = Self { links: LinkRule::Refused, ..Self::INSIDE };
}

/// Why a tar is refused. The texts are for the client and hold no path longer than a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// It is no tar, or no gzip, or a damaged one.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// It unpacks to too much.
    #[error("the archive unpacks to more than {limit} bytes")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// It has too many entries.
    #[error("the archive has more than {limit} entries")]
    TooMany {
        /// The most.
        limit: u64,
    },
    /// It unpacks to too many times its size.
    #[error("the archive unpacks to more than {limit} times its size")]
    Ratio {
        /// The most.
        limit: u64,
    },
    /// An entry's path or link is not allowed.
    #[error("the archive's entry '{path}' {what}")]
    Entry {
        /// The path, shortened.
        path: String,
        /// What is wrong: a verb and what follows.
        what: &'static str,
    },
    /// An entry that was to be kept is too large.
    #[error("the archive's '{path}' is larger than {limit} bytes")]
    KeptTooLarge {
        /// The path, shortened.
        path: String,
        /// The most.
        limit: u64,
    },
    /// Too many entries were to be kept.
    #[error("the archive has more than {limit} of the files that are looked into")]
    KeptTooMany {
        /// The most.
        limit: usize,
    },
    /// An archive inside this one is refused.
    #[error("{path}: {error}")]
    Within {
        /// Its path, shortened.
        path: String,
        /// Why.
        error: Box<TarError>,
    },
    /// The visitor's own reason: a sentence for the client.
    #[error("{0}")]
    Refused(String),
}

impl TarError {
    /// A reason that is the visitor's own.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// The same, of an archive that is an entry of another.
    pub fn within(self, path: &str) -> Self {
        Self::Within { path: name::shown(path.as_bytes()), error: Box::new(self) }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    SymbolicLink,
    /// Another name of a file.
    HardLink,
    /// A device, a pipe, a sparse file, or something that is not known.
    Other,
}

/// An entry, before its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its path as it stands in the archive.
    pub path: &'a [u8],
    /// The path without `./`, double slashes and a slash at its end.
    plain: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// How many bytes follow.
    pub size: u64,
    /// Where a link leads.
    pub target: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// The path without `./`, double slashes and a slash at its end; empty where it is not UTF-8 (which [`TarRules::inside`] refuses).
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.plain).unwrap_or_default()
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
}

/// Chooses what becomes of entries. A closure that takes an [`Entry`] is one that only chooses.
pub trait Visitor {
    /// An entry begins. Only files are kept or passed.
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError>;

    /// An entry that was chosen with [`Take::Keep`] is there whole. What is returned is held until the end, for [`Contents::kept`]; a
    /// visitor that reads it here needs no memory for several.
    fn kept(&mut self, kept: Kept) -> Result<Option<Kept>, TarError> {
        Ok(Some(kept))
    }

    /// A piece of an entry that was chosen with [`Take::Pass`].
    fn piece(&mut self, piece: &[u8]) -> Result<(), TarError> {
        let _ = piece;
        Ok(())
    }

    /// The last piece of an entry that was chosen with [`Take::Pass`] was there.
    fn end(&mut self) -> Result<(), TarError> {
        Ok(())
    }
}

impl<F: FnMut(&Entry<'_>) -> Result<Take, TarError>> Visitor for F {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Take, TarError> {
        self(entry)
    }
}

/// Reads a tar piece by piece.
pub struct Inspector<V: Visitor> {
    input: Input<V>,
    limits: TarLimits,
    fed: u64,
}

enum Input<V: Visitor> {
    Plain(Sink<V>),
    Gzip(MultiGzDecoder<Sink<V>>),
    /// One member, as most readers read it.
    SingleGzip(GzDecoder<Sink<V>>),
}

/// What a decompressor writes to; it remembers why it stopped.
struct Sink<V> {
    tar: read::Tar<V>,
    failed: Option<TarError>,
}

impl<V: Visitor> Inspector<V> {
    /// Of a tar that is not compressed.
    pub fn plain(limits: TarLimits, rules: TarRules, visitor: V) -> Self {
        Self { input: Input::Plain(Sink::new(limits, rules, visitor)), limits, fed: 0 }
    }

    /// Of a tar in gzip.
    pub fn gzip(limits: TarLimits, rules: TarRules, visitor: V) -> Self {
        let sink = Sink::new(limits, rules, visitor);
        let input = if rules.exact {
            Input::SingleGzip(GzDecoder::new(sink))
        } else {
            Input::Gzip(MultiGzDecoder::new(sink))
        };
        Self { input, limits, fed: 0 }
    }

    /// Reads a piece. After an error nothing more is to be fed.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), TarError> {
        self.fed = self.fed.saturating_add(piece.len() as u64);
        match &mut self.input {
            Input::Plain(sink) => sink.tar.read(piece),
            Input::Gzip(gzip) => {
                let result = gzip.write_all(piece);
                gzip.get_mut().explain(&result)
            }
            Input::SingleGzip(gzip) => {
                let result = gzip.write_all(piece);
                gzip.get_mut().explain(&result)
            }
        }
    }

    /// Says that nothing follows: what the archive held, and its visitor.
    pub fn finish(self) -> Result<(Contents, V), TarError> {
        let sink = match self.input {
            Input::Plain(sink) => sink,
            Input::Gzip(mut gzip) => {
                let result = gzip.try_finish();
                gzip.get_mut().explain(&result)?;
                gzip.finish().map_err(|_| NO_GZIP)?
            }
            Input::SingleGzip(mut gzip) => {
                let result = gzip.try_finish();
                gzip.get_mut().explain(&result)?;
                gzip.finish().map_err(|_| NO_GZIP)?
            }
        };
        let seen = sink.tar.seen();
        let (contents, visitor) = sink.tar.finish()?;
        match self.limits.ratio {
            Some(limit) if seen > TarLimits::RATIO_FREE.max(limit.saturating_mul(self.fed)) => {
                Err(TarError::Ratio { limit })
            }
            _ => Ok((contents, visitor)),
        }
    }
}

impl<V: Visitor + Send + 'static> Inspect for Inspector<V> {
    type Error = TarError;

    fn feed(&mut self, piece: &[u8]) -> Result<(), TarError> {
        Inspector::feed(self, piece)
    }
}

const NO_GZIP: TarError = TarError::Malformed("it cannot be decompressed");

impl<V> Sink<V> {
    fn new(limits: TarLimits, rules: TarRules, visitor: V) -> Self {
        Self { tar: read::Tar::new(limits, rules, visitor), failed: None }
    }

    /// What the archive's reader found comes before what the decompressor says.
    fn explain(&mut self, result: &io::Result<()>) -> Result<(), TarError> {
        match (self.failed.take(), result) {
            (Some(error), _) => Err(error),
            (None, Err(_)) => Err(NO_GZIP),
            (None, Ok(())) => Ok(()),
        }
    }
}

impl<V: Visitor> Write for Sink<V> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.tar.read(piece) {
            Ok(()) => Ok(piece.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::from(io::ErrorKind::InvalidData))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<V: Visitor> fmt::Debug for Inspector<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("limits", &self.limits)
            .field("fed", &self.fed)
            .finish_non_exhaustive()
    }
}
