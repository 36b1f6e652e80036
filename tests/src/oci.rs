//! OCI's requests.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::json;
use sha2::Digest as _;

use crate::Client;

/// The media type of an image's manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// `sha256:…` of bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// An image: blobs (the configuration first) and the manifest that names them.
#[derive(Clone, Debug)]
pub struct Image {
    /// Configuration and layers.
    pub blobs: Vec<Bytes>,
    /// The manifest.
    pub manifest: Bytes,
}

impl Image {
    /// An image of these layers, told from others with the same by `label`.
    pub fn new(label: &str, layers: &[Bytes]) -> Result<Self> {
        let config = Bytes::from(serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "config": { "Labels": { "label": label } },
            "rootfs": { "type": "layers", "diff_ids": [] },
        }))?);
        let descriptor = |kind: &str, bytes: &Bytes| json!({ "mediaType": kind, "digest": digest_of(bytes), "size": bytes.len() });
        let layer = |bytes| descriptor("application/vnd.oci.image.layer.v1.tar", bytes);
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        }))?;
        let blobs = std::iter::once(config).chain(layers.iter().cloned()).collect();
        Ok(Self { blobs, manifest: manifest.into() })
    }

    /// The manifest's digest.
    pub fn digest(&self) -> String {
        digest_of(&self.manifest)
    }

    /// Pushes blobs and manifest as docker does: POST, PATCH and PUT for each blob that is not there.
    pub async fn push(&self, client: &Client, repository: &str, tag: &str) -> Result<()> {
        for blob in &self.blobs {
            client.push_blob(repository, blob).await?;
        }
        client.push_manifest(repository, tag, &self.manifest).await
    }

    /// Checks that the tag's manifest, and all that it names, is what was pushed.
    pub async fn check(&self, client: &Client, repository: &str, reference: &str) -> Result<()> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let got = client.send("GET", &target, &[("accept", MANIFEST_TYPE)], "").await?;
        let got = got.expect(200).with_context(|| target.clone())?;
        anyhow::ensure!(got.body == self.manifest, "{target} has another manifest");
        for blob in &self.blobs {
            client.check_blob(repository, blob).await?;
        }
        Ok(())
    }
}

impl Client {
    /// Pushes a blob unless it is there.
    pub async fn push_blob(&self, repository: &str, blob: &Bytes) -> Result<()> {
        let digest = digest_of(blob);
        let head = self.send("HEAD", &format!("/v2/{repository}/blobs/{digest}"), &[], "").await?;
        if head.status == 200 {
            return Ok(());
        }
        head.expect(404)?;
        let opened =
            self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], "").await?.expect(202)?;
        let location = opened.header("location").context("no Location")?.to_owned();
        let patched = self.send("PATCH", &location, &[], blob.clone()).await?.expect(202)?;
        let location = patched.header("location").context("no Location")?.to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{separator}digest={digest}");
        self.send("PUT", &target, &[], "").await?.expect(201)?;
        Ok(())
    }

    /// Puts a manifest.
    pub async fn push_manifest(&self, repository: &str, reference: &str, manifest: &Bytes) -> Result<()> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        self.send("PUT", &target, &[("content-type", MANIFEST_TYPE)], manifest.clone()).await?.expect(201)?;
        Ok(())
    }

    /// Checks that a blob is there with its bytes.
    pub async fn check_blob(&self, repository: &str, blob: &Bytes) -> Result<()> {
        let target = format!("/v2/{repository}/blobs/{}", digest_of(blob));
        let got = self.get(&target).await?.expect(200).with_context(|| target.clone())?;
        anyhow::ensure!(got.body == *blob, "{target} has other bytes");
        Ok(())
    }
}
