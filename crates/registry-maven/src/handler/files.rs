//! Files, and the checksums beside them.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use registry_core::{
    Actor, Response,
    hooks::Operation,
    http::{ArtifactResponse, Representation, cache_for_ever, respond_artifact},
};

use super::{call::Call, folders, foreign};
use crate::{
    error::Error,
    names::{FileKind, RepositoryPath, VersionName},
    store::version::{File, Version},
    upstream,
    wire::checksum::{Algorithm, Checksums},
};

/// `GET <group>/<artifact>/<version>/<file>`, also with the ending of a checksum.
pub(crate) async fn get(
    call: &Call<'_>,
    version: &VersionName,
    file: &str,
    path: &RepositoryPath,
) -> Result<Response, Error> {
    let actor = call.reader(version.artifact()).await?;
    if let Some(document) = call.registry.artifacts().version(version).await? {
        if let Some((name, record)) = find(&document, version, file) {
            return bytes(call, &actor, version, &name, record).await;
        }
        let checksum = Algorithm::split(file);
        if let Some((of, algorithm)) = checksum
            && let Some((_, record)) = find(&document, version, of)
            && let Some(digits) = record.checksums().get(algorithm)
        {
            let modified = Some(SystemTime::from(record.uploaded));
            return Ok(small(digits, modified, cache_control(&actor, version, of)).respond(&call.parts));
        }
    }
    match upstream::of_version(call.registry, &actor, version).await? {
        Some(route) => foreign::file(call, &actor, route, version, file).await,
        None => folders::redirect(call, &actor, path).await,
    }
}

/// A path that no file can have.
pub(crate) async fn other(call: &Call<'_>, path: &RepositoryPath) -> Result<Response, Error> {
    let actor = call.somebody().await?;
    if let [file] = path.segments()
        && let (file, checksum) =
            Algorithm::split(file).map_or((file.as_str(), None), |(of, one)| (of, Some(one)))
        && file == upstream::CATALOG
        && let Some(found) = upstream::catalog(call.registry, &actor).await?
    {
        return Ok(foreign::catalog(call, &found, checksum));
    }
    folders::redirect(call, &actor, path).await
}

/// A file, by its name or, of a snapshot, by the name without a build, which stands for the newest one.
fn find<'v>(document: &'v Version, version: &VersionName, file: &str) -> Option<(String, &'v File)> {
    if let Some(record) = document.files.get(file) {
        return Some((file.to_owned(), record));
    }
    if !version.is_snapshot() {
        return None;
    }
    let newest = document.snapshot(version).stands_for(file)?.to_owned();
    let record = document.files.get(&newest)?;
    Some((newest, record))
}

async fn bytes(
    call: &Call<'_>,
    actor: &Actor,
    version: &VersionName,
    file: &str,
    record: &File,
) -> Result<Response, Error> {
    let artifacts = call.registry.artifacts();
    let store = artifacts.store();
    let content_type = content_type(file);
    let permit = store
        .permit_with(|| {
            store
                .event(Operation::Get, &artifacts.file_key(version, file), actor)
                .package(version.artifact().to_string())
                .version(version.version())
                .size(record.data.size)
                .digest(format!("sha256:{}", record.data.sha256.as_deref().unwrap_or_default()))
                .content_type(content_type)
        })
        .await?;
    let checksums = record.checksums();
    let mut headers = common(cache_control(actor, version, file));
    add_checksums(&mut headers, &checksums);
    let artifact = ArtifactResponse {
        size: record.data.size,
        etag: etag(&checksums),
        content_type: HeaderValue::from_static(content_type),
        modified: Some(SystemTime::from(record.uploaded)),
        headers,
    };
    let (reader, data) = (store.clone(), record.data.clone());
    let open = move |range| {
        let (store, data) = (reader.clone(), data.clone());
        async move { store.serve_artifact(&[data], range).await }
    };
    let response = respond_artifact(&call.parts, artifact, open).await?;
    store.finish(permit).await;
    Ok(response)
}

/// A small text of this repository's own: a checksum.
pub(crate) fn small(
    text: &str,
    modified: Option<SystemTime>,
    cache_control: &'static str,
) -> Arc<Representation> {
    let etag =
        HeaderValue::try_from(format!("\"{text}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let body = Bytes::copy_from_slice(text.as_bytes());
    let plain = HeaderValue::from_static("text/plain");
    Arc::new(Representation::verbatim(plain, body, etag, modified, common(cache_control)))
}

/// Headers of every answer with content.
pub(crate) fn common(cache_control: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// Checksums as headers, which spare newer clients from asking for them.
pub(crate) fn add_checksums(headers: &mut HeaderMap, checksums: &Checksums) {
    for (name, algorithm) in [
        ("x-checksum-md5", Algorithm::Md5),
        ("x-checksum-sha1", Algorithm::Sha1),
        ("x-checksum-sha256", Algorithm::Sha256),
        ("x-checksum-sha512", Algorithm::Sha512),
    ] {
        if let Some(value) = checksums.get(algorithm).and_then(|digits| HeaderValue::from_str(digits).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// A strong ETag in the form in which clients read the SHA-1.
pub(crate) fn etag(checksums: &Checksums) -> HeaderValue {
    let text = format!("\"{{SHA1{{{}}}}}\"", checksums.sha1.as_deref().unwrap_or_default());
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// What never changes is kept, by others only if everybody may read it.
pub(super) fn cache_control(actor: &Actor, version: &VersionName, file: &str) -> &'static str {
    let immutable = !version.is_snapshot() || FileKind::of(version, file).build().is_some();
    if immutable { cache_for_ever(actor) } else { "no-cache" }
}

/// The media type of a file by its ending.
pub(crate) fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "pom" | "xml" => "application/xml",
        "jar" | "war" | "ear" | "aar" => "application/java-archive",
        "module" | "json" => "application/json",
        "asc" | "txt" | "md5" | "sha1" | "sha256" | "sha512" => "text/plain",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        _ => "application/octet-stream",
    }
}
