//! What can be set about a Maven repository.

use serde::{Deserialize, Serialize};

/// Which kinds of versions a repository takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum VersionPolicy {
    /// Releases and snapshots.
    #[default]
    Mixed,
    /// Releases alone.
    Release,
    /// Snapshots alone.
    Snapshot,
}

/// What becomes of an upload over a released file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WritePolicy {
    /// The same bytes again are fine, others are refused.
    #[default]
    Once,
    /// The new bytes replace the old ones.
    Always,
    /// Nothing is taken at all.
    Never,
}

/// What `<release>` and `<latest>` name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LatestPolicy {
    /// The highest version in Maven's order.
    #[default]
    Highest,
    /// The version that was first deployed last.
    LastDeployed,
}

/// The settings of a Maven repository. The default serves every client without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MavenConfig {
    /// Which kinds of versions are taken: `mixed`, `release` or `snapshot`.
    pub versions: VersionPolicy,
    /// What becomes of other bytes for a released file: `once` refuses them, `always` takes them, `never` takes no upload at all.
    pub writes: WritePolicy,
    /// What `<release>` and `<latest>` name: the `highest` version or the `last-deployed` one.
    pub latest: LatestPolicy,
    /// The largest file in bytes. 2 GiB.
    pub max_file_bytes: u64,
    /// The most files of a version; of a snapshot, in all its builds. 10,000.
    pub max_files: usize,
    /// The most versions of an artifact. 20,000.
    pub max_versions: usize,
    /// So many builds of a snapshot stay. 0 keeps all.
    pub keep_snapshot_builds: usize,
    /// Builds of a snapshot stay for so many days. 0 keeps all.
    pub keep_snapshot_days: u32,
    /// Whether a POM must say the coordinates of the path that it is deployed to.
    pub strict_poms: bool,
    /// Whether folders are shown as pages with links, which some clients look through for versions.
    pub listings: bool,
    /// Whether `.meta/prefixes.txt` tells clients which groups are here.
    pub prefixes: bool,
    /// Whether files, versions and artifacts may be deleted (by who has the `delete` action).
    pub allow_delete: bool,
    /// Whether the name of a deleted released file is kept for its bytes: others cannot take their place.
    pub burn_deleted: bool,
    /// Whether who may not read an artifact is told so (403) rather than that it is not there (404).
    pub reveal_forbidden: bool,
    /// The realm of the challenge. Some clients choose their credentials by it, so it is best left alone.
    pub realm: String,
}

impl Default for MavenConfig {
    fn default() -> Self {
        Self {
            versions: VersionPolicy::Mixed,
            writes: WritePolicy::Once,
            latest: LatestPolicy::Highest,
            max_file_bytes: 2 << 30,
            max_files: 10_000,
            max_versions: 20_000,
            keep_snapshot_builds: 0,
            keep_snapshot_days: 0,
            strict_poms: false,
            listings: true,
            prefixes: true,
            allow_delete: true,
            burn_deleted: true,
            reveal_forbidden: false,
            realm: "smartregistry".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(serde_json::from_str::<MavenConfig>("{}").unwrap(), MavenConfig::default());
        let error = serde_json::from_str::<MavenConfig>(r#"{"write":"once"}"#).unwrap_err().to_string();
        assert!(error.contains("write"), "{error}");
    }

    #[test]
    fn policies_are_words() {
        let text = r#"{"versions":"release","writes":"always","latest":"last-deployed"}"#;
        let config: MavenConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.versions, VersionPolicy::Release);
        assert_eq!(config.writes, WritePolicy::Always);
        assert_eq!(config.latest, LatestPolicy::LastDeployed);
    }
}
