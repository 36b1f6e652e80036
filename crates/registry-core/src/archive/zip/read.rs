//! The checks of a zip as a whole, and reading what is wanted of it.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hasher, RandomState},
    io::{BufReader, Read, Seek, SeekFrom},
};

use flate2::{Crc, bufread::DeflateDecoder};

use super::{
    Contents, Entry, Kind, LinkRule, Take, ZipError, ZipLimits, ZipRules,
    directory::{Central, Directory, failed, read_bytes},
    format::{
        DEFLATED, DESCRIPTOR, ENCRYPTED, Extra, Fields, LOCAL, LOCAL_BYTES, MASKED, STRONGLY_ENCRYPTED, UTF8,
    },
};
use crate::archive::{
    Kept,
    links::{self, Links},
    name,
};

/// How much is inflated at once.
const PIECE_BYTES: usize = 32 << 10;

/// What is remembered of an entry.
struct Found {
    offset: u64,
    packed: u64,
    size: u64,
    crc: u32,
    flags: u16,
    method: u16,
    name_bytes: usize,
    /// What the local header's name is compared with.
    name_hash: u64,
    wanted: Wanted,
}

enum Wanted {
    Nothing,
    Check,
    Keep(String),
    Link(String),
}

pub(super) fn inspect<R: Read + Seek>(
    mut reader: R,
    limits: &ZipLimits,
    rules: ZipRules,
    mut choose: impl FnMut(&Entry<'_>) -> Result<Take, ZipError>,
) -> Result<Contents, ZipError> {
    let length = reader.seek(SeekFrom::End(0)).map_err(|error| failed(&error))?;
    let directory = Directory::find(&mut reader, length, limits, rules)?;
    let hashing = RandomState::new();
    let mut contents = Contents::default();
    let mut found = Vec::new();
    let mut names = HashSet::new();
    let mut files = HashSet::new();
    let mut total = 0_u64;
    let (mut kept, mut link_bytes) = (0_usize, 0_usize);
    directory.each(&mut reader, limits, rules, |central| {
        let refuse = |what| ZipError::entry(&central.raw, what);
        let hash = hash_of(&hashing, &folded(&central.name, rules));
        // Folders are there for convenience, and some writers repeat them.
        if !names.insert(hash) && (rules.exact || central.kind != Kind::Folder || files.contains(&hash)) {
            return Err(refuse("has the name of another entry"));
        }
        total = total.saturating_add(central.size);
        if total > limits.unpacked_bytes {
            return Err(ZipError::TooLarge { limit: limits.unpacked_bytes });
        }
        contents.entries = contents.entries.saturating_add(1);
        if central.kind != Kind::Folder {
            files.insert(hash);
        }
        if central.kind == Kind::File {
            contents.files = contents.files.saturating_add(1);
            contents.file_bytes = contents.file_bytes.saturating_add(central.size);
        }
        let entry = Entry {
            name: &central.name,
            kind: central.kind,
            size: central.size,
            packed_size: central.packed,
        };
        let take = choose(&entry)?;
        let wanted = match (central.kind, take) {
            (Kind::SymbolicLink, _) => match rules.links {
                LinkRule::Any => Wanted::Nothing,
                LinkRule::Refused => return Err(refuse("is a link")),
                LinkRule::Inside if central.size > limits.path_bytes as u64 => {
                    return Err(refuse("leads along too long a path"));
                }
                LinkRule::Inside => {
                    link_bytes = link_bytes.saturating_add(central.name.len());
                    if link_bytes > links::MOST_BYTES {
                        return Err(refuse("is one link too many"));
                    }
                    Wanted::Link(central.name.clone())
                }
            },
            (Kind::Folder, _) | (Kind::File, Take::Skip) => Wanted::Nothing,
            (Kind::File, Take::Pass) => Wanted::Check,
            (Kind::File, Take::Keep) => {
                let (limit, most) = (limits.kept_bytes, limits.kept_entries);
                if central.size > limit {
                    return Err(ZipError::KeptTooLarge { path: name::shown(&central.raw), limit });
                }
                kept = kept.saturating_add(1);
                if kept > most {
                    return Err(ZipError::KeptTooMany { limit: most });
                }
                Wanted::Keep(central.name.clone())
            }
        };
        found.push(Found::new(&central, hash_of(&hashing, &central.raw), wanted));
        Ok(())
    })?;
    if let Some(limit) = limits.ratio
        && total > ZipLimits::RATIO_FREE.max(limit.saturating_mul(length))
    {
        return Err(ZipError::Ratio { limit });
    }

    let links = read_wanted(&mut reader, found, directory, &hashing, rules, &mut contents)?;
    // Whatever the order in which it is unpacked: nothing lies behind a link or below a file.
    directory.each(&mut reader, limits, rules, |central| {
        if let Some(what) = links.fault_of_path(central.name.as_bytes()) {
            return Err(ZipError::entry(&central.raw, what));
        }
        let folded = folded(&central.name, rules);
        let mut hasher = hashing.build_hasher();
        for segment in folded.split_inclusive(|&byte| byte == b'/') {
            let Some(folder) = segment.strip_suffix(b"/") else { break };
            hasher.write(folder);
            if files.contains(&hasher.finish()) {
                return Err(ZipError::entry(&central.raw, "lies below a file"));
            }
            hasher.write(b"/");
        }
        Ok(())
    })?;
    Ok(contents)
}

/// The name as it is compared: letters alike where a file system could take them so.
fn folded(name: &str, rules: ZipRules) -> Vec<u8> {
    if rules.exact { name.to_lowercase().into_bytes() } else { name.as_bytes().to_vec() }
}

fn hash_of(hashing: &RandomState, bytes: &[u8]) -> u64 {
    let mut hasher = hashing.build_hasher();
    for segment in bytes.split_inclusive(|&byte| byte == b'/') {
        match segment.strip_suffix(b"/") {
            Some(folder) => {
                hasher.write(folder);
                hasher.write(b"/");
            }
            None => hasher.write(segment),
        }
    }
    hasher.finish()
}

/// Checks where the entries lie, and reads those that are wanted; returns the links among them.
fn read_wanted<R: Read + Seek>(
    reader: &mut R,
    found: Vec<Found>,
    directory: Directory,
    hashing: &RandomState,
    rules: ZipRules,
    contents: &mut Contents,
) -> Result<Links, ZipError> {
    let mut links = Links::default();
    let mut order: Vec<(usize, Found)> = found.into_iter().enumerate().collect();
    order.sort_unstable_by_key(|(_, entry)| entry.offset);
    let mut kept: Vec<(usize, Kept)> = Vec::new();
    let mut end = 0_u64;
    for (at, entry) in order {
        if entry.offset < end {
            return Err(ZipError::Malformed("two entries share bytes"));
        }
        if rules.exact && entry.offset != end {
            return Err(ZipError::Malformed("there are bytes that belong to no entry"));
        }
        let looked_at = rules.exact || !matches!(entry.wanted, Wanted::Nothing);
        let header = if looked_at {
            entry.check_header(reader, hashing, rules)?
        } else {
            (LOCAL_BYTES as u64).saturating_add(entry.name_bytes as u64)
        };
        end = entry.offset.saturating_add(header).saturating_add(entry.packed);
        if end > directory.offset {
            return Err(ZipError::Malformed("an entry lies in the directory"));
        }
        match &entry.wanted {
            Wanted::Nothing => {}
            Wanted::Check => entry.inflate(reader, |_| {})?,
            Wanted::Keep(path) | Wanted::Link(path) => {
                let mut bytes = Vec::new();
                entry.inflate(reader, |piece| bytes.extend_from_slice(piece))?;
                if matches!(entry.wanted, Wanted::Link(_)) {
                    let judged = links.symbolic(path.as_bytes(), &bytes);
                    judged.map_err(|what| ZipError::entry(path.as_bytes(), what))?;
                } else {
                    kept.push((at, Kept { path: path.clone(), bytes }));
                }
            }
        }
    }
    if rules.exact && end != directory.offset {
        return Err(ZipError::Malformed("there are bytes that belong to no entry"));
    }
    kept.sort_unstable_by_key(|(at, _)| *at);
    contents.kept = kept.into_iter().map(|(_, kept)| kept).collect();
    Ok(links)
}

impl Found {
    fn new(central: &Central, name_hash: u64, wanted: Wanted) -> Self {
        Self {
            offset: central.offset,
            packed: central.packed,
            size: central.size,
            crc: central.crc,
            flags: central.flags,
            method: central.method,
            name_bytes: central.raw.len(),
            name_hash,
            wanted,
        }
    }

    /// Whether the local header says what the directory says; how long it is. Leaves the reader at the entry's bytes.
    fn check_header<R: Read + Seek>(
        &self,
        reader: &mut R,
        hashing: &RandomState,
        rules: ZipRules,
    ) -> Result<u64, ZipError> {
        const LIE: ZipError = ZipError::Malformed("an entry's header is not what the directory says");
        reader.seek(SeekFrom::Start(self.offset)).map_err(|error| failed(&error))?;
        let record = read_bytes(reader, LOCAL_BYTES)?;
        let mut fields = Fields(&record);
        let (signature, _needed) = (fields.u32(), fields.u16());
        let (flags, method) = (fields.u16(), fields.u16());
        let (_time, crc) = (fields.u32(), fields.u32());
        let (mut packed, mut size) = (u64::from(fields.u32()), u64::from(fields.u32()));
        let (name_bytes, extra_bytes) = (usize::from(fields.u16()), usize::from(fields.u16()));
        // Some writers tell less of how they wrote in one place than in the other.
        let alike = if rules.exact { u16::MAX } else { ENCRYPTED | STRONGLY_ENCRYPTED | MASKED | UTF8 };
        if signature != LOCAL
            || name_bytes != self.name_bytes
            || method != self.method
            || (flags ^ self.flags) & alike != 0
        {
            return Err(LIE);
        }
        let name = read_bytes(reader, name_bytes)?;
        if hash_of(hashing, &name) != self.name_hash {
            return Err(LIE);
        }
        let extra = read_bytes(reader, extra_bytes)?;
        let extra = Extra::parse(&extra, rules.exact)?;
        extra.resolve(&mut size, &mut packed, None, rules.exact)?;
        if extra.unicode_path.is_some() && rules.exact {
            return Err(LIE);
        }
        let descriptor = flags & DESCRIPTOR != 0;
        let told = (crc, packed, size);
        // Before a data descriptor nothing is known yet.
        if told != (self.crc, self.packed, self.size) && !(descriptor && told == (0, 0, 0)) {
            return Err(LIE);
        }
        Ok((LOCAL_BYTES as u64).saturating_add(name_bytes as u64).saturating_add(extra_bytes as u64))
    }

    /// Reads the entry's bytes: they are as many, and have the checksum, as the directory says.
    fn inflate<R: Read>(&self, reader: &mut R, mut take: impl FnMut(&[u8])) -> Result<(), ZipError> {
        const WRONG: ZipError = ZipError::Malformed("an entry does not hold what the directory says");
        let mut packed = BufReader::new(reader.by_ref().take(self.packed));
        let (mut crc, mut size) = (Crc::new(), 0_u64);
        let mut buffer = vec![0; PIECE_BYTES];
        if self.method == DEFLATED {
            let mut inflated = DeflateDecoder::new(&mut packed);
            while let Some(piece) = next(&mut inflated, &mut buffer, WRONG)? {
                size = size.saturating_add(piece.len() as u64);
                if size > self.size {
                    return Err(WRONG);
                }
                crc.update(piece);
                take(piece);
            }
            if inflated.total_in() != self.packed {
                return Err(WRONG);
            }
        } else {
            while let Some(piece) = next(&mut packed, &mut buffer, WRONG)? {
                size = size.saturating_add(piece.len() as u64);
                crc.update(piece);
                take(piece);
            }
        }
        if size == self.size && crc.sum() == self.crc { Ok(()) } else { Err(WRONG) }
    }
}

fn next<'b>(
    reader: &mut impl Read,
    buffer: &'b mut [u8],
    wrong: ZipError,
) -> Result<Option<&'b [u8]>, ZipError> {
    let read = reader.read(buffer).map_err(|_| wrong)?;
    Ok(buffer.get(..read).filter(|piece| !piece.is_empty()))
}
