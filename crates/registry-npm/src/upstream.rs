//! Packages of other registries: which packument and which tarball are asked for, and what is known of them.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use registry_core::{
    Actor,
    storage::Versioned,
    upstream::{
        self, ArtifactRequest, DocumentRequest, Failure, FailureKind, Forward, Hosted, Location, Resource,
        Route, Routing, Sifted, Source, Unanswered, UpstreamArtifact, UpstreamDocument,
    },
};

use crate::{
    error::Error,
    names::PackageName,
    registry::NpmRegistry,
    store::packument::Packument,
    wire::foreign::{ForeignRelease, Index, index},
};

/// How long a packument is fresh.
const PACKUMENT_TTL: Duration = Duration::from_mins(2);
/// How long attestations are: they are signed, and do not change.
const ATTESTATIONS_TTL: Duration = Duration::from_hours(24);

/// What npm's clients leave as it is in a path.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A package of another registry.
#[derive(Debug)]
pub(crate) struct Foreign {
    name: PackageName,
    route: Route,
    pub(crate) document: UpstreamDocument,
    pub(crate) index: Arc<Index>,
    /// The versions that are not shown now.
    pub(crate) sifted: Sifted,
}

/// What is known of a name.
pub(crate) type Found = upstream::Found<Arc<Versioned<Packument>>, Foreign>;

