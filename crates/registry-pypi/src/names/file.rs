//! Names of files: wheels (PEP 427, PEP 491) and source distributions (PEP 625).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ProjectName;
use crate::version::Version;

/// The longest file name.
const MAX_FILE_NAME: usize = 200;

/// The two kinds of files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileKind {
    /// A source distribution.
    #[serde(rename = "sdist")]
    Sdist,
    /// A wheel.
    #[serde(rename = "bdist_wheel")]
    Wheel,
}

impl FileKind {
    /// As forms and JSON name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sdist => "sdist",
            Self::Wheel => "bdist_wheel",
        }
    }
}

/// A file's name with what it says.
#[derive(Clone, Debug)]
pub(crate) struct FileName {
    text: String,
    kind: FileKind,
    stem: String,
    project: ProjectName,
    version: Version,
    python: String,
}

/// A text is no name of a file that can be uploaded; a sentence says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FileNameError(String);

impl FileName {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the file is.
    pub(crate) fn kind(&self) -> FileKind {
        self.kind
    }

    /// The part that names project and version, as it stands: `name-1.0`.
    pub(crate) fn stem(&self) -> &str {
        &self.stem
    }

    /// Whose file it is.
    pub(crate) fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Of which version.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Whether both name one file: a version can be spelt in several ways.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        let tags = |name: &Self| name.text.get(name.stem.len()..).map(str::to_owned);
        (self.kind, &self.project, &self.version) == (other.kind, &other.project, &other.version)
            && tags(self) == tags(other)
    }

    /// The Python that it is for: a wheel's tag, `source` for a source distribution.
    pub(crate) fn python(&self) -> &str {
        &self.python
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown: String =
            text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let wrong = |why: &str| FileNameError(format!("the file name {shown:?} {why}"));
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'!');
        if text.len() > MAX_FILE_NAME {
            return Err(wrong("is longer than 200 bytes"));
        }
        if text.is_empty() || text.starts_with('.') || !text.bytes().all(plain) {
            return Err(wrong(
                "holds other characters than ASCII letters, digits, `-`, `_`, `.`, `+` and `!`",
            ));
        }
        let (kind, name, version, python) = if let Some(stem) = text.strip_suffix(".whl") {
            let mut parts = stem.split('-');
            let count = stem.split('-').count();
            let (Some(name), Some(version), 5 | 6) = (parts.next(), parts.next(), count) else {
                return Err(wrong("is not name-version[-build]-python-abi-platform.whl"));
            };
            if count == 6
                && !parts.next().is_some_and(|build| build.starts_with(|c: char| c.is_ascii_digit()))
            {
                return Err(wrong("has a build number that does not begin with a digit"));
            }
            let python = parts.next().unwrap_or_default();
            if python.is_empty() || parts.any(str::is_empty) {
                return Err(wrong("is not name-version[-build]-python-abi-platform.whl"));
            }
            (FileKind::Wheel, name, version, python)
        } else if let Some(stem) = text.strip_suffix(".tar.gz") {
            let Some((name, version)) = stem.rsplit_once('-') else {
                return Err(wrong("is not name-version.tar.gz"));
            };
            (FileKind::Sdist, name, version, "source")
        } else {
            return Err(wrong(
                "ends neither in .whl nor in .tar.gz: wheels and source distributions are taken",
            ));
        };
        let project: ProjectName = name.parse().map_err(|error| wrong(&format!("is wrong: {error}")))?;
        if name != project.in_files() {
            return Err(wrong(&format!(
                "must begin with {:?}, the project's normal name with `_` for `-`: build it with a current build backend",
                project.in_files()
            )));
        }
        // In wheels `_` stands for the `-` of a version's older spellings, which means the same to the parser.
        let parsed: Version = version.parse().map_err(|error| wrong(&format!("is wrong: {error}")))?;
        let stem = format!("{name}-{version}");
        let (text, python) = (text.to_owned(), python.to_owned());
        Ok(Self { text, kind, stem, project, version: parsed, python })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn file_names_say_what_they_hold() {
        for (text, kind, project, version, python) in [
            ("foo_bar-1.0.tar.gz", FileKind::Sdist, "foo-bar", "1.0", "source"),
            ("foo-1.0.post1.tar.gz", FileKind::Sdist, "foo", "1.0.post1", "source"),
            ("foo-1.0-py3-none-any.whl", FileKind::Wheel, "foo", "1.0", "py3"),
            (
                "foo-1.0+cu121-cp312-cp312-manylinux_2_17_x86_64.whl",
                FileKind::Wheel,
                "foo",
                "1.0+cu121",
                "cp312",
            ),
            ("foo-1!2.0-1a-py2.py3-none-any.whl", FileKind::Wheel, "foo", "1!2.0", "py2.py3"),
        ] {
            let name: FileName = text.parse().unwrap();
            assert_eq!(name.kind(), kind, "{text}");
            assert_eq!(
                (name.project().as_str(), name.version().as_str(), name.python()),
                (project, version, python)
            );
            assert_eq!(name.to_string(), text);
            assert!(text.starts_with(name.stem()));
        }
    }

    #[test]
    fn checklist_43_hostile_and_foreign_file_names_are_refused() {
        let long = format!("a-{}.tar.gz", "1".repeat(200));
        for bad in [
            "",
            "foo",
            "foo.tar.gz",
            "foo-1.0.zip",
            "foo-1.0.egg",
            "foo-1.0.exe",
            "../foo-1.0.tar.gz",
            "a/foo-1.0.tar.gz",
            "a\\foo-1.0.tar.gz",
            ".foo-1.0.tar.gz",
            "foo-1.0.tar.gz\0",
            "foo\r\n-1.0.tar.gz",
            "foo\u{7f}-1.0.tar.gz",
            "f\u{f6}o-1.0.tar.gz",
            "foo-1.0-py3-none.whl",
            "foo-1.0-x-py3-none-any.whl",
            "foo-1.0-1-py3-none-any-x.whl",
            "foo-1.0--none-any.whl",
            "Foo-1.0.tar.gz",
            "foo.bar-1.0.tar.gz",
            "foo-x.tar.gz",
            "foo-1.0-py3-none-any.whl.asc",
            "-1.0.tar.gz",
            &long,
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}", odd in "[a-z0-9._+-]{0,30}(\\.whl|\\.tar\\.gz)") {
            let _ = text.parse::<FileName>();
            if let Ok(name) = odd.parse::<FileName>() {
                prop_assert_eq!(name.as_str(), odd);
            }
        }
    }
}
