//! Where a zip's directory is, and its entries one by one.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::{
    Kind, ZipError, ZipLimits, ZipRules,
    format::{
        CENTRAL, CENTRAL_BYTES, DEFLATED, DESCRIPTOR, ELSEWHERE_16, ELSEWHERE_32, ENCRYPTED, END, END_BYTES,
        END64, END64_BYTES, END64_LOCATOR, Extra, Fields, LOCATOR_BYTES, MASKED, PATCHED, STORED,
        STRONGLY_ENCRYPTED, UTF8,
    },
};
use crate::archive::name;

/// Where the central directory is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// An entry of the central directory.
#[derive(Debug)]
pub(super) struct Central {
    /// The name's bytes, which the local header must repeat.
    pub(super) raw: Vec<u8>,
    /// The path without `./`, double slashes and a slash at its end.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
}

pub(super) fn failed(error: &io::Error) -> ZipError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        ZipError::Malformed("it ends early")
    } else {
        ZipError::Unsupported("its bytes cannot be read")
    }
}

/// Reads exactly `length` bytes.
pub(super) fn read_bytes(reader: &mut impl Read, length: usize) -> Result<Vec<u8>, ZipError> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes)
}

impl Directory {
    /// Finds the directory by the record at the archive's end.
    pub(super) fn find<R: Read + Seek>(
        reader: &mut R,
        length: u64,
        limits: &ZipLimits,
        rules: ZipRules,
    ) -> Result<Self, ZipError> {
        let longest = END_BYTES as u64 + u64::from(u16::MAX) + LOCATOR_BYTES as u64;
        let tail_at = length.saturating_sub(longest);
        reader.seek(SeekFrom::Start(tail_at)).map_err(|error| failed(&error))?;
        let tail = read_bytes(reader, usize::try_from(length.saturating_sub(tail_at)).unwrap_or(0))?;
        let at = end_record(&tail, rules)?;
        let mut end = Fields(tail.get(at.saturating_add(4)..).unwrap_or_default());
        let (disk, directory_disk) = (end.u16(), end.u16());
        let (entries_here, entries) = (end.u16(), end.u16());
        let (bytes, offset) = (end.u32(), end.u32());
        let mut begin = tail_at.saturating_add(at as u64);
        let mut found = Self { offset: offset.into(), bytes: bytes.into(), entries: entries.into() };
        let locator = at.checked_sub(LOCATOR_BYTES).and_then(|from| tail.get(from..at));
        if let Some(locator) = locator.filter(|record| Fields(record).u32() == END64_LOCATOR) {
            let large = end64_record(reader, locator, begin)?;
            let agrees = |small: u64, elsewhere: u64, large: u64| small == elsewhere || small == large;
            let (places_16, places_32) = (u64::from(ELSEWHERE_16), u64::from(ELSEWHERE_32));
            if !agrees(found.entries, places_16, large.1.entries)
                || !agrees(found.bytes, places_32, large.1.bytes)
                || !agrees(found.offset, places_32, large.1.offset)
                || entries_here != entries
                || !matches!((disk, directory_disk), (0 | ELSEWHERE_16, 0 | ELSEWHERE_16))
            {
                return Err(ZipError::Malformed("its zip64 record contradicts its end record"));
            }
            (begin, found) = large;
        } else if disk != 0 || directory_disk != 0 || entries_here != entries {
            return Err(ZipError::Unsupported("it is a part of several volumes"));
        }
        if found.offset.checked_add(found.bytes) != Some(begin) {
            return Err(ZipError::Malformed("its directory is not where its end says"));
        }
        if found.entries > limits.entries {
            return Err(ZipError::TooMany { limit: limits.entries });
        }
        if found.bytes > limits.directory_bytes {
            return Err(ZipError::DirectoryTooLarge { limit: limits.directory_bytes });
        }
        Ok(found)
    }