/// Looks for a package that the actor may read, here and upstream.
pub(crate) async fn find(
    registry: &NpmRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<Option<Found>, Error> {
    let (packages, upstreams) = (registry.packages(), registry.upstreams());
    if !upstreams.exist() {
        return Ok(packages.load(name).await?.map(Found::Hosted));
    }
    let document = packages.state(name).await?;
    let hosted = Hosted::by(document.as_ref());
    let live = document.filter(|document| document.is_live());
    let fetch = |route| Foreign::fetch(registry, route, name);
    upstreams.find(actor, name.as_str(), (hosted, live), fetch).await
}

/// Whether another registry has a package of this name, which is not hosted here: publishing under it would take its place.
pub(crate) async fn is_taken(
    registry: &NpmRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<bool, Error> {
    if !registry.upstreams().exist() || registry.packages().state(name).await?.is_some() {
        return Ok(false);
    }
    let fetch = |route| Foreign::fetch(registry, route, name);
    registry.upstreams().is_taken(actor, name.as_str(), fetch).await
}

impl Foreign {
    async fn fetch(registry: &NpmRegistry, route: Route, name: &PackageName) -> Result<Option<Self>, Error> {
        let Some(document) = route.document(&packument_request(name)).await.found()? else {
            return Ok(None);
        };
        let foreign = Self::read(registry, route, name, document)?;
        // One that was unpublished has a name and no versions.
        Ok((!foreign.index.releases.is_empty()).then_some(foreign))
    }

    fn read(
        registry: &NpmRegistry,
        route: Route,
        name: &PackageName,
        document: UpstreamDocument,
    ) -> Result<Self, Error> {
        let parsed = document.derived("index", || {
            let parsed = index(name, document.raw());
            let weight = parsed.as_ref().map_or(64, Index::weight);
            (parsed.map(Arc::new), weight)
        });
        let index = match &*parsed {
            Ok(index) => Arc::clone(index),
            Err(wrong) => {
                let kind = FailureKind::BadBody(wrong.to_string());
                return Err(Unanswered::from(Failure::new(document.source().id(), kind)).into());
            }
        };
        let versions = index.releases.iter().map(|(version, release)| (version.as_str(), release.published));
        let sifted = route.policy().sift(versions, registry.services().clock.now());
        Ok(Self { name: name.clone(), route, document, index, sifted })
    }

    /// The package as the upstream has it now, if that is newer: for a version that this copy does not have.
    pub(crate) async fn newer(self, registry: &NpmRegistry) -> Result<Self, Error> {
        let source = self.document.source().clone();
        let request = packument_request(&self.name);
        match source.newer(&request, self.document).await.found()? {
            Some(document) => Self::read(registry, self.route, &self.name, document),
            None => Err(Error::no_package(self.name.as_str())),
        }
    }

    /// A version that may be had now.
    pub(crate) fn release(
        &self,
        registry: &NpmRegistry,
        version: &str,
    ) -> Result<Option<&ForeignRelease>, Error> {
        let Some(release) = self.index.releases.get(version) else { return Ok(None) };
        let now = registry.services().clock.now();
        self.route.policy().check(version, release.published, now).map_err(Unanswered::from)?;
        Ok(Some(release))
    }

    /// The tarball of a version, from the registry that its packument is from.
    pub(crate) async fn tarball(
        &self,
        version: &str,
        release: &ForeignRelease,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let source = self.document.source();
        let Some(url) = release.tarball.clone() else {
            let kind = FailureKind::BadBody("its packument names no tarball".to_owned());
            return Err(Unanswered::from(Failure::new(source.id(), kind)).into());
        };
        let resource = Resource::new("tarballs").segments(self.name.as_str()).segment(version);
        let request = ArtifactRequest::new(resource, Location::Url(url), release.expected.clone())
            .version(version)
            .method(method);
        Ok(source.artifact(&request).await.found()?)
    }

    /// The attestations of a version, as the other registry has them.
    pub(crate) async fn attestations(&self, version: &str) -> Result<Option<UpstreamDocument>, Error> {
        let resource = Resource::new("attestations").segments(self.name.as_str()).segment(version);
        let path = format!("-/npm/v1/attestations/{}@{}", encoded(self.name.as_str()), encoded(version));
        let request =
            DocumentRequest::new(resource, path, "application/json", ATTESTATIONS_TTL, |_, body| {
                let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
                object.map(drop).map_err(|_| "it is no JSON object".to_owned())
            });
        Ok(self.document.source().document(&request).await.found()?)
    }

    /// Says in an answer's headers where it came from.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.document.provenance().put_on(headers);
        if !self.sifted.hidden.is_empty() {
            headers.insert("x-hidden-versions", HeaderValue::from(self.sifted.hidden.len()));
        }
    }
}

fn packument_request(name: &PackageName) -> DocumentRequest {
    let resource = Resource::new("packuments").segments(name.as_str());
    let of = name.clone();
    DocumentRequest::new(
        resource,
        encoded(name.as_str()),
        "application/json",
        PACKUMENT_TTL,
        move |_, body| index(&of, body).map(drop).map_err(|wrong| wrong.to_string()),
    )
}

/// A name in a path, its slash encoded, as npm's clients write it.
fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NAME).to_string()
}

/// The upstream that is asked what is about no single name.
pub(crate) async fn nameless(registry: &NpmRegistry, actor: &Actor) -> Result<Option<Source>, Error> {
    match registry.upstreams().route_nameless(actor).await? {
        Routing::Ask(route) => Ok(route.sources().first().cloned()),
        Routing::Local | Routing::Denied(_) => Ok(None),
    }
}

/// Whether a name may be spoken of to upstreams, and what they say of it is shown: it is neither hosted nor reserved nor denied.
pub(crate) async fn is_foreign(
    registry: &NpmRegistry,
    actor: &Actor,
    name: &PackageName,
) -> Result<bool, Error> {
    let hosted = Hosted::by(registry.packages().state(name).await?.as_ref());
    let routing = registry.upstreams().route(actor, name.as_str(), hosted).await?;
    Ok(matches!(routing, Routing::Ask(_)))
}

/// The advisories that the upstream knows for these packages and versions.
pub(crate) fn advisories(body: Vec<u8>) -> Forward {
    Forward::post("-/npm/v1/security/advisories/bulk", "application/json", "application/json", body)
}

/// A search, with the client's own parameters.
pub(crate) fn search(query: &str) -> Forward {
    Forward::get(format!("-/v1/search?{query}"), "application/json")
}
