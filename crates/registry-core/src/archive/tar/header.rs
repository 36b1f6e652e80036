//! A tar's header block and extended headers.

use super::{Kind, TarError};

/// A tar's block.
pub(super) const BLOCK: usize = 512;

/// A header block whose checksum is right.
#[derive(Clone, Copy)]
pub(super) struct Header<'b>(&'b [u8]);

impl<'b> Header<'b> {
    /// Checks a block of [`BLOCK`] bytes; `None` is the end mark.
    pub(super) fn parse(block: &'b [u8]) -> Result<Option<Self>, TarError> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u64::from(byte) })
            .sum();
        let header = Self(block);
        if number(header.field(148, 156)) != Some(sum) {
            return Err(TarError::Malformed("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn field(self, from: usize, to: usize) -> &'b [u8] {
        self.0.get(from..to).unwrap_or_default()
    }

    /// The type flag.
    pub(super) fn flag(self) -> u8 {
        self.field(156, 157).first().copied().unwrap_or(0)
    }

    pub(super) fn size(self) -> Result<u64, TarError> {
        number(self.field(124, 136)).ok_or(TarError::Malformed("a header has no size"))
    }

    /// The name, joined with the prefix where the format has one.
    pub(super) fn name(self) -> Vec<u8> {
        let name = until_nul(self.field(0, 100));
        let prefix =
            if self.field(257, 263) == b"ustar\0" { until_nul(self.field(345, 500)) } else { b"".as_slice() };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn target(self) -> &'b [u8] {
        until_nul(self.field(157, 257))
    }
}

/// What a type flag stands for; that of extended headers is [`Kind::Other`] too.
pub(super) fn kind(flag: u8, name: &[u8]) -> Kind {
    match flag {
        // From before there were folders, they are files whose name ends in a slash.
        b'0' | 0 if name.last() == Some(&b'/') => Kind::Folder,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymbolicLink,
        b'5' => Kind::Folder,
        _ => Kind::Other,
    }
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number in octal, or in base 256 where its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        if first & 0x40 != 0 {
            return None;
        }
        return rest.iter().try_fold(u64::from(first & 0x3f), |sum, &byte| {
            sum.checked_mul(256)?.checked_add(u64::from(byte))
        });
    }
    let text = until_nul(field);
    let mut digits = text.iter().filter(|&&byte| byte != b' ').peekable();
    digits.peek()?;
    digits.try_fold(0u64, |sum, &byte| {
        (b'0'..=b'7').contains(&byte).then_some(())?;
        sum.checked_mul(8)?.checked_add(u64::from(byte - b'0'))
    })
}

/// A key and its value in a pax header.
pub(super) type Record<'h> = (&'h [u8], &'h [u8]);

/// The records of a pax header: `<length> <key>=<value>\n`.
pub(super) fn records(mut bytes: &[u8]) -> Result<Vec<Record<'_>>, TarError> {
    const BAD: TarError = TarError::Malformed("an extended header cannot be read");
    let mut records = Vec::new();
    while !bytes.is_empty() && bytes.first() != Some(&0) {
        let space = bytes.iter().position(|&byte| byte == b' ').ok_or(BAD)?;
        let length: usize = bytes
            .get(..space)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .ok_or(BAD)?;
        let record = bytes.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(BAD)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(BAD)?;
        let (key, value) = record.split_at(equals);
        records.push((key, value.get(1..).unwrap_or_default()));
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(records)
}