    /// Reads the directory's entries one by one.
    pub(super) fn each<R: Read + Seek>(
        self,
        reader: &mut R,
        limits: &ZipLimits,
        rules: ZipRules,
        mut take: impl FnMut(Central) -> Result<(), ZipError>,
    ) -> Result<(), ZipError> {
        reader.seek(SeekFrom::Start(self.offset)).map_err(|error| failed(&error))?;
        let mut rest = BufReader::new(reader.take(self.bytes));
        for _ in 0..self.entries {
            take(Central::read(&mut rest, limits, rules)?)?;
        }
        let mut more = [0];
        match rest.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(ZipError::Malformed("its directory has more entries than its end says")),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// Where the end record is in the archive's tail: the only one whose comment goes exactly to the archive's end. With two, one in the
/// other's comment, readers disagree.
fn end_record(tail: &[u8], rules: ZipRules) -> Result<usize, ZipError> {
    let fits = |&at: &usize| {
        let Some(record) = tail.get(at..).filter(|record| record.len() >= END_BYTES) else { return false };
        let mut comment = Fields(record.get(20..).unwrap_or_default());
        Fields(record).u32() == END && usize::from(comment.u16()) == record.len().saturating_sub(END_BYTES)
    };
    let first = tail.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let mut found = (first..tail.len()).filter(fits);
    let at = found.next().ok_or(ZipError::Malformed("it has no end record"))?;
    if found.next().is_some() {
        return Err(ZipError::Malformed("it has two ends"));
    }
    if rules.exact && tail.len().checked_sub(at) != Some(END_BYTES) {
        return Err(ZipError::Malformed("it has a comment"));
    }
    Ok(at)
}

/// The zip64 end record that a locator before `end` names: where it begins and what it says.
fn end64_record<R: Read + Seek>(
    reader: &mut R,
    locator: &[u8],
    end: u64,
) -> Result<(u64, Directory), ZipError> {
    const LIE: ZipError = ZipError::Malformed("its zip64 record cannot be read");
    let mut fields = Fields(locator.get(4..).unwrap_or_default());
    let (disk, at, disks) = (fields.u32(), fields.u64(), fields.u32());
    // Behind it comes its locator, then the end record.
    let room =
        end.checked_sub(LOCATOR_BYTES as u64).and_then(|locator| locator.checked_sub(at)).ok_or(LIE)?;
    if disk != 0 || disks != 1 || room < END64_BYTES as u64 {
        return Err(LIE);
    }
    reader.seek(SeekFrom::Start(at)).map_err(|error| failed(&error))?;
    let record = read_bytes(reader, END64_BYTES)?;
    let mut fields = Fields(&record);
    let (signature, length) = (fields.u32(), fields.u64());
    let (_made_by, _needed) = (fields.u16(), fields.u16());
    let (disk, directory_disk) = (fields.u32(), fields.u32());
    let (entries_here, entries) = (fields.u64(), fields.u64());
    let (bytes, offset) = (fields.u64(), fields.u64());
    if signature != END64
        || length.checked_add(12) != Some(room)
        || (disk, directory_disk) != (0, 0)
        || entries_here != entries
    {
        return Err(LIE);
    }
    Ok((at, Directory { offset, bytes, entries }))
}

impl Central {
    fn read(reader: &mut impl Read, limits: &ZipLimits, rules: ZipRules) -> Result<Self, ZipError> {
        let record = read_bytes(reader, CENTRAL_BYTES)?;
        let mut fields = Fields(&record);
        if fields.u32() != CENTRAL {
            return Err(ZipError::Malformed("its directory cannot be read"));
        }
        let (_made_by, _needed) = (fields.u16(), fields.u16());
        let (flags, method) = (fields.u16(), fields.u16());
        let _time = fields.u32();
        let crc = fields.u32();
        let (mut packed, mut size) = (u64::from(fields.u32()), u64::from(fields.u32()));
        let (name_bytes, extra_bytes, comment_bytes) = (fields.u16(), fields.u16(), fields.u16());
        let disk = fields.u16();
        let _internal = fields.u16();
        let mode = fields.u32() >> 16;
        let mut offset = u64::from(fields.u32());
        let raw = read_bytes(reader, name_bytes.into())?;
        let extra = read_bytes(reader, extra_bytes.into())?;
        let extra = Extra::parse(&extra, rules.exact)?;
        let comment = read_bytes(reader, comment_bytes.into())?;
        extra.resolve(&mut size, &mut packed, Some(&mut offset), rules.exact && disk != ELSEWHERE_16)?;

        let refuse = |what| ZipError::entry(&raw, what);
        if flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED) != 0 {
            return Err(ZipError::Unsupported("it is encrypted"));
        }
        if flags & PATCHED != 0 || !matches!(disk, 0 | ELSEWHERE_16) {
            return Err(ZipError::Unsupported("an entry is a patch or lies in another volume"));
        }
        if !matches!(method, STORED | DEFLATED) {
            return Err(ZipError::Unsupported("an entry is neither stored nor deflated"));
        }
        if method == STORED && packed != size {
            return Err(refuse("is stored with another size than its own"));
        }
        if raw.len() > limits.path_bytes {
            return Err(refuse("has too long a path"));
        }
        if rules.exact && !comment.is_empty() {
            return Err(refuse("has a comment"));
        }
        if rules.exact && flags & DESCRIPTOR != 0 {
            return Err(refuse("has its size behind its bytes"));
        }
        if let Some(other) = extra.unicode_path
            && (rules.exact || other.get(5..) != Some(raw.as_slice()))
        {
            return Err(refuse("has two names"));
        }
        let name = decode(&raw, flags, rules).map_err(refuse)?;
        let kind = kind(&raw, mode, size).map_err(refuse)?;
        Ok(Self { raw, name, kind, flags, method, crc, packed, size, offset })
    }
}

/// The plain path, if it stays inside.
fn decode(raw: &[u8], flags: u16, rules: ZipRules) -> Result<String, &'static str> {
    // Without the flag, what is not ASCII is in some code page.
    let told = raw.is_ascii() || flags & UTF8 != 0;
    if rules.exact && !told {
        return Err("is not told to be UTF-8");
    }
    let text = name::text(raw);
    let judged = if told { raw } else { text.as_bytes() };
    match name::fault(judged) {
        Some(what) => Err(what),
        None if name::segments(judged).next().is_none() => Err("has no name"),
        None => Ok(name::text(&name::plain(text.as_bytes())).into_owned()),
    }
}

fn kind(raw: &[u8], mode: u32, size: u64) -> Result<Kind, &'static str> {
    const TYPE: u32 = 0o170_000;
    match (raw.last() == Some(&b'/'), mode & TYPE) {
        (true, 0 | 0o040_000) if size == 0 => Ok(Kind::Folder),
        (true, _) => Err("is a folder by its name and something else besides"),
        (false, 0 | 0o100_000) => Ok(Kind::File),
        (false, 0o120_000) => Ok(Kind::SymbolicLink),
        (false, _) => Err("is no file, folder or link"),
    }
}
