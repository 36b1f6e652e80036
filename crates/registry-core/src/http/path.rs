//! Parts of URLs: segments of a path, decoded and encoded once.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A part of a URL cannot be decoded: a `%` without two hexadecimal digits, bytes that are not UTF-8, or a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL holds a `%` without two hexadecimal digits, a NUL, or bytes that are not UTF-8")]
pub struct MalformedUrl;

/// Decodes one segment of a path (or any text that is percent-encoded) once. A `/` that was encoded comes out as `/`: a
/// caller that does not expect one refuses it.
pub fn decode_path_segment(encoded: &str) -> Result<Cow<'_, str>, MalformedUrl> {
    if !encoded.contains('%') {
        return if encoded.contains('\0') { Err(MalformedUrl) } else { Ok(Cow::Borrowed(encoded)) };
    }
    let mut rest = encoded;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.as_bytes().get(..2).ok_or(MalformedUrl)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(MalformedUrl);
        }
        rest = after.get(2..).ok_or(MalformedUrl)?;
    }
    let decoded = percent_decode_str(encoded).decode_utf8().map_err(|_| MalformedUrl)?;
    if decoded.contains('\0') { Err(MalformedUrl) } else { Ok(decoded) }
}

/// What stands as it is in a segment and in a query's value: RFC 3986's unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path segment `@`, `:`, `!`, `+`, `,` and `=` are plain too; clients compare such URLs as text.
const SEGMENT: &AsciiSet =
    &UNRESERVED.remove(b'@').remove(b':').remove(b'!').remove(b'+').remove(b',').remove(b'=');

/// Encodes one segment of a path, `/` included.
pub fn encode_path_segment(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, SEGMENT).into()
}

/// Encodes a name or value of a query string.
pub fn encode_query_value(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, UNRESERVED).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments() {
        for (encoded, want) in [
            ("lib", "lib"),
            ("@acme%2flib", "@acme/lib"),
            ("%40acme%2Flib", "@acme/lib"),
            ("a+b", "a+b"),
            ("%2e%2e", ".."),
            ("%252f", "%2f"),
            ("%C3%A4", "ä"),
            ("", ""),
        ] {
            assert_eq!(decode_path_segment(encoded).unwrap(), want, "{encoded}");
        }
        for bad in ["%", "a%", "a%2", "%zz", "%2", "%+1", "a%00b", "%ff", "%c3", "a\0b", "%ä1"] {
            assert_eq!(decode_path_segment(bad), Err(MalformedUrl), "{bad}");
        }
    }

    #[test]
    fn encoding() {
        assert_eq!(encode_path_segment("@acme/lib 1.0.0+b%"), "@acme%2Flib%201.0.0+b%25");
        assert_eq!(encode_query_value("a+b&c=d/e"), "a%2Bb%26c%3Dd%2Fe");
    }

    proptest! {
        #[test]
        fn segments_round_trip(text in "\\PC{0,40}") {
            for encoded in [encode_path_segment(&text), encode_query_value(&text)] {
                prop_assert_eq!(decode_path_segment(&encoded).unwrap(), &text[..]);
            }
        }

        #[test]
        fn what_is_decoded_holds_no_nul(text in "[%0-9a-f]{0,30}") {
            if let Ok(decoded) = decode_path_segment(&text) {
                prop_assert!(!decoded.contains('\0'));
            }
        }
    }
}
