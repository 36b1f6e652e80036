//! Reading: packuments, versions, tarballs, attestations.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use registry_core::{
    Actor, Response,
    hooks::Operation,
    http::{ArtifactResponse, Refusal, Representation, respond_artifact},
    storage::Versioned,
};

use super::{call::Call, foreign};
use crate::{
    error::{Error, json_bytes},
    names::PackageName,
    store::packument::Packument,
    upstream::Found,
    version::Version,
    wire::{
        json::ObjectWriter,
        packument::{Form, Urls, render_packument, render_version},
        path::tarball_version,
    },
};

/// A document with more versions than this is rendered on a thread of its own.
const LARGE: usize = 200;

/// `GET /<package>`.
pub(crate) async fn packument(call: &Call<'_>, name: &PackageName) -> Result<Response, Error> {
    if call.query("write").as_deref() == Some("true") {
        // What is changed is what is here.
        let (actor, document) = call.read_package(name).await?;
        return hosted_packument(call, &actor, name, document, Form::Full, None).await;
    }
    let (actor, found) = call.find_package(name).await?;
    let (form, shared) = (Form::negotiate(&call.parts.headers), max_age(call, &actor));
    match found {
        Found::Hosted(document) => hosted_packument(call, &actor, name, document, form, shared).await,
        Found::Foreign(package) => {
            told(call, &actor, name, None).await?;
            foreign::packument(call, name, None, &package, form, shared).await
        }
        Found::Both(document, package) => {
            told(call, &actor, name, None).await?;
            foreign::packument(call, name, Some(document), &package, form, shared).await
        }
    }
}

async fn hosted_packument(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    document: Arc<Versioned<Packument>>,
    form: Form,
    shared: Option<u64>,
) -> Result<Response, Error> {
    let variant = match form {
        Form::Abbreviated => "abbreviated",
        Form::Full => "full",
    };
    let representation = rendered(call, name, document, variant, shared, move |document, urls| {
        (form.content_type(), render_packument(document, form, urls))
    })
    .await?;
    told(call, actor, name, None).await?;
    Ok(representation.respond(&call.parts))
}

/// `GET /<package>/<version or tag>`.
pub(crate) async fn version(call: &Call<'_>, name: &PackageName, wanted: &str) -> Result<Response, Error> {
    let (actor, document) = match call.find_package(name).await? {
        (actor, Found::Hosted(document)) => (actor, document),
        (actor, Found::Both(document, package)) => {
            if document.resolve(wanted).is_none() {
                told(call, &actor, name, None).await?;
                return foreign::version(call, name, *package, wanted).await;
            }
            (actor, document)
        }
        (actor, Found::Foreign(package)) => {
            told(call, &actor, name, None).await?;
            return foreign::version(call, name, *package, wanted).await;
        }
    };
    let Some((version, _)) = document.resolve(wanted) else {
        let wanted: String = wanted.chars().take(64).collect();
        return Err(Refusal::NotFound(format!("\"{name}\" has no version or dist-tag \"{wanted}\"")).into());
    };
    let version = version.clone();
    told(call, &actor, name, Some(version.as_str())).await?;
    let shared = max_age(call, &actor);
    let representation =
        rendered(call, name, document, &format!("version {version}"), shared, move |document, urls| {
            let bytes = document
                .releases
                .get(&version)
                .map(|release| render_version(document, &version, release, urls))
                .unwrap_or_default();
            ("application/json", bytes)
        })
        .await?;
    Ok(representation.respond(&call.parts))
}

/// For how long a shared cache may keep what everybody may read, if the registry's settings say so.
fn max_age(call: &Call<'_>, actor: &Actor) -> Option<u64> {
    call.registry.config().anonymous_max_age_seconds.filter(|_| actor.is_anonymous())
}

