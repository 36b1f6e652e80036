//! Packages that no memory holds, each as its client uploads it: a wheel, a gem, a crate and a Composer archive, looked into on their way.

use std::{io, io::Write as _};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, Crc, write::GzEncoder};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use registry_tests::{Place, Seed, full};
use sha2::Digest as _;

use crate::large::{BLOCK, download, free_bytes, pieces};

/// 2 GiB with `TEST_FULL=1`; otherwise 64 MiB, which is more than a server's memory may grow by.
fn blocks() -> u64 {
    if full() { 2 << 10 } else { 64 }
}

type Pieces = Box<dyn Iterator<Item = Bytes> + Send + Sync>;

/// What is uploaded: made anew each time it is read, and the same each time.
struct Content {
    block: Bytes,
    count: u64,
}

impl Content {
    fn size(&self) -> u64 {
        self.count * BLOCK as u64
    }

    fn pieces(&self) -> Pieces {
        Box::new(pieces(&self.block, self.count))
    }

    /// The content as a file of a tar after these files.
    fn tar(&self, before: &[(&str, &[u8])], path: &str) -> Result<Pieces> {
        let mut head = Vec::new();
        for (path, bytes) in before {
            head.extend(tar_header(path, bytes.len() as u64)?);
            head.extend_from_slice(bytes);
            head.resize(head.len().next_multiple_of(512), 0);
        }
        head.extend(tar_header(path, self.size())?);
        Ok(chain(head, self.pieces(), vec![0; 1024]))
    }
}

fn tar_header(path: &str, size: u64) -> Result<[u8; 512]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(*header.as_bytes())
}

fn chain(head: impl Into<Bytes>, middle: Pieces, tail: impl Into<Bytes>) -> Pieces {
    Box::new(std::iter::once(head.into()).chain(middle).chain(std::iter::once(tail.into())))
}

/// In gzip's form, and no smaller.
fn gzipped(mut pieces: Pieces) -> Pieces {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::none()));
    let packed = std::iter::from_fn(move || {
        let mut gzip = encoder.take()?;
        let Some(piece) = pieces.next() else { return gzip.finish().ok().map(Bytes::from) };
        gzip.write_all(&piece).ok()?;
        let out = std::mem::take(gzip.get_mut());
        encoder = Some(gzip);
        Some(Bytes::from(out))
    });
    Box::new(packed)
}

/// Length and SHA-256.
fn measure(pieces: Pieces) -> (u64, [u8; 32]) {
    let (mut length, mut hash) = (0, sha2::Sha256::new());
    for piece in pieces {
        length += piece.len() as u64;
        hash.update(&piece);
    }
    (length, hash.finalize().into())
}

