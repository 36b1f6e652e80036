//! The fields of an upload's form.

use std::collections::BTreeMap;

use registry_core::http::Refusal;

use crate::{
    error::Error,
    names::{FileKind, FileName, ProjectName},
    version::Version,
};

/// Fields that are read; each may come once. What else a form tells is in the file itself, and is read there.
const READ: [&str; 10] = [
    ":action",
    "protocol_version",
    "metadata_version",
    "name",
    "version",
    "filetype",
    "pyversion",
    "comment",
    "md5_digest",
    "sha256_digest",
];

/// More of them, which are only to come once.
const SINGLE: [&str; 14] = [
    "blake2_256_digest",
    "summary",
    "description",
    "description_content_type",
    "keywords",
    "home_page",
    "download_url",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
    "license_expression",
    "requires_python",
];

/// The longest value that is told back or stored.
const MAX_COMMENT: usize = 1000;

/// The fields that came so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(BTreeMap<&'static str, String>);

/// What a form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Upload,
    Remove,
}

/// What a form says of its file.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) display: String,
    pub(crate) project: ProjectName,
    pub(crate) version: Version,
}

/// The digests that a form gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimedDigests {
    pub(crate) md5: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) blake2b_256: Option<String>,
}

impl Fields {
    /// The name under which a field is kept; `None` where it does not matter.
    pub(crate) fn known(name: &str) -> Option<&'static str> {
        READ.into_iter().chain(SINGLE).find(|known| *known == name)
    }

    /// Takes a field.
    pub(crate) fn take(&mut self, name: &'static str, value: String) -> Result<(), Error> {
        // What nobody reads need not be held.
        let kept = if READ.contains(&name) || name == "blake2_256_digest" { value } else { String::new() };
        if self.0.insert(name, kept).is_some() {
            return Err(Error::bad(format!("the form has several values of {name:?}: it has invalid data")));
        }
        Ok(())
    }

    /// A field's value; nothing where it is empty or says that it is not known.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty() && *value != "UNKNOWN")
    }

    /// What is asked for, where the form or the request's query says it.
    pub(crate) fn action(&self, query: Option<&str>) -> Result<Action, Error> {
        match self.get(":action").or(query) {
            Some("file_upload") => Ok(Action::Upload),
            Some("remove_pkg") => Ok(Action::Remove),
            Some(old @ ("submit" | "submit_pkg_info" | "verify" | "doc_upload")) => Err(Refusal::Gone(
                format!("the action {old} is not offered any more: upload files with file_upload"),
            )
            .into()),
            Some(_) => Err(Error::bad("the form's :action is not known: it must be file_upload")),
            None => Err(Error::bad("the form has no :action: it must be file_upload")),
        }
    }

    /// The form's protocol must be the only one there is.
    pub(crate) fn check_protocol(&self) -> Result<(), Error> {
        match self.get("protocol_version") {
            None | Some("1") => Ok(()),
            Some(_) => Err(Error::bad("Unknown protocol version.")),
        }
    }

    /// The digests.
    pub(crate) fn digests(&self) -> Result<ClaimedDigests, Error> {
        let digest = |name: &str, length: usize| match self.get(name) {
            None => Ok(None),
            Some(hex) if hex.len() == length && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Ok(Some(hex.to_ascii_lowercase()))
            }
            Some(_) => Err(Error::bad(format!("{name} is not {length} hexadecimal digits"))),
        };
        Ok(ClaimedDigests {
            md5: digest("md5_digest", 32)?,
            sha256: digest("sha256_digest", 64)?,
            blake2b_256: digest("blake2_256_digest", 64)?,
        })
    }

    /// The project and the version that the form names.
    pub(crate) fn claim(&self) -> Result<Claim, Error> {
        let required = |name: &str| {
            self.get(name).ok_or_else(|| Error::bad(format!("the form has no {name:?}, which is required")))
        };
        let display = required("name")?;
        let project = display.parse()?;
        let version = required("version")?.parse()?;
        Ok(Claim { display: display.to_owned(), project, version })
    }

    /// Whether all that the form says of the file is so.
    pub(crate) fn check_file(&self, claim: &Claim, file: &FileName) -> Result<(), Error> {
        let kind = match self.get("filetype") {
            Some("sdist") => FileKind::Sdist,
            Some("bdist_wheel") => FileKind::Wheel,
            Some(_) => return Err(Error::bad("filetype must be sdist or bdist_wheel")),
            None => return Err(Error::bad("the form has no \"filetype\", which is required")),
        };
        if kind != file.kind() {
            return Err(Error::bad(format!("the file {file} is not of the type {}", kind.as_str())));
        }
        match (kind, self.get("pyversion")) {
            (FileKind::Sdist, None | Some("source")) | (FileKind::Wheel, Some(_)) => {}
            (FileKind::Sdist, Some(_)) => {
                return Err(Error::bad("pyversion of a source distribution must be source"));
            }
            (FileKind::Wheel, None) => {
                return Err(Error::bad("the form has no \"pyversion\", which wheels need"));
            }
        }
        if self.get("metadata_version").is_some_and(|version| !version.starts_with(['1', '2'])) {
            return Err(Error::bad("metadata_version is not known: 1.x and 2.x are"));
        }
        if claim.project != *file.project() {
            return Err(Error::bad(format!("the file {file} is not of the project {}", claim.project)));
        }
        if claim.version != *file.version() {
            return Err(Error::bad(format!("the file {file} is not of the version {}", claim.version)));
        }
        Ok(())
    }

    /// What was said of the file.
    pub(crate) fn comment(&self) -> Option<String> {
        self.get("comment").map(|comment| comment.chars().take(MAX_COMMENT).collect())
    }
}

