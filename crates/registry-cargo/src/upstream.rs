//! Crates of other registries: which index file and which crate file are asked for, and what is known of them.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use registry_core::{
    Actor,
    storage::Versioned,
    upstream::{
        self, ArtifactRequest, DocumentRequest, Expected, Failure, FailureKind, Forward, Forwarded, Hosted,
        Location, Lookup, Resource, Route, Routing, Sifted, Source, Unanswered, UpstreamArtifact,
        UpstreamDocument,
    },
};

use crate::{
    error::Error,
    names::CrateName,
    registry::CargoRegistry,
    store::document::CrateDocument,
    version::Version,
    wire::foreign::{ForeignConfig, ForeignIndex, ForeignRelease},
};

/// How long an index file is fresh.
const INDEX_TTL: Duration = Duration::from_mins(5);
/// How long `config.json` is.
const CONFIG_TTL: Duration = Duration::from_hours(1);

/// A crate of another registry.
#[derive(Debug)]
pub(crate) struct Foreign {
    asked: CrateName,
    route: Route,
    pub(crate) document: UpstreamDocument,
    pub(crate) index: Arc<ForeignIndex>,
    /// The versions that are not shown now.
    pub(crate) sifted: Sifted,
}

/// What is known of a name.
pub(crate) type Found = upstream::Found<Arc<Versioned<CrateDocument>>, Foreign>;

/// Looks for a crate that the actor may read, here and upstream. Whatever is here under a name that cannot exist beside this one makes
/// the name this registry's own.
pub(crate) async fn find(
    registry: &CargoRegistry,
    actor: &Actor,
    name: &CrateName,
) -> Result<Option<Found>, Error> {
    let (crates, upstreams) = (registry.crates(), registry.upstreams());
    if !upstreams.exist() {
        return Ok(crates.load(name).await?.map(Found::Hosted));
    }
    let document = crates.state(name).await?;
    let hosted = Hosted::by(document.as_ref());
    let live = document.filter(|document| document.is_live() && document.name.is_spelled_as(name));
    let fetch = |route| Foreign::fetch(registry, route, name);
    upstreams.find(actor, &name.collision_key(), (hosted, live), fetch).await
}

/// The crate of another registry, if there is one, that cannot exist beside a new one of this name: publishing it would take that
/// one's place.
pub(crate) async fn taken(
    registry: &CargoRegistry,
    actor: &Actor,
    name: &CrateName,
) -> Result<Option<CrateName>, Error> {
    if !registry.upstreams().exist() || registry.crates().state(name).await?.is_some() {
        return Ok(None);
    }
    for spelling in name.spellings() {
        let fetch = |route| Foreign::fetch(registry, route, &spelling);
        if registry.upstreams().is_taken(actor, &name.collision_key(), fetch).await? {
            return Ok(Some(spelling));
        }
    }
    Ok(None)
}

impl Foreign {
    async fn fetch(registry: &CargoRegistry, route: Route, name: &CrateName) -> Result<Option<Self>, Error> {
        match route.document(&index_request(name)).await.found()? {
            Some(document) => Self::read(registry, route, name, document).map(Some),
            None => Ok(None),
        }
    }

    fn read(
        registry: &CargoRegistry,
        route: Route,
        name: &CrateName,
        document: UpstreamDocument,
    ) -> Result<Self, Error> {
        let parsed = document.derived("index", || {
            let parsed = ForeignIndex::read(name, document.raw());
            let weight = parsed.as_ref().map_or(64, ForeignIndex::weight);
            (parsed.map(Arc::new), weight)
        });
        let index = match &*parsed {
            Ok(index) => Arc::clone(index),
            Err(wrong) => return Err(bad_body(document.source(), wrong.clone())),
        };
        let versions: Vec<(String, _)> =
            index.releases.iter().map(|release| (release.version.to_string(), release.published)).collect();
        let versions = versions.iter().map(|(version, published)| (version.as_str(), *published));
        let sifted = route.policy().sift(versions, registry.services().clock.now());
        Ok(Self { asked: name.clone(), route, document, index, sifted })
    }

    /// Whether a version is shown now.
    pub(crate) fn shows(&self, release: &ForeignRelease) -> bool {
        self.sifted.hidden.is_empty() || !self.sifted.hides(&release.version.to_string())
    }

