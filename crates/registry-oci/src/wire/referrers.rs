//! The referrers' answer: an image index of descriptors (sheet section 2.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::media_type;

/// One referrer as the index shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: &'a [Referrer],
}

/// The body of the answer.
pub(crate) fn render(referrers: &[Referrer]) -> Vec<u8> {
    let index = Index { schema_version: 2, media_type: media_type::OCI_INDEX, manifests: referrers };
    // Strings, numbers and maps with string keys always serialise.
    serde_json::to_vec(&index).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_index_has_its_array() {
        assert_eq!(
            String::from_utf8(render(&[])).unwrap(),
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#
        );
    }

    #[test]
    fn absent_fields_are_left_out() {
        let referrer = Referrer {
            media_type: media_type::OCI_MANIFEST.into(),
            size: 7,
            digest: "sha256:aa".into(),
            artifact_type: None,
            annotations: BTreeMap::new(),
        };
        let text = String::from_utf8(render(&[referrer])).unwrap();
        assert!(text.ends_with(
            r#""manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,"digest":"sha256:aa"}]}"#
        ));
    }
}
