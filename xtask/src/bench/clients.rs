//! What npm's and OCI's clients send when they publish and push, on a connection that stays open.

use anyhow::{Context, Result};
use bytes::Bytes;

use super::{
    client::{Connection, Content, Request},
    fixtures::{Image, MANIFEST_TYPE, Publish},
    servers::{Kind, Server},
};

/// The path of an npm package's document.
pub(crate) fn package_path(server: &Server, name: &str) -> String {
    match server.kind {
        Kind::Verdaccio => format!("/{name}"),
        _ => format!("/npm/{name}"),
    }
}

/// Publishes one version.
pub(crate) async fn publish(
    connection: &mut Connection,
    server: &Server,
    name: &str,
    publish: &Publish,
) -> Result<u64> {
    let headers = server.headers(&[("content-type", "application/json")]);
    let body = Content::Bytes(publish.document.clone());
    let request = Request::with("PUT", &package_path(server, name), &headers, body);
    connection.fetch(&request).await?.expect(201)?;
    Ok(publish.tarball_bytes as u64)
}

/// Pushes a blob in two requests: POST opens an upload, PUT sends it whole, as containerd and oras do.
pub(crate) async fn push_blob(
    connection: &mut Connection,
    server: &Server,
    repository: &str,
    digest: &str,
    content: Content,
) -> Result<u64> {
    let size = content.len();
    let open = Request::new("POST", &format!("/v2/{repository}/blobs/uploads/"), &server.headers(&[]));
    let opened = connection.fetch(&open).await?.expect(202)?;
    let location = path_of(opened.header("location").context("the upload has no Location")?);
    let separator = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{separator}digest={digest}");
    let headers = server.headers(&[("content-type", "application/octet-stream")]);
    connection.fetch(&Request::with("PUT", &target, &headers, content)).await?.expect(201)?;
    Ok(size)
}

/// Puts a manifest at a tag.
pub(crate) async fn push_manifest(
    connection: &mut Connection,
    server: &Server,
    repository: &str,
    tag: &str,
    manifest: &Bytes,
) -> Result<u64> {
    let headers = server.headers(&[("content-type", MANIFEST_TYPE)]);
    let body = Content::Bytes(manifest.clone());
    let request = Request::with("PUT", &format!("/v2/{repository}/manifests/{tag}"), &headers, body);
    connection.fetch(&request).await?.expect(201)?;
    Ok(manifest.len() as u64)
}

/// Pushes an image: HEAD, POST and PUT for each blob, then the manifest.
pub(crate) async fn push_image(
    connection: &mut Connection,
    server: &Server,
    repository: &str,
    tag: &str,
    image: &Image,
) -> Result<u64> {
    let mut bytes = 0;
    for (digest, content) in &image.blobs {
        let target = format!("/v2/{repository}/blobs/{digest}");
        connection.fetch(&Request::new("HEAD", &target, &server.headers(&[]))).await?.expect(404)?;
        let content = Content::Bytes(content.clone());
        bytes += push_blob(connection, server, repository, digest, content).await?;
    }
    Ok(bytes + push_manifest(connection, server, repository, tag, &image.manifest).await?)
}

/// A URL without scheme and host.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lose_their_host() {
        assert_eq!(path_of("/v2/a/blobs/uploads/1"), "/v2/a/blobs/uploads/1");
        assert_eq!(path_of("http://127.0.0.1:5000/v2/a?_state=x"), "/v2/a?_state=x");
        assert_eq!(path_of("http://127.0.0.1:5000"), "/");
    }
}
