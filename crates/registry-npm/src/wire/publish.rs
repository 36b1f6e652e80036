//! A publish document, or any document that is put to a package: parsed once its attachments were taken out.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::config::AccessLevel;

/// A document that was put to a package, without its attachments' texts.
#[derive(Debug, Deserialize)]
pub(crate) struct PutDocument<'d> {
    /// The package's name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The package's name as its document's id.
    #[serde(default, rename = "_id")]
    pub(crate) id: Option<String>,
    /// The revision that the document is a change of.
    #[serde(default, rename = "_rev")]
    pub(crate) rev: Option<String>,
    /// Tags to versions.
    #[serde(default, rename = "dist-tags")]
    pub(crate) dist_tags: Option<IndexMap<String, String>>,
    /// Versions to manifests.
    #[serde(default, borrow)]
    pub(crate) versions: Option<IndexMap<String, &'d RawValue>>,
    /// Who may read: `public`, `restricted` or nothing.
    #[serde(default)]
    pub(crate) access: Option<String>,
    /// The readme.
    #[serde(default)]
    pub(crate) readme: Option<ReadmeText>,
    /// The readme's file name.
    #[serde(default, rename = "readmeFilename")]
    pub(crate) readme_file: Option<String>,
    /// Who owns the package.
    #[serde(default)]
    pub(crate) maintainers: Option<Vec<PersonText>>,
    /// Who starred it.
    #[serde(default)]
    pub(crate) users: Option<BTreeMap<String, bool>>,
    /// The attachments, their texts taken out.
    #[serde(default, rename = "_attachments")]
    pub(crate) attachments: Option<IndexMap<String, Attachment>>,
}

/// A readme: text, or something else that some tools write and nobody shows.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ReadmeText {
    /// The text.
    Text(String),
    /// Not a readme.
    Other(IgnoredAny),
}

impl ReadmeText {
    /// The text, if it is one.
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }
}

/// A maintainer as clients write one.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum PersonText {
    /// As an object.
    Object {
        /// The user's name.
        name: String,
    },
    /// As `name <email>`.
    Line(String),
}

impl PersonText {
    /// The user's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Object { name } => name,
            Self::Line(line) => line.split('<').next().unwrap_or_default().trim(),
        }
    }
}

/// What stands beside an attachment's text.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attachment {
    /// Its media type.
    #[serde(default)]
    pub(crate) content_type: Option<String>,
    /// Its decoded length in bytes.
    #[serde(default)]
    pub(crate) length: Option<u64>,
}

/// What an attachment is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachmentKind {
    /// An attestation bundle: JSON text.
    Bundle,
    /// A tarball: base64.
    Tarball,
}

impl AttachmentKind {
    /// Tells an attachment by its name.
    pub(crate) fn of(name: &str) -> Self {
        if name.ends_with(".sigstore") { Self::Bundle } else { Self::Tarball }
    }
}

/// Whether a `_rev` in a document names a revision: some clients send `undefined` or nothing.
pub(crate) fn named_rev(rev: Option<&str>) -> Option<&str> {
    rev.filter(|rev| !matches!(*rev, "" | "undefined" | "null"))
}

/// Reads an `access` field. `None` for nothing said.
pub(crate) fn parse_access(text: Option<&str>) -> Result<Option<AccessLevel>, InvalidAccess> {
    match text {
        None | Some("") => Ok(None),
        Some("public") => Ok(Some(AccessLevel::Public)),
        Some("restricted" | "private") => Ok(Some(AccessLevel::Restricted)),
        Some(_) => Err(InvalidAccess),
    }
}

/// An access level that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access is \"public\" or \"restricted\"")]
pub(crate) struct InvalidAccess;

/// Cuts a readme to at most `limit` bytes, at a character's end.
pub(crate) fn cut_readme(mut readme: String, limit: usize) -> String {
    if readme.len() > limit {
        readme.truncate(readme.floor_char_boundary(limit));
    }
    readme
}

/// The media type of attestation bundles begins with this.
pub(crate) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// The longest predicate type in bytes: it is a URI that every packument repeats.
const MAX_PREDICATE_TYPE: usize = 512;

/// The predicate type of an attestation bundle, read from its signed statement.
///
/// The bundle is checked for its form only: who installs verifies its signature.
pub(crate) fn bundle_predicate_type(bundle: &[u8]) -> Option<String> {
    use base64::Engine as _;
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Bundle {
        dsse_envelope: Envelope,
    }
    #[derive(Deserialize)]
    struct Envelope {
        payload: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Statement {
        predicate_type: String,
    }
    let bundle: Bundle = serde_json::from_slice(bundle).ok()?;
    let payload = base64::engine::general_purpose::STANDARD.decode(bundle.dsse_envelope.payload).ok()?;
    let statement: Statement = serde_json::from_slice(&payload).ok()?;
    Some(statement.predicate_type).filter(|kind| kind.len() <= MAX_PREDICATE_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_as_npm_sends_it() {
        let text = r#"{"_id":"a","name":"a","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"a"}},"access":null,
            "readme":{"odd":1},"maintainers":[{"name":"u","email":"e"},"v <v@example.com>"],"users":{"u":true},
            "_attachments":{"a-1.0.0.tgz":{"content_type":"application/octet-stream","data":"","length":7}},"new":1}"#;
        let document: PutDocument<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(document.name.as_deref(), Some("a"));
        let names: Vec<String> =
            document.maintainers.unwrap().iter().map(|person| person.name().to_owned()).collect();
        assert_eq!(names, ["u", "v"]);
        assert_eq!(document.attachments.unwrap()["a-1.0.0.tgz"].length, Some(7));
        assert_eq!(document.versions.unwrap()["1.0.0"].get(), r#"{"name":"a"}"#);
        assert!(document.readme.unwrap().into_text().is_none());
    }

    #[test]
    fn access_levels() {
        assert_eq!(parse_access(None), Ok(None));
        assert_eq!(parse_access(Some("private")), Ok(Some(AccessLevel::Restricted)));
        assert_eq!(parse_access(Some("everyone")), Err(InvalidAccess));
    }

    #[test]
    fn checklist_46_a_readme_is_cut_between_characters() {
        assert_eq!(cut_readme("aé".to_owned(), 2), "a");
        assert_eq!(cut_readme("aé".to_owned(), 3), "aé");
    }

    #[test]
    fn the_predicate_of_a_bundle() {
        use base64::Engine as _;
        let payload = base64::engine::general_purpose::STANDARD
            .encode(r#"{"predicateType":"https://slsa.dev/provenance/v1"}"#);
        let bundle =
            format!(r#"{{"mediaType":"x","dsseEnvelope":{{"payload":"{payload}","signatures":[]}}}}"#);
        assert_eq!(bundle_predicate_type(bundle.as_bytes()).unwrap(), "https://slsa.dev/provenance/v1");
        assert_eq!(bundle_predicate_type(b"{}"), None);
        let long = format!(r#"{{"predicateType":"{}"}}"#, "x".repeat(513));
        let payload = base64::engine::general_purpose::STANDARD.encode(long);
        let bundle = format!(r#"{{"dsseEnvelope":{{"payload":"{payload}"}}}}"#);
        assert_eq!(bundle_predicate_type(bundle.as_bytes()), None);
    }
}
