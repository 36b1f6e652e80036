//! A zip's records: fixed fields in little-endian, then what has a length of its own.

use super::ZipError;

pub(super) const LOCAL: u32 = 0x0403_4b50;
pub(super) const CENTRAL: u32 = 0x0201_4b50;
pub(super) const END: u32 = 0x0605_4b50;
pub(super) const END64: u32 = 0x0606_4b50;
pub(super) const END64_LOCATOR: u32 = 0x0706_4b50;

pub(super) const LOCAL_BYTES: usize = 30;
pub(super) const CENTRAL_BYTES: usize = 46;
pub(super) const END_BYTES: usize = 22;
pub(super) const END64_BYTES: usize = 56;
pub(super) const LOCATOR_BYTES: usize = 20;

/// The value of a field that is in the zip64 record instead.
pub(super) const ELSEWHERE_32: u32 = u32::MAX;
pub(super) const ELSEWHERE_16: u16 = u16::MAX;

/// Flags of an entry.
pub(super) const ENCRYPTED: u16 = 1;
pub(super) const DESCRIPTOR: u16 = 1 << 3;
pub(super) const PATCHED: u16 = 1 << 5;
pub(super) const STRONGLY_ENCRYPTED: u16 = 1 << 6;
pub(super) const UTF8: u16 = 1 << 11;
pub(super) const MASKED: u16 = 1 << 13;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// Takes numbers from the front of a record. What is not there is zero: lengths are checked before.
pub(super) struct Fields<'r>(pub(super) &'r [u8]);

impl Fields<'_> {
    fn number(&mut self, bytes: usize) -> u64 {
        let (field, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        field.iter().rev().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
    }

    #[expect(clippy::cast_possible_truncation, reason = "two bytes fit")]
    pub(super) fn u16(&mut self) -> u16 {
        self.number(2) as u16
    }

    #[expect(clippy::cast_possible_truncation, reason = "four bytes fit")]
    pub(super) fn u32(&mut self) -> u32 {
        self.number(4) as u32
    }

    pub(super) fn u64(&mut self) -> u64 {
        self.number(8)
    }
}

/// What extra fields say that matters here.
#[derive(Debug, Default)]
pub(super) struct Extra<'r> {
    /// The zip64 field.
    pub(super) zip64: Option<&'r [u8]>,
    /// The name in Unicode, with what it replaces in front.
    pub(super) unicode_path: Option<&'r [u8]>,
}

impl<'r> Extra<'r> {
    pub(super) fn parse(mut bytes: &'r [u8], exact: bool) -> Result<Self, ZipError> {
        const BAD: ZipError = ZipError::Malformed("an entry's extra fields cannot be read");
        let mut found = Self::default();
        while bytes.len() >= 4 {
            let mut fields = Fields(bytes);
            let (id, length) = (fields.u16(), usize::from(fields.u16()));
            let field = fields.0.get(..length).ok_or(BAD)?;
            bytes = fields.0.get(length..).unwrap_or_default();
            let known = match id {
                0x0001 => &mut found.zip64,
                0x7075 => &mut found.unicode_path,
                _ => continue,
            };
            if known.replace(field).is_some() {
                return Err(BAD);
            }
        }
        // Some writers align entries with zeros.
        if bytes.is_empty() || (!exact && bytes.iter().all(|&byte| byte == 0)) { Ok(found) } else { Err(BAD) }
    }

    /// Replaces what the record says is elsewhere, in the format's order.
    pub(super) fn resolve(
        &self,
        size: &mut u64,
        packed: &mut u64,
        offset: Option<&mut u64>,
        exact: bool,
    ) -> Result<(), ZipError> {
        const LIE: ZipError = ZipError::Malformed("an entry's zip64 field is not what its header says");
        let mut fields = Fields(self.zip64.unwrap_or_default());
        let places = [Some(size), Some(packed), offset];
        for place in places.into_iter().flatten().filter(|place| **place == u64::from(ELSEWHERE_32)) {
            // Without the field it is just a large number.
            if self.zip64.is_none() {
                continue;
            }
            if fields.0.len() < 8 {
                return Err(LIE);
            }
            *place = fields.u64();
        }
        if exact && !fields.0.is_empty() { Err(LIE) } else { Ok(()) }
    }
}