    /// A version that may be had now, after one more look at the other registry if this copy does not have it.
    pub(crate) async fn release(
        self,
        registry: &CargoRegistry,
        version: &Version,
    ) -> Result<Option<(Self, ForeignRelease)>, Error> {
        let mut foreign = self;
        if foreign.index.release(version).is_none() {
            let source = foreign.document.source().clone();
            let request = index_request(&foreign.asked);
            let Some(document) = source.newer(&request, foreign.document).await.found()? else {
                return Ok(None);
            };
            foreign = Self::read(registry, foreign.route, &foreign.asked, document)?;
        }
        let Some(release) = foreign.index.release(version).cloned() else { return Ok(None) };
        let now = registry.services().clock.now();
        let policy = foreign.route.policy();
        policy.check(&version.to_string(), release.published, now).map_err(Unanswered::from)?;
        Ok(Some((foreign, release)))
    }

    /// The file of a version, from where the registry that its index file is from says.
    pub(crate) async fn file(
        &self,
        release: &ForeignRelease,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let source = self.document.source();
        let config = config(source).await.found()?;
        let config = config.ok_or_else(|| bad_body(source, "it has no config.json".to_owned()))?;
        let url = config.download(&self.index.name, release);
        let url =
            url.ok_or_else(|| bad_body(source, "its config.json names no URL for downloads".to_owned()))?;
        let version = release.version.to_string();
        let resource =
            Resource::new("crates").segment(self.index.name.as_str().to_ascii_lowercase()).segment(&version);
        let expected = Expected { sha256: Some(release.cksum.clone()), ..Expected::default() };
        let request =
            ArtifactRequest::new(resource, Location::Url(url), expected).version(version).method(method);
        Ok(source.artifact(&request).await.found()?)
    }

    /// Says in an answer's headers where it came from.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.document.provenance().put_on(headers);
    }
}

fn bad_body(source: &Source, wrong: String) -> Error {
    Unanswered::from(Failure::new(source.id(), FailureKind::BadBody(wrong))).into()
}

fn index_request(name: &CrateName) -> DocumentRequest {
    let resource = Resource::new("index").segment(name.as_str().to_ascii_lowercase());
    let of = name.clone();
    DocumentRequest::new(resource, name.index_path(), "text/plain, */*;q=0.5", INDEX_TTL, move |_, body| {
        ForeignIndex::read(&of, body).map(drop)
    })
}

/// What another registry says of where its crates and its API are. It is never passed on.
async fn config(source: &Source) -> Lookup<Arc<ForeignConfig>> {
    let request = DocumentRequest::new(
        Resource::new("config"),
        "config.json",
        "application/json",
        CONFIG_TTL,
        |_, body| ForeignConfig::read(body).map(drop),
    );
    let document = match source.document(&request).await {
        Lookup::Found(document) => document,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Denied(denial) => return Lookup::Denied(denial),
        Lookup::Failed(failure) => return Lookup::Failed(failure),
    };
    match &*document.derived("config", || (ForeignConfig::read(document.raw()).map(Arc::new), 512)) {
        Ok(config) => Lookup::Found(Arc::clone(config)),
        Err(wrong) => Lookup::Failed(Failure::new(source.id(), FailureKind::BadBody(wrong.clone()))),
    }
}

/// Whether a name may be spoken of to upstreams, and what they say of it is shown: it is neither hosted nor reserved nor denied.
pub(crate) async fn is_foreign(
    registry: &CargoRegistry,
    actor: &Actor,
    name: &CrateName,
) -> Result<bool, Error> {
    let hosted = Hosted::by(registry.crates().state(name).await?.as_ref());
    let routing = registry.upstreams().route(actor, &name.collision_key(), hosted).await?;
    Ok(matches!(routing, Routing::Ask(_)))
}

/// What the first upstream answers to a search, if it has an API. A search that fails there finds nothing there: `cargo search` shows what
/// there is.
pub(crate) async fn search(
    registry: &CargoRegistry,
    actor: &Actor,
    query: &str,
) -> Result<Option<Forwarded>, Error> {
    let Routing::Ask(route) = registry.upstreams().route_nameless(actor).await? else { return Ok(None) };
    let Some(source) = route.sources().first() else { return Ok(None) };
    let Lookup::Found(config) = config(source).await else { return Ok(None) };
    let Some(mut url) = config.api.clone() else { return Ok(None) };
    url.set_path(&format!("{}/api/v1/crates", url.path().trim_end_matches('/')));
    url.set_query(Some(query));
    match source.forward(&Forward::get("", "application/json").at(url)).await {
        Lookup::Found(answer) => Ok(Some(answer)),
        Lookup::Absent | Lookup::Denied(_) | Lookup::Failed(_) => Ok(None),
    }
}
