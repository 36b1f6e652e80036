//! Artifacts of other repositories: which documents and files are asked for, and what is known of them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::{StreamExt as _, stream};
use http::Method;
use registry_core::{
    Actor,
    storage::WantedDigests,
    upstream::{
        ArtifactRequest, Denial, DocumentRequest, Expected, Failure, FailureKind, Hosted, Location, Lookup,
        Resource, Route, Routing, Source, Unanswered, UpstreamArtifact, UpstreamDocument,
    },
};

use crate::{
    error::Error,
    names::{ArtifactName, Build, FileKind, Folder, VersionName},
    registry::MavenRegistry,
    wire::{
        checksum::Algorithm,
        metadata::{Snapshot, Uploaded},
    },
};

/// How long what changes is fresh.
const MUTABLE_TTL: Duration = Duration::from_mins(5);
/// How long what never changes is.
const IMMUTABLE_TTL: Duration = Duration::from_hours(24 * 365);
/// How long the list of archetypes is.
const CATALOG_TTL: Duration = Duration::from_hours(24);
/// So many versions' times are looked for at once.
const AT_ONCE: usize = 8;
/// The list of archetypes that a repository has.
pub(crate) const CATALOG: &str = "archetype-catalog.xml";

const ACCEPT: &str = "application/xml, text/xml, text/plain, */*;q=0.5";

/// Where an artifact is looked up that is not answered from here alone.
async fn of_artifact(
    registry: &MavenRegistry,
    actor: &Actor,
    name: &ArtifactName,
) -> Result<Option<Route>, Error> {
    if !registry.upstreams().exist() {
        return Ok(None);
    }
    let hosted = Hosted::by(registry.artifacts().any_artifact(name).await?.as_ref());
    match registry.upstreams().route(actor, &name.to_string(), hosted).await? {
        Routing::Local => Ok(None),
        Routing::Denied(denial) => Err(Unanswered::from(denial).into()),
        Routing::Ask(route) => Ok(Some(route)),
    }
}

/// Where a version is looked up that is not answered from here alone. One that was deployed here is, whatever became of it.
pub(crate) async fn of_version(
    registry: &MavenRegistry,
    actor: &Actor,
    version: &VersionName,
) -> Result<Option<Route>, Error> {
    let route = of_artifact(registry, actor, version.artifact()).await?;
    match route {
        Some(route) if route.merges() && registry.artifacts().any_version(version).await?.is_some() => {
            Ok(None)
        }
        route => Ok(route),
    }
}

/// Where the metadata of a folder is looked up: that of the artifact that it may be, and of the group's plugins with it. A folder that
/// can be no artifact's is a group's alone.
pub(crate) async fn of_folder(
    registry: &MavenRegistry,
    actor: &Actor,
    folder: Folder<'_>,
) -> Result<Option<Route>, Error> {
    if let Some(name) = folder.artifact() {
        return of_artifact(registry, actor, &name).await;
    }
    let Some(group) = folder.group().filter(|_| registry.upstreams().exist()) else { return Ok(None) };
    match registry.upstreams().route(actor, &format!("{group}:"), Hosted::No).await? {
        Routing::Local | Routing::Denied(_) => Ok(None),
        Routing::Ask(route) => Ok(Some(route)),
    }
}

