//! Projects of other indexes: which page and which file are asked for, and what is known of them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, header};
use registry_core::{
    Actor,
    http::Refusal,
    storage::{Digests, Versioned, WantedDigests},
    upstream::{
        self, ArtifactRequest, Denial, DeniedBy, DocumentRequest, Expected, Failure, FailureKind, Hosted,
        Location, NamePolicy, Resource, Route, Source, Unanswered, UpstreamArtifact, UpstreamDocument,
    },
};
use url::Url;

use crate::{
    error::Error,
    names::ProjectName,
    registry::PypiRegistry,
    store::project::{Project, Status},
    wire::foreign::{self, CoreMetadataHash, ForeignFile, ForeignPage},
};

/// How long a page is fresh.
const PAGE_TTL: Duration = Duration::from_mins(2);
/// JSON first, HTML of indexes that know no other.
const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// A project of another index.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) name: ProjectName,
    route: Route,
    pub(crate) document: UpstreamDocument,
    pub(crate) page: Arc<ForeignPage>,
    pub(crate) hidden: Hidden,
}

/// The files that are not shown now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hidden {
    pub(crate) files: HashSet<String>,
    /// Why, for the last of them.
    pub(crate) last: Option<Denial>,
    /// Tells this set from others.
    pub(crate) tag: String,
}

/// What is known of a name.
pub(crate) type Found = upstream::Found<Arc<Versioned<Project>>, Foreign>;

/// Looks for a project that the actor may read, here and upstream.
pub(crate) async fn find(
    registry: &PypiRegistry,
    actor: &Actor,
    name: &ProjectName,
) -> Result<Option<Found>, Error> {
    let (projects, upstreams) = (registry.projects(), registry.upstreams());
    if !upstreams.exist() {
        return Ok(projects.load(name).await?.map(Found::Hosted));
    }
    let document = projects.state(name).await?;
    let hosted = Hosted::by(document.as_ref());
    let live = document.filter(|document| !document.deleted);
    // Nothing of what is in quarantine is served, wherever it is from.
    let quarantined = live.as_ref().is_some_and(|project| project.status == Status::Quarantined);
    let fetch =
        async |route| if quarantined { Ok(None) } else { Foreign::fetch(registry, route, name).await };
    upstreams.find(actor, name.as_str(), (hosted, live), fetch).await
}

/// Whether another index has a project of this name, which is not hosted here: uploading under it would take its place.
pub(crate) async fn is_taken(
    registry: &PypiRegistry,
    actor: &Actor,
    name: &ProjectName,
) -> Result<bool, Error> {
    if !registry.upstreams().exist() || registry.projects().state(name).await?.is_some() {
        return Ok(false);
    }
    let fetch = |route| Foreign::fetch(registry, route, name);
    registry.upstreams().is_taken(actor, name.as_str(), fetch).await
}

impl Foreign {
    async fn fetch(registry: &PypiRegistry, route: Route, name: &ProjectName) -> Result<Option<Self>, Error> {
        // By which address a page is read says nothing of whether it is one.
        let Some(first) = route.sources().first() else { return Ok(None) };
        let request = page_request(first, name)?;
        match route.document(&request).await.found()? {
            Some(document) => Self::read(registry, route, name, document).map(Some),
            None => Ok(None),
        }
    }

    fn read(
        registry: &PypiRegistry,
        route: Route,
        name: &ProjectName,
        document: UpstreamDocument,
    ) -> Result<Self, Error> {
        let at = page_url(document.source(), name)?;
        let parsed = document.derived(&format!("page at {at}"), || {
            let parsed = foreign::read(name, document.media_type(), document.raw(), &at);
            let weight = parsed.as_ref().map_or(64, |page| page.files.len().saturating_mul(600));
            (parsed.map(Arc::new), weight)
        });
        let page = match &*parsed {
            Ok(page) => Arc::clone(page),
            Err(wrong) => return Err(bad_body(document.source(), wrong.clone())),
        };
        let hidden = Hidden::of(&page, route.policy(), name, registry.services().clock.now());
        Ok(Self { name: name.clone(), route, document, page, hidden })
    }

