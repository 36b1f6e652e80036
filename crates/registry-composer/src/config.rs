//! What can be set about a Composer registry.

use serde::{Deserialize, Serialize};

/// The settings of a Composer registry. The default serves every client without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ComposerConfig {
    /// The largest archive in bytes. 256 MiB.
    pub max_archive_bytes: u64,
    /// The most bytes that an archive may unpack to. 4 GiB.
    pub max_unpacked_bytes: u64,
    /// The most entries in an archive. 100,000.
    pub max_entries: u64,
    /// The most versions of a package, branches included. 20,000.
    pub max_versions: usize,
    /// The most bytes that a package's document may grow to, with all its versions. 64 MiB.
    pub max_metadata_bytes: u64,
    /// Whether branches (`dev-main`, `1.x-dev`) may be published. They may be replaced; releases may not.
    pub branches: bool,
    /// So many archives of a branch that others replaced stay for lock files that name them. 20.
    pub replaced_archives: usize,
    /// Whether versions and packages may be deleted (by who has the `delete` action).
    pub allow_delete: bool,
    /// Names that belong to this registry even where it does not have them: clients are told that there are no versions, and
    /// look nowhere else. Patterns in which `*` stands for any run of characters, such as `acme/*`.
    pub reserved_names: Vec<String>,
}

impl Default for ComposerConfig {
    fn default() -> Self {
        Self {
            max_archive_bytes: 256 << 20,
            max_unpacked_bytes: 4 << 30,
            max_entries: 100_000,
            max_versions: 20_000,
            max_metadata_bytes: 64 << 20,
            branches: true,
            replaced_archives: 20,
            allow_delete: true,
            reserved_names: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(serde_json::from_str::<ComposerConfig>("{}").unwrap(), ComposerConfig::default());
        let error = serde_json::from_str::<ComposerConfig>(r#"{"branchs":true}"#).unwrap_err().to_string();
        assert!(error.contains("branchs"), "{error}");
    }
}