/// Whether an artifact may be spoken of, as a plugin of its group: it is neither hosted nor reserved nor denied.
pub(crate) async fn is_foreign(
    registry: &MavenRegistry,
    actor: &Actor,
    name: &ArtifactName,
) -> Result<bool, Error> {
    match of_artifact(registry, actor, name).await {
        Ok(route) => Ok(route.is_some()),
        Err(Error::Common(registry_core::http::Refusal::Upstream(Unanswered::Denied(_)))) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether another repository has an artifact of this name, which is not hosted here: deploying under it would take its place.
pub(crate) async fn is_taken(
    registry: &MavenRegistry,
    actor: &Actor,
    name: &ArtifactName,
) -> Result<bool, Error> {
    if !registry.upstreams().exist() || registry.artifacts().any_artifact(name).await?.is_some() {
        return Ok(false);
    }
    let path = format!("{}/{}", name.group().replace('.', "/"), name.artifact());
    let fetch = async |route: Route| -> Result<Option<()>, Error> {
        let found = route.document(&metadata_request(&path)).await.found()?;
        // A folder's document may be of a group alone.
        let of_artifact = |document: UpstreamDocument| {
            Uploaded::parse(document.raw()).is_ok_and(|found| !found.versions.is_empty()).then_some(())
        };
        Ok(found.and_then(of_artifact))
    };
    registry.upstreams().is_taken(actor, &name.to_string(), fetch).await
}

/// What upstreams say in the metadata of one folder.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Each with where it stands, in the order of the upstreams.
    pub(crate) documents: Vec<(UpstreamDocument, Arc<Uploaded>)>,
    /// Why one of them could not be asked.
    pub(crate) failure: Option<Failure>,
}

impl Told {
    /// When the folder was last changed, as the upstreams say.
    pub(crate) fn updated(&self) -> Option<DateTime<Utc>> {
        self.documents.iter().filter_map(|(_, found)| found.updated).max()
    }

    /// Nothing where nothing is there, which a failure leaves open.
    pub(crate) fn or_nothing(self) -> Result<Option<Self>, Error> {
        match self.failure {
            Some(failure) if self.documents.is_empty() => Err(Unanswered::from(failure).into()),
            _ => Ok((!self.documents.is_empty()).then_some(self)),
        }
    }
}

/// The metadata of a folder at all upstreams that have it: a version that one of them has can be had from it. One that fails is left out
/// while another one has something.
pub(crate) async fn told(route: &Route, path: &str) -> Result<Told, Error> {
    let request = metadata_request(path);
    let mut told = Told::default();
    for source in route.sources() {
        match source.document(&request).await {
            Lookup::Found(document) => {
                let parsed = read(&document).map_err(|wrong| bad_body(source, wrong))?;
                told.documents.push((document, parsed));
            }
            Lookup::Absent => {}
            Lookup::Denied(denial) => return Err(Unanswered::from(denial).into()),
            Lookup::Failed(failure) => told.failure = Some(failure),
        }
    }
    Ok(told)
}

fn bad_body(source: &Source, wrong: String) -> Error {
    Unanswered::from(Failure::new(source.id(), FailureKind::BadBody(wrong))).into()
}

fn read(document: &UpstreamDocument) -> Result<Arc<Uploaded>, String> {
    let parsed = document.derived("metadata", || {
        let parsed = Uploaded::parse(document.raw()).map_err(|error| error.to_string());
        (parsed.map(Arc::new), document.raw().len().saturating_mul(3))
    });
    (*parsed).clone()
}

fn metadata_request(path: &str) -> DocumentRequest {
    let resource = Resource::new("metadata").segments(path);
    let path = format!("{path}/maven-metadata.xml");
    DocumentRequest::new(resource, path, ACCEPT, MUTABLE_TTL, |_, body| {
        Uploaded::parse(body).map(drop).map_err(|error| format!("its metadata cannot be read: {error}"))
    })
}

/// When a version of an artifact was released: by the time of its POM, or the one in a snapshot's name. Nothing, where nobody says.
async fn released(
    route: &Route,
    version: &VersionName,
    file: Option<&str>,
) -> Result<Option<DateTime<Utc>>, Error> {
    if version.is_snapshot() {
        let kind = file.map(|file| FileKind::of(version, file));
        return Ok(kind.as_ref().and_then(FileKind::build).and_then(time_of));
    }
    let name = version.artifact();
    let pom = format!("{}-{}.pom", name.artifact(), version.version());
    let resource = Resource::new("poms").segments(&folder_of(version));
    let path = format!("{}/{pom}", folder_of(version));
    let request = DocumentRequest::new(resource, path, ACCEPT, IMMUTABLE_TTL, |_, body| {
        let looks = body.windows(8).any(|part| part == b"<project");
        looks.then_some(()).ok_or_else(|| "a POM of it is none".to_owned())
    });
    Ok(route.document(&request).await.found()?.and_then(|document| document.modified()))
}

fn time_of(build: &Build) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(&build.timestamp, "%Y%m%d.%H%M%S").ok().map(|time| time.and_utc())
}

