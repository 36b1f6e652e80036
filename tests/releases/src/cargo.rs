//! A crate as `cargo publish` sends it.

use anyhow::Result;
use serde_json::json;

use crate::{
    Made, Step,
    archive::{gzip, tar},
};

/// The index that dependencies are looked for in, as cargo writes it down: the one that the crate is published to.
const INDEX: &str = "sparse+http://127.0.0.1/cargo/";

pub(crate) fn release(name: &str, version: &str, payload: &[u8]) -> Result<Made> {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\nlicense = \"MIT\"\n\
         description = \"Measures how long it takes to be published\"\n\n\
         [dependencies.left-part]\nversion = \"^1.3\"\nregistry-index = \"{INDEX}\"\n\n\
         [dependencies.right-part]\nversion = \"^2.0\"\noptional = true\nregistry-index = \"{INDEX}\"\n"
    );
    let root = format!("{name}-{version}");
    let archive = gzip(&tar(&[
        (&format!("{root}/Cargo.toml"), manifest.as_bytes()),
        (&format!("{root}/src/lib.rs"), b"//! Measured.\n"),
        (&format!("{root}/data.bin"), payload),
    ])?)?;
    let dependency = |name: &str, requirement: &str, optional: bool| {
        json!({
            "name": name, "version_req": requirement, "features": [], "optional": optional, "default_features": true,
            "target": null, "kind": "normal", "registry": null, "explicit_name_in_toml": null
        })
    };
    let metadata = json!({
        "name": name, "vers": version, "features": {}, "authors": [], "documentation": null, "homepage": null,
        "deps": [dependency("left-part", "^1.3", false), dependency("right-part", "^2.0", true)],
        "description": "Measures how long it takes to be published", "readme": "# Measured\n",
        "readme_file": "README.md", "keywords": [], "categories": [], "license": "MIT", "license_file": null,
        "repository": null, "badges": {}, "links": null, "rust_version": null
    })
    .to_string();
    let mut body = u32::try_from(metadata.len())?.to_le_bytes().to_vec();
    body.extend_from_slice(metadata.as_bytes());
    body.extend_from_slice(&u32::try_from(archive.len())?.to_le_bytes());
    body.extend_from_slice(&archive);
    let step = Step {
        method: "PUT",
        path: "/cargo/api/v1/crates/new".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        body: body.into(),
    };
    Ok((vec![step], vec![(format!("/cargo/api/v1/crates/{name}/{version}/download"), archive.into())]))
}

/// The path of a crate's file in a sparse index.
pub(crate) fn index_path(name: &str) -> String {
    let part = |from: usize, to: usize| name.get(from..to).unwrap_or_default();
    match name.len() {
        0..=2 => format!("{}/{name}", name.len()),
        3 => format!("3/{}/{name}", part(0, 1)),
        _ => format!("{}/{}/{name}", part(0, 2), part(2, 4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_names_its_lengths() {
        let (steps, _) = release("measured-lib", "1.0.0", &[1; 500]).unwrap();
        let body = &steps[0].body;
        let metadata = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        let archive = u32::from_le_bytes(body[4 + metadata..8 + metadata].try_into().unwrap()) as usize;
        assert_eq!(body.len(), 8 + metadata + archive);
    }

    #[test]
    fn an_index_has_folders() {
        for (name, path) in [("a", "1/a"), ("ab", "2/ab"), ("abc", "3/a/abc"), ("measured", "me/as/measured")]
        {
            assert_eq!(index_path(name), path);
        }
    }
}
