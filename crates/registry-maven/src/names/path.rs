//! Paths below the repository's URL.

use registry_core::http::{MalformedUrl, decode_path_segment};

use super::{ArtifactName, VersionName};

/// The longest path, in bytes.
const MAX_PATH: usize = 768;
/// The longest segment, in bytes: what file systems take.
const MAX_SEGMENT: usize = 255;

/// A path as the layout has it: its segments are plain words, none of them `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepositoryPath {
    segments: Vec<String>,
    /// Whether it ends with a slash (or is the root).
    directory: bool,
}

/// A path cannot name anything here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error(transparent)]
    Malformed(#[from] MalformedUrl),
    #[error("the path is longer than {MAX_PATH} bytes, or one of its segments than {MAX_SEGMENT}")]
    TooLong,
    #[error(
        "a segment of the path is not made of ASCII letters, digits, `.`, `_`, `-`, `+`, `~`, `$`, `=`, `@` and `,`, begins with `.`, or has no letter or digit"
    )]
    Segment,
}

impl RepositoryPath {
    /// Reads what follows the base path. Slashes count once: clients join URLs with one too many.
    pub(crate) fn parse(path: &str) -> Result<Self, PathError> {
        if path.len() > 3 * MAX_PATH {
            return Err(PathError::TooLong);
        }
        let mut segments = Vec::new();
        let mut length = 0_usize;
        for encoded in path.split('/').filter(|segment| !segment.is_empty()) {
            let segment = decode_path_segment(encoded)?;
            if segment.len() > MAX_SEGMENT {
                return Err(PathError::TooLong);
            }
            let plain = |b: u8| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'.' | b'_' | b'-' | b'+' | b'~' | b'$' | b'=' | b'@' | b',')
            };
            let hidden = segment.starts_with('.') && !matches!(&*segment, ".meta" | ".index");
            if hidden
                || !segment.bytes().all(plain)
                || !segment.bytes().any(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                return Err(PathError::Segment);
            }
            length = length.saturating_add(segment.len()).saturating_add(1);
            segments.push(segment.into_owned());
        }
        if length > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let directory = segments.is_empty() || path.ends_with('/');
        Ok(Self { segments, directory })
    }

    /// Its segments.
    pub(crate) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The last segment of a file's path, and the folder that it is in.
    pub(crate) fn file(&self) -> Option<(&str, Folder<'_>)> {
        let (file, folder) = self.segments.split_last()?;
        (!self.directory).then_some((file, Folder(folder)))
    }

    /// What lies above, each as if it were a file.
    pub(crate) fn above(&self) -> impl Iterator<Item = (&str, Folder<'_>)> {
        (1..self.segments.len()).filter_map(|depth| {
            let (file, folder) = self.segments.get(..depth)?.split_last()?;
            Some((file.as_str(), Folder(folder)))
        })
    }

    /// The path as that of a folder.
    pub(crate) fn folder(&self) -> Folder<'_> {
        Folder(&self.segments)
    }
}

/// A folder. What it is cannot be told by its path alone: the folder of an artifact can be that of a group as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folder<'p>(&'p [String]);

impl<'p> Folder<'p> {
    /// Its segments.
    pub(crate) fn segments(self) -> &'p [String] {
        self.0
    }

    /// The artifact whose folder it is, if it is one's.
    pub(crate) fn artifact(self) -> Option<ArtifactName> {
        let (artifact, group) = self.0.split_last()?;
        ArtifactName::new(group, artifact)
    }

    /// The version whose folder it is, if it is one's.
    pub(crate) fn version(self) -> Option<VersionName> {
        let (version, artifact) = self.0.split_last()?;
        VersionName::new(Folder(artifact).artifact()?, version)
    }

    /// The group whose folder it is, if it is one's: `com.acme`.
    pub(crate) fn group(self) -> Option<String> {
        ArtifactName::is_group(self.0).then(|| self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_are_told_by_their_depth() {
        let path = RepositoryPath::parse("//com/acme///lib/1.0/lib-1.0.jar").unwrap();
        let (file, folder) = path.file().unwrap();
        assert_eq!(file, "lib-1.0.jar");
        let version = folder.version().unwrap();
        assert_eq!(version.artifact().to_string(), "com.acme:lib");
        assert_eq!(version.version(), "1.0");
        assert_eq!(folder.artifact().unwrap().to_string(), "com.acme.lib:1.0");
        // A group's folders hold no dots.
        assert_eq!(folder.group(), None);
        assert_eq!(RepositoryPath::parse("/com/acme/").unwrap().folder().group().unwrap(), "com.acme");
        assert!(RepositoryPath::parse("").unwrap().file().is_none());
        assert!(RepositoryPath::parse("/a/").unwrap().file().is_none());
        assert!(RepositoryPath::parse("/a").unwrap().folder().artifact().is_none());
        assert!(RepositoryPath::parse("/com.acme/lib/1.0/").unwrap().folder().version().is_none());
    }

    #[test]
    fn everything_above_a_path_could_be_a_file() {
        let path = RepositoryPath::parse("/com/acme/lib/1.0/x.jar").unwrap();
        let above: Vec<_> = path.above().map(|(file, folder)| (folder.segments().join("/"), file)).collect();
        let expected = [("", "com"), ("com", "acme"), ("com/acme", "lib"), ("com/acme/lib", "1.0")];
        assert_eq!(above, expected.map(|(folder, file)| (folder.to_owned(), file)));
        assert_eq!(RepositoryPath::parse("").unwrap().above().count(), 0);
    }

    #[test]
    fn checklist_26_paths_that_lead_elsewhere_are_refused() {
        let long = format!("/a/b/c/{}", "x".repeat(256));
        let deep = "/a".repeat(2000);
        let wide = format!("/{}", "abcdefgh/".repeat(100));
        for path in [
            "/a/../b/c/d",
            "/a/./b/c/d",
            "/a/%2e%2e/b/c/d",
            "/a/%2E/b/c/d",
            "/a/b%2fc/d/e",
            "/a/b%5cc/d/e",
            "/a/b\\c/d/e",
            "/a/b/c/d%00",
            "/a/b/c/d%0a",
            "/a/b/c/d%7f",
            "/a/b/c/d%",
            "/a/b/c/d%zz",
            "/a/b/c/d%ff",
            "/a/b/c/d%20e",
            "/a/b/c/%C3%A9",
            "/a/b/c/x:y",
            "/a/b/c/x%22",
            "/a/b/c/x<y>",
            "/a/b/c/x|y",
            "/a/b/c/x*",
            "/a/b/c/x;y=z",
            "/.git/b/c/d",
            "/a/-/c/d",
            "/a/.../c/d",
            &long,
            &deep,
            &wide,
        ] {
            assert!(RepositoryPath::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_plain(path in "\\PC{0,60}", parts in proptest::collection::vec("[a-z.%_2f~-]{0,6}", 0..6)) {
            for path in [path, parts.join("/")] {
                let Ok(path) = RepositoryPath::parse(&path) else { continue };
                for segment in path.segments() {
                    prop_assert!(segment.is_ascii() && !segment.contains(['/', '\\', '"', '<', '&']));
                    prop_assert!(segment != "." && segment != ".." && segment != "-" && !segment.is_empty());
                }
                let again = RepositoryPath::parse(&format!("/{}/", path.segments().join("/"))).unwrap();
                prop_assert_eq!(again.segments(), path.segments());
            }
        }
    }
}
