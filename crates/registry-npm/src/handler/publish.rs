//! `PUT /<package>`: publishing a version, or a change without one.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use indexmap::IndexMap;
use registry_core::{
    Actor, Response,
    auth::{Action, AuthError},
    hooks::Operation,
    http::{Refusal, drain_body, read_body},
    storage::{ArtifactSpec, Digests, PendingArtifact, StorageError, UnknownFields, WantedDigests},
};

use super::{
    call::{Call, done, forbidden},
    edit,
    receive::{Received, ReceivedBundle, ReceivedTarball, TarballBytes, receive},
};
use crate::{
    config::AccessLevel,
    error::Error,
    names::{PackageName, Tag},
    store::{
        changes::{self, Publish},
        packument::{Attestation, Dist, Release},
    },
    upstream,
    version::Version,
    wire::{
        manifest::{ClientDist, Manifest},
        publish::{
            Attachment, BUNDLE_TYPE, PutDocument, ReadmeText, bundle_predicate_type, cut_readme, parse_access,
        },
    },
};

/// The most of a document that somebody without the right to publish may send: enough to star the package.
const STAR_BYTES: u64 = 1 << 20;

/// A readme's file name is cut to this many bytes.
const MAX_FILE_NAME: usize = 256;

/// Takes a document that is put to a package.
pub(crate) async fn put(call: &mut Call<'_>, name: &PackageName) -> Result<Response, Error> {
    let actor = call.actor().await?;
    match call.allows(&actor, name, Action::Write).await {
        Ok(()) => {}
        Err(AuthError::Forbidden(_)) => return put_without_right(call, &actor, name).await,
        Err(error) => return Err(error.into()),
    }
    if upstream::is_taken(call.registry, &actor, name).await? {
        return Err(Refusal::Forbidden(format!(
            "\"{name}\" is a package of the registry that this one stands before: to publish under its name, have it reserved here"
        )).into());
    }
    let received = receive(call, name).await?;
    let Received { head, tarball, bundle } = received;
    let document: PutDocument<'_> = parse(&head, name)?;
    match tarball {
        Some(tarball) => publish(call, &actor, name, document, tarball, bundle).await,
        None if bundle.is_some() => Err(Error::bad("an attestation bundle comes with its tarball")),
        None => edit::put_document(call, &actor, name, document).await,
    }
}

/// Who may only read may still star.
async fn put_without_right(
    call: &mut Call<'_>,
    actor: &Actor,
    name: &PackageName,
) -> Result<Response, Error> {
    let refused = || forbidden(name, Action::Write);
    if actor.read_only || actor.is_anonymous() || call.allows(actor, name, Action::Read).await.is_err() {
        return Err(refused());
    }
    let body = call.take_body();
    if body.known_length().is_some_and(|length| length > STAR_BYTES) {
        drain_body(body).await;
        return Err(refused());
    }
    let bytes = read_body(&call.parts.headers, body, STAR_BYTES).await?;
    let document: PutDocument<'_> = parse(&bytes, name)?;
    let only_stars = document.users.is_some()
        && document.attachments.as_ref().is_none_or(IndexMap::is_empty)
        && document.versions.is_none()
        && document.dist_tags.is_none()
        && document.maintainers.is_none();
    if !only_stars {
        return Err(refused());
    }
    edit::put_document(call, actor, name, document).await
}

/// Parses a document and checks that it is about this package.
pub(crate) fn parse<'d>(bytes: &'d [u8], name: &PackageName) -> Result<PutDocument<'d>, Error> {
    let document: PutDocument<'_> = serde_json::from_slice(bytes)
        .map_err(|error| Error::bad(format!("the document is not as npm writes it: {error}")))?;
    for (field, found) in [("name", &document.name), ("_id", &document.id)] {
        if let Some(found) = found
            && found != name.as_str()
        {
            let found: String = found.chars().take(214).collect();
            return Err(Error::bad(format!(
                "the document's {field} is \"{found}\", but it was sent to \"{name}\""
            )));
        }
    }
    Ok(document)
}

/// Everything about a version that the document says.
struct Wanted<'d> {
    version: Version,
    manifest: Manifest,
    others: Vec<Version>,
    tags: IndexMap<Tag, Version>,
    access: Option<AccessLevel>,
    readme: Option<String>,
    readme_file: Option<String>,
    attachment: Option<&'d Attachment>,
}

