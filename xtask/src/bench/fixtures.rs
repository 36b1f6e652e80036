//! What is published and pushed: made up, the same in every run.

use std::io::Write as _;

use anyhow::Result;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use sha1::Digest as _;

/// The size of the blocks that a [`Stream`] is made of.
const BLOCK: usize = 1 << 20;

/// A sequence of numbers that looks random and is the same for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence that belongs to a text.
    pub(crate) fn of(text: &str) -> Self {
        Self(hash(text))
    }

    /// The next number (SplitMix64).
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// That many bytes, which no compressor makes smaller.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.draw().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// A large content that is never in memory: blocks that differ by a number at their beginning.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    block: Bytes,
    blocks: u64,
    seed: u64,
}

impl Stream {
    /// A content of whole mebibytes; contents with different seeds differ.
    pub(crate) fn new(mebibytes: u64, seed: u64) -> Self {
        Self { block: Numbers::new(1).bytes(BLOCK).into(), blocks: mebibytes, seed }
    }

    pub(crate) fn len(&self) -> u64 {
        self.blocks * BLOCK as u64
    }

    /// The content, a block after the other.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> {
        (0..self.blocks).map(|at| {
            let mut piece = BytesMut::from(&self.block[..]);
            if let Some(stamp) = piece.get_mut(..16) {
                stamp.copy_from_slice(&(u128::from(self.seed) << 64 | u128::from(at)).to_le_bytes());
            }
            piece.freeze()
        })
    }

    /// `sha256:…` of the content.
    pub(crate) fn digest(&self) -> String {
        let mut hash = sha2::Sha256::new();
        self.pieces().for_each(|piece| hash.update(&piece));
        format!("sha256:{}", hex::encode(hash.finalize()))
    }
}

/// `sha256:…` of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// One version of an npm package as a client publishes it.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    /// The document to PUT.
    pub(crate) document: Bytes,
    /// The tarball's size in bytes.
    pub(crate) tarball_bytes: usize,
}

/// Makes a version with a payload of that many random bytes and the metadata of an everyday package.
pub(crate) fn publish(name: &str, version: &str, payload_bytes: usize) -> Result<Publish> {
    let mut manifest = json!({
        "name": name,
        "version": version,
        "description": "Measures how long it takes to be published and fetched",
        "keywords": ["measure", "registry", "package"],
        "license": "MIT",
        "main": "lib/index.js",
        "types": "lib/index.d.ts",
        "homepage": "https://registry.example.com/measured#readme",
        "repository": { "type": "git", "url": "git+https://git.example.com/measured.git" },
        "bugs": { "url": "https://git.example.com/measured/issues" },
        "author": { "name": "A. Author", "email": "author@example.com" },
        "engines": { "node": ">=18" },
        "bin": { "measured": "lib/cli.js" },
        "scripts": { "build": "tsc -p .", "test": "node --test lib", "lint": "eslint ." },
        "dependencies": {
            "left-part": "^1.3.0", "right-part": "~2.0.1", "@acme/middle": "^4.17.21", "semver-part": ">=7 <8",
            "stream-part": "^5.0.0", "color-part": "^6.2.1"
        },
        "devDependencies": {
            "type-part": "^5.4.0", "lint-part": "^9.1.0", "test-part": "^3.0.0", "@types/part": "^20.0.0"
        },
        "peerDependencies": { "frame-part": ">=16" }
    });
    let tarball = tarball(&manifest, &Numbers::new(hash(name) ^ hash(version)).bytes(payload_bytes))?;
    let file = name.rsplit('/').next().unwrap_or(name);
    let dist = json!({
        "shasum": hex::encode(sha1::Sha1::digest(&tarball)),
        "integrity": format!("sha512-{}", BASE64_STANDARD.encode(sha2::Sha512::digest(&tarball))),
        "tarball": format!("http://registry.example.com/npm/{name}/-/{file}-{version}.tgz"),
    });
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("_id".to_owned(), json!(format!("{name}@{version}")));
        fields.insert("_nodeVersion".to_owned(), json!("22.11.0"));
        fields.insert("_npmVersion".to_owned(), json!("10.9.0"));
        fields.insert("dist".to_owned(), dist);
    }
    let document = json!({
        "_id": name,
        "name": name,
        "description": "Measures how long it takes to be published and fetched",
        "dist-tags": { "latest": version },
        "versions": { version: manifest },
        "readme": "# Measured\n\nA package that is published to be measured.\n",
        "access": Value::Null,
        "_attachments": {
            format!("{name}-{version}.tgz"): {
                "content_type": "application/octet-stream",
                "data": BASE64_STANDARD.encode(&tarball),
                "length": tarball.len(),
            }
        }
    });
    Ok(Publish { document: serde_json::to_vec(&document)?.into(), tarball_bytes: tarball.len() })
}

