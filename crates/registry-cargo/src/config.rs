//! What can be set about a Cargo registry.

use serde::{Deserialize, Serialize};

/// The settings of a Cargo registry. The default serves every client without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CargoConfig {
    /// The largest `.crate` file in bytes. 50 MiB.
    pub max_crate_bytes: u64,
    /// The largest metadata (the JSON part of a publish, readme included) in bytes. 1 MiB.
    pub max_metadata_bytes: u64,
    /// The most bytes that a `.crate` file may unpack to, or 20 times its size where that is more: what cargo itself unpacks. 512 MiB.
    pub max_unpacked_bytes: u64,
    /// The most entries in a `.crate` file. 100,000.
    pub max_entries: u64,
    /// The most bytes that a crate's document may grow to, with all its versions. 64 MiB.
    pub max_document_bytes: u64,
    /// Whether clients send their token with every request (`auth-required` in `config.json`). Where not set, they do unless the
    /// anonymous actor may read every crate.
    pub auth_required: Option<bool>,
    /// Whether crates and versions may be deleted (by who has the `delete` action).
    pub allow_delete: bool,
}

impl Default for CargoConfig {
    fn default() -> Self {
        Self {
            max_crate_bytes: 50 << 20,
            max_metadata_bytes: 1 << 20,
            max_unpacked_bytes: 512 << 20,
            max_entries: 100_000,
            max_document_bytes: 64 << 20,
            auth_required: None,
            allow_delete: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(serde_json::from_str::<CargoConfig>("{}").unwrap(), CargoConfig::default());
        let error = serde_json::from_str::<CargoConfig>(r#"{"max_crate":1}"#).unwrap_err().to_string();
        assert!(error.contains("max_crate"), "{error}");
    }
}