/// A ZIP of small files and the content, all stored as they are.
fn zip(content: &Content, path: &str, small: &[(&str, &[u8])]) -> Result<Pieces> {
    let mut sum = Crc::new();
    content.pieces().for_each(|piece| sum.update(&piece));
    let (mut head, mut directory) = (Vec::new(), Vec::new());
    let size = u32::try_from(content.size())?;
    let entries = small.iter().map(|(name, bytes)| {
        let mut sum = Crc::new();
        sum.update(bytes);
        (*name, sum.sum(), u32::try_from(bytes.len()), Some(*bytes))
    });
    for (name, sum, size, bytes) in entries.chain([(path, sum.sum(), Ok(size), None)]) {
        let size = size?;
        let at = u32::try_from(head.len())?;
        // Version, flags, method, time, date; then the sum, both sizes, and the lengths of name and further fields.
        let mut shared = Vec::new();
        for number in [20_u16, 0, 0, 0, 0x5c21] {
            shared.extend(number.to_le_bytes());
        }
        for number in [sum, size, size] {
            shared.extend(number.to_le_bytes());
        }
        for number in [u16::try_from(name.len())?, 0] {
            shared.extend(number.to_le_bytes());
        }
        head.extend_from_slice(b"PK\x03\x04");
        head.extend_from_slice(&shared);
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(bytes.unwrap_or_default());
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&shared);
        // No comment, the first disk, a plain file.
        directory.extend_from_slice(&[0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let count = u16::try_from(small.len() + 1)?;
    let start = u32::try_from(head.len() as u64 + content.size())?;
    let length = u32::try_from(directory.len())?;
    directory.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for number in [count, count] {
        directory.extend(number.to_le_bytes());
    }
    for number in [length, start] {
        directory.extend(number.to_le_bytes());
    }
    directory.extend([0, 0]);
    Ok(chain(head, content.pieces(), directory))
}

/// An upload: what is sent where, and where what was in it comes back.
struct Upload {
    method: &'static str,
    path: String,
    content_type: String,
    /// What stands in the body before the file, and after it.
    around: (Vec<u8>, Vec<u8>),
    file: Box<dyn Fn() -> Result<Pieces>>,
    download: Download,
}

/// Where the file can be had then.
enum Download {
    At(String),
    /// A document in which the path follows this text.
    In(String, &'static str),
}

fn wheel(content: Content) -> Result<Upload> {
    let (size, sha256) = measure(content.pieces());
    let metadata = "Metadata-Version: 2.1\nName: large\nVersion: 1.0\nSummary: Large\n";
    let wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let hashed = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(bytes));
    let record = format!(
        "large/data.bin,sha256={},{size}\nlarge-1.0.dist-info/METADATA,sha256={},{}\nlarge-1.0.dist-info/WHEEL,sha256={},{}\n\
         large-1.0.dist-info/RECORD,,\n",
        URL_SAFE_NO_PAD.encode(sha256),
        hashed(metadata.as_bytes()),
        metadata.len(),
        hashed(wheel.as_bytes()),
        wheel.len(),
    );
    let file = move || {
        let small: [(&str, &[u8]); 3] = [
            ("large-1.0.dist-info/METADATA", metadata.as_bytes()),
            ("large-1.0.dist-info/WHEEL", wheel.as_bytes()),
            ("large-1.0.dist-info/RECORD", record.as_bytes()),
        ];
        zip(&content, "large/data.bin", &small)
    };
    let sha256 = hex::encode(measure(file()?).1);
    let fields = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("metadata_version", "2.1"),
        ("name", "large"),
        ("version", "1.0"),
        ("filetype", "bdist_wheel"),
        ("pyversion", "py3"),
        ("sha256_digest", &sha256),
    ];
    let mut head = Vec::new();
    for (name, value) in fields {
        write!(head, "--large\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")?;
    }
    let name = "large-1.0-py3-none-any.whl";
    write!(head, "--large\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{name}\"\r\n\r\n")?;
    Ok(Upload {
        method: "POST",
        path: "/pypi/".to_owned(),
        content_type: "multipart/form-data; boundary=large".to_owned(),
        around: (head, b"\r\n--large--\r\n".to_vec()),
        file: Box::new(file),
        download: Download::At(format!("/simple/large/{name}")),
    })
}

fn gem(content: Content) -> Result<Upload> {
    let mut metadata = GzEncoder::new(Vec::new(), Compression::fast());
    metadata.write_all(
        b"--- !ruby/object:Gem::Specification\nname: large\nversion: !ruby/object:Gem::Version\n  version: '1.0'\nplatform: ruby\n\
          authors:\n- Ann Author\ncert_chain: []\ndate: 2026-03-01 00:00:00.000000000 Z\nsummary: large\nlicenses:\n- MIT\n\
          dependencies: []\nrubygems_version: 3.3.15\nspecification_version: 4\n",
    )?;
    let metadata = metadata.finish()?;
    let (size, sha256) = measure(gzipped(content.tar(&[], "data.bin")?));
    let mut sums = GzEncoder::new(Vec::new(), Compression::fast());
    write!(
        sums,
        "---\nSHA256:\n  metadata.gz: {}\n  data.tar.gz: {}\n",
        hex::encode(sha2::Sha256::digest(&metadata)),
        hex::encode(sha256)
    )?;
    let sums = sums.finish()?;
    let file = move || {
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes
        };
        let mut head = tar_header("metadata.gz", metadata.len() as u64)?.to_vec();
        head.extend_from_slice(&metadata);
        let mut head = padded(head);
        head.extend(tar_header("data.tar.gz", size)?);
        let mut tail = vec![0; usize::try_from(size.next_multiple_of(512) - size)?];
        tail.extend(tar_header("checksums.yaml.gz", sums.len() as u64)?);
        let start = tail.len();
        tail.extend_from_slice(&sums);
        tail.resize(start + sums.len().next_multiple_of(512) + 1024, 0);
        Ok(chain(head, gzipped(content.tar(&[], "data.bin")?), tail))
    };
    Ok(Upload {
        method: "POST",
        path: "/rubygems/api/v1/gems".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        around: (Vec::new(), Vec::new()),
        file: Box::new(file),
        download: Download::At("/rubygems/gems/large-1.0.gem".to_owned()),
    })
}

