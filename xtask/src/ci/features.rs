//! Feature combinations: each crate alone, and the facade with each single feature and with none.
//!
//! A build of the whole workspace unifies features and so hides one that a crate forgot to ask for.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tidy::metadata;
use crate::workspace::{cargo, must};

/// Checks them all.
pub(crate) fn run() -> Result<()> {
    let metadata = metadata()?;
    for (package, combinations) in combinations(&metadata).context("cargo metadata is not as expected")? {
        for features in combinations {
            let mut command = cargo();
            command.args(["clippy", "--locked", "--quiet", "--package", &package]);
            if let Some(features) = &features {
                command.args(["--no-default-features", "--features", features]);
            }
            println!(
                "{package}: {}",
                features.as_deref().map_or("default", |one| if one.is_empty() { "none" } else { one })
            );
            // Not through RUSTFLAGS, which would build every dependency again.
            must(command.args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}

/// For each package of the workspace the feature sets to check; `None` is its default.
fn combinations(metadata: &Value) -> Option<Vec<(String, Vec<Option<String>>)>> {
    let mut all = Vec::new();
    for package in metadata.get("packages")?.as_array()? {
        let name = package.get("name")?.as_str()?.to_owned();
        let mut sets = vec![None];
        let features = package.get("features")?.as_object()?;
        if name == "smartregistry" {
            sets.push(Some(String::new()));
            let single = features.keys().filter(|feature| *feature != "default");
            sets.extend(single.map(|feature| Some(feature.clone())));
        } else if features.keys().any(|feature| feature != "default") {
            sets.push(Some(String::new()));
        }
        all.push((name, sets));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facade_is_checked_with_each_feature_and_with_none() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "smartregistry", "features": { "default": ["npm"], "npm": [], "oci": [] } },
            { "name": "registry-npm", "features": {} },
        ] });
        let found = combinations(&metadata).unwrap();
        let facade = ["", "npm", "oci"].map(|one| Some(one.to_owned()));
        assert_eq!(found[0].1[0], None);
        assert_eq!(found[0].1[1..], facade);
        assert_eq!(found[1], ("registry-npm".to_owned(), vec![None]));
    }
}
