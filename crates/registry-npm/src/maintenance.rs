//! Collecting what nobody can reach, hashing everything again, and telling the catalog anew.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use registry_core::{
    PackageRegistry as _,
    maintenance::{GcRun, VerifyRun},
    storage::{DataRef, Key, ListEntry, StorageError, UpdateError},
};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::{
    registry::NpmRegistry,
    store::{
        PACKUMENT, Packages,
        login::Login,
        packument::{Packument, Release},
    },
    version::Version,
    wire::search::catalog_entry,
};

/// The objects of one package: its document's key, and its data objects.
#[derive(Default)]
struct Objects {
    document: Option<Key>,
    data: Vec<ListEntry>,
}

/// All objects, package by package.
async fn objects(packages: &Packages) -> Result<BTreeMap<String, Objects>, StorageError> {
    let mut found: BTreeMap<String, Objects> = BTreeMap::new();
    for entry in packages.store().list(&packages.root()).await? {
        let text = entry.key.as_str().to_owned();
        if let Some(folder) = text.strip_suffix(PACKUMENT).and_then(|rest| rest.strip_suffix('/')) {
            found.entry(folder.to_owned()).or_default().document = Some(entry.key);
        } else if let Some((folder, _)) = text.rsplit_once("/-/") {
            found.entry(folder.to_owned()).or_default().data.push(entry);
        }
    }
    Ok(found)
}

fn older_than(entry: &ListEntry, now: DateTime<Utc>, age: Duration) -> bool {
    SystemTime::from(now).duration_since(entry.modified).is_ok_and(|found| found > age)
}

/// Removes the bytes of versions that were unpublished a grace ago, bytes that no document names and that are older than
/// the run's minimum age (an hour while a server may be at work), and logins that are over.
pub(crate) async fn collect_garbage(packages: &Packages, run: &GcRun) -> Result<(), StorageError> {
    let grace = chrono::Duration::from_std(run.grace).unwrap_or(chrono::Duration::MAX);
    for objects in objects(packages).await?.into_values() {
        run.report.examined();
        // The listing came first: what it holds and the document, read now, does not name, nobody is about to name.
        let document = match &objects.document {
            Some(key) => packages.store().read::<Packument>(key).await?,
            None => None,
        };
        let expired = |at: DateTime<Utc>| at.checked_add_signed(grace).is_some_and(|end| end <= run.now);
        let mut named: HashSet<Key> = HashSet::new();
        let mut dropped: HashSet<Key> = HashSet::new();
        if let Some(document) = &document {
            for release in document.releases.values() {
                named.extend(data_of(release).map(|data| data.key.clone()));
            }
            for removed in document.removed.values() {
                let keys = removed.data.iter().map(|data| data.key.clone());
                if expired(removed.at) { dropped.extend(keys) } else { named.extend(keys) }
            }
        }
        if !dropped.is_empty()
            && !run.dry_run
            && let Some(key) = &objects.document
        {
            // First nothing names the bytes, then they go.
            let now = run.now;
            packages
                .store()
                .update::<Packument, (), Infallible, _>(key, move |draft| {
                    let expired =
                        |at: DateTime<Utc>| at.checked_add_signed(grace).is_some_and(|end| end <= now);
                    let any = draft.get().is_some_and(|document| {
                        document
                            .removed
                            .values()
                            .any(|removed| expired(removed.at) && !removed.data.is_empty())
                    });
                    if any && let Some(document) = draft.edit() {
                        for removed in document.removed.values_mut().filter(|removed| expired(removed.at)) {
                            removed.data.clear();
                        }
                    }
                    Ok(())
                })
                .await
                .map_err(storage_error)?;
        }
        for entry in objects.data {
            let unreferenced = !named.contains(&entry.key)
                && !dropped.contains(&entry.key)
                && older_than(&entry, run.now, run.minimum_age);
            if unreferenced || dropped.contains(&entry.key) {
                remove(packages, run, &entry).await?;
            }
        }
    }
    for entry in packages.store().list(&packages.logins()).await? {
        run.report.examined();
        if older_than(&entry, run.now, GcRun::MINIMUM_AGE) {
            remove(packages, run, &entry).await?;
        }
    }
    Ok(())
}

async fn remove(packages: &Packages, run: &GcRun, entry: &ListEntry) -> Result<(), StorageError> {
    if !run.dry_run {
        packages.store().remove(&entry.key).await?;
    }
    run.report.removed(entry.key.as_str(), entry.size);
    Ok(())
}

fn storage_error(error: UpdateError<Infallible>) -> StorageError {
    match error {
        UpdateError::Refused(never) => match never {},
        UpdateError::Storage(error) => error,
    }
}