fn krate(content: Content) -> Result<Upload> {
    let manifest = "[package]\nname = \"large\"\nversion = \"1.0.0\"\nedition = \"2021\"\nlicense = \"MIT\"\ndescription = \"Large\"\n";
    let metadata = serde_json::json!({
        "name": "large", "vers": "1.0.0", "deps": [], "features": {}, "authors": [], "description": "Large", "license": "MIT",
        "documentation": null, "homepage": null, "readme": null, "readme_file": null, "keywords": [], "categories": [],
        "license_file": null, "repository": null, "badges": {}, "links": null, "rust_version": null
    })
    .to_string();
    let file = move || {
        let before: [(&str, &[u8]); 2] =
            [("large-1.0.0/Cargo.toml", manifest.as_bytes()), ("large-1.0.0/src/lib.rs", b"//! Large.\n")];
        Ok(gzipped(content.tar(&before, "large-1.0.0/data.bin")?))
    };
    let (size, _) = measure(file()?);
    let mut head = u32::try_from(metadata.len())?.to_le_bytes().to_vec();
    head.extend_from_slice(metadata.as_bytes());
    head.extend(u32::try_from(size)?.to_le_bytes());
    Ok(Upload {
        method: "PUT",
        path: "/cargo/api/v1/crates/new".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        around: (head, Vec::new()),
        file: Box::new(file),
        download: Download::At("/cargo/api/v1/crates/large/1.0.0/download".to_owned()),
    })
}

fn composer(content: Content) -> Upload {
    let manifest = r#"{"name":"acme/large","description":"Large","license":"MIT"}"#;
    let file = move || zip(&content, "data.bin", &[("composer.json", manifest.as_bytes())]);
    Upload {
        method: "PUT",
        path: "/composer/packages/upload/acme/large/1.0.0".to_owned(),
        content_type: "application/zip".to_owned(),
        around: (Vec::new(), Vec::new()),
        file: Box::new(file),
        download: Download::In("/composer/p2/acme/large.json".to_owned(), "\"url\":\"http://"),
    }
}

/// The limits are raised where the sizes are beyond what is usual.
const CONFIG: &str = "[limits]\nartifact = \"3GiB\"\n[cargo]\nmax_unpacked_bytes = \"3GiB\"\n";

/// Uploads and downloads. Says by how much the server's memory grew.
async fn passes(what: &str, make: fn(Content) -> Result<Upload>) -> Result<String> {
    let block: Bytes = Seed::of("large package").bytes(BLOCK).into();
    let content = Content { block, count: blocks() };
    let size = content.size();
    let place = Place::new(CONFIG)?;
    let free = free_bytes(place.path())?;
    anyhow::ensure!(free > size + (2 << 30), "{size} bytes will be stored, and {free} are free");
    let server = place.serve()?;
    let token = place.token("alice", &["*:*:*:*"])?;
    let client = server.client(&token);
    let upload = make(content)?;
    let (length, sha256) = measure((upload.file)()?);
    assert!(length > size);
    let (idle, _) = server.memory().context("no memory")?;

    let (head, tail) = upload.around;
    let whole = length + (head.len() + tail.len()) as u64;
    let body = chain(head, (upload.file)()?, tail).filter(|piece| !piece.is_empty());
    let frames = body.map(|piece| Ok::<_, io::Error>(Frame::data(piece)));
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let headers = [("content-type", upload.content_type.as_str()), ("content-length", &whole.to_string())];
    let answer = client.send_body(upload.method, &upload.path, &headers, body).await?;
    anyhow::ensure!((200..300).contains(&answer.status), "{what}: {answer:?}");

    let path = match upload.download {
        Download::At(path) => path,
        Download::In(page, before) => {
            let text =
                String::from_utf8(client.get(&page).await?.expect(200)?.body.into())?.replace("\\/", "/");
            let url =
                text.split_once(before).and_then(|(_, rest)| rest.split('"').next()).context("no URL")?;
            url.find('/').and_then(|at| url.get(at..)).context("no path")?.to_owned()
        }
    };
    let got = download(&server, &token, &path).await?;
    assert_eq!(got, (length, format!("sha256:{}", hex::encode(sha256))), "{what}");
    let (_, peak) = server.memory().context("no memory")?;
    let grown = peak.saturating_sub(idle);
    assert!(grown < 64 * 1024, "{what}: memory grew by {grown} KiB");
    server.stop()?;
    Ok(format!("{what}: {length} bytes passed, memory grew by {grown} KiB"))
}

/// One after the other: each takes its size of the disk until it has passed.
#[tokio::test(flavor = "multi_thread")]
async fn large_packages_pass_through_little_memory() -> Result<()> {
    println!("{}", passes("wheel", wheel).await?);
    println!("{}", passes("gem", gem).await?);
    println!("{}", passes("crate", krate).await?);
    println!("{}", passes("Composer archive", |content| Ok(composer(content))).await?);
    Ok(())
}
