//! Core metadata: what `METADATA` in a wheel and `PKG-INFO` in a source distribution say.

use crate::{
    names::ProjectName,
    version::{Version, is_specifier_set},
};

/// The most bytes of a metadata file.
pub(crate) const MAX_METADATA: u64 = 1 << 20;

/// The longest summary in characters.
const MAX_SUMMARY: usize = 512;

/// The longest label of a project URL in characters.
const MAX_LABEL: usize = 32;

/// Headers that may occur once.
const SINGLE: [&str; 16] = [
    "metadata-version",
    "name",
    "version",
    "summary",
    "description",
    "description-content-type",
    "keywords",
    "home-page",
    "download-url",
    "author",
    "author-email",
    "maintainer",
    "maintainer-email",
    "license",
    "license-expression",
    "requires-python",
];

/// A parsed metadata file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Names in lower case, in the file's order.
    headers: Vec<(String, String)>,
    body: String,
}

/// Why a metadata file is refused: a sentence for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MetadataError(String);

fn wrong<T>(text: impl Into<String>) -> Result<T, MetadataError> {
    Err(MetadataError(text.into()))
}

impl Metadata {
    /// Reads a file: headers as in e-mail, then a description.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let Ok(text) = std::str::from_utf8(bytes) else { return wrong("the metadata is not UTF-8") };
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = after;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if line.contains(['\r', '\0']) {
                return wrong("the metadata holds a carriage return or a NUL inside a header");
            }
            if line.starts_with([' ', '\t']) {
                let Some((name, value)) = headers.last_mut() else {
                    return wrong("the metadata begins with a continued line");
                };
                // Only these two are texts of several lines.
                value.push(if matches!(name.as_str(), "description" | "license") { '\n' } else { ' ' });
                value.push_str(line.trim());
                continue;
            }
            let name = line.split_once(':').filter(|(name, _)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            });
            let Some((name, value)) = name else {
                return wrong(format!("the metadata's line {:?} is not a header", short(line)));
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        for name in SINGLE {
            if headers.iter().filter(|(found, _)| found == name).count() > 1 {
                return wrong(format!("the metadata has several {name} headers"));
            }
        }
        Ok(Self { headers, body: rest.to_owned() })
    }

    /// The value of a header that may occur once; nothing where it is empty or says that it is not known.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(found, value)| found == name && !value.is_empty() && value != "UNKNOWN")
            .map(|(_, value)| value.as_str())
    }

    /// The description: the text after the headers, or the header of older files.
    pub(crate) fn description(&self) -> &str {
        if self.body.trim().is_empty() { self.one("description").unwrap_or_default() } else { &self.body }
    }

    /// Keywords, which stand in one header.
    pub(crate) fn keywords(&self) -> Vec<String> {
        let text = self.one("keywords").unwrap_or_default();
        text.split(',').map(|word| short(word.trim())).filter(|word| !word.is_empty()).take(100).collect()
    }

    /// The minor number of a metadata version 2.x; `None` for 1.x.
    fn minor_of_2(&self) -> Option<u32> {
        self.one("metadata-version")?.strip_prefix("2.")?.parse().ok()
    }

    /// Whether a source distribution's metadata is that of every wheel that is built from it (PEP 643).
    pub(crate) fn is_static(&self) -> bool {
        self.minor_of_2().is_some_and(|minor| minor >= 2) && self.all("dynamic").next().is_none()
    }

    /// Whether the file is sound, and about this version of this project.
    pub(crate) fn check(&self, project: &ProjectName, version: &Version) -> Result<(), MetadataError> {
        let Some(of) = self.one("metadata-version") else {
            return wrong("the metadata has no Metadata-Version");
        };
        let known = of.split_once('.').is_some_and(|(major, minor)| {
            matches!(major, "1" | "2") && !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
        });
        if !known {
            return wrong(format!("the metadata's version {:?} is not known: 1.x and 2.x are", short(of)));
        }
        let name = self.one("name").unwrap_or_default();
        if name.parse::<ProjectName>().ok().as_ref() != Some(project) {
            return wrong(format!(
                "the metadata in the file is of the project {:?}, not of {project}",
                short(name)
            ));
        }
        let found = self.one("version").unwrap_or_default();
        if found.parse::<Version>().ok().as_ref() != Some(version) {
            return wrong(format!(
                "the metadata in the file is of the version {:?}, not of {version}",
                short(found)
            ));
        }
        if self.one("summary").is_some_and(|summary| summary.chars().count() > MAX_SUMMARY) {
            return wrong(format!("the summary has more than {MAX_SUMMARY} characters"));
        }
        if let Some(python) = self.one("requires-python").filter(|python| !is_specifier_set(python)) {
            return wrong(format!("Requires-Python {:?} is not a list of version specifiers", short(python)));
        }
        if self.one("license").is_some() && self.one("license-expression").is_some() {
            return wrong("License and License-Expression exclude each other");
        }
        for url in self.all("project-url") {
            let sound = url.split_once(',').is_some_and(|(label, url)| {
                let url = url.trim();
                label.chars().count() <= MAX_LABEL
                    && (url.starts_with("https://") || url.starts_with("http://"))
            });
            if !sound {
                return wrong(format!(
                    "Project-URL {:?} is not a label of at most {MAX_LABEL} characters, a comma and an http(s) URL",
                    short(url)
                ));
            }
        }
        Ok(())
    }

    /// A dependency on a URL, if there is one.
    pub(crate) fn direct_reference(&self) -> Option<&str> {
        self.all("requires-dist")
            .find(|dependency| dependency.split(';').next().is_some_and(|d| d.contains('@')))
    }
}