impl ClaimedDigests {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.take(name, (*value).to_owned()).unwrap();
        }
        fields
    }

    #[test]
    fn checklist_32_actions() {
        assert_eq!(fields(&[(":action", "file_upload")]).action(None).unwrap(), Action::Upload);
        assert_eq!(fields(&[]).action(Some("file_upload")).unwrap(), Action::Upload);
        assert_eq!(fields(&[(":action", "remove_pkg")]).action(None).unwrap(), Action::Remove);
        for old in ["submit", "submit_pkg_info", "verify", "doc_upload"] {
            let error = fields(&[(":action", old)]).action(None).unwrap_err();
            assert_eq!(error.status(), 410, "{old}");
            assert!(!error.to_string().contains("was ever registered"));
        }
        assert_eq!(fields(&[(":action", "x")]).action(None).unwrap_err().status(), 400);
        assert_eq!(fields(&[]).action(None).unwrap_err().status(), 400);
    }

    #[test]
    fn fields_come_once_and_may_be_unknown() {
        let mut fields = fields(&[("name", "UNKNOWN"), ("version", "  ")]);
        assert_eq!((fields.get("name"), fields.get("version")), (None, None));
        assert!(fields.take("name", "x".to_owned()).is_err());
        assert_eq!(Fields::known("classifiers"), None);
        assert_eq!(Fields::known("summary"), Some("summary"));
    }

    #[test]
    fn digests_are_hex_in_any_case() {
        let of = |value: &str| fields(&[("md5_digest", value)]).digests();
        assert_eq!(of(&"AB".repeat(16)).unwrap().md5.unwrap(), "ab".repeat(16));
        assert!(of("").unwrap().is_empty());
        assert!(of("x").is_err() && of(&"g".repeat(32)).is_err());
    }

    #[test]
    fn a_form_must_be_of_its_file() {
        let claim =
            Claim { display: "Foo".into(), project: "foo".parse().unwrap(), version: "1".parse().unwrap() };
        let check = |pairs: &[(&'static str, &str)], file: &str| {
            fields(pairs).check_file(&claim, &file.parse().unwrap()).is_ok()
        };
        let (sdist, wheel) = ("foo-1.0.tar.gz", "foo-1-py3-none-any.whl");
        assert!(check(&[("filetype", "sdist")], sdist));
        assert!(check(&[("filetype", "sdist"), ("pyversion", "source"), ("metadata_version", "2.4")], sdist));
        assert!(check(&[("filetype", "bdist_wheel"), ("pyversion", "py3")], wheel));
        assert!(!check(&[("filetype", "bdist_wheel")], wheel));
        assert!(!check(&[("filetype", "bdist_wheel"), ("pyversion", "py3")], sdist));
        assert!(!check(&[("filetype", "bdist_egg")], wheel));
        assert!(!check(&[], sdist));
        assert!(!check(&[("filetype", "sdist"), ("pyversion", "py3")], sdist));
        assert!(!check(&[("filetype", "sdist"), ("metadata_version", "3.0")], sdist));
        assert!(!check(&[("filetype", "sdist")], "bar-1.0.tar.gz"));
        assert!(!check(&[("filetype", "sdist")], "foo-1.1.tar.gz"));
    }
}
