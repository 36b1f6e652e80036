//! Files and their checksums on their way in.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, future};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use registry_core::{
    Actor, Body, Response,
    auth::Action,
    hooks::Operation,
    http::{Refusal, respond_empty},
    storage::{ArtifactReader, ArtifactSpec, PendingArtifact, Versioned, WantedDigests},
};

use super::{call::Call, checksum, files::content_type, place};
use crate::{
    archive,
    config::{VersionPolicy, WritePolicy},
    error::Error,
    names::{FileKind, RepositoryPath, VersionName},
    store::{
        changes::{self, Added, NewFile, Rules},
        plugins::Plugin,
        version::{File, Version},
    },
    upstream,
    wire::{
        checksum::{Algorithm, Checksums},
        pom::{Pom, Project},
    },
};

/// A larger POM is stored and not looked into.
const MAX_POM: usize = 5 << 20;

impl Call<'_> {
    /// Whether the repository takes anything at all.
    pub(super) fn open_for_writing(&self) -> Result<(), Error> {
        if self.registry.config().writes == WritePolicy::Never {
            return Err(Refusal::Forbidden("this repository takes no uploads".to_owned()).into());
        }
        Ok(())
    }
}

/// A path that takes nothing.
pub(crate) async fn refuse(call: &Call<'_>, why: Error) -> Result<Response, Error> {
    call.writer().await?;
    Err(why)
}

/// `PUT <group>/<artifact>/<version>/<file>`, also with the ending of a checksum.
pub(crate) async fn put(
    call: &mut Call<'_>,
    version: &VersionName,
    file: &str,
    path: &RepositoryPath,
) -> Result<Response, Error> {
    let actor = call.allow(version.artifact(), Action::Write).await?;
    call.open_for_writing()?;
    check_policy(call.registry.config().versions, version)?;
    if upstream::is_taken(call.registry, &actor, version.artifact()).await? {
        return Err(Error::taken(version.artifact()));
    }
    match Algorithm::split(file) {
        Some((of, algorithm)) => checksum::put(call, &actor, version, of, algorithm).await,
        None => put_file(call, &actor, version, file, path).await,
    }
}

fn check_policy(policy: VersionPolicy, version: &VersionName) -> Result<(), Error> {
    let text = version.version();
    if matches!(text, "LATEST" | "RELEASE") {
        return Err(Error::bad(format!("{text} is no version: clients mean another one by it")));
    }
    match (policy, version.is_snapshot()) {
        (VersionPolicy::Release, true) => {
            Err(Error::bad(format!("this repository takes releases, and {text} is a snapshot")))
        }
        (VersionPolicy::Snapshot, false) => {
            Err(Error::bad(format!("this repository takes snapshots, and {text} is a release")))
        }
        _ => Ok(()),
    }
}

async fn put_file(
    call: &mut Call<'_>,
    actor: &Actor,
    version: &VersionName,
    file: &str,
    path: &RepositoryPath,
) -> Result<Response, Error> {
    let artifacts = call.registry.artifacts();
    let config = call.registry.config();
    let rules = Rules::from(config);
    if !artifacts.fits(version, file) {
        return Err(Error::bad("the path is too long for this repository's store"));
    }
    let limit = config.max_file_bytes;
    let length = call.announced();
    if length.is_some_and(|length| length > limit) {
        return Err(Error::TooLarge { what: "file", limit });
    }
    let (found, free) = future::join(artifacts.version(version), place::check(call, path)).await;
    let found = found?;
    if !found.as_ref().is_some_and(|found| found.files.contains_key(file)) {
        free?;
    }
    changes::check_early(found.as_deref().map(|found| &found.value), version, file, length, rules)?;
    if found.is_none()
        && let Some(artifact) = artifacts.artifact(version.artifact()).await?
        && artifact.versions.len() >= config.max_versions
    {
        let most = config.max_versions;
        return Err(Refusal::Conflict(format!(
            "the artifact has {} versions, and this repository keeps at most {most} of one",
            artifact.versions.len()
        ))
        .into());
    }
    let announced = header_checksums(&call.parts.headers)?;
    let kind = FileKind::of(version, file);
    let body = call.take_body();
    let (pending, text) = write(call, version, file, body, kind.is_pom(file)).await?;
    let checksums = Checksums::from(pending.digests());
    // What other servers answer, and build tools know, where a header of the file's own request is wrong.
    changes::check_checksums(&checksums, &announced).map_err(|error| Refusal::Conflict(error.to_string()))?;
    let project = match text {
        Some(text) => read_pom(&text, version, config.strict_poms)?,
        None => None,
    };
    commit(call, actor, version, file, pending, project, rules).await
}

