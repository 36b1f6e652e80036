//! Gems of other registries: which files are asked for, and what is known of them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use registry_core::{
    Actor,
    storage::Versioned,
    upstream::{
        self, ArtifactRequest, DocumentRequest, Expected, Failure, FailureKind, Hosted, Location, Resource,
        Route, Routing, Sifted, Source, Unanswered, UpstreamArtifact, UpstreamDocument,
    },
};
use serde_json::Value;

use crate::{
    error::Error,
    names::GemName,
    registry::RubygemsRegistry,
    store::gem::Gem,
    wire::foreign::{self, ForeignInfo, ForeignRelease},
};

/// How long files of the compact index and JSON are fresh.
const INDEX_TTL: Duration = Duration::from_mins(1);

/// A gem of another registry.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) name: GemName,
    route: Route,
    pub(crate) document: UpstreamDocument,
    pub(crate) info: Arc<ForeignInfo>,
    /// The versions that are not shown now.
    pub(crate) sifted: Sifted,
}

/// What is known of a name.
pub(crate) type Found = upstream::Found<Arc<Versioned<Gem>>, Foreign>;

/// Looks for a gem that the actor may read, here and upstream. What is here in another case makes the name this registry's own.
pub(crate) async fn find(
    registry: &RubygemsRegistry,
    actor: &Actor,
    name: &GemName,
) -> Result<Option<Found>, Error> {
    let (gems, upstreams) = (registry.gems(), registry.upstreams());
    if !upstreams.exist() {
        return Ok(gems.load(name).await?.map(Found::Hosted));
    }
    let document = gems.state(name).await?;
    let hosted = Hosted::by(document.as_ref());
    let live = document.filter(|gem| gem.name == *name);
    let fetch = |route| Foreign::fetch(registry, route, name);
    upstreams.find(actor, name.as_str(), (hosted, live), fetch).await
}

/// Whether another registry has a gem of this name, which is not hosted here: pushing under it would take its place.
pub(crate) async fn is_taken(
    registry: &RubygemsRegistry,
    actor: &Actor,
    name: &GemName,
) -> Result<bool, Error> {
    if !registry.upstreams().exist() || registry.gems().state(name).await?.is_some() {
        return Ok(false);
    }
    let fetch = |route| Foreign::fetch(registry, route, name);
    registry.upstreams().is_taken(actor, name.as_str(), fetch).await
}

impl Foreign {
    async fn fetch(registry: &RubygemsRegistry, route: Route, name: &GemName) -> Result<Option<Self>, Error> {
        match route.document(&info_request(name)).await.found()? {
            Some(document) => Self::read(registry, route, name, document).map(Some),
            None => Ok(None),
        }
    }

    fn read(
        registry: &RubygemsRegistry,
        route: Route,
        name: &GemName,
        document: UpstreamDocument,
    ) -> Result<Self, Error> {
        let parsed = document.derived("info", || {
            let parsed = ForeignInfo::read(document.raw());
            let weight = parsed.as_ref().map_or(64, ForeignInfo::weight);
            (parsed.map(Arc::new), weight)
        });
        let info = match &*parsed {
            Ok(info) => Arc::clone(info),
            Err(wrong) => return Err(bad_body(document.source(), wrong.clone())),
        };
        let versions = info.releases.iter().map(|release| (release.slug.as_str(), release.created));
        let sifted = route.policy().sift(versions, registry.services().clock.now());
        Ok(Self { name: name.clone(), route, document, info, sifted })
    }

    /// Whether a version is shown now.
    pub(crate) fn shows(&self, release: &ForeignRelease) -> bool {
        self.sifted.hidden.is_empty() || !self.sifted.hides(&release.slug)
    }

    /// A version that may be had now, after one more look at the other registry if this copy does not have it.
    pub(crate) async fn release(
        self,
        registry: &RubygemsRegistry,
        slug: &str,
    ) -> Result<Option<(Self, ForeignRelease)>, Error> {
        let mut theirs = self;
        let has = |theirs: &Self| theirs.info.releases.iter().find(|one| one.slug == slug).cloned();
        if has(&theirs).is_none() {
            let source = theirs.document.source().clone();
            let request = info_request(&theirs.name);
            let Some(document) = source.newer(&request, theirs.document).await.found()? else {
                return Ok(None);
            };
            theirs = Self::read(registry, theirs.route, &theirs.name, document)?;
        }
        let Some(release) = has(&theirs) else { return Ok(None) };
        let now = registry.services().clock.now();
        theirs.route.policy().check(slug, release.created, now).map_err(Unanswered::from)?;
        Ok(Some((theirs, release)))
    }