/// A gzipped tar of `package/package.json` and `package/data.bin`.
fn tarball(manifest: &Value, payload: &[u8]) -> Result<Vec<u8>> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(499_162_500);
        archive.append_data(&mut header, path, bytes)
    };
    add("package/package.json", &serde_json::to_vec_pretty(manifest)?)?;
    add("package/data.bin", payload)?;
    Ok(archive.into_inner()?.finish()?)
}

/// A small image: one layer and its configuration, with the manifest that names them.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Digest and bytes of the configuration and of the layer.
    pub(crate) blobs: Vec<(String, Bytes)>,
    pub(crate) manifest: Bytes,
}

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Makes an image whose layer has that many bytes; images with different seeds share nothing.
pub(crate) fn image(seed: u64, layer_bytes: usize) -> Result<Image> {
    let layer = layer(&Numbers::new(seed).bytes(layer_bytes))?;
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": { "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["/data.bin"], "Labels": { "seed": seed.to_string() } },
        "rootfs": { "type": "layers", "diff_ids": [digest_of(&layer)] },
        "history": [{ "created": "2026-01-01T00:00:00Z", "created_by": "COPY data.bin /" }]
    }))?;
    let (config_digest, layer_digest) = (digest_of(&config), digest_of(&layer));
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer_digest, "size": layer.len()
        }]
    }))?;
    Ok(Image {
        blobs: vec![(config_digest, config.into()), (layer_digest, layer.into())],
        manifest: manifest.into(),
    })
}

fn layer(payload: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(payload)?;
    Ok(encoder.finish()?)
}

/// FNV-1a, to seed numbers by a text.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_length_and_its_digest() {
        let stream = Stream::new(2, 7);
        let all: Vec<u8> = stream.pieces().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(all.len() as u64, stream.len());
        assert_eq!(digest_of(&all), stream.digest());
        assert_ne!(stream.digest(), Stream::new(2, 8).digest());
    }

    #[test]
    fn a_published_version_names_its_tarball() {
        let publish = publish("@acme/lib", "1.2.3", 5000).unwrap();
        let document: Value = serde_json::from_slice(&publish.document).unwrap();
        let attached = &document["_attachments"]["@acme/lib-1.2.3.tgz"];
        let tarball = BASE64_STANDARD.decode(attached["data"].as_str().unwrap()).unwrap();
        assert_eq!(
            (tarball.len(), attached["length"].as_u64().unwrap()),
            (publish.tarball_bytes, tarball.len() as u64)
        );
        assert_eq!(
            document["versions"]["1.2.3"]["dist"]["shasum"].as_str().unwrap(),
            hex::encode(sha1::Sha1::digest(&tarball))
        );
    }

    #[test]
    fn an_image_names_its_blobs() {
        let image = image(3, 4000).unwrap();
        let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        assert_eq!(manifest["config"]["digest"].as_str().unwrap(), image.blobs[0].0);
        assert_eq!(manifest["layers"][0]["digest"].as_str().unwrap(), image.blobs[1].0);
        assert!(image.blobs.iter().all(|(digest, bytes)| *digest == digest_of(bytes)));
    }
}