    /// A file that may be had now, after one more look at the other index if this copy does not have it.
    pub(crate) async fn file(
        self,
        registry: &PypiRegistry,
        file: &str,
    ) -> Result<Option<(Self, ForeignFile)>, Error> {
        let mut foreign = self;
        if !foreign.page.files.iter().any(|one| one.name == file) {
            let source = foreign.document.source().clone();
            let request = page_request(&source, &foreign.name)?;
            let Some(document) = source.newer(&request, foreign.document).await.found()? else {
                return Ok(None);
            };
            foreign = Self::read(registry, foreign.route, &foreign.name, document)?;
        }
        let Some(found) = foreign.page.files.iter().find(|one| one.name == file).cloned() else {
            return Ok(None);
        };
        let now = registry.services().clock.now();
        check(foreign.route.policy(), &foreign.name, &found, now).map_err(Unanswered::from)?;
        Ok(Some((foreign, found)))
    }

    /// The bytes of a file, from the index that its page is from.
    pub(crate) async fn bytes(
        &self,
        file: &ForeignFile,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let resource = Resource::new("files").segment(self.name.as_str()).segment(&file.name);
        self.artifact(resource, file.url.clone(), file.expected(), file, method).await
    }

    /// The metadata of a file, if the index has it on its own.
    pub(crate) async fn metadata(
        &self,
        file: &ForeignFile,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let sha256 = match &file.metadata {
            CoreMetadataHash::None => return Ok(None),
            CoreMetadataHash::Unknown => None,
            CoreMetadataHash::Sha256(sha256) => Some(sha256.clone()),
        };
        let mut url = file.url.clone();
        url.set_path(&format!("{}.metadata", file.url.path()));
        let resource = Resource::new("metadata").segment(self.name.as_str()).segment(&file.name);
        self.artifact(resource, url, Expected { sha256, ..Expected::default() }, file, method).await
    }

    /// What attests where a file comes from.
    pub(crate) async fn provenance(
        &self,
        file: &ForeignFile,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let Some(url) = file.provenance.clone() else { return Ok(None) };
        let resource = Resource::new("provenance").segment(self.name.as_str()).segment(&file.name);
        self.artifact(resource, url, Expected::default(), file, method).await
    }

    async fn artifact(
        &self,
        resource: Resource,
        url: Url,
        expected: Expected,
        file: &ForeignFile,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let mut request = ArtifactRequest::new(resource, Location::Url(url), expected).method(method);
        if let Some(version) = &file.version {
            request = request.version(version.as_str());
        }
        Ok(self.document.source().artifact(&request).await.found()?)
    }

    /// Says in an answer's headers where it came from.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        self.document.provenance().put_on(headers);
        if !self.hidden.files.is_empty() {
            headers.insert("x-hidden-files", HeaderValue::from(self.hidden.files.len()));
        }
    }
}

impl Hidden {
    fn of(page: &ForeignPage, policy: &NamePolicy, name: &ProjectName, now: DateTime<Utc>) -> Self {
        let mut hidden = Self::default();
        if policy.is_open() {
            return hidden;
        }
        let mut names = String::new();
        for file in &page.files {
            if let Err(denial) = check(policy, name, file, now) {
                names.push_str(&file.name);
                names.push('\n');
                hidden.files.insert(file.name.clone());
                hidden.last = Some(denial);
            }
        }
        if !names.is_empty() {
            hidden.tag = Digests::of(names.as_bytes(), WantedDigests::default()).sha256;
        }
        hidden
    }
}

/// Whether a file may be had now. It has the time of its own upload: a new file of an old version is young.
fn check(
    policy: &NamePolicy,
    name: &ProjectName,
    file: &ForeignFile,
    now: DateTime<Utc>,
) -> Result<(), Denial> {
    if policy.is_open() {
        return Ok(());
    }
    let Some(version) = &file.version else {
        let text = format!(
            "the file {} of {name} is hidden by this registry's rules: which version it is cannot be told",
            file.name
        );
        return Err(Denial::new(DeniedBy::Rule, text));
    };
    policy.check(version.as_str(), file.uploaded, now)
}

/// Where a source has a project's page.
fn page_url(source: &Source, name: &ProjectName) -> Result<Url, Error> {
    let url = source.url().join(&format!("{name}/"));
    Ok(url.map_err(Refusal::internal)?)
}

fn page_request(source: &Source, name: &ProjectName) -> Result<DocumentRequest, Error> {
    let at = page_url(source, name)?;
    let of = name.clone();
    let check = move |headers: &HeaderMap, body: &bytes::Bytes| {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        foreign::read(&of, media_type, body, &at).map(drop)
    };
    let resource = Resource::new("pages").segment(name.as_str());
    Ok(DocumentRequest::new(resource, format!("{name}/"), ACCEPT, PAGE_TTL, check))
}

pub(crate) fn bad_body(source: &Source, wrong: String) -> Error {
    Unanswered::from(Failure::new(source.id(), FailureKind::BadBody(wrong))).into()
}