/// A text that goes into a message.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Metadata {
        Metadata::parse(text.as_bytes()).unwrap()
    }

    fn checked(more: &str) -> Result<(), MetadataError> {
        parse(&format!("Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0\n{more}"))
            .check(&"foo-bar".parse().unwrap(), &"1.0.0".parse().unwrap())
    }

    #[test]
    fn headers_bodies_and_continued_lines() {
        let metadata = parse(
            "Metadata-Version: 2.1\r\nName: x\nVERSION: 1\nLicense: a\n        b\nAuthor: c\n\td\nAuthor-email: UNKNOWN\nHome-page:\n\
             Classifier: k\nClassifier: l\nKeywords: a, b ,c\n\nbody: not a header\n\nmore\n",
        );
        assert_eq!(metadata.one("version"), Some("1"));
        assert_eq!(metadata.one("license"), Some("a\nb"));
        assert_eq!(metadata.one("author"), Some("c d"));
        assert_eq!((metadata.one("author-email"), metadata.one("home-page")), (None, None));
        assert_eq!(metadata.all("classifier").collect::<Vec<_>>(), ["k", "l"]);
        assert_eq!(metadata.keywords(), ["a", "b", "c"]);
        assert_eq!(metadata.description(), "body: not a header\n\nmore\n");
        assert_eq!(parse("Description: old\n  style\n").description(), "old\nstyle");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in [
            &b"Name: \xff\n"[..],
            b" x\n",
            b"no header\n",
            b"Na me: x\n",
            b"Name: a\rb\n",
            b"Name: a\0b\n",
            b": x\n",
            b"Name: a\nName: b\n",
            b"Requires-Python: >=3\nrequires-python: >=2\n",
        ] {
            assert!(Metadata::parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn metadata_must_be_of_its_file() {
        checked("").unwrap();
        let of = |text: &str| parse(text).check(&"foo".parse().unwrap(), &"1".parse().unwrap());
        for bad in [
            "Name: foo\nVersion: 1\n",
            "Metadata-Version: 2.1\nName: bar\nVersion: 1\n",
            "Metadata-Version: 2.1\nName: foo\nVersion: 2\n",
            "Metadata-Version: 2.1\nVersion: 1\n",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        for bad in [
            "Requires-Python: <script>\n",
            "License: MIT\nLicense-Expression: MIT\n",
            "Project-URL: x, ftp://x\n",
            "Project-URL: no comma\n",
            &format!("Project-URL: {}, https://x\n", "l".repeat(33)),
            &format!("Summary: {}\n", "s".repeat(513)),
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        checked("Requires-Python: >=3.9,<4\nProject-URL: Home, https://example.com\n").unwrap();
    }

    #[test]
    fn checklist_31_metadata_versions() {
        let of = |version: &str| {
            parse(&format!("Metadata-Version: {version}\nName: foo\nVersion: 1\n"))
                .check(&"foo".parse().unwrap(), &"1".parse().unwrap())
        };
        for good in ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7"] {
            of(good).unwrap();
        }
        for bad in ["3.0", "2", "2.x", "0.1", "2."] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn source_metadata_is_static_since_2_2() {
        assert!(parse("Metadata-Version: 2.2\n").is_static());
        assert!(!parse("Metadata-Version: 2.1\n").is_static());
        assert!(!parse("Metadata-Version: 2.4\nDynamic: License\n").is_static());
    }

    #[test]
    fn dependencies_on_urls_are_found() {
        assert_eq!(parse("Requires-Dist: a @ https://x\n").direct_reference(), Some("a @ https://x"));
        assert_eq!(parse("Requires-Dist: a>=1; extra == 'x@y'\n").direct_reference(), None);
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(Name: x\n|\\PC{0,20}\n|\n| y\n){0,8}") {
            let _ = Metadata::parse(&bytes);
            if let Ok(metadata) = Metadata::parse(text.as_bytes()) {
                let _ = (metadata.description().len(), metadata.keywords(), metadata.is_static());
            }
        }
    }
}
