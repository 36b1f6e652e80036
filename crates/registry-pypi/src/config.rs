//! What can be set about a Python package index.

use serde::{Deserialize, Serialize};

use crate::attestation::AttestationRoots;

/// The settings of a Python package index. The default serves every client without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PypiConfig {
    /// The largest file in bytes. 4 GiB.
    pub max_file_bytes: u64,
    /// The most bytes that a file may unpack to. 16 GiB.
    pub max_unpacked_bytes: u64,
    /// The most entries in a file. 500,000.
    pub max_entries: u64,
    /// The most files of a project. 50,000.
    pub max_files: usize,
    /// Whether files and projects may be deleted (by who has the `delete` action).
    pub delete: bool,
    /// Whether local versions (`1.0+cu121`) are taken.
    pub local_versions: bool,
    /// Whether a project may depend on a URL (`name @ https://…`).
    pub direct_references: bool,
    /// Whether a client that accepts none of the index's forms gets HTML instead of 406.
    pub lenient_accept: bool,
    /// What attestations (PEP 740) must lead to: each that an upload brings is verified. Without it they are ignored. It is no key of
    /// the serialized form: who reads that reads the certificates, too.
    #[serde(skip)]
    pub attestation_roots: Option<AttestationRoots>,
}

impl Default for PypiConfig {
    fn default() -> Self {
        Self {
            max_file_bytes: 4 << 30,
            max_unpacked_bytes: 16 << 30,
            max_entries: 500_000,
            max_files: 50_000,
            delete: true,
            local_versions: true,
            direct_references: true,
            lenient_accept: false,
            attestation_roots: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(serde_json::from_str::<PypiConfig>("{}").unwrap(), PypiConfig::default());
        let error = serde_json::from_str::<PypiConfig>(r#"{"deletee":true}"#).unwrap_err().to_string();
        assert!(error.contains("deletee"), "{error}");
    }
}
