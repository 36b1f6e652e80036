//! What can be set about a RubyGems registry.

use serde::{Deserialize, Serialize};

/// The settings of a RubyGems registry. The default serves every client without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RubygemsConfig {
    /// The largest gem in bytes. 500 MiB.
    pub max_gem_bytes: u64,
    /// The most bytes that a gem's files may unpack to. 4 GiB.
    pub max_unpacked_bytes: u64,
    /// The most files in a gem. 200,000.
    pub max_entries: u64,
    /// The most versions of a gem, each platform counted. 20,000.
    pub max_versions: usize,
    /// Whether gems may be yanked (by who has the `delete` or `write` action).
    pub yank: bool,
    /// Whether the files of yanked versions can still be fetched.
    pub keep_yanked_files: bool,
    /// For how many days after a yank its bytes are kept, so that it can be taken back. Garbage collection's grace comes on top. 30.
    pub yanked_days: u32,
    /// Whether `/api/v1/dependencies` is answered, which Bundler asks where it cannot have the compact index.
    pub dependencies_api: bool,
    /// Names that nobody may publish.
    pub reserved_names: Vec<String>,
}

impl Default for RubygemsConfig {
    fn default() -> Self {
        Self {
            max_gem_bytes: 500 << 20,
            max_unpacked_bytes: 4 << 30,
            max_entries: 200_000,
            max_versions: 20_000,
            yank: true,
            keep_yanked_files: false,
            yanked_days: 30,
            dependencies_api: true,
            reserved_names: Vec::new(),
        }
    }
}

impl RubygemsConfig {
    /// Whether a name is reserved, in any case.
    pub(crate) fn reserves(&self, name: &str) -> bool {
        self.reserved_names.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(serde_json::from_str::<RubygemsConfig>("{}").unwrap(), RubygemsConfig::default());
        let error = serde_json::from_str::<RubygemsConfig>(r#"{"yankk":true}"#).unwrap_err().to_string();
        assert!(error.contains("yankk"), "{error}");
    }

    #[test]
    fn names_are_reserved_in_any_case() {
        let config = RubygemsConfig { reserved_names: vec!["Json".to_owned()], ..RubygemsConfig::default() };
        assert!(config.reserves("json") && !config.reserves("json2"));
    }
}
