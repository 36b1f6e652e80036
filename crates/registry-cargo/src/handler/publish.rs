//! `PUT /api/v1/crates/new`.

use std::sync::Arc;

use bytes::Bytes;
use chrono::SubsecRound as _;
use http::{StatusCode, header};
use registry_core::{
    Actor, PackageRegistry as _, Response,
    archive::write_inspected,
    auth::{Action, AuthError, ScopeSet},
    hooks::Operation,
    http::ReadBodyError,
    storage::{ArtifactSpec, PendingArtifact, StorageError, UnknownFields, UpdateError},
};
use serde_json::json;

use super::call::{Call, json_response};
use crate::{
    error::Error,
    names::CrateName,
    store::{
        changes::{self, Publish, Published},
        document::Release,
    },
    upstream,
    version::Version,
    wire::{
        manifest::{self, Expected},
        publish::{Metadata, Upload, UploadError, UploadLimits},
        tarball::{CrateInspector, Inspected},
    },
};

/// How many times its size cargo lets a crate unpack to where that is more than the limit.
const UNPACK_RATIO: u64 = 20;

/// Takes in a version. Nothing of it is visible before all of it was checked, and all of it is before the answer.
pub(crate) async fn publish(call: &mut Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    let instance = call.registry.instance();
    let may_write_some =
        |scopes: &ScopeSet| scopes.allows_any(instance.protocol, &instance.name, Action::Write);
    if actor.is_anonymous() && !actor.scopes.as_deref().is_some_and(may_write_some) {
        return Err(AuthError::Missing.into());
    }
    let encoding = call.parts.headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
    if !matches!(encoding, None | Some(b"" | b"identity")) {
        return Err(ReadBodyError::Encoding("an upload is sent as it is").into());
    }
    let config = call.registry.config();
    let limits = UploadLimits { metadata: config.max_metadata_bytes, krate: config.max_crate_bytes };
    let body = call.take_body();
    let announced = body.known_length();
    let mut upload = Upload::new(body.into_data_stream(), announced, limits);

    let head = async {
        let bytes = upload.metadata().await?;
        let wanted = Wanted::read(&bytes)?;
        call.check(&actor, &wanted.name, &[Action::Write]).await?;
        wanted.name.publishable()?;
        // Asked here only to spare the store the bytes; the commit asks again.
        let current = call.registry.crates().read(&wanted.name).await?;
        changes::check_free(current.as_deref().map(|found| &found.value), &wanted.name, &wanted.version)?;
        if let Some(theirs) = upstream::taken(call.registry, &actor, &wanted.name).await? {
            return Err(Error::taken(&theirs));
        }
        Ok::<_, Error>((wanted, bytes.len()))
    };
    let (wanted, metadata) = match head.await {
        Ok(found) => found,
        Err(error) => {
            call.put_body(upload.rest());
            return Err(error);
        }
    };
    let file = match upload.crate_file(metadata).await {
        Ok(file) => file,
        Err((error, upload)) => {
            call.put_body(upload.rest());
            return Err(error.into());
        }
    };

    let inspector = CrateInspector::new(
        format!("{}-{}", wanted.name, wanted.version),
        config.max_unpacked_bytes.max(file.length.saturating_mul(UNPACK_RATIO)),
        config.max_entries,
    );
    let crates = call.registry.crates();
    let key = crates.file_key(&wanted.name, &wanted.version);
    let spec =
        ArtifactSpec { length: Some(file.length), max_bytes: Some(file.length), ..ArtifactSpec::default() };
    let written = write_inspected(crates.store(), &key, file.body, spec, inspector).await;
    let (artifact, inspector) = written.map_err(|error| match error {
        UpdateError::Refused(error) => Error::Tar(error),
        UpdateError::Storage(StorageError::Mismatch { .. } | StorageError::TooLarge { .. }) => {
            UploadError::Malformed("its lengths do not fit its body").into()
        }
        UpdateError::Storage(StorageError::Body(error)) => UploadError::Body(error).into(),
        UpdateError::Storage(error) => error.into(),
    })?;
    commit(call, &actor, wanted, artifact, inspector.finish().map_err(Error::Tar)?).await
}

/// What the metadata says.
struct Wanted {
    name: CrateName,
    version: Version,
    metadata: Metadata,
}

impl Wanted {
    fn read(bytes: &Bytes) -> Result<Self, Error> {
        let metadata: Metadata = serde_json::from_slice(bytes)
            .map_err(|error| Error::bad(format!("the metadata is not as cargo publish sends it: {error}")))?;
        Ok(Self { name: metadata.name.parse()?, version: metadata.vers.parse()?, metadata })
    }
}

async fn commit(
    call: &Call<'_>,
    actor: &Actor,
    wanted: Wanted,
    artifact: PendingArtifact,
    inspected: Inspected,
) -> Result<Response, Error> {
    let Wanted { name, version, metadata } = wanted;
    let sent = metadata.deps.unwrap_or_default();
    let expected = Expected {
        name: &name,
        version: &version,
        sent: &sent,
        features: metadata.features.as_ref(),
        base: call.base(),
    };
    let (facts, mut warnings) = manifest::read(&inspected.manifest, &expected)?;
    if inspected.folds {
        warnings.push("two files of the crate have one name where case does not count".to_owned());
    }

    let crates = call.registry.crates();
    let mut permit = crates
        .store()
        .permit_with(|| {
            crates
                .store()
                .event(Operation::Put, &crates.file_key(&name, &version), actor)
                .package(name.as_str())
                .version(version.to_string())
                .size(artifact.size())
                .digest(format!("sha256:{}", artifact.digests().sha256))
                .content_type("application/gzip")
        })
        .await?;
    let now = call.registry.services().clock.now();
    let release = Release {
        facts,
        data: permit.attach(artifact),
        published: now.trunc_subsecs(0),
        publisher: actor.name().to_owned(),
        yanked: false,
        unknown: UnknownFields::default(),
    };
    let publish = Publish {
        name: name.clone(),
        version,
        release: Arc::new(release),
        max_bytes: call.registry.config().max_document_bytes,
        now,
    };
    let (published, written) = crates
        .store()
        .commit(&crates.key(&name), permit, move |draft| changes::publish(draft, &publish))
        .await?;
    match published {
        Published::New => {
            if let Some(written) = written {
                call.registry.tell_catalog(&written);
            }
        }
        Published::Already => {
            warnings.push("this version was already published with the same content".to_owned());
        }
    }
    let warnings = json!({"invalid_categories": [], "invalid_badges": [], "other": warnings});
    Ok(json_response(StatusCode::OK, &json!({"warnings": warnings})))
}
