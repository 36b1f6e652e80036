//! Paths below the registry's base: which route, and which names stand in it.

use percent_encoding::percent_decode_str;

/// A path split at its slashes, each segment decoded once.
///
/// Slashes at the beginning and at the end count for nothing, however many there are: clients join base and path
/// with one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segments(Vec<String>);

/// The path cannot be decoded, or has an empty segment within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnreadablePath;

impl Segments {
    /// Splits and decodes a path.
    pub(crate) fn parse(path: &str) -> Result<Self, UnreadablePath> {
        let trimmed = path.trim_matches('/');
        if trimmed.is_empty() {
            return Ok(Self(Vec::new()));
        }
        trimmed
            .split('/')
            .map(|segment| {
                let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| UnreadablePath)?;
                if decoded.is_empty() || decoded.chars().any(char::is_control) {
                    return Err(UnreadablePath);
                }
                Ok(decoded.into_owned())
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The segments, a scoped name joined into one where `at` says that a name stands.
    ///
    /// `@s/n`, `@s%2fn` and `%40s%2Fn` all become the one segment `@s/n`.
    pub(crate) fn with_name_at(mut self, at: usize) -> Self {
        if let Some(scope) = self.0.get(at)
            && scope.starts_with('@')
            && !scope.contains('/')
            && self.0.len() > at + 1
        {
            let base = self.0.remove(at + 1);
            if let Some(name) = self.0.get_mut(at) {
                name.push('/');
                name.push_str(&base);
            }
        }
        self
    }

    /// The segments as text.
    pub(crate) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// The version of a tarball's file name, if the file is one of a package whose name (without scope) is `base`.
///
/// `lib-1.0.0.tgz` of `lib` is `1.0.0`. An alias with the scope in the file name counts too.
pub(crate) fn tarball_version<'f>(base: &str, file: &'f str) -> Option<&'f str> {
    let file = match file.split_once('/') {
        Some((scope, file)) if scope.starts_with('@') => file,
        _ => file,
    };
    file.strip_prefix(base)?.strip_prefix('-')?.strip_suffix(".tgz").filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, at: usize, want: &[&str]) {
        assert_eq!(Segments::parse(path).unwrap().with_name_at(at).as_strs(), want, "{path}");
    }

    #[test]
    fn checklist_8_all_spellings_of_a_scoped_name_are_equal() {
        for path in ["/@s/n", "/@s%2fn", "/@s%2Fn", "/%40s/n", "/%40s%2Fn"] {
            check(path, 0, &["@s/n"]);
            check(&format!("{path}/1.0.0"), 0, &["@s/n", "1.0.0"]);
            check(&format!("{path}/-/n-1.0.0.tgz"), 0, &["@s/n", "-", "n-1.0.0.tgz"]);
        }
        check("/-/package/@s%2fn/dist-tags", 2, &["-", "package", "@s/n", "dist-tags"]);
        check("/-/package/@s/n/dist-tags", 2, &["-", "package", "@s/n", "dist-tags"]);
    }

    #[test]
    fn checklist_53_slashes_around_a_path_do_not_matter() {
        for path in ["/lib", "//lib", "/lib/", "lib", "///lib//"] {
            check(path, 0, &["lib"]);
        }
        check("", 0, &[]);
        check("/", 0, &[]);
    }

    #[test]
    fn a_path_is_decoded_once() {
        check("/a%252fb", 0, &["a%2fb"]);
        for bad in ["/a//b", "/%00", "/a/%ff", "/%0a"] {
            assert_eq!(Segments::parse(bad), Err(UnreadablePath), "{bad}");
        }
    }

    #[test]
    fn tarball_names() {
        for (base, file, want) in [
            ("lib", "lib-1.0.0.tgz", Some("1.0.0")),
            ("lib", "@s/lib-1.0.0.tgz", Some("1.0.0")),
            ("lib", "lib-1.0.0-rc.1.tgz", Some("1.0.0-rc.1")),
            ("lib", "other-1.0.0.tgz", None),
            ("lib", "lib-.tgz", None),
            ("lib", "lib-1.0.0.zip", None),
            ("lib", "lib.tgz", None),
            ("lib", "../lib-1.0.0.tgz", None),
            ("lib", "x/lib-1.0.0.tgz", None),
            ("lib", "@s/x/lib-1.0.0.tgz", None),
        ] {
            assert_eq!(tarball_version(base, file), want, "{file}");
        }
    }
}
