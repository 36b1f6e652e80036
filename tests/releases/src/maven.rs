//! An artifact as `mvn deploy` puts it.

use anyhow::Result;
use bytes::Bytes;
use sha1::Digest as _;

use crate::{Made, Step, archive::zip};

/// What `mvn deploy` puts: the project's file and its POM, the artifact's metadata, and two checksums of each.
pub(crate) fn release(name: &str, version: &str, payload: &[u8]) -> Result<Made> {
    let pom = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
         <modelVersion>4.0.0</modelVersion>\n  <groupId>com.example</groupId>\n  <artifactId>{name}</artifactId>\n  \
         <version>{version}</version>\n</project>\n"
    );
    let metadata = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata>\n  <groupId>com.example</groupId>\n  \
         <artifactId>{name}</artifactId>\n  <versioning>\n    <release>{version}</release>\n    <versions>\n      \
         <version>{version}</version>\n    </versions>\n    <lastUpdated>20260101000000</lastUpdated>\n  \
         </versioning>\n</metadata>\n"
    );
    let jar = zip(&[("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n"), ("data.bin", payload)])?;
    let folder = format!("/maven/com/example/{name}");
    let puts = [
        (format!("{folder}/{version}/{name}-{version}.jar"), "application/java-archive", Bytes::from(jar)),
        (format!("{folder}/{version}/{name}-{version}.pom"), "application/xml", Bytes::from(pom)),
        (format!("{folder}/maven-metadata.xml"), "application/xml", Bytes::from(metadata)),
    ];
    let mut steps = Vec::new();
    let files = puts.iter().take(2).map(|(path, _, body)| (path.clone(), body.clone())).collect();
    for (path, content_type, body) in puts {
        let put = |path: String, content_type: &str, body: Bytes| Step {
            method: "PUT",
            path,
            content_type: content_type.to_owned(),
            body,
        };
        let sha1 = hex::encode(sha1::Sha1::digest(&body));
        let sha256 = hex::encode(sha2::Sha256::digest(&body));
        steps.push(put(path.clone(), content_type, body));
        steps.push(put(format!("{path}.sha1"), "text/plain", sha1.into()));
        steps.push(put(format!("{path}.sha256"), "text/plain", sha256.into()));
    }
    Ok((steps, files))
}
