//! Positions of chunks: the upload protocol's `Content-Range` and `Range`, which are not those of RFC 9110.

use std::fmt::Write as _;

/// A chunk's place: the first and the last byte's positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl ChunkRange {
    /// Reads `<first>-<last>`, with an optional `bytes ` before and `/<length>` behind.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let header = header.strip_prefix("bytes").map_or(header, |rest| rest.trim_start_matches([' ', '=']));
        let header = header.split_once('/').map_or(header, |(range, _)| range);
        let (first, last) = header.split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            text.parse().ok()
        };
        Some(Self { first: number(first)?, last: number(last)? })
    }

    /// The number of bytes; `None` where the last comes before the first.
    pub(crate) fn len(self) -> Option<u64> {
        self.last.checked_sub(self.first)?.checked_add(1)
    }
}

/// The `Range` header of a session that holds `size` bytes. An empty one is `0-0` too: `0--1` breaks clients.
pub(crate) fn render_received(size: u64) -> String {
    let mut text = String::from("0-");
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", size.saturating_sub(1));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunk_ranges() {
        for (text, want) in [
            ("0-9", Some((0, 9))),
            ("10-5", Some((10, 5))),
            ("bytes 0-9", Some((0, 9))),
            ("bytes=0-9", Some((0, 9))),
            ("bytes 0-9/100", Some((0, 9))),
            ("0-9/*", Some((0, 9))),
            ("0-", None),
            ("-9", None),
            ("", None),
            ("a-b", None),
            ("+0-9", None),
            ("0-99999999999999999999", None),
        ] {
            assert_eq!(ChunkRange::parse(text).map(|r| (r.first, r.last)), want, "{text}");
        }
        assert_eq!(ChunkRange { first: 0, last: u64::MAX }.len(), None);
        assert_eq!(ChunkRange { first: 5, last: 4 }.len(), None);
    }

    /// Checklist 19.
    #[test]
    fn fresh_session_is_zero_zero() {
        assert_eq!(render_received(0), "0-0");
        assert_eq!(render_received(1), "0-0");
        assert_eq!(render_received(1024), "0-1023");
    }

    proptest! {
        #[test]
        fn ranges_round_trip(size in 1u64..=u64::MAX) {
            let range = ChunkRange::parse(&render_received(size)).unwrap();
            prop_assert_eq!((range.first, range.last), (0, size - 1));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = ChunkRange::parse(&text).and_then(ChunkRange::len);
        }
    }
}