fn data_of(release: &Release) -> impl Iterator<Item = &DataRef> {
    std::iter::once(&release.data).chain(release.attestation.as_ref().map(|attestation| &attestation.data))
}

/// Reads every document and hashes every tarball again.
pub(crate) async fn verify(packages: &Packages, run: &VerifyRun) -> Result<(), StorageError> {
    for objects in objects(packages).await?.into_values() {
        let Some(key) = objects.document else { continue };
        run.report.examined();
        let document = match packages.store().read::<Packument>(&key).await {
            Ok(Some(document)) => document,
            Ok(None) => continue,
            Err(error @ (StorageError::Unavailable { .. } | StorageError::Newer { .. })) => {
                return Err(error);
            }
            Err(error) => {
                run.report.fault(format!("{key}: {error}"));
                continue;
            }
        };
        for (tag, version) in &document.tags {
            if !document.releases.contains_key(version) {
                run.report.fault(format!("{key}: the tag {tag} names {version}, which is not there"));
            }
        }
        for (version, release) in &document.releases {
            run.report.examined();
            verify_release(packages, run, version, release).await?;
        }
        for removed in document.removed.values() {
            for data in &removed.data {
                check(run, data.key.as_str(), read_digests(packages, data).await?, data, None);
            }
        }
    }
    for entry in packages.store().list(&packages.logins()).await? {
        if let Err(error) = packages.store().read::<Login>(&entry.key).await {
            run.report.fault(format!("{}: {error}", entry.key));
        }
    }
    Ok(())
}

async fn verify_release(
    packages: &Packages,
    run: &VerifyRun,
    version: &Version,
    release: &Release,
) -> Result<(), StorageError> {
    let what = format!("{} (version {version})", release.data.key);
    let found = read_digests(packages, &release.data).await?;
    check(run, &what, found, &release.data, Some(release));
    if let Some(attestation) = &release.attestation {
        let found = read_digests(packages, &attestation.data).await?;
        check(run, attestation.data.key.as_str(), found, &attestation.data, None);
    }
    Ok(())
}

/// What was read of a data object.
struct Found {
    size: u64,
    sha256: String,
    shasum: String,
    integrity: String,
}

/// Hashes a data object: `Err` inside where it cannot be read as it should be.
async fn read_digests(
    packages: &Packages,
    data: &DataRef,
) -> Result<Result<Found, StorageError>, StorageError> {
    use base64::Engine as _;
    let body = match packages.store().read_artifact(std::slice::from_ref(data), None).await {
        Ok(body) => body,
        Err(error @ StorageError::Unavailable { .. }) => return Err(error),
        Err(error) => return Ok(Err(error)),
    };
    let (mut sha1, mut sha256, mut sha512) = (Sha1::new(), Sha256::new(), Sha512::new());
    let mut size = 0;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                size += piece.len() as u64;
                sha1.update(&piece);
                sha256.update(&piece);
                sha512.update(&piece);
            }
            Err(error) => return Ok(Err(StorageError::Body(error))),
        }
    }
    Ok(Ok(Found {
        size,
        sha256: hex::encode(sha256.finalize()),
        shasum: hex::encode(sha1.finalize()),
        integrity: format!("sha512-{}", base64::engine::general_purpose::STANDARD.encode(sha512.finalize())),
    }))
}

fn check(
    run: &VerifyRun,
    what: &str,
    found: Result<Found, StorageError>,
    data: &DataRef,
    release: Option<&Release>,
) {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            run.report.fault(format!("{what}: {error}"));
            return;
        }
    };
    if found.size != data.size {
        run.report.fault(format!("{what}: it has {} bytes instead of {}", found.size, data.size));
    }
    if data.sha256.as_ref().is_some_and(|sha256| *sha256 != found.sha256) {
        run.report.fault(format!("{what}: its SHA-256 is {}", found.sha256));
    }
    if let Some(release) = release
        && (release.dist.shasum != found.shasum || release.dist.integrity != found.integrity)
    {
        run.report.fault(format!("{what}: it is not the tarball that its packument describes"));
    }
}

/// Tells the catalog of every package.
pub(crate) async fn rebuild_catalog(registry: &NpmRegistry) -> Result<(), StorageError> {
    let packages = registry.packages();
    let instance = &registry.instance().name;
    for objects in objects(packages).await?.into_values() {
        let Some(key) = objects.document else { continue };
        match packages.store().read::<Packument>(&key).await {
            Ok(Some(document)) => {
                let entry = catalog_entry(&document);
                registry.services().catalog.changed(instance, document.name.as_str(), entry);
            }
            Ok(None) => {}
            // A damaged document is `verify`'s to report; the others are still to be found.
            Err(error @ StorageError::Damaged { .. }) => {
                tracing::error!(key = key.as_str(), %error, "a packument cannot be read and is left out of the catalog");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
