//! Media types that mean something to the registry (sheet section 2.7).

/// OCI image manifest.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The withdrawn OCI artifact manifest; stored when pushed.
pub(crate) const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Docker's manifest, version 2 schema 2.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's manifest, schema 1: refused.
pub(crate) const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker's signed manifest, schema 1: refused.
pub(crate) const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// The empty descriptor's type.
pub(crate) const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Whether a text is `type/subtype` with the characters of RFC 6838 section 4.2 and no parameters.
pub(crate) fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        part.len() <= 127
            && part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && part.bytes().all(|b| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
            })
    };
    text.split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

/// A `Content-Type`'s media type without its parameters, trimmed.
pub(crate) fn without_parameters(header: &str) -> &str {
    header.split(';').next().unwrap_or_default().trim()
}

/// Whether a layer of this type may be missing: foreign and non-distributable layers stay where their URLs say.
pub(crate) fn is_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for good in [OCI_MANIFEST, "text/plain", "a/b", "application/vnd.x+json"] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in ["", "text", "a/", "/b", "a/b/c", "a/b;c=d", "a b/c", "ä/b", " a/b"] {
            assert!(!is_media_type(bad), "{bad}");
        }
        assert_eq!(without_parameters("a/b ; charset=utf-8"), "a/b");
    }
}