/// The folder of a version, as a path.
fn folder_of(version: &VersionName) -> String {
    let name = version.artifact();
    format!("{}/{}/{}", name.group().replace('.', "/"), name.artifact(), version.version())
}

/// Whether a version's file may be had now.
pub(crate) async fn check(
    registry: &MavenRegistry,
    route: &Route,
    version: &VersionName,
    file: &str,
) -> Result<(), Error> {
    let policy = route.policy();
    if policy.is_open() {
        return Ok(());
    }
    let published = if policy.needs_times() { released(route, version, Some(file)).await? } else { None };
    let now = registry.services().clock.now();
    Ok(policy.check(version.version(), published, now).map_err(Unanswered::from)?)
}

/// Which of an artifact's versions are hidden now, with the reason for the last of them. Their times are those of their POMs, each
/// fetched once; where the artifact has not changed for as long as a version has to wait, none is looked for.
pub(crate) async fn hidden(
    registry: &MavenRegistry,
    route: &Route,
    name: &ArtifactName,
    versions: &BTreeSet<String>,
    updated: Option<DateTime<Utc>>,
) -> Result<(BTreeSet<String>, Option<Denial>), Error> {
    let (policy, now) = (route.policy(), registry.services().clock.now());
    let (mut hidden, mut last) = (BTreeSet::new(), None);
    if policy.is_open() {
        return Ok((hidden, last));
    }
    let all_old = updated.is_some_and(|updated| policy.check("", Some(updated), now).is_ok());
    let times = stream::iter(versions.iter().cloned())
        .map(async |version| {
            let named = VersionName::new(name.clone(), &version);
            let published = match named {
                _ if !policy.needs_times() => None,
                _ if all_old => updated,
                // The time of a snapshot is each build's own.
                Some(named) if named.is_snapshot() => updated,
                Some(named) => released(route, &named, None).await?,
                None => None,
            };
            Ok::<_, Error>((version, published))
        })
        .buffered(AT_ONCE);
    let mut times = std::pin::pin!(times);
    while let Some(found) = times.next().await {
        let (version, published) = found?;
        if let Err(denial) = policy.check(&version, published, now) {
            last = Some(denial);
            hidden.insert(version);
        }
    }
    Ok((hidden, last))
}

/// The files of a snapshot that upstreams tell of, each with its time.
fn told_files(version: &VersionName, documents: &[(UpstreamDocument, Arc<Uploaded>)]) -> Vec<TimedFile> {
    let mut files = Vec::new();
    for (_, found) in documents {
        for one in &found.snapshots {
            let name = one.name(version);
            let build = FileKind::of(version, &name).build().cloned();
            // A name without a build has the time of its document.
            let time = build.as_ref().and_then(time_of).or(found.updated);
            files.push(TimedFile { name, has_build: build.is_some(), time });
        }
    }
    // Clients take builds and files without one for two kinds of snapshots: of several upstreams' files only one kind is told.
    if documents.len() > 1 && files.iter().any(|file| file.has_build) {
        files.retain(|file| file.has_build);
    }
    files
}

#[derive(Debug)]
struct TimedFile {
    name: String,
    has_build: bool,
    time: Option<DateTime<Utc>>,
}

fn newest_of<'f>(
    version: &'f VersionName,
    files: impl IntoIterator<Item = &'f TimedFile>,
    updated: DateTime<Utc>,
) -> Snapshot<'f> {
    let files = files.into_iter().map(|file| (file.name.as_str(), file.time.unwrap_or(updated)));
    Snapshot::new(version, files, updated)
}

