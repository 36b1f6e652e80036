//! Uploading releases of the packages that are neither npm's nor OCI's.

use anyhow::{Result, ensure};
use registry_releases::{Ecosystem, Step};

use super::{
    client::{Connection, Content, Request},
    fixtures::Numbers,
    servers::{Kind, Server},
};

/// A registry that people run for these packages, where one can be installed.
pub(crate) fn peer(ecosystem: Ecosystem) -> Option<Kind> {
    (ecosystem == Ecosystem::PyPi).then_some(Kind::Pypiserver)
}

/// The requests that publish a release with so many bytes of payload, which no other release has.
pub(crate) fn release(
    ecosystem: Ecosystem,
    name: &str,
    version: &str,
    payload_bytes: usize,
) -> Result<Vec<Step>> {
    let payload = Numbers::of(&format!("{name} {version}")).bytes(payload_bytes);
    Ok(ecosystem.release(name, version, &payload)?.steps)
}

/// Sends an upload's requests one after the other; returns the bytes of their bodies.
pub(crate) async fn upload(connection: &mut Connection, server: &Server, steps: &[Step]) -> Result<u64> {
    let mut bytes = 0;
    for step in steps {
        let path = match server.kind {
            Kind::Pypiserver => "/",
            _ => step.path.as_str(),
        };
        let headers = server.headers(&[("content-type", &step.content_type)]);
        let request = Request::with(step.method, path, &headers, Content::Bytes(step.body.clone()));
        let answer = connection.fetch(&request).await?;
        ensure!(
            (200..300).contains(&answer.status),
            "{} {path} was answered {}: {}",
            step.method,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        bytes += step.body.len() as u64;
    }
    Ok(bytes)
}
