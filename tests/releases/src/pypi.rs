//! A source distribution as twine uploads it.

use std::io::Write as _;

use anyhow::Result;
use sha1::Digest as _;

use crate::{
    Made, Step,
    archive::{gzip, tar},
};

/// The boundary between the parts of the form.
const BOUNDARY: &str = "measured-form-boundary";

/// A project's name as file names have it.
pub(crate) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

pub(crate) fn release(name: &str, version: &str, payload: &[u8]) -> Result<Made> {
    let stem = format!("{}-{version}", normal(name));
    let metadata = format!(
        "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: Measures how long it takes to be published\n\
         Requires-Python: >=3.9\nRequires-Dist: left-part>=1.3\n\n# Measured\n"
    );
    let file = gzip(&tar(&[
        (&format!("{stem}/PKG-INFO"), metadata.as_bytes()),
        (&format!("{stem}/data.bin"), payload),
    ])?)?;
    let sha256 = hex::encode(sha2::Sha256::digest(&file));
    let fields = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("metadata_version", "2.1"),
        ("name", name),
        ("version", version),
        ("summary", "Measures how long it takes to be published"),
        ("requires_python", ">=3.9"),
        ("filetype", "sdist"),
        ("pyversion", "source"),
        ("sha256_digest", &sha256),
    ];
    let mut body = Vec::new();
    for (field, value) in fields {
        write!(body, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n")?;
    }
    write!(
        body,
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{stem}.tar.gz\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )?;
    body.extend_from_slice(&file);
    write!(body, "\r\n--{BOUNDARY}--\r\n")?;
    let step = Step {
        method: "POST",
        path: "/pypi/".to_owned(),
        content_type: format!("multipart/form-data; boundary={BOUNDARY}"),
        body: body.into(),
    };
    Ok((vec![step], vec![(format!("/simple/{name}/{stem}.tar.gz"), file.into())]))
}