/// The name of the newest build's file that a name without a build stands for, where upstreams tell of builds: of those that may be had
/// if there are any.
pub(crate) async fn newest(
    registry: &MavenRegistry,
    route: &Route,
    version: &VersionName,
    file: &str,
) -> Result<Option<String>, Error> {
    let kind = version.is_snapshot().then(|| FileKind::of(version, file));
    let Some(FileKind::Artifact { build: None, .. }) = kind else { return Ok(None) };
    let Some(told) = told(route, &folder_of(version)).await?.or_nothing()? else { return Ok(None) };
    let updated = told.updated().unwrap_or_default();
    let (policy, now) = (route.policy(), registry.services().clock.now());
    let files = told_files(version, &told.documents);
    let shown = files.iter().filter(|file| policy.check(version.version(), file.time, now).is_ok());
    let shown = newest_of(version, shown, updated).stands_for(file).map(str::to_owned);
    Ok(shown.or_else(|| newest_of(version, &files, updated).stands_for(file).map(str::to_owned)))
}

/// The metadata of a snapshot.
#[derive(Debug)]
pub(crate) struct ToldSnapshot {
    /// The document, or the first of those that it is made of.
    pub(crate) document: UpstreamDocument,
    /// What is made of several documents, or of one some of whose files are hidden, and its time. Nothing: the document as it is.
    pub(crate) made: Option<(String, DateTime<Utc>)>,
    /// Whether an upstream could not be asked.
    pub(crate) partial: bool,
}

/// The metadata of a snapshot: of each kind of file the newest one of all upstreams that may be had.
pub(crate) async fn snapshot(
    registry: &MavenRegistry,
    route: &Route,
    version: &VersionName,
) -> Result<Option<ToldSnapshot>, Error> {
    let Some(told) = told(route, &folder_of(version)).await?.or_nothing()? else { return Ok(None) };
    let (partial, updated) = (told.failure.is_some(), told.updated());
    let (policy, now) = (route.policy(), registry.services().clock.now());
    let mut hidden = None;
    let mut may_be_had =
        |time| policy.check(version.version(), time, now).map_err(|denial| hidden = Some(denial)).is_ok();
    let mut documents = told.documents;
    let all = told_files(version, &documents);
    if all.is_empty() {
        // Files without builds, which nobody lists: the document that changed last, and of equals the first one.
        documents.retain(|(_, found)| may_be_had(found.updated));
        let newest = documents.into_iter().rev().max_by_key(|(_, found)| found.updated);
        return match (newest, hidden) {
            (Some((document, _)), _) => Ok(Some(ToldSnapshot { document, made: None, partial })),
            (None, Some(denial)) => Err(Unanswered::from(denial).into()),
            (None, None) => Ok(None),
        };
    }
    let shown: Vec<&TimedFile> = all.iter().filter(|file| may_be_had(file.time)).collect();
    if let Some(denial) = hidden.filter(|_| shown.is_empty()) {
        return Err(Unanswered::from(denial).into());
    }
    let as_it_is = documents.len() == 1 && shown.len() == all.len();
    let updated = updated.or_else(|| shown.iter().filter_map(|file| file.time).max()).unwrap_or_default();
    let made = (!as_it_is).then(|| (newest_of(version, shown, updated).render(), updated));
    Ok(documents.into_iter().next().map(|(document, _)| ToldSnapshot { document, made, partial }))
}