    /// The file of a version, from the registry that its info is from.
    pub(crate) async fn file(
        &self,
        release: &ForeignRelease,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let expected = Expected { sha256: release.sha256.clone(), ..Expected::default() };
        self.artifact("gems", format!("gems/{}-{}.gem", self.name, release.slug), (release, expected), method)
            .await
    }

    /// The quick specification of a version.
    pub(crate) async fn quick(
        &self,
        release: &ForeignRelease,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let path = format!("quick/Marshal.4.8/{}-{}.gemspec.rz", self.name, release.slug);
        self.artifact("quick", path, (release, Expected::default()), method).await
    }

    async fn artifact(
        &self,
        kind: &'static str,
        path: String,
        (release, expected): (&ForeignRelease, Expected),
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let resource = Resource::new(kind).segment(self.name.as_str()).segment(&release.slug);
        let request = ArtifactRequest::new(resource, Location::Path(path), expected)
            .version(&release.slug)
            .method(method)
            .no_page();
        Ok(self.document.source().artifact(&request).await.found()?)
    }

    /// What the other registry says of the gem as JSON. Only where no version is hidden: it says of all.
    pub(crate) async fn json(&self, kind: &str) -> Result<Option<UpstreamDocument>, Error> {
        if !self.sifted.hidden.is_empty() {
            return Ok(None);
        }
        let resource = Resource::new("json").segment(self.name.as_str()).segment(kind);
        let path = format!("api/v1/{kind}/{}.json", self.name);
        let request = DocumentRequest::new(resource, path, "application/json", INDEX_TTL, |_, body| {
            serde_json::from_slice::<Value>(body).map(drop).map_err(|_| "it is no JSON".to_owned())
        });
        Ok(self.document.source().document(&request).await.found()?)
    }

    /// Says in an answer's headers where it came from.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.document.provenance().put_on(headers);
    }
}

fn bad_body(source: &Source, wrong: String) -> Error {
    Unanswered::from(Failure::new(source.id(), FailureKind::BadBody(wrong))).into()
}

fn info_request(name: &GemName) -> DocumentRequest {
    let resource = Resource::new("info").segment(name.as_str());
    DocumentRequest::new(resource, format!("info/{name}"), "text/plain, */*;q=0.5", INDEX_TTL, |_, body| {
        ForeignInfo::read(body).map(drop)
    })
}

/// The list of all gems of the first upstream. It only grows: of a copy what is new is asked for.
pub(crate) async fn versions(
    registry: &RubygemsRegistry,
    actor: &Actor,
) -> Result<Option<UpstreamDocument>, Error> {
    let Routing::Ask(route) = registry.upstreams().route_nameless(actor).await? else { return Ok(None) };
    let accept = "text/plain, */*;q=0.5";
    let request =
        DocumentRequest::new(Resource::new("versions"), "versions", accept, INDEX_TTL, |_, body| {
            foreign::is_versions(body)
        });
    Ok(route.document(&request.grows()).await.found()?)
}

/// Those of another registry's names that are not shown as its own: hosted here in any case, reserved, or denied. Of thousands of names
/// the rules decide quickly, and what is hosted is known from the registry's own list.
pub(crate) async fn not_theirs(
    registry: &RubygemsRegistry,
    actor: &Actor,
    theirs: &str,
    hosted: &HashSet<String>,
) -> Result<HashSet<String>, Error> {
    let mut hidden = HashSet::new();
    let mut seen = HashSet::new();
    for line in theirs.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if !seen.insert(name) {
            continue;
        }
        let is_hosted = hosted.contains(&name.to_ascii_lowercase());
        let hosted = if is_hosted { Hosted::Yes } else { Hosted::No };
        if !matches!(registry.upstreams().route(actor, name, hosted).await, Ok(Routing::Ask(_))) {
            hidden.insert(name.to_owned());
        }
    }
    Ok(hidden)
}