async fn publish(
    call: &Call<'_>,
    actor: &Actor,
    name: &PackageName,
    document: PutDocument<'_>,
    tarball: ReceivedTarball,
    bundle: Option<ReceivedBundle>,
) -> Result<Response, Error> {
    let attachments = document.attachments.clone().unwrap_or_default();
    let wanted = read(name, document, &tarball.name, &attachments)?;
    if let Some(length) = wanted.attachment.and_then(|attachment| attachment.length)
        && length != tarball.length
    {
        return Err(Error::Mismatch {
            what: "length",
            expected: length.to_string(),
            actual: tarball.length.to_string(),
        });
    }
    let contents = tarball.contents(name, &wanted.version)?;
    let predicate_type = match &bundle {
        Some(bundle) => Some(check_bundle(bundle, name, &wanted.version, &attachments)?),
        None => None,
    };
    let packages = call.registry.packages();
    // Asked here only to spare the store the bytes; the commit asks again.
    let current = packages.store().read(&packages.key(name)).await?;
    changes::check_unused(current.as_deref().map(|found| &found.value), &wanted.version)?;

    let (tarball, bundle) = futures_util::future::try_join(
        store_tarball(call, name, &wanted, tarball),
        store_bundle(call, name, &wanted.version, bundle),
    )
    .await?;
    let digests = tarball.digests().clone();
    let key = packages.key(name);
    let mut permit = packages
        .store()
        .permit_with(|| {
            let file = packages.file_key(name, &name.tarball(wanted.version.as_str()));
            packages
                .store()
                .event(Operation::Put, &file, actor)
                .package(name.as_str())
                .version(wanted.version.as_str())
                .size(tarball.size())
                .digest(format!("sha256:{}", digests.sha256))
                .content_type("application/octet-stream")
        })
        .await?;

    let config = call.registry.config();
    let change = call.registry.new_change();
    let client = &wanted.manifest.dist;
    let release = Release {
        install: wanted.manifest.install,
        rest: wanted.manifest.rest,
        dist: Dist {
            integrity: integrity(&digests)?,
            shasum: digests.sha1.unwrap_or_default(),
            file_count: contents.map(|found| found.files).or(client.file_count),
            unpacked_size: contents.map(|found| found.unpacked_bytes).or(client.unpacked_size),
        },
        data: permit.attach(tarball),
        published: change.now,
        publisher: call.person(actor).await,
        deprecated: wanted.manifest.deprecated,
        attestation: match (bundle, predicate_type) {
            (Some(bundle), Some(predicate_type)) => {
                Some(Attestation { predicate_type, data: permit.attach(bundle) })
            }
            _ => None,
        },
        unknown: UnknownFields::default(),
    };
    let default_access = if name.scope().is_some() { config.scoped_access } else { AccessLevel::Public };
    let publish = Publish {
        name: name.clone(),
        version: wanted.version,
        release: Arc::new(release),
        tags: wanted.tags,
        others: wanted.others,
        access: wanted.access,
        default_access,
        readme: wanted.readme.map(|readme| cut_readme(readme, config.readme_bytes).into()),
        readme_file: wanted.readme_file,
        max_bytes: config.max_packument_bytes,
        republish_block: chrono::Duration::seconds(
            i64::try_from(config.republish_block_seconds).unwrap_or(i64::MAX / 1000),
        ),
        change,
    };
    let ((), written) =
        packages.store().commit(&key, permit, move |draft| changes::publish(draft, &publish)).await?;
    let document = written.as_deref().map(|written| &written.value);
    if let Some(document) = document {
        call.registry.tell_catalog(document);
    }
    Ok(done(StatusCode::CREATED, name, document))
}

/// Reads what the document wants published.
fn read<'a>(
    name: &PackageName,
    document: PutDocument<'_>,
    file: &str,
    attachments: &'a IndexMap<String, Attachment>,
) -> Result<Wanted<'a>, Error> {
    let mut versions = IndexMap::new();
    for (key, raw) in document.versions.unwrap_or_default() {
        let version: Version = key.parse()?;
        if versions.insert(version.clone(), raw).is_some() {
            return Err(Error::bad(format!("version {version} is in the document twice")));
        }
    }
    let Some((version, raw)) =
        attached_version(name, file).and_then(|version| versions.shift_remove_entry(&version))
    else {
        let file: String = file.chars().take(300).collect();
        return Err(Error::bad(format!(
            "the attachment \"{file}\" is not the tarball of a version of \"{name}\" in the document"
        )));
    };
    let manifest = Manifest::parse(name, &version, raw)?;
    manifest.deprecated.as_deref().map(changes::check_deprecation).transpose()?;
    let mut tags = IndexMap::new();
    for (tag, version) in document.dist_tags.unwrap_or_default() {
        tags.insert(tag.parse::<Tag>()?, version.parse::<Version>()?);
    }
    let access = parse_access(document.access.as_deref())?;
    if access == Some(AccessLevel::Restricted) && name.scope().is_none() {
        return Err(Error::bad("an unscoped package is always public"));
    }
    Ok(Wanted {
        others: versions.into_keys().collect(),
        tags,
        access,
        readme: document.readme.and_then(ReadmeText::into_text).or_else(|| manifest.readme.clone()),
        readme_file: document
            .readme_file
            .or_else(|| manifest.readme_file.clone())
            .map(|file| cut_readme(file, MAX_FILE_NAME)),
        attachment: attachments.get(file),
        version,
        manifest,
    })
}