/// A form of a package's document, made once a revision, base URL and cache rule.
async fn rendered(
    call: &Call<'_>,
    name: &PackageName,
    document: Arc<Versioned<Packument>>,
    form: &str,
    max_age: Option<u64>,
    render: impl Fn(&Packument, Urls<'_>) -> (&'static str, Vec<u8>) + Send + 'static,
) -> Result<Arc<Representation>, Error> {
    let packages = call.registry.packages();
    let key = packages.key(name);
    let urls = call.urls();
    let mut variant = String::with_capacity(form.len() + urls.base.len() + 24);
    variant.push_str(form);
    if let Some(seconds) = max_age {
        variant.push_str(" for ");
        variant.push_str(&seconds.to_string());
    }
    variant.push_str(" at ");
    variant.push_str(urls.base);
    let store = packages.store();
    if let Some(found) = store.derived_cached(&key, &document.revision, &variant) {
        return Ok(found);
    }
    let large = document.releases.len() > LARGE;
    let (origin, base) = (urls.origin.to_owned(), urls.base.to_owned());
    let cloned = store.clone();
    let make = move || {
        cloned.derived(&key, &document.revision, &variant, || {
            let (content_type, body) = render(&document, Urls { origin: &origin, base: &base });
            let representation = Representation::new(
                HeaderValue::from_static(content_type),
                body.into(),
                Some(SystemTime::from(document.modified)),
                document_headers(max_age),
            );
            let weight = representation.weight();
            (representation, weight)
        })
    };
    if !large {
        return Ok(make());
    }
    // At most a few at once, and whoever waited finds what the one before made.
    let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
    Ok(tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?)
}

pub(super) fn document_headers(max_age: Option<u64>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let cache = match max_age {
        Some(seconds) => HeaderValue::try_from(format!("public, max-age={seconds}"))
            .unwrap_or(HeaderValue::from_static("no-cache")),
        None => HeaderValue::from_static("private, no-cache"),
    };
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Authorization"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// Asks and tells the hooks of a read.
pub(super) async fn told(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    version: Option<&str>,
) -> Result<(), Error> {
    let packages = call.registry.packages();
    let permit = packages
        .store()
        .permit_with(|| {
            packages
                .store()
                .event(Operation::Get, &packages.key(name), actor)
                .package(name.as_str())
                .version_if_any(version)
        })
        .await?;
    packages.store().finish(permit).await;
    Ok(())
}

/// `GET /<package>/-/<file>`.
pub(crate) async fn tarball(call: &Call<'_>, name: &PackageName, file: &str) -> Result<Response, Error> {
    let asked = tarball_version(name.base(), file).and_then(|version| version.parse::<Version>().ok());
    let (actor, document) = match call.find_package(name).await? {
        (actor, Found::Hosted(document)) => (actor, document),
        (actor, Found::Both(document, package)) => {
            if !asked.as_ref().is_some_and(|version| document.is_used(version)) {
                return foreign::tarball(call, &actor, name, *package, file).await;
            }
            (actor, document)
        }
        (actor, Found::Foreign(package)) => {
            return foreign::tarball(call, &actor, name, *package, file).await;
        }
    };
    let release = asked.and_then(|version| document.releases.get_key_value(&version));
    let Some((version, release)) = release else {
        let file: String = file.chars().take(300).collect();
        return Err(Refusal::NotFound(format!("\"{name}\" has no file \"{file}\"")).into());
    };
    let packages = call.registry.packages();
    let permit = packages
        .store()
        .permit_with(|| {
            let key = packages.file_key(name, &name.tarball(version.as_str()));
            let digest = release.data.digest();
            packages
                .store()
                .event(Operation::Get, &key, &actor)
                .package(name.as_str())
                .version(version.as_str())
                .size(release.data.size)
                .digest(digest.unwrap_or_default())
                .content_type("application/octet-stream")
        })
        .await?;
    let etag = format!("\"{}\"", release.data.sha256.as_deref().unwrap_or(&release.dist.shasum));
    let mut headers = HeaderMap::new();
    // The bytes of a version never change. Whether they may be read can, so only the client keeps them.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let artifact = ArtifactResponse {
        size: release.data.size,
        etag: HeaderValue::try_from(etag).map_err(Refusal::internal)?,
        content_type: HeaderValue::from_static("application/octet-stream"),
        modified: Some(SystemTime::from(release.published)),
        headers,
    };
    let (store, data) = (packages.store().clone(), release.data.clone());
    let open = move |range| {
        let (store, data) = (store.clone(), data.clone());
        async move { store.serve_artifact(&[data], range).await }
    };
    let response = respond_artifact(&call.parts, artifact, open).await?;
    packages.store().finish(permit).await;
    Ok(response)
}