/// Streams a file to the store; of a POM the text is kept as well.
async fn write(
    call: &Call<'_>,
    version: &VersionName,
    file: &str,
    body: Body,
    keep: bool,
) -> Result<(PendingArtifact, Option<Vec<u8>>), Error> {
    let artifacts = call.registry.artifacts();
    let spec = ArtifactSpec {
        digests: WantedDigests { md5: true, sha1: true, sha512: true, ..WantedDigests::default() },
        max_bytes: Some(call.registry.config().max_file_bytes),
        length: body.known_length(),
        ..ArtifactSpec::default()
    };
    let key = artifacts.file_key(version, file);
    if !keep {
        return Ok((
            artifacts.store().write_artifact(&key, body, spec).await.map_err(Error::of_upload)?,
            None,
        ));
    }
    let kept: Arc<Mutex<Option<Vec<u8>>>> = Arc::new(Mutex::new(Some(Vec::new())));
    let keeper = Arc::clone(&kept);
    let pieces = body.into_data_stream().inspect(move |piece| {
        if let Ok(piece) = piece {
            keep_piece(&mut keeper.lock(), piece);
        }
    });
    let pending = artifacts.store().write_artifact(&key, Body::from_stream(pieces), spec).await;
    let pending = pending.map_err(Error::of_upload)?;
    let text = kept.lock().take();
    Ok((pending, text))
}

/// Adds to what is kept of a POM, or gives it up where it grows too large.
fn keep_piece(kept: &mut Option<Vec<u8>>, piece: &Bytes) {
    if let Some(text) = kept {
        if text.len().saturating_add(piece.len()) > MAX_POM {
            *kept = None;
        } else {
            text.extend_from_slice(piece);
        }
    }
}

/// What a POM says. One that cannot be read is stored all the same, unless the repository is strict.
fn read_pom(text: &[u8], version: &VersionName, strict: bool) -> Result<Option<Project>, Error> {
    match Pom::parse(text) {
        Ok(pom) => match pom.contradicts(version) {
            Some(why) if strict => Err(Error::bad(why)),
            _ => Ok(Some(pom.project())),
        },
        Err(source) if strict => Err(Error::Xml { what: "POM", source }),
        Err(_) => Ok(None),
    }
}

/// Checksums in the request's own headers.
fn header_checksums(headers: &HeaderMap) -> Result<Checksums, Error> {
    let mut announced = Checksums::default();
    for algorithm in Algorithm::ALL {
        if let Some(value) = headers.get(format!("x-checksum-{}", algorithm.extension())) {
            announced.set(algorithm, algorithm.parse(value.as_bytes())?);
        }
    }
    Ok(announced)
}

async fn commit(
    call: &Call<'_>,
    actor: &Actor,
    version: &VersionName,
    file: &str,
    pending: PendingArtifact,
    project: Option<Project>,
    rules: Rules,
) -> Result<Response, Error> {
    let artifacts = call.registry.artifacts();
    let store = artifacts.store();
    let digests = pending.digests().clone();
    let mut permit = store
        .permit_with(|| {
            store
                .event(Operation::Put, &artifacts.file_key(version, file), actor)
                .package(version.artifact().to_string())
                .version(version.version())
                .size(pending.size())
                .digest(format!("sha256:{}", digests.sha256))
                .content_type(content_type(file))
        })
        .await?;
    let now = call.now();
    let record = File {
        data: permit.attach(pending),
        md5: digests.md5.unwrap_or_default(),
        sha1: digests.sha1.unwrap_or_default(),
        sha512: digests.sha512.unwrap_or_default(),
        uploaded: now,
        uploader: actor.name().to_owned(),
    };
    let new =
        NewFile { version: version.clone(), name: file.to_owned(), file: Arc::new(record), project, rules };
    let key = artifacts.version_key(version);
    let (added, document) = store.commit(&key, permit, move |draft| changes::add(draft, &new)).await?;
    let described = document.clone();
    // Also where the file was there already: the answer to an earlier upload may have been lost halfway.
    if let Some(artifact) = artifacts.tell(version, document, now).await? {
        call.registry.tell_catalog(version.artifact(), &artifact);
    }
    if added != Added::Same {
        describe_plugin(call, version, file, described.as_deref()).await?;
    }
    Ok(match added {
        Added::New => respond_empty(StatusCode::CREATED),
        Added::Replaced | Added::Same => respond_empty(StatusCode::OK),
    })
}

/// Takes the prefix of a plugin's goals out of its JAR, once both the JAR and the POM that says that it is a plugin are there.
async fn describe_plugin(
    call: &Call<'_>,
    version: &VersionName,
    file: &str,
    document: Option<&Versioned<Version>>,
) -> Result<(), Error> {
    let Some(document) = document else { return Ok(()) };
    let main = |name: &str, wanted: &str| {
        let kind = FileKind::of(version, name);
        matches!(kind, FileKind::Artifact { classifier: None, extension, .. } if extension == wanted)
    };
    if !document.project.as_ref().is_some_and(Project::is_plugin) || !(main(file, "jar") || main(file, "pom"))
    {
        return Ok(());
    }
    // Of a snapshot the newest one.
    let jar = document.files.iter().filter(|(name, _)| main(name, "jar"));
    let Some((_, jar)) = jar.max_by_key(|(_, jar)| jar.uploaded) else { return Ok(()) };
    let artifacts = call.registry.artifacts();
    let look = |reader: &mut ArtifactReader| archive::describe_plugin(reader);
    let Some(found) = artifacts.store().inspect(std::slice::from_ref(&jar.data), look).await? else {
        return Ok(());
    };
    let id = version.artifact().artifact().to_owned();
    let name = if found.name.is_empty() { id.clone() } else { found.name };
    let plugin = Plugin { name, prefix: found.prefix };
    artifacts.set_plugins(version.artifact().group(), vec![(id, plugin)], false, call.now()).await?;
    Ok(())
}
