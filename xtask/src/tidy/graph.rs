//! The crate graph is a star: the core, the protocols around it, the facade, the server.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is not a protocol although its name begins like one.
const NOT_PROTOCOLS: &[&str] = &["registry-core", "registry-tests"];

/// The faults of the graph; `None` when the metadata has another shape than expected.
pub(super) fn check(metadata: &Value) -> Option<Vec<String>> {
    let mut faults = Vec::new();
    let packages = metadata.get("packages")?.as_array()?;
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package.get("name")?.as_str()).collect();
    for package in packages {
        let name = package.get("name")?.as_str()?;
        if package.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
            faults.push(format!("{name}: its Cargo.toml has no description"));
        }
        for dependency in package.get("dependencies")?.as_array()? {
            let on = dependency.get("name")?.as_str()?;
            let normal = dependency.get("kind").is_none_or(Value::is_null);
            if normal && names.contains(on) && !allowed(name, on) {
                faults.push(format!("{name} depends on {on}, which the star does not allow"));
            }
        }
    }
    Some(faults)
}

fn is_protocol(name: &str) -> bool {
    name.starts_with("registry-") && !NOT_PROTOCOLS.contains(&name)
}

/// Whether one package of the workspace may depend on another.
fn allowed(name: &str, on: &str) -> bool {
    match name {
        "registry-core" => false,
        "smartregistry" => on == "registry-core" || is_protocol(on),
        "smartregistry-server" => on == "smartregistry" || on == "registry-core",
        _ if is_protocol(name) => on == "registry-core",
        // Tests and tasks stand outside of the star; nothing may depend on them.
        _ => on != "xtask" && on != "registry-tests",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_may_know_the_core_only() {
        assert!(allowed("registry-npm", "registry-core") && !allowed("registry-npm", "registry-oci"));
        assert!(!allowed("registry-core", "registry-npm") && !allowed("registry-npm", "smartregistry"));
        assert!(
            allowed("smartregistry", "registry-oci") && !allowed("smartregistry", "smartregistry-server")
        );
        assert!(
            allowed("smartregistry-server", "smartregistry")
                && !allowed("smartregistry-server", "registry-npm")
        );
        assert!(allowed("registry-tests", "registry-npm") && !allowed("smartregistry-server", "xtask"));
    }

    #[test]
    fn a_forbidden_edge_is_named() {
        let package = |name: &str, on: &[&str]| {
            let on: Vec<Value> =
                on.iter().map(|on| serde_json::json!({ "name": on, "kind": null })).collect();
            serde_json::json!({ "name": name, "description": "x", "dependencies": on })
        };
        let metadata = serde_json::json!({ "packages": [
            package("registry-core", &[]),
            package("registry-oci", &["registry-core", "bytes"]),
            package("registry-npm", &["registry-core", "registry-oci"]),
        ] });
        assert_eq!(
            check(&metadata).unwrap(),
            ["registry-npm depends on registry-oci, which the star does not allow"]
        );
    }
}
