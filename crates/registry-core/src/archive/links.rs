//! Links that stay inside an archive.

use std::collections::HashSet;

use super::name;

/// What is remembered of links: more is refused.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The links seen so far, and whether what comes stays inside with them.
///
/// What a link leads to is judged from its text, so no path may go through another link: whoever unpacks would follow
/// that one first, and `..` would mean something else.
#[derive(Debug, Default)]
pub(super) struct Links {
    seen: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Links {
    /// What is wrong with an entry at this plain path: it lies behind a link.
    pub(super) fn fault_of_path(&self, path: &[u8]) -> Option<&'static str> {
        if self.seen.is_empty() {
            return None;
        }
        let behind = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .filter_map(|(at, _)| path.get(..at))
            .any(|folder| self.seen.contains(folder));
        behind.then_some("lies behind a link")
    }

    /// Remembers a symbolic link at this plain path; or says what is wrong with it.
    pub(super) fn symbolic(&mut self, path: &[u8], target: &[u8]) -> Result<(), &'static str> {
        if target.is_empty() || target.first() == Some(&b'/') {
            return Err("leads to an absolute path or nowhere");
        }
        if target.contains(&b'\\') || target.contains(&0) || target.get(1) == Some(&b':') {
            return Err("leads to what is no plain path");
        }
        let mut depth = name::segments(path).count().saturating_sub(1);
        let mut down = false;
        for segment in name::segments(target) {
            if segment != b".." {
                down = true;
                continue;
            }
            // Behind what may be a link itself, nobody knows where `..` leads.
            if down || depth == 0 {
                return Err("leaves the archive's folder");
            }
            depth = depth.saturating_sub(1);
        }
        // A link through another one: the other has been judged from where it is, this one from where that leads.
        self.remember(path)
    }

    /// Says what is wrong with a hard link to this path.
    #[cfg(feature = "archive-tar")]
    pub(super) fn hard(&self, target: &[u8]) -> Result<(), &'static str> {
        if name::fault(target).is_some() {
            return Err("leaves the archive's folder");
        }
        let target = name::plain(target);
        if self.seen.contains(&target) || self.fault_of_path(&target).is_some() {
            return Err("is another name of a link");
        }
        Ok(())
    }

    fn remember(&mut self, path: &[u8]) -> Result<(), &'static str> {
        self.bytes = self.bytes.saturating_add(path.len().saturating_add(32));
        if self.bytes > MOST_BYTES {
            return Err("is one link too many");
        }
        self.seen.insert(path.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        for (path, target, good) in [
            (b"a/b".as_slice(), b"c".as_slice(), true),
            (b"a/b", b"../c", true),
            (b"a/b", b"./c/d", true),
            (b"a/b", b"../../c", false),
            (b"b", b"..", false),
            (b"b", b"../b", false),
            (b"a/b/c", b"../../d", true),
            (b"a/b/c", b"../../../d", false),
            (b"a/b", b"/etc/passwd", false),
            (b"a/b", b"c/../../../x", false),
            (b"a/b", b"c/../d", false),
            (b"a/b", b"", false),
            (b"a/b", b"c:\\x", false),
        ] {
            assert_eq!(Links::default().symbolic(path, target).is_ok(), good, "{path:?} {target:?}");
        }
    }

    #[test]
    fn nothing_goes_through_a_link() {
        let mut links = Links::default();
        links.symbolic(b"a/b/c", b"../..").unwrap();
        assert!(links.fault_of_path(b"a/b/c/d").is_some());
        assert!(links.fault_of_path(b"a/b/c/d/e").is_some());
        assert!(links.fault_of_path(b"a/b/cd/e").is_none());
        assert!(links.hard(b"a/b/c").is_err());
        assert!(links.hard(b"a/b/c/x").is_err());
        assert!(links.hard(b"../x").is_err());
        assert!(links.hard(b"a/b/x").is_ok());
    }

    #[test]
    fn links_are_counted() {
        let mut links = Links::default();
        let result = (0..100_000).try_for_each(|at| links.symbolic(format!("{at}").as_bytes(), b"x"));
        assert_eq!(result, Err("is one link too many"));
    }
}
