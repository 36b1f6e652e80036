//! Looks into a zip through something that reads and seeks ([`crate::storage::Store::inspect`]).
//!
//! The reader is our own: it must notice what others overlook, since what one reader overlooks another one follows. The central
//! directory and the local headers must say the same, no two entries may share bytes or a name, and what is inflated must
//! have the announced size and checksum.

mod directory;
mod format;
mod read;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek};

use super::{Contents, LinkRule, Take, name};

/// How much a zip may be. Reaching a limit is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipLimits {
    /// Entries. While it is read each takes about 100 bytes of memory.
    pub entries: u64,
    /// The bytes of the central directory, which is read once and not held.
    pub directory_bytes: u64,
    /// A name's or a link's bytes.
    pub path_bytes: usize,
    /// What all entries unpack to, as they say; one that unpacks to more than it says is refused.
    pub unpacked_bytes: u64,
    /// How many times its packed size the whole may unpack to, if it unpacks to more than [`ZipLimits::RATIO_FREE`].
    pub ratio: Option<u64>,
    /// The unpacked bytes of one entry that is kept.
    pub kept_bytes: u64,
    /// How many entries are kept. As many times the bytes of one is what may be held.
    pub kept_entries: usize,
}

impl ZipLimits {
    /// What may be unpacked to whatever the ratio.
    pub const RATIO_FREE: u64 = 1 << 20;
}

impl Default for ZipLimits {
    /// 4 GiB in 100,000 entries with names of 1 KiB in a directory of 32 MiB; 16 kept entries of 4 MiB; any ratio.
    fn default() -> Self {
        Self {
            entries: 100_000,
            directory_bytes: 32 << 20,
            path_bytes: 1 << 10,
            unpacked_bytes: 4 << 30,
            ratio: None,
            kept_bytes: 4 << 20,
            kept_entries: 16,
        }
    }
}

/// What a zip may hold. Names that lead outside, names that occur twice, files that are folders too, encrypted entries and entries that
/// share bytes are refused always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipRules {
    /// Which links are allowed. (A zip has only symbolic ones.)
    pub links: LinkRule,
    /// Whether what readers read differently is refused: bytes before, between or after the entries, comments, sizes that follow the
    /// bytes (data descriptors), other names in extra fields, names that differ only in case.
    pub exact: bool,
}

impl ZipRules {
    /// Archives that people make with any tool: links that stay inside, comments, data descriptors.
    pub const INSIDE: Self = Self { links: LinkRule::Inside, exact: false };
    /// Archives that a build tool makes (wheels): no links, and one reading only.
    pub const EXACT: Self = Self { links: LinkRule::Refused, exact: true };
}

/// Why a zip is refused. The texts are for the client and hold no path longer than a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipError {
    /// It is no zip, a damaged one, or one that contradicts itself.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// It cannot be read here: encrypted, in several volumes, compressed in another way.
    #[error("the archive cannot be read: {0}")]
    Unsupported(&'static str),
    /// Its directory is too large.
    #[error("the archive's directory is larger than {limit} bytes")]
    DirectoryTooLarge {
        /// The most.
        limit: u64,
    },
    /// It has too many entries.
    #[error("the archive has more than {limit} entries")]
    TooMany {
        /// The most.
        limit: u64,
    },
    /// It unpacks to too much.
    #[error("the archive unpacks to more than {limit} bytes")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// It unpacks to too many times its size.
    #[error("the archive unpacks to more than {limit} times its size")]
    Ratio {
        /// The most.
        limit: u64,
    },
    /// An entry is not allowed.
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
    /// The caller's own reason: a sentence for the client.
    #[error("{0}")]
    Refused(String),
}

impl ZipError {
    /// A reason that is the caller's own.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    fn entry(path: &[u8], what: &'static str) -> Self {
        Self::Entry { path: name::shown(path), what }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A file.
    File,
    /// A folder: its name ends in a slash.
    Folder,
    /// A symbolic link.
    SymbolicLink,
}

/// An entry of the directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The path without `./`, double slashes and a slash at its end.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its size unpacked, as it says.
    pub size: u64,
    /// Its size in the archive.
    pub packed_size: u64,
}

impl Entry<'_> {
    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
}

/// Reads a zip's directory, checks it against the local headers, and reads what `choose` wants (of files; a folder or a link is
/// never kept). `reader` is read in small pieces: give it a buffer of its own where that costs.
pub fn inspect<R: Read + Seek>(
    reader: R,
    limits: &ZipLimits,
    rules: ZipRules,
    choose: impl FnMut(&Entry<'_>) -> Result<Take, ZipError>,
) -> Result<Contents, ZipError> {
    read::inspect(reader, limits, rules, choose)
}