/// The version that an attachment's name says it is of: `lib-1.0.0.tgz`, with or without the scope.
fn attached_version(name: &PackageName, file: &str) -> Option<Version> {
    let file = file.strip_prefix(name.as_str()).or_else(|| file.strip_prefix(name.base()))?;
    file.strip_prefix('-')?.strip_suffix(".tgz")?.parse().ok()
}

/// Checks an attestation bundle's form; its predicate type.
fn check_bundle(
    bundle: &ReceivedBundle,
    name: &PackageName,
    version: &Version,
    attachments: &IndexMap<String, Attachment>,
) -> Result<String, Error> {
    let of_this =
        |file: &str| file.rsplit('/').next() == Some(format!("{}-{version}.sigstore", name.base()).as_str());
    if !of_this(&bundle.name) {
        return Err(Error::bad(format!("the attestation bundle is not of {name}@{version}")));
    }
    let content_type =
        attachments.get(&bundle.name).and_then(|attachment| attachment.content_type.as_deref());
    if !content_type.is_some_and(|found| found.starts_with(BUNDLE_TYPE)) {
        return Err(Error::bad(format!("an attestation bundle has the content type {BUNDLE_TYPE}…+json")));
    }
    bundle_predicate_type(&bundle.text)
        .ok_or_else(|| Error::bad("the attestation bundle holds no signed statement that can be read"))
}

/// Stores a tarball unless that was done, and checks it against the document.
async fn store_tarball(
    call: &Call<'_>,
    name: &PackageName,
    wanted: &Wanted<'_>,
    tarball: ReceivedTarball,
) -> Result<PendingArtifact, Error> {
    let ClientDist { shasum, .. } = &wanted.manifest.dist;
    let shasum = shasum.as_ref().map(|shasum| shasum.to_ascii_lowercase());
    let sha512 = wanted.manifest.dist.sha512()?;
    let pending = match tarball.bytes {
        TarballBytes::Stored(pending) => pending,
        TarballBytes::Held(bytes) => {
            let packages = call.registry.packages();
            let key = packages.file_key(name, &name.tarball(wanted.version.as_str()));
            let spec = ArtifactSpec {
                digests: WantedDigests { sha512: true, sha1: true, ..WantedDigests::default() },
                length: Some(bytes.len() as u64),
                sha512: sha512.clone(),
                sha1: shasum.clone(),
                ..ArtifactSpec::default()
            };
            packages.store().write_artifact_bytes(&key, bytes, spec).await.map_err(npm_words)?
        }
    };
    let Digests { sha512: found_sha512, sha1: found_sha1, .. } = pending.digests();
    for (what, expected, found) in
        [("dist.integrity", sha512, found_sha512), ("dist.shasum", shasum, found_sha1)]
    {
        if let (Some(expected), Some(found)) = (expected, found)
            && expected != *found
        {
            return Err(Error::Mismatch { what, expected, actual: found.clone() });
        }
    }
    Ok(pending)
}

/// A digest that does not match is called as the document calls it.
fn npm_words(error: StorageError) -> Error {
    match error {
        StorageError::Mismatch { what: "sha512", expected, actual } => {
            Error::Mismatch { what: "dist.integrity", expected, actual }
        }
        StorageError::Mismatch { what: "sha1", expected, actual } => {
            Error::Mismatch { what: "dist.shasum", expected, actual }
        }
        error => error.into(),
    }
}

async fn store_bundle(
    call: &Call<'_>,
    name: &PackageName,
    version: &Version,
    bundle: Option<ReceivedBundle>,
) -> Result<Option<PendingArtifact>, Error> {
    let Some(bundle) = bundle else { return Ok(None) };
    let packages = call.registry.packages();
    let key = packages.file_key(name, &format!("{}-{version}.sigstore", name.base()));
    let bytes = Bytes::from(bundle.text);
    Ok(Some(packages.store().write_artifact_bytes(&key, bytes, ArtifactSpec::default()).await?))
}

/// The integrity of stored bytes, as clients check it.
fn integrity(digests: &Digests) -> Result<String, Error> {
    use base64::Engine as _;
    let sha512 = digests.sha512.as_deref().unwrap_or_default();
    let bytes = hex::decode(sha512).map_err(Refusal::internal)?;
    Ok(format!("sha512-{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}
