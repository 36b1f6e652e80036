//! How an OCI registry behaves.

use std::time::Duration;

use registry_core::Pattern;
use serde::Deserialize;

/// How an OCI registry behaves. All keys have defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OciConfig {
    /// Whether an index or image may name content that is not in the repository (mirrors that copy one platform).
    pub allow_sparse: bool,
    /// The largest manifest in bytes; at least 4 MiB should be taken.
    pub max_manifest_bytes: u64,
    /// The largest blob in bytes; none: as large as the store takes.
    pub max_blob_bytes: Option<u64>,
    /// The most `tag` parameters with one manifest push.
    pub max_tags_per_push: usize,
    /// The most entries of one page of tags, repositories or referrers.
    pub page_size: usize,
    /// How long an upload may rest before it is given up, in seconds.
    pub upload_expiry_seconds: u64,
    /// The smallest chunk that clients are asked for (`OCI-Chunk-Min-Length`); smaller ones are taken all the same.
    pub min_chunk_bytes: Option<u64>,
    /// What may be deleted.
    pub delete: DeleteConfig,
    /// Tags that never move once they are set; `*` stands for any run of characters.
    pub immutable_tags: Vec<Pattern>,
    /// Whether `Location` and `Link` are absolute URLs, for clients that cannot resolve relative ones.
    pub absolute_location: bool,
    /// Whether blobs are read from the bucket directly: a GET is answered with a redirect to an address that holds for
    /// [`redirect_valid_seconds`](Self::redirect_valid_seconds). Blobs that lie in no object of their own (small ones, and those
    /// that came in several chunks) are streamed all the same, as all are where the storage has no such addresses.
    pub redirect: bool,
    /// How long such an address holds, in seconds; at least 60, at most 7 days.
    pub redirect_valid_seconds: u64,
    /// The service that tokens are for; none: `smartregistry-<instance>`.
    pub service: Option<String>,
    /// How long a token of the token endpoint holds, in seconds; at least 60.
    pub token_ttl_seconds: u64,
    /// When garbage collection removes manifests that no tag, index or subject reaches any more, in seconds after the
    /// push; none: never.
    pub delete_untagged_after_seconds: Option<u64>,
}

/// What may be deleted by clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct DeleteConfig {
    /// Blobs.
    pub blobs: bool,
    /// Manifests, by digest.
    pub manifests: bool,
    /// Tags.
    pub tags: bool,
}

impl Default for OciConfig {
    fn default() -> Self {
        Self {
            allow_sparse: false,
            max_manifest_bytes: 4 * 1024 * 1024,
            max_blob_bytes: None,
            max_tags_per_push: 50,
            page_size: 1000,
            upload_expiry_seconds: 24 * 3600,
            min_chunk_bytes: None,
            delete: DeleteConfig::default(),
            immutable_tags: Vec::new(),
            absolute_location: false,
            redirect: false,
            redirect_valid_seconds: 900,
            service: None,
            token_ttl_seconds: 900,
            delete_untagged_after_seconds: None,
        }
    }
}

impl Default for DeleteConfig {
    fn default() -> Self {
        Self { blobs: true, manifests: true, tags: true }
    }
}

impl OciConfig {
    /// How long an upload may rest.
    pub(crate) fn upload_expiry(&self) -> Duration {
        Duration::from_secs(self.upload_expiry_seconds)
    }

    /// How long the address of a redirect holds; services sign for at most a week.
    pub(crate) fn redirect_valid(&self) -> Duration {
        Duration::from_secs(self.redirect_valid_seconds.clamp(60, 7 * 24 * 3600))
    }

    /// How long a token holds: never less than clients take for granted.
    pub(crate) fn token_ttl(&self) -> Duration {
        Duration::from_secs(self.token_ttl_seconds.max(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_or_refused() {
        let config: OciConfig = serde_json::from_str(
            r#"{"allow_sparse": true, "delete": {"tags": false}, "immutable_tags": ["v*"]}"#,
        )
        .unwrap();
        assert!(config.allow_sparse && !config.delete.tags && config.delete.blobs);
        let error = serde_json::from_str::<OciConfig>(r#"{"allow_sparce": true}"#).unwrap_err();
        assert!(error.to_string().contains("allow_sparce"));
    }
}
