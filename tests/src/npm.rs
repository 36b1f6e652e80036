//! npm's requests.

use anyhow::{Context, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use sha1::Digest as _;

use crate::{Answer, Client};

/// One version of a package, ready to be published.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The tarball.
    pub tarball: Bytes,
    document: Bytes,
}

impl Publish {
    /// Makes a version whose tarball holds this content.
    pub fn new(name: &str, version: &str, content: &[u8]) -> Result<Self> {
        let manifest =
            json!({ "name": name, "version": version, "description": "made by a test", "license": "MIT" });
        let tarball = tarball(&manifest, content)?;
        let mut published = manifest;
        let file = name.rsplit('/').next().unwrap_or(name);
        if let Some(fields) = published.as_object_mut() {
            fields.insert("_id".to_owned(), json!(format!("{name}@{version}")));
            let dist = json!({
                "shasum": hex::encode(sha1::Sha1::digest(&tarball)),
                "integrity": integrity(&tarball),
                "tarball": format!("http://registry.example.com/{name}/-/{file}-{version}.tgz"),
            });
            fields.insert("dist".to_owned(), dist);
        }
        let document = json!({
            "_id": name,
            "name": name,
            "dist-tags": { "latest": version },
            "versions": { version: published },
            "access": "public",
            "_attachments": { format!("{name}-{version}.tgz"): {
                "content_type": "application/octet-stream",
                "data": BASE64_STANDARD.encode(&tarball),
                "length": tarball.len(),
            } },
        });
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tarball: tarball.into(),
            document: serde_json::to_vec(&document)?.into(),
        })
    }

    /// Publishes it to the registry at `base` (`/npm`).
    pub async fn send(&self, client: &Client, base: &str) -> Result<Answer> {
        let target = format!("{base}/{}", self.name.replace('/', "%2f"));
        client.send("PUT", &target, &[("content-type", "application/json")], self.document.clone()).await
    }

    /// Checks that the registry at `base` has this version with these bytes.
    pub async fn check(&self, client: &Client, base: &str) -> Result<()> {
        let what = format!("{}@{}", self.name, self.version);
        let packument = client.get(&format!("{base}/{}", self.name.replace('/', "%2f"))).await?;
        let packument = packument.expect(200).with_context(|| what.clone())?.json()?;
        let dist = packument
            .pointer("/versions")
            .and_then(|versions| versions.get(&self.version))
            .and_then(|version| version.get("dist"))
            .with_context(|| format!("{what} is not in its packument"))?;
        let said = dist.get("integrity").and_then(Value::as_str).unwrap_or_default();
        anyhow::ensure!(said == integrity(&self.tarball), "{what} has the integrity {said}");
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        let target = format!("{base}/{}/-/{file}-{}.tgz", self.name, self.version);
        let got = client.get(&target).await?.expect(200).with_context(|| what.clone())?;
        anyhow::ensure!(got.body == self.tarball, "{what} has other bytes than were published");
        Ok(())
    }
}

/// npm's integrity of bytes.
fn integrity(bytes: &[u8]) -> String {
    format!("sha512-{}", BASE64_STANDARD.encode(sha2::Sha512::digest(bytes)))
}

fn tarball(manifest: &Value, content: &[u8]) -> Result<Vec<u8>> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    for (path, bytes) in
        [("package/package.json", serde_json::to_vec(manifest)?), ("package/data.bin", content.to_vec())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}
