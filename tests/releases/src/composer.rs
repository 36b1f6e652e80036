//! A package as it is uploaded to a Composer repository.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Made, Step, archive::zip};

pub(crate) fn release(name: &str, version: &str, payload: &[u8]) -> Result<Made> {
    let manifest = json!({
        "name": format!("acme/{name}"), "description": "Measures how long it takes to be published", "type": "library",
        "license": "MIT", "require": { "php": ">=8.1", "acme/left-part": "^1.3", "acme/right-part": "~2.0" },
        "require-dev": { "acme/test-part": "^10.0" }, "autoload": { "psr-4": { "Acme\\Measured\\": "src/" } },
        "authors": [{ "name": "A. Author", "email": "author@example.com" }]
    })
    .to_string();
    let archive = Bytes::from(zip(&[("composer.json", manifest.as_bytes()), ("data.bin", payload)])?);
    let step = Step {
        method: "PUT",
        path: format!("/composer/packages/upload/acme/{name}/{version}"),
        content_type: "application/zip".to_owned(),
        body: archive.clone(),
    };
    Ok((vec![step], vec![(String::new(), archive)]))
}

/// The path of a version's archive by the package's metadata.
pub(crate) fn archive_path(name: &str, version: &str, metadata: &str) -> Result<String> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let versions = metadata
        .get("packages")
        .and_then(|packages| packages.get(format!("acme/{name}"))?.as_array())
        .context("no versions")?;
    let is_wanted = |entry: &Value| entry.get("version").and_then(Value::as_str) == Some(version);
    // Minified: what a version does not say is as in the one before it.
    let mut url = None;
    for entry in versions {
        url = entry.pointer("/dist/url").and_then(Value::as_str).or(url);
        if is_wanted(entry) {
            break;
        }
    }
    let found = versions.iter().any(is_wanted);
    let url = url.filter(|_| found).context("no such version")?;
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    Ok(rest.find('/').and_then(|at| rest.get(at..)).context("an URL without a path")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_found_in_the_metadata() {
        let metadata = r#"{"packages":{"acme/lib":[{"version":"1.0.0","dist":{"url":"http://127.0.0.1:1/composer/dists/a.zip"}},{"version":"0.9.0"}]}}"#;
        assert_eq!(archive_path("lib", "1.0.0", metadata).unwrap(), "/composer/dists/a.zip");
        assert_eq!(archive_path("lib", "0.9.0", metadata).unwrap(), "/composer/dists/a.zip");
        assert!(archive_path("lib", "1.0.1", metadata).is_err());
    }
}