/// `GET /-/npm/v1/attestations/<package>@<version>`.
pub(crate) async fn attestations(call: &Call<'_>, spec: &str) -> Result<Response, Error> {
    let not_found = || Refusal::NotFound("no attestations found".to_owned());
    let (name, version) = spec.rsplit_once('@').ok_or_else(not_found)?;
    let name: PackageName = name.parse().map_err(|_| not_found())?;
    let version: Version = version.parse().map_err(|_| not_found())?;
    let (actor, document) = match call.find_package(&name).await? {
        (actor, Found::Hosted(document)) => (actor, document),
        (actor, Found::Both(document, _)) if document.is_used(&version) => (actor, document),
        (actor, Found::Both(_, package) | Found::Foreign(package)) => {
            told(call, &actor, &name, Some(version.as_str())).await?;
            return foreign::attestations(call, &package, version.as_str()).await;
        }
    };
    let attestation = document
        .releases
        .get(&version)
        .and_then(|release| release.attestation.as_ref())
        .ok_or_else(not_found)?;
    told(call, &actor, &name, Some(version.as_str())).await?;
    let store = call.registry.packages().store();
    let body = store.read_artifact(std::slice::from_ref(&attestation.data), None).await?;
    // A few megabytes at most: it was limited on its way in.
    let bundle: Bytes = body.collect().await.map_err(Refusal::internal)?.to_bytes();
    let mut out = Vec::with_capacity(bundle.len() + 256);
    let mut object = ObjectWriter::new(&mut out);
    let list = object.key("attestations");
    list.push(b'[');
    let mut entry = ObjectWriter::new(list);
    entry.member("predicateType", &attestation.predicate_type);
    entry.key("bundle").extend_from_slice(&bundle);
    entry.end();
    list.push(b']');
    object.end();
    Ok(json_bytes(StatusCode::OK, out))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use registry_core::{
        Body, Instance, PackageRegistry as _, Protocol, Services,
        auth::DefaultAuthProvider,
        catalog::Catalog,
        storage::{Created, Storage, StorageOptions},
    };
    use serde_json::value::RawValue;

    use super::*;
    use crate::{NpmConfig, NpmRegistry, store::packument::tests::packument, wire::packument::ABBREVIATED};

    #[tokio::test(flavor = "multi_thread")]
    async fn checklist_41_ten_thousand_versions_are_rendered_once_and_shared() {
        const VERSIONS: usize = 10_000;
        let mut options = StorageOptions::default();
        options.cache_bytes = 1 << 30;
        let storage = Storage::memory(options);
        let auth = Arc::new(DefaultAuthProvider::open().unwrap());
        let instance = Instance::new(Protocol::Npm.into(), Protocol::Npm, vec!["/npm".parse().unwrap()]);
        let services = Services::new(storage, auth, Catalog::memory());
        let registry = NpmRegistry::new(instance, services, NpmConfig::default());
        let versions: Vec<String> = (0..VERSIONS).map(|n| format!("1.{}.{}", n / 100, n % 100)).collect();
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        let mut document = packument("lib", &versions);
        // What real manifests have beside what installers read: 5 KiB each.
        let rest =
            RawValue::from_string(format!("{{\"scripts\":{{\"x\":\"{}\"}}}}", "y".repeat(5120))).unwrap();
        for release in document.releases.values_mut() {
            *release =
                Arc::new(crate::store::packument::Release { rest: rest.clone(), ..(**release).clone() });
        }
        let packages = registry.packages();
        let made = packages.store().create(&packages.key(&document.name), document).await.unwrap();
        assert!(matches!(made, Created::Now(_)));

        let get = async |accept: &str| {
            let request =
                http::Request::get("/npm/lib").header("accept", accept).body(Body::empty()).unwrap();
            let response = registry.handle(request).await;
            assert_eq!(response.status(), 200);
            // One frame: the cached bytes themselves.
            response.into_body().frame().await.unwrap().unwrap().into_data().unwrap()
        };
        let full = futures_util::future::join_all((0..8).map(|_| get("*/*"))).await;
        assert!(full[0].len() > 50 << 20, "{}", full[0].len());
        // Two may render at once; everybody else is given what they made.
        let copies: std::collections::HashSet<_> = full.iter().map(|body| body.as_ptr()).collect();
        assert!(copies.len() <= crate::registry::RENDERERS, "{} copies in memory", copies.len());
        assert_eq!(get("*/*").await.as_ptr(), get("*/*").await.as_ptr());
        let short = get(ABBREVIATED).await;
        assert!(short.len() < 10 << 20, "{}", short.len());
        assert_eq!(get(ABBREVIATED).await.as_ptr(), short.as_ptr());
        let found: serde_json::Value = serde_json::from_slice(&short).unwrap();
        for map in ["versions", "time"] {
            assert!(found[map].as_object().unwrap().len() >= VERSIONS);
        }
        assert_eq!(found["dist-tags"]["latest"], "1.99.99");
    }
}
