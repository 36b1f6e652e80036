//! Paths to routes: what is asked for, and which methods it takes.

use crate::{
    names::{Folder, RepositoryPath, VersionName},
    wire::checksum::Algorithm,
};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    /// A file of a version, or a checksum of one.
    File { version: VersionName, file: &'p str },
    /// A folder.
    Folder(Folder<'p>),
    /// The `maven-metadata.xml` of a folder, or one of its checksums.
    Metadata { folder: Folder<'p>, checksum: Option<Algorithm> },
    /// Anything else: nothing is there.
    Other,
    /// `.meta/prefixes.txt`, or one of its checksums.
    Prefixes { checksum: Option<Algorithm> },
}

/// A file's name without the ending of a checksum.
fn split(file: &str) -> (&str, Option<Algorithm>) {
    match Algorithm::split(file) {
        Some((of, algorithm)) => (of, Some(algorithm)),
        None => (file, None),
    }
}

impl<'p> Route<'p> {
    /// What a path names.
    pub(crate) fn of(path: &'p RepositoryPath) -> Self {
        let Some((file, folder)) = path.file() else { return Self::Folder(path.folder()) };
        match split(file) {
            ("maven-metadata.xml", checksum) => return Self::Metadata { folder, checksum },
            ("prefixes.txt", checksum) if folder.segments() == [".meta"] => {
                return Self::Prefixes { checksum };
            }
            _ => {}
        }
        match folder.version() {
            Some(version) => Self::File { version, file },
            None => Self::Other,
        }
    }

    /// The methods that this route takes, as an `Allow` header has them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::File { .. } => "GET, HEAD, PUT, POST, DELETE, OPTIONS",
            Self::Folder(_) => "GET, HEAD, DELETE, OPTIONS",
            Self::Metadata { .. } => "GET, HEAD, PUT, POST, OPTIONS",
            Self::Other | Self::Prefixes { .. } => "GET, HEAD, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(path: &str) -> String {
        let path = RepositoryPath::parse(path).unwrap();
        match Route::of(&path) {
            Route::File { version, file } => format!("file {version} {file}"),
            Route::Folder(folder) => format!("folder {}", folder.segments().join("/")),
            Route::Metadata { folder, checksum } => {
                let algorithm = checksum.map_or("", Algorithm::extension);
                format!("metadata {} {algorithm}", folder.segments().join("/"))
            }
            Route::Other => "other".to_owned(),
            Route::Prefixes { checksum } => format!("prefixes {}", checksum.map_or("", Algorithm::extension)),
        }
    }

    #[test]
    fn routes() {
        for (path, want) in [
            ("/com/acme/lib/1.0/lib-1.0.jar", "file com.acme:lib:1.0 lib-1.0.jar"),
            ("//com/acme/lib/1.0/lib-1.0.jar.sha1", "file com.acme:lib:1.0 lib-1.0.jar.sha1"),
            ("/com/acme/lib/maven-metadata.xml", "metadata com/acme/lib "),
            ("/com/acme/lib/maven-metadata.xml.sha512", "metadata com/acme/lib sha512"),
            ("/maven-metadata.xml", "metadata  "),
            ("/com/acme/", "folder com/acme"),
            ("", "folder "),
            ("/", "folder "),
            ("/.meta/prefixes.txt", "prefixes "),
            ("/.meta/prefixes.txt.md5", "prefixes md5"),
            ("/archetype-catalog.xml", "other"),
            ("/.index/nexus-maven-repository-index.gz", "other"),
            ("/a/.index/b/c/d", "other"),
            ("/a/b/c", "other"),
            ("/a.b/c/1/d", "other"),
        ] {
            assert_eq!(kind(path), want, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(parts in proptest::collection::vec("maven-metadata\\.xml|[a-z]{1,3}|1\\.0|[a-z0-9._-]{1,6}|\\.meta|x\\.sha1", 0..7)) {
            if let Ok(path) = RepositoryPath::parse(&parts.join("/")) {
                prop_assert!(Route::of(&path).allow().starts_with("GET"));
            }
        }
    }
}
