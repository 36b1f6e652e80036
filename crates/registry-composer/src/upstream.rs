//! Packages of other repositories: where their metadata lies, which archive is asked for, and what is known of both.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use registry_core::{
    Actor,
    http::Refusal,
    storage::{Digests, Versioned, WantedDigests},
    upstream::{
        self, ArtifactRequest, Denial, DocumentRequest, Expected, Failure, FailureKind, Forward, Forwarded,
        Hosted, Location, Lookup, NamePolicy, Resolution, Resource, Route, Routing, Sifted, Source,
        Unanswered, UpstreamArtifact, UpstreamDocument, UpstreamId,
    },
};
use url::Url;

use crate::{
    error::Error,
    names::PackageName,
    registry::ComposerRegistry,
    store::package::Package,
    wire::{
        foreign::{self, ForeignDist, ForeignRoot, ForeignVersion},
        metadata::Part,
    },
};

/// How long `packages.json` and what it includes are fresh.
const ROOT_TTL: Duration = Duration::from_hours(1);
/// How long a package's metadata is.
const METADATA_TTL: Duration = Duration::from_mins(5);
/// How long a file is whose name has its hash.
const HASHED_TTL: Duration = Duration::from_hours(24 * 365);

/// One half of a package's metadata at another repository.
#[derive(Debug)]
pub(crate) struct Foreign {
    name: PackageName,
    route: Route,
    /// Where its versions stand: for what is made of them.
    pub(crate) document: UpstreamDocument,
    pub(crate) versions: Arc<Vec<ForeignVersion>>,
    /// The versions that are not shown now.
    pub(crate) sifted: Sifted,
    /// By which request a newer state is had, where the package has a document of its own.
    request: Option<DocumentRequest>,
}

/// What is known of a name.
pub(crate) type Found = upstream::Found<Arc<Versioned<Package>>, Foreign>;

/// Looks for a package that the actor may read, here and upstream.
pub(crate) async fn find(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
    part: Part,
) -> Result<Option<Found>, Error> {
    let (packages, upstreams) = (registry.packages(), registry.upstreams());
    if !upstreams.exist() {
        return Ok(packages.load(name).await?.map(Found::Hosted));
    }
    let document = packages.state(name).await?;
    let hosted = Hosted::by(document.as_ref());
    let fetch = |route| Foreign::fetch(registry, route, name, part);
    upstreams.find(actor, name.as_str(), (hosted, document), fetch).await
}