/// A file of a version, from the first upstream that has it.
pub(crate) async fn file(
    route: &Route,
    version: &VersionName,
    file: &str,
    method: &Method,
) -> Result<Option<UpstreamArtifact>, Error> {
    let found = route.first(async |source| {
        let mut resource = file_resource(version, file);
        let mut validated = false;
        if version.is_snapshot() && FileKind::of(version, file).build().is_none() {
            // It changes under its name: its copies are told apart by what tells its states apart.
            match source.headers(&file_path(version, file), ACCEPT, None).await {
                Lookup::Found(headers) => {
                    let validator = ["etag", "last-modified"].iter().find_map(|name| headers.get(*name));
                    let validator = validator.and_then(|value| value.to_str().ok()).unwrap_or("unknown");
                    resource = resource.segment(validator);
                    validated = true;
                }
                Lookup::Absent => return Lookup::Absent,
                Lookup::Denied(denial) => return Lookup::Denied(denial),
                Lookup::Failed(failure) => return Lookup::Failed(failure),
            }
        }
        if let Lookup::Found(kept) = source.kept_artifact(&resource).await {
            return Lookup::Found(kept);
        }
        let mut expected = Expected::default();
        if *method != Method::HEAD && !validated {
            match source.document(&checksum_request(version, file, Algorithm::Sha1)).await {
                Lookup::Found(document) => expected.sha1 = Algorithm::Sha1.parse(document.raw()).ok(),
                Lookup::Absent => {}
                Lookup::Denied(denial) => return Lookup::Denied(denial),
                Lookup::Failed(failure) => return Lookup::Failed(failure),
            }
        }
        let mut request = ArtifactRequest::new(resource, Location::Path(file_path(version, file)), expected)
            .version(version.version())
            .method(method);
        if file.rsplit_once('.').is_none_or(|(_, kind)| kind != "html") {
            request = request.no_page();
        }
        request.digests = WantedDigests { md5: true, sha1: true, sha512: true, ..WantedDigests::default() };
        source.artifact(&request).await
    });
    Ok(found.await.found()?)
}

fn file_path(version: &VersionName, file: &str) -> String {
    format!("{}/{file}", folder_of(version))
}

fn file_resource(version: &VersionName, file: &str) -> Resource {
    Resource::new("files").segments(&folder_of(version)).segment(file)
}

fn checksum_request(version: &VersionName, file: &str, algorithm: Algorithm) -> DocumentRequest {
    let of = format!("{file}.{}", algorithm.extension());
    let resource = Resource::new("checksums").segments(&folder_of(version)).segment(&of);
    let stays = !version.is_snapshot() || FileKind::of(version, file).build().is_some();
    let ttl = if stays { IMMUTABLE_TTL } else { MUTABLE_TTL };
    // What is no checksum is as good as none.
    DocumentRequest::new(resource, file_path(version, &of), "text/plain, */*;q=0.5", ttl, |_, _| Ok(()))
}

/// The checksum of a file: of the bytes that are kept, or as the upstream that has the file says.
pub(crate) async fn checksum(
    route: &Route,
    version: &VersionName,
    file: &str,
    algorithm: Algorithm,
) -> Result<Option<String>, Error> {
    for source in route.sources() {
        if let Lookup::Found(kept) = source.kept_artifact(&file_resource(version, file)).await
            && let Some(digests) = kept.digests()
        {
            let checksums = crate::wire::checksum::Checksums::from(digests);
            if let Some(digits) = checksums.get(algorithm) {
                return Ok(Some(digits.to_owned()));
            }
        }
    }
    let found = route.document(&checksum_request(version, file, algorithm)).await.found()?;
    Ok(found.and_then(|document| algorithm.parse(document.raw()).ok()))
}

/// The list of archetypes of the first upstream that has one.
pub(crate) async fn catalog(
    registry: &MavenRegistry,
    actor: &Actor,
) -> Result<Option<UpstreamDocument>, Error> {
    let Routing::Ask(route) = registry.upstreams().route_nameless(actor).await? else { return Ok(None) };
    let request =
        DocumentRequest::new(Resource::new("catalog"), CATALOG, ACCEPT, CATALOG_TTL, |_, body: &Bytes| {
            let looks = body.windows(18).any(|part| part == b"<archetype-catalog");
            looks.then_some(()).ok_or_else(|| "its list of archetypes is none".to_owned())
        });
    Ok(route.document(&request).await.found()?)
}
