//! Paths inside archives.

use std::borrow::Cow;

/// What is wrong with a path that is to stay inside the folder it is unpacked to, whatever the system.
pub(super) fn fault(path: &[u8]) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.first() == Some(&b'/') {
        return Some("is absolute");
    }
    if std::str::from_utf8(path).is_err() {
        return Some("is not UTF-8");
    }
    if path.contains(&b'\\') {
        return Some("holds a backslash");
    }
    if path.iter().any(u8::is_ascii_control) {
        return Some("holds a control character");
    }
    if path.get(1) == Some(&b':') && path.first().is_some_and(u8::is_ascii_alphabetic) {
        return Some("begins with a drive");
    }
    segments(path).any(|segment| segment == b"..").then_some("leaves the archive's folder")
}

/// The parts of a path; `.` and empty ones are none.
pub(super) fn segments(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The path without `.`, double slashes and a slash at its end.
pub(super) fn plain(path: &[u8]) -> Vec<u8> {
    segments(path).collect::<Vec<_>>().join(&b'/')
}

/// A path or a part of a message as text that is fit for an answer and a log: short, and without control characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let mut out: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

/// A path as text.
pub(super) fn text(path: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_told() {
        for (path, want) in [
            (b"a/b".as_slice(), None),
            (b"./a//b/", None),
            (b"a..b/..c/d..", None),
            ("ä/ö".as_bytes(), None),
            (b"", Some("is empty")),
            (b"/a", Some("is absolute")),
            (b"..", Some("leaves the archive's folder")),
            (b"a/../b", Some("leaves the archive's folder")),
            (b"a/..", Some("leaves the archive's folder")),
            (b"a\\b", Some("holds a backslash")),
            (b"a\0b", Some("holds a control character")),
            (b"a\nb", Some("holds a control character")),
            (b"C:a", Some("begins with a drive")),
            (b"\xff", Some("is not UTF-8")),
        ] {
            assert_eq!(fault(path), want, "{}", shown(path));
        }
    }

    #[test]
    fn plain_paths() {
        assert_eq!(plain(b"./a//b/./c/"), b"a/b/c");
        assert_eq!(plain(b"./"), b"");
        assert_eq!(shown(b"a\nb\xff"), "a\\nb\u{fffd}");
        assert!(shown(&[b'x'; 500]).len() < 130);
    }
}
