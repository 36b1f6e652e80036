//! Protocol crates look alike: who knows one knows all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The modules that a protocol crate has, each as a file or a folder.
const MODULES: &[&str] = &["config", "error", "handler", "names", "store", "wire"];
/// Names of modules that say nothing.
const JUNK: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

/// The faults of the layout under this root.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let crates = root.join("crates");
    for entry in fs::read_dir(&crates).with_context(|| format!("could not read {}", crates.display()))? {
        let dir = entry?.path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let src = dir.join("src");
        let modules = modules(&src)?;
        for junk in modules.iter().filter(|module| JUNK.contains(&module.as_str())) {
            faults
                .push(format!("crates/{name}: the module `{junk}` needs a name that says what it is about"));
        }
        if name.starts_with("registry-") && name != "registry-core" {
            for missing in MODULES.iter().filter(|module| !modules.contains(**module)) {
                faults.push(format!("crates/{name}: every protocol crate has a module `{missing}`"));
            }
        }
        let top = ["lib.rs", "main.rs"].map(|file| fs::read_to_string(src.join(file)).unwrap_or_default());
        if !top.iter().any(|text| documented(text)) {
            faults.push(format!("crates/{name}: its lib.rs or main.rs does not open with documentation"));
        }
    }
    Ok(faults)
}

/// The names of the modules directly in a crate's source folder.
fn modules(src: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(src).with_context(|| format!("could not read {}", src.display()))? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
            names.insert(stem);
        }
    }
    Ok(names)
}

fn documented(text: &str) -> bool {
    text.starts_with("//!") || text.starts_with("#![doc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_crate_without_a_module_is_named() {
        let root = tempfile::tempdir().unwrap();
        let src = root.path().join("crates/registry-x/src");
        fs::create_dir_all(src.join("wire")).unwrap();
        for file in ["config.rs", "error.rs", "handler.rs", "names.rs", "util.rs"] {
            fs::write(src.join(file), "").unwrap();
        }
        fs::write(src.join("lib.rs"), "//! X.\n").unwrap();
        let faults = check(root.path()).unwrap();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults.iter().any(|fault| fault.contains("`store`"))
                && faults.iter().any(|fault| fault.contains("`util`"))
        );
    }
}
