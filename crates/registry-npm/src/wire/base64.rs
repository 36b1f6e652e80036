//! Base64 decoded piece by piece.

use base64::{DecodeError, Engine, engine::general_purpose::STANDARD};

/// Decodes standard base64 that arrives in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// What did not fill a group of four yet.
    carry: Vec<u8>,
    /// Padding was seen: nothing may follow.
    ended: bool,
}

/// The text is no base64.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attachment is not valid base64")]
pub(crate) struct InvalidBase64;

impl From<DecodeError> for InvalidBase64 {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// The bytes of a digest that is written in base64, in lowercase hex; `None` where it is none.
pub(crate) fn hex_of_base64(text: &str) -> Option<String> {
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty()).map(hex::encode)
}

impl Decoder {
    /// Decodes a piece and appends its bytes to `out`.
    pub(crate) fn feed(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidBase64> {
        if !self.carry.is_empty() {
            let take = piece.len().min(4 - self.carry.len());
            let (head, rest) = piece.split_at(take);
            self.carry.extend_from_slice(head);
            piece = rest;
            if self.carry.len() < 4 {
                return Ok(());
            }
            let group = std::mem::take(&mut self.carry);
            self.groups(&group, out)?;
        }
        let (whole, rest) = piece.split_at(piece.len() / 4 * 4);
        self.groups(whole, out)?;
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    /// Says that nothing follows: a group that is not full is an error.
    pub(crate) fn finish(self) -> Result<(), InvalidBase64> {
        if self.carry.is_empty() { Ok(()) } else { Err(InvalidBase64) }
    }

    fn groups(&mut self, whole: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidBase64> {
        if whole.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(InvalidBase64);
        }
        self.ended = whole.last() == Some(&b'=');
        STANDARD.decode_vec(whole, out)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<u8>, InvalidBase64> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece, &mut out)?;
        }
        decoder.finish()?;
        Ok(out)
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for bad in ["a", "ab", "abc", "ab=c", "ab==cdef", "====", "ab!d", "YW Jj", "YQ==YQ=="] {
            assert_eq!(decode(&[bad.as_bytes()]), Err(InvalidBase64), "{bad}");
            let single: Vec<&[u8]> = bad.as_bytes().chunks(1).collect();
            assert_eq!(decode(&single), Err(InvalidBase64), "{bad} byte by byte");
        }
    }

    proptest! {
        #[test]
        fn decodes_whatever_the_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..9) {
            let text = STANDARD.encode(&bytes);
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(decode(&pieces).unwrap(), bytes);
        }
    }
}
