//! What can be set about an npm registry.

use serde::{Deserialize, Serialize};

/// How a scoped package's first publish is treated when the client does not say (`npm publish` without `--access`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLevel {
    /// Whoever may read by their scopes, the anonymous actor included.
    Public,
    /// Only who was authenticated and may read by their scopes. The public registry's default for scoped packages.
    #[default]
    Restricted,
}

/// The settings of an npm registry. The default serves every client without any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NpmConfig {
    /// The largest tarball in bytes (decoded). 512 MiB.
    pub max_tarball_bytes: u64,
    /// The largest document in bytes: a packument that is sent back, or a publish document without its tarball. 20 MiB.
    pub max_document_bytes: u64,
    /// The most bytes that a package's document may grow to, with all its versions. 128 MiB: 10,000 versions take 20 to 50.
    pub max_packument_bytes: u64,
    /// The most bytes that a tarball may unpack to. 4 GiB.
    pub max_unpacked_bytes: u64,
    /// The most entries in a tarball. 500,000.
    pub max_entries: u64,
    /// A readme is cut to this many bytes. 64 KiB.
    pub readme_bytes: usize,
    /// Whether a tarball must hold a `package.json` of the published name and version.
    pub check_tarball: bool,
    /// Whether versions and packages may be unpublished (by who has the `delete` action).
    pub unpublish: bool,
    /// Whether `npm login` may use a browser. Where not, clients fall back to asking on the terminal.
    pub web_login: bool,
    /// How a scoped package's first publish is treated when the client does not say.
    pub scoped_access: AccessLevel,
    /// Lets caches keep packuments that anybody may read for so many seconds: a publish stays unseen for as long.
    pub anonymous_max_age_seconds: Option<u64>,
    /// For so many seconds after a package was unpublished as a whole, nothing can be published under its name.
    pub republish_block_seconds: u64,
}

impl Default for NpmConfig {
    fn default() -> Self {
        Self {
            max_tarball_bytes: 512 << 20,
            max_document_bytes: 20 << 20,
            max_packument_bytes: 128 << 20,
            max_unpacked_bytes: 4 << 30,
            max_entries: 500_000,
            readme_bytes: 64 << 10,
            check_tarball: true,
            unpublish: true,
            web_login: true,
            scoped_access: AccessLevel::Restricted,
            anonymous_max_age_seconds: None,
            republish_block_seconds: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(serde_json::from_str::<NpmConfig>("{}").unwrap(), NpmConfig::default());
        let error = serde_json::from_str::<NpmConfig>(r#"{"web_loginn":true}"#).unwrap_err().to_string();
        assert!(error.contains("web_loginn"), "{error}");
    }
}