/// Whether another repository has a package of this name, which is not hosted here: publishing under it would take its place.
pub(crate) async fn is_taken(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<bool, Error> {
    if !registry.upstreams().exist() || registry.packages().state(name).await?.is_some() {
        return Ok(false);
    }
    let fetch = |route| Foreign::fetch(registry, route, name, Part::Releases);
    registry.upstreams().is_taken(actor, name.as_str(), fetch).await
}

/// Whether a name belongs here although nothing was published under it: it is asked of no upstream. A name that merely none of them may
/// be asked for is not here, and clients go on looking for it.
pub(crate) async fn is_reserved(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<bool, Error> {
    if registry.is_reserved(name) {
        return Ok(true);
    }
    let resolution = registry.upstreams().resolve(actor, Some(name.as_str()), Hosted::No).await?;
    Ok(matches!(resolution, Resolution::Local { rule: Some(_) }))
}

/// Whether a rule gives a name to nobody.
pub(crate) async fn is_denied(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<bool, Error> {
    let resolution = registry.upstreams().resolve(actor, Some(name.as_str()), Hosted::No).await?;
    Ok(matches!(resolution, Resolution::Denied(_)))
}

/// Which upstream is asked for a name first: the one that may be told of it, and of which it is shown what it says. None where the name is
/// hosted, reserved or denied.
pub(crate) async fn asked_first(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<Option<UpstreamId>, Error> {
    Ok(route(registry, actor, name).await?.and_then(|route| Some(route.sources().first()?.id().clone())))
}

async fn route(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<Option<Route>, Error> {
    if !registry.upstreams().exist() || registry.is_reserved(name) {
        return Ok(None);
    }
    let hosted = Hosted::by(registry.packages().state(name).await?.as_ref());
    Ok(match registry.upstreams().route(actor, name.as_str(), hosted).await? {
        Routing::Ask(route) => Some(route),
        Routing::Local | Routing::Denied(_) => None,
    })
}

/// What is kept of an archive whose package is there no more: lock files name it still.
pub(crate) async fn kept_archive(
    registry: &ComposerRegistry,
    actor: &Actor,
    name: &PackageName,
    file: &str,
) -> Result<Option<UpstreamArtifact>, Error> {
    let Some(route) = route(registry, actor, name).await? else { return Ok(None) };
    for source in route.sources() {
        if let Some(kept) = kept_at(registry, source, route.policy(), (name, file)).await? {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

/// Of which version it is, is known no more, but it was published before it was fetched.
async fn kept_at(
    registry: &ComposerRegistry,
    source: &Source,
    policy: &NamePolicy,
    (name, file): (&PackageName, &str),
) -> Result<Option<UpstreamArtifact>, Error> {
    let Some(kept) = source.kept_artifact(&resource(name, file)).await.found()? else { return Ok(None) };
    if policy.denies_versions() {
        let text =
            format!("this archive of {name} is of a version that is known no more, and some are denied");
        return Err(Refusal::Forbidden(text).into());
    }
    let now = registry.services().clock.now();
    policy.check(file, kept.fetched(), now).map_err(Unanswered::from)?;
    Ok(Some(kept))
}

fn resource(name: &PackageName, file: &str) -> Resource {
    Resource::new("dists").segments(name.as_str()).segment(file)
}

/// Where the versions of a package stand.
struct Place {
    document: UpstreamDocument,
    versions: Arc<Vec<ForeignVersion>>,
    request: Option<DocumentRequest>,
}

impl Foreign {
    /// One half of a package's metadata. A half that is not there is empty where the other one is.
    async fn fetch(
        registry: &ComposerRegistry,
        route: Route,
        name: &PackageName,
        part: Part,
    ) -> Result<Option<Self>, Error> {
        let other = match part {
            Part::Releases => Part::Branches,
            Part::Branches => Part::Releases,
        };
        let place = route
            .first(async |source| match place(source, name, part).await {
                Lookup::Absent => {
                    place(source, name, other).await.map(|place| Place { versions: Arc::default(), ..place })
                }
                end => end,
            })
            .await
            .found()?;
        let Some(Place { document, versions, request }) = place else { return Ok(None) };
        let mut foreign =
            Self { name: name.clone(), route, document, versions, sifted: Sifted::default(), request };
        foreign.sift(registry);
        Ok(Some(foreign))
    }

    fn sift(&mut self, registry: &ComposerRegistry) {
        let now = registry.services().clock.now();
        let versions = self.versions.iter().flat_map(|version| {
            version.spellings().into_iter().map(|spelling| (spelling, version.published))
        });
        self.sifted = self.route.policy().sift(versions, now);
    }

    /// Whether a version is shown now.
    pub(crate) fn shows(&self, version: &ForeignVersion) -> bool {
        self.sifted.hidden.is_empty()
            || version.spellings().iter().all(|spelling| !self.sifted.hides(spelling))
    }

    fn check(&self, registry: &ComposerRegistry, version: &ForeignVersion) -> Result<(), Denial> {
        let now = registry.services().clock.now();
        let policy = self.route.policy();
        version.spellings().iter().try_for_each(|spelling| policy.check(spelling, version.published, now))
    }

    fn dist(&self, file: &str) -> Option<(&ForeignVersion, &ForeignDist)> {
        self.versions.iter().find_map(|version| {
            let dist = version.dist.as_ref().filter(|dist| dist.file == file)?;
            Some((version, dist))
        })
    }

    /// The archive of this name: where the metadata says that it lies, after one more look if this copy does not name it.
    pub(crate) async fn archive(
        self,
        registry: &ComposerRegistry,
        file: &str,
    ) -> Result<Option<ForeignArchive>, Error> {
        let mut halves = vec![self];
        if halves.iter().all(|half| half.dist(file).is_none())
            && let Some(half) = halves.first()
        {
            let branches = Self::fetch(registry, half.route.clone(), &half.name, Part::Branches).await?;
            halves.extend(branches);
        }
        if halves.iter().all(|half| half.dist(file).is_none()) {
            for half in &mut halves {
                half.renew(registry).await?;
            }
        }
        for half in &halves {
            let Some((version, dist)) = half.dist(file) else { continue };
            half.check(registry, version).map_err(Unanswered::from)?;
            let of = Some((version.version.clone(), dist.clone()));
            return Ok(Some(ForeignArchive { of, ..half.unnamed(file) }));
        }
        Ok(halves.first().map(|half| half.unnamed(file)))
    }

    fn unnamed(&self, file: &str) -> ForeignArchive {
        ForeignArchive {
            name: self.name.clone(),
            file: file.to_owned(),
            source: self.document.source().clone(),
            route: self.route.clone(),
            of: None,
        }
    }

    async fn renew(&mut self, registry: &ComposerRegistry) -> Result<(), Error> {
        let Some(request) = &self.request else { return Ok(()) };
        let source = self.document.source().clone();
        if let Some(document) = source.newer(request, self.document.clone()).await.found()? {
            self.versions = read(&document, &self.name).map_err(|wrong| bad_body(&source, wrong))?;
            self.document = document;
            self.sift(registry);
        }
        Ok(())
    }

    /// Says in an answer's headers where it came from.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.document.provenance().put_on(headers);
    }
}

/// An archive of another repository.
#[derive(Debug)]
pub(crate) struct ForeignArchive {
    name: PackageName,
    file: String,
    source: Source,
    route: Route,
    /// The version that it is of and where it lies, if the metadata says so.
    of: Option<(String, ForeignDist)>,
}

impl ForeignArchive {
    /// The version that it is of.
    pub(crate) fn version(&self) -> Option<&str> {
        self.of.as_ref().map(|(version, _)| version.as_str())
    }

    /// It, from where the metadata says that it lies; and else what is kept of it, for lock files that are older than the metadata.
    pub(crate) async fn fetch(
        &self,
        registry: &ComposerRegistry,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let Some((version, dist)) = &self.of else {
            return kept_at(registry, &self.source, self.route.policy(), (&self.name, &self.file)).await;
        };
        let expected = Expected { sha1: dist.shasum.clone(), ..Expected::default() };
        let request =
            ArtifactRequest::new(resource(&self.name, &self.file), Location::Url(dist.url.clone()), expected);
        Ok(self.source.artifact(&request.version(version).method(method)).await.found()?)
    }
}

fn bad_body(source: &Source, wrong: String) -> Error {
    Unanswered::from(Failure::new(source.id(), FailureKind::BadBody(wrong))).into()
}

fn failed<T>(source: &Source, wrong: String) -> Lookup<T> {
    Lookup::Failed(Failure::new(source.id(), FailureKind::BadBody(wrong)))
}

/// The parsed form of a document of one package, kept with it.
fn read(document: &UpstreamDocument, name: &PackageName) -> Result<Arc<Vec<ForeignVersion>>, String> {
    let parsed = document.derived(&format!("versions of {name}"), || {
        let parsed = foreign::versions(name, document.raw());
        let weight = parsed.as_ref().map_or(64, |versions| {
            foreign::weight(versions).saturating_add(document.raw().len().saturating_mul(2))
        });
        (parsed.map(Arc::new), weight)
    });
    (*parsed).clone()
}

/// `packages.json`, or a file of its form.
async fn root(source: &Source, at: Option<Url>) -> Lookup<(UpstreamDocument, Arc<ForeignRoot>)> {
    let resource = match &at {
        None => Resource::new("root"),
        Some(url) => Resource::new("includes").segment(url.as_str()),
    };
    let request = DocumentRequest::new(resource, "packages.json", "application/json", ROOT_TTL, |_, body| {
        ForeignRoot::read(body).map(drop)
    });
    let request = match at {
        Some(url) => request.at(url),
        None => request,
    };
    let document = match source.document(&request).await {
        Lookup::Found(document) => document,
        // Without it nothing is known of what the repository has.
        Lookup::Absent => return failed(source, "it has no packages.json".to_owned()),
        Lookup::Denied(denial) => return Lookup::Denied(denial),
        Lookup::Failed(failure) => return Lookup::Failed(failure),
    };
    let parsed = document.derived("root", || {
        let parsed = ForeignRoot::read(document.raw());
        let weight = parsed.as_ref().map_or(64, ForeignRoot::weight);
        (parsed.map(Arc::new), weight)
    });
    match &*parsed {
        Ok(root) => Lookup::Found((document, Arc::clone(root))),
        Err(wrong) => failed(source, wrong.clone()),
    }
}

/// One half of a package's metadata, wherever the repository has it.
async fn place(source: &Source, name: &PackageName, part: Part) -> Lookup<Place> {
    let (document, found) = match root(source, None).await {
        Lookup::Found(found) => found,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Denied(denial) => return Lookup::Denied(denial),
        Lookup::Failed(failure) => return Lookup::Failed(failure),
    };
    let Some(base) = foreign::resolve(source.url(), "packages.json") else { return Lookup::Absent };
    if let Some(found) = inline(source, (&document, &found), name, part) {
        return found;
    }
    if let Some(template) = &found.metadata {
        if !found.may_have(name) {
            return Lookup::Absent;
        }
        let of = match part {
            Part::Releases => name.to_string(),
            Part::Branches => format!("{name}~dev"),
        };
        let resource = Resource::new("p2").segments(&of);
        return own_document(
            source,
            &base,
            name,
            (resource, template.replace("%package%", &of), METADATA_TTL),
        )
        .await;
    }
    for file in &found.includes {
        let Some(url) = foreign::resolve(&base, file) else { continue };
        match root(source, Some(url)).await {
            Lookup::Found((document, included)) => {
                if let Some(found) = inline(source, (&document, &included), name, part) {
                    return found;
                }
            }
            Lookup::Absent => {}
            Lookup::Denied(denial) => return Lookup::Denied(denial),
            Lookup::Failed(failure) => return Lookup::Failed(failure),
        }
    }
    provided(source, &base, &found, name).await.map(|place| {
        let versions = half(&place.versions, part);
        Place { versions, ..place }
    })
}

/// A package's file in a repository of the first kind.
async fn provided(source: &Source, base: &Url, root: &ForeignRoot, name: &PackageName) -> Lookup<Place> {
    if let Some(template) = &root.lazy {
        let path = template.replace("%package%", name.as_str());
        let resource = Resource::new("p").segments(name.as_str());
        return own_document(source, base, name, (resource, path, METADATA_TTL)).await;
    }
    let Some(template) = &root.providers else { return Lookup::Absent };
    for (file, hash) in &root.provider_includes {
        if !foreign::is_hash(hash) {
            continue;
        }
        let Some(url) = foreign::resolve(base, &file.replace("%hash%", hash)) else { continue };
        let resource = Resource::new("providers").segment(hash);
        let wanted = hash.clone();
        let request = DocumentRequest::new(resource, "", "application/json", HASHED_TTL, move |_, body| {
            is_of_hash(body, &wanted)
        });
        let list = match source.document(&request.at(url)).await {
            Lookup::Found(list) => list,
            Lookup::Absent => continue,
            Lookup::Denied(denial) => return Lookup::Denied(denial),
            Lookup::Failed(failure) => return Lookup::Failed(failure),
        };
        match foreign::provider_hash(name, list.raw()) {
            Ok(Some(hash)) => {
                let path = template.replace("%package%", name.as_str()).replace("%hash%", &hash);
                let resource = Resource::new("p").segments(name.as_str()).segment(hash);
                return own_document(source, base, name, (resource, path, HASHED_TTL)).await;
            }
            Ok(None) => {}
            Err(wrong) => return failed(source, wrong),
        }
    }
    Lookup::Absent
}

fn is_of_hash(body: &[u8], wanted: &str) -> Result<(), String> {
    let hash = Digests::of(body, WantedDigests::default()).sha256;
    if hash.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        Err("a file of it has not the hash that it is called by".to_owned())
    }
}

/// The document of one package.
async fn own_document(
    source: &Source,
    base: &Url,
    name: &PackageName,
    (resource, path, ttl): (Resource, String, Duration),
) -> Lookup<Place> {
    let Some(url) = foreign::resolve(base, &path) else {
        return failed(source, "its packages.json says no URL of its metadata".to_owned());
    };
    let of = name.clone();
    let request = DocumentRequest::new(resource, "", "application/json", ttl, move |_, body| {
        foreign::versions(&of, body).map(drop)
    });
    let request = request.at(url);
    let document = match source.document(&request).await {
        Lookup::Found(document) => document,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Denied(denial) => return Lookup::Denied(denial),
        Lookup::Failed(failure) => return Lookup::Failed(failure),
    };
    match read(&document, name) {
        Ok(versions) => Lookup::Found(Place { document, versions, request: Some(request) }),
        Err(wrong) => failed(source, wrong),
    }
}

/// A package that stands in a file beside others.
fn inline(
    source: &Source,
    (document, root): (&UpstreamDocument, &ForeignRoot),
    name: &PackageName,
    part: Part,
) -> Option<Lookup<Place>> {
    let raw = root.inline(name)?;
    let parsed = document.derived(&format!("versions of {name}"), || {
        let parsed = foreign::of_package(name, raw, false);
        let weight = parsed.as_ref().map_or(64, |versions| foreign::weight(versions) + raw.get().len() * 2);
        (parsed.map(Arc::new), weight)
    });
    Some(match &*parsed {
        Ok(versions) => {
            Lookup::Found(Place { document: document.clone(), versions: half(versions, part), request: None })
        }
        Err(wrong) => failed(source, wrong.clone()),
    })
}

/// Those of a package's versions that stand in one half of its metadata.
fn half(versions: &[ForeignVersion], part: Part) -> Arc<Vec<ForeignVersion>> {
    let wanted = |version: &&ForeignVersion| foreign::is_branch(version) == (part == Part::Branches);
    Arc::new(versions.iter().filter(wanted).cloned().collect())
}

/// An upstream that is asked what is about no single name, and what its `packages.json` says.
async fn nameless(
    registry: &ComposerRegistry,
    actor: &Actor,
    id: &UpstreamId,
) -> Result<Option<(Source, Arc<ForeignRoot>)>, Error> {
    let Routing::Ask(route) = registry.upstreams().route_nameless(actor).await? else { return Ok(None) };
    let Some(source) = route.sources().iter().find(|source| source.id() == id).cloned() else {
        return Ok(None);
    };
    let found = root(&source, None).await.found()?;
    Ok(found.map(|(_, root)| (source, root)))
}

/// The upstream that searches are passed on to.
pub(crate) async fn searched(
    registry: &ComposerRegistry,
    actor: &Actor,
) -> Result<Option<UpstreamId>, Error> {
    let Routing::Ask(route) = registry.upstreams().route_nameless(actor).await? else { return Ok(None) };
    Ok(route.sources().first().map(|source| source.id().clone()))
}

/// What an upstream finds, if it has a search. One that fails there finds nothing there: clients show what there is.
pub(crate) async fn search(
    registry: &ComposerRegistry,
    (actor, id): (&Actor, &UpstreamId),
    (text, kind): (&str, &str),
    more: &str,
) -> Result<Option<Forwarded>, Error> {
    let Ok(Some((source, root))) = nameless(registry, actor, id).await else { return Ok(None) };
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let url = root.search.as_deref().and_then(|template| {
        let filled = template.replace("%query%", &encoded(text)).replace("%type%", &encoded(kind));
        foreign::resolve(source.url(), &format!("{filled}{more}"))
    });
    let Some(url) = url else { return Ok(None) };
    match source.forward(&Forward::get("", "application/json").at(url)).await {
        Lookup::Found(answer) => Ok(Some(answer)),
        Lookup::Absent | Lookup::Denied(_) | Lookup::Failed(_) => Ok(None),
    }
}

/// What an upstream knows of advisories on these packages, if it knows of any at all.
pub(crate) async fn advisories(
    registry: &ComposerRegistry,
    (actor, id): (&Actor, &UpstreamId),
    names: &HashSet<String>,
) -> Result<Option<(Source, Forwarded)>, Error> {
    let Some((source, root)) = nameless(registry, actor, id).await? else { return Ok(None) };
    let url = root.advisories.as_deref().and_then(|url| foreign::resolve(source.url(), url));
    let Some(url) = url else { return Ok(None) };
    let pairs = names.iter().map(|name| ("packages[]", name));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let form = "application/x-www-form-urlencoded";
    let forward = Forward::post("", "application/json", form, body.into_bytes()).at(url);
    let answer = source.forward(&forward).await.found()?;
    Ok(answer.map(|answer| (source, answer)))
}
