//! Repositories of other registries: which manifests, blobs and lists are asked for, and what is known of them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};
use registry_core::{
    Actor,
    upstream::{
        ArtifactRequest, CacheState, Denial, DeniedBy, DocumentRequest, Expected, Failure, FailureKind,
        Hosted, Location, Lookup, Resource, Route, Routing, Source, Unanswered, UpstreamArtifact,
        UpstreamDocument,
    },
};
use serde_json::{Map, Value};

use crate::{
    error::Error,
    handler::Call,
    hash::Hasher,
    names::{Algorithm, Digest, Reference, RepositoryName, Tag},
    wire::{media_type, page::escape},
};

/// How long it is believed what a tag points to.
const TAG_TTL: Duration = Duration::from_mins(5);
/// How long lists are fresh.
const LIST_TTL: Duration = Duration::from_mins(1);
/// How long what a digest names is.
const IMMUTABLE_TTL: Duration = Duration::from_hours(24 * 365);
/// The largest manifest, and the largest configuration that is looked into.
const MAX_MANIFEST: usize = 4 << 20;
/// The most pages of a list of tags.
const MAX_PAGES: usize = 1000;
/// The header in which registries say the digest of a manifest.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// When an image was made.
const CREATED: &str = "org.opencontainers.image.created";

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.artifact.manifest.v1+json";

/// A repository that is not answered from here alone.
#[derive(Debug)]
pub(crate) struct Theirs {
    route: Route,
    name: RepositoryName,
    /// The registry that the client means, where it says so.
    pub(crate) namespace: Option<String>,
    now: DateTime<Utc>,
}

/// A manifest of another registry.
#[derive(Debug)]
pub(crate) struct ForeignManifest {
    pub(crate) document: UpstreamDocument,
    pub(crate) digest: Digest,
}

impl Theirs {
    /// The repository as upstreams have it, if it is asked for there. What was ever pushed here is not, unless it is merged.
    pub(crate) async fn of(
        call: &Call<'_>,
        actor: &Actor,
        name: &RepositoryName,
    ) -> Result<Option<Self>, Error> {
        let registry = call.registry;
        if !registry.upstreams.exist() {
            return Ok(None);
        }
        let namespace = call.query().last("ns").filter(|ns| !ns.is_empty()).map(std::borrow::Cow::into_owned);
        let hosted = registry.store.repository_exists(name).await?;
        let hosted = if hosted { Hosted::Yes } else { Hosted::No };
        let asked = (name.as_str(), namespace.as_deref());
        match registry.upstreams.route_within(actor, asked, hosted).await? {
            Routing::Local => Ok(None),
            Routing::Denied(denial) => Err(Unanswered::from(denial).into()),
            Routing::Ask(route) => {
                let now = registry.services.clock.now();
                Ok(Some(Self { route, name: name.clone(), namespace, now }))
            }
        }
    }

    /// What the repository is called here.
    pub(crate) fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// What the address of a next page says on, so that it is the same registry's.
    pub(crate) fn said_on(&self) -> String {
        self.namespace.as_deref().map_or_else(String::new, |namespace| format!("&ns={}", escape(namespace)))
    }

    /// What the repository is called there.
    fn remote(&self, source: &Source) -> String {
        let (config, name) = (source.config(), self.name.as_str());
        let by_prefix = config.prefix.as_deref().filter(|_| self.namespace.is_none());
        let rest = by_prefix.and_then(|prefix| name.strip_prefix(prefix)?.strip_prefix('/')).unwrap_or(name);
        if config.library && !rest.contains('/') { format!("library/{rest}") } else { rest.to_owned() }
    }

    /// Asks one upstream after the other. Many registries refuse what they do not have, so a refusal is as good as "not there"; that it
    /// is one is not told to clients, which would send their credentials there.
    async fn first<T, F>(&self, ask: impl Fn(Source, String) -> F) -> Result<Option<T>, Error>
    where
        F: Future<Output = Lookup<T>>,
    {
        let found = self.route.first(async |source| match ask(source.clone(), self.remote(source)).await {
            Lookup::Denied(Denial { by: DeniedBy::Upstream, .. }) => Lookup::Absent,
            end => end,
        });
        Ok(found.await.found()?)
    }

    /// A manifest. One by a tag is also kept under its digest: clients ask for that next.
    pub(crate) async fn manifest(&self, of: &Reference) -> Result<Option<ForeignManifest>, Error> {
        let found = self.first(async |source, remote| manifest(&source, &remote, of).await).await?;
        let Some(found) = found else { return Ok(None) };
        let policy = self.route.policy();
        if !policy.is_open() {
            let version = of.to_string();
            let published = if policy.needs_times() { self.created(&found.document).await? } else { None };
            policy.check(&version, published, self.now).map_err(Unanswered::from)?;
            if version != found.digest.as_str() {
                policy.check(found.digest.as_str(), published, self.now).map_err(Unanswered::from)?;
            }
        }
        Ok(Some(found))
    }

    /// When an image was made: by its annotation, its configuration, or the first image of an index.
    async fn created(&self, document: &UpstreamDocument) -> Result<Option<DateTime<Utc>>, Error> {
        let (source, mut raw) = (document.source(), document.raw().clone());
        let remote = self.remote(source);
        // An index, an image, its configuration.
        for _ in 0..3 {
            let Ok(object) = serde_json::from_slice::<Map<String, Value>>(&raw) else { return Ok(None) };
            let told =
                object.get("annotations").and_then(|all| all.get(CREATED)).or_else(|| object.get("created"));
            if let Some(time) = told.and_then(Value::as_str) {
                return Ok(time.parse().ok());
            }
            let digest = |one: &Value| one.get("digest").and_then(Value::as_str)?.parse::<Digest>().ok();
            let size = |one: &Value| one.get("size").and_then(Value::as_u64).unwrap_or(u64::MAX);
            let first = object.get("manifests").and_then(Value::as_array).and_then(|all| all.first());
            let found = if let Some(digest) = first.and_then(digest) {
                source.document(&manifest_request(&remote, &Reference::Digest(digest))).await
            } else if let Some(config) = object.get("config").filter(|one| size(one) <= MAX_MANIFEST as u64)
                && let Some(digest) = digest(config)
            {
                source.document(&config_request(&remote, &digest)).await
            } else {
                return Ok(None);
            };
            let Some(next) = found.found()? else { return Ok(None) };
            raw = next.raw().clone();
        }
        Ok(None)
    }

    /// A blob.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        method: &Method,
    ) -> Result<Option<UpstreamArtifact>, Error> {
        let found = self.first(async |source, remote| {
            let mut expected = Expected::default();
            match digest.algorithm() {
                Algorithm::Sha256 => expected.sha256 = Some(digest.hex().to_owned()),
                Algorithm::Sha512 => expected.sha512 = Some(digest.hex().to_owned()),
            }
            let resource = Resource::new("blobs").segments(&remote).segment(digest.as_str());
            let path = Location::Path(format!("v2/{remote}/blobs/{digest}"));
            let request =
                ArtifactRequest::new(resource, path, expected).scope(scope(&remote)).method(method).no_page();
            source.artifact(&request).await
        });
        found.await
    }

    /// All tags, but those that a rule denies. `None`: there is no such repository.
    pub(crate) async fn tags(&self) -> Result<Option<BTreeSet<Tag>>, Error> {
        let found = self.first(async |source, remote| tags(&source, &remote).await).await?;
        let shown = |tag: &Tag| {
            // How old a tag's image is, nobody knows without asking for each.
            match self.route.policy().check(tag.as_str(), None, self.now) {
                Err(denial) => denial.by != DeniedBy::Rule,
                Ok(()) => true,
            }
        };
        Ok(found.map(|tags| tags.into_iter().filter(shown).collect()))
    }

    /// A page of what refers to a manifest, and the query of the next page. Where the registry does not know the question, the tag by which
    /// older clients keep such a list is looked for.
    pub(crate) async fn referrers(
        &self,
        subject: &Digest,
        query: &str,
    ) -> Result<Option<(UpstreamDocument, Option<String>)>, Error> {
        let query = if is_query(query) { query } else { "" };
        let found = self.first(async |source, remote| {
            let path = format!("v2/{remote}/referrers/{subject}");
            let resource =
                Resource::new("referrers").segments(&remote).segment(subject.as_str()).segment(query);
            let asked = if query.is_empty() { path } else { format!("{path}?{query}") };
            let request = DocumentRequest::new(resource, asked, media_type::OCI_INDEX, LIST_TTL, is_index)
                .scope(scope(&remote));
            match source.document(&request).await {
                Lookup::Absent if query.is_empty() => {
                    let Ok(tag) = subject.as_str().replace(':', "-").parse::<Tag>() else {
                        return Lookup::Absent;
                    };
                    let found = source.document(&manifest_request(&remote, &Reference::Tag(tag))).await;
                    found.map(|document| (document, None))
                }
                found => found.map(|document| {
                    let next = document.link().and_then(next_query);
                    (document, next)
                }),
            }
        });
        found.await
    }
}

/// Refuses to push to a repository that an upstream has and that is not here: it would take its place.
pub(crate) async fn refuse_taken(call: &Call<'_>, actor: &Actor, name: &RepositoryName) -> Result<(), Error> {
    let registry = call.registry;
    if !registry.upstreams.exist() || registry.store.repository_exists(name).await? {
        return Ok(());
    }
    let now = registry.services.clock.now();
    let fetch = async |route: Route| -> Result<Option<()>, Error> {
        let theirs = Theirs { route, name: name.clone(), namespace: None, now };
        Ok(theirs.tags().await?.map(drop))
    };
    if registry.upstreams.is_taken(actor, name.as_str(), fetch).await? {
        return Err(Error::taken(name));
    }
    Ok(())
}

async fn manifest(source: &Source, remote: &str, of: &Reference) -> Lookup<ForeignManifest> {
    let document = match source.document(&manifest_request(remote, of)).await {
        Lookup::Found(document) => document,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Denied(denial) => return Lookup::Denied(denial),
        Lookup::Failed(failure) => return Lookup::Failed(failure),
    };
    let digest = match of {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(_) => match format!("sha256:{}", document.sha256()).parse::<Digest>() {
            Ok(digest) => digest,
            Err(_) => return Lookup::Failed(Failure::new(source.id(), FailureKind::Internal)),
        },
    };
    if matches!(of, Reference::Tag(_)) && document.provenance().state == CacheState::Miss {
        document.keep_as(&manifest_resource(remote, digest.as_str())).await;
    }
    Lookup::Found(ForeignManifest { document, digest })
}

fn scope(remote: &str) -> String {
    format!("repository:{remote}:pull")
}

fn manifest_resource(remote: &str, of: &str) -> Resource {
    Resource::new("manifests").segments(remote).segment(of)
}

fn manifest_request(remote: &str, of: &Reference) -> DocumentRequest {
    let path = format!("v2/{remote}/manifests/{of}");
    let resource = manifest_resource(remote, &of.to_string());
    let wanted = match of {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => None,
    };
    let by_digest = wanted.is_some();
    let ttl = if by_digest { IMMUTABLE_TTL } else { TAG_TTL };
    let request = DocumentRequest::new(resource, path, MANIFESTS, ttl, move |headers, body| {
        let told = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
        is_manifest(body, wanted.as_ref().or(told.as_ref()))
    })
    .scope(scope(remote))
    .confirmed_by(CONTENT_DIGEST);
    if by_digest { request.immutable() } else { request }
}

fn config_request(remote: &str, digest: &Digest) -> DocumentRequest {
    let path = format!("v2/{remote}/blobs/{digest}");
    let resource = Resource::new("configs").segments(remote).segment(digest.as_str());
    let wanted = digest.clone();
    DocumentRequest::new(resource, path, "*/*", IMMUTABLE_TTL, move |_, body| is_of(body, &wanted))
        .scope(scope(remote))
        .immutable()
}

fn is_of(body: &[u8], wanted: &Digest) -> Result<(), String> {
    if Hasher::digest(wanted.algorithm(), body) == *wanted {
        Ok(())
    } else {
        Err("it sent bytes that are not those of their digest".to_owned())
    }
}

fn is_manifest(body: &Bytes, digest: Option<&Digest>) -> Result<(), String> {
    if body.len() > MAX_MANIFEST {
        return Err(format!("a manifest of it is larger than {MAX_MANIFEST} bytes"));
    }
    serde_json::from_slice::<Map<String, Value>>(body).map_err(|_| "a manifest of it is none".to_owned())?;
    digest.map_or(Ok(()), |digest| is_of(body, digest))
}

fn is_index(_: &HeaderMap, body: &Bytes) -> Result<(), String> {
    let found: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| "its list of referrers is none".to_owned())?;
    let has = found.get("manifests").is_some_and(Value::is_array);
    if has { Ok(()) } else { Err("its list of referrers is none".to_owned()) }
}

/// All pages of a list of tags.
async fn tags(source: &Source, remote: &str) -> Lookup<BTreeSet<Tag>> {
    let (mut all, mut query) = (BTreeSet::new(), "n=1000".to_owned());
    for _ in 0..MAX_PAGES {
        let resource = Resource::new("tags").segments(remote).segment(&query);
        let path = format!("v2/{remote}/tags/list?{query}");
        let request = DocumentRequest::new(resource, path, "application/json", LIST_TTL, |_, body| {
            read_tags(body).map(drop)
        });
        let document = match source.document(&request.scope(scope(remote))).await {
            Lookup::Found(document) => document,
            Lookup::Absent => return Lookup::Absent,
            Lookup::Denied(denial) => return Lookup::Denied(denial),
            Lookup::Failed(failure) => return Lookup::Failed(failure),
        };
        match read_tags(document.raw()) {
            Ok(tags) => all.extend(tags),
            Err(wrong) => return Lookup::Failed(Failure::new(source.id(), FailureKind::BadBody(wrong))),
        }
        match document.link().and_then(next_query) {
            Some(next) if next != query => query = next,
            _ => break,
        }
    }
    Lookup::Found(all)
}

/// What a page of tags holds; what cannot be a tag is left out.
fn read_tags(body: &[u8]) -> Result<Vec<Tag>, String> {
    let wrong = || "its list of tags is none".to_owned();
    let found: Map<String, Value> = serde_json::from_slice(body).map_err(|_| wrong())?;
    match found.get("tags") {
        Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tags)) => Ok(tags.iter().filter_map(|tag| tag.as_str()?.parse().ok()).collect()),
        _ => Err(wrong()),
    }
}

/// The query of the page that a `Link` says is next. Of its address nothing else counts: it is a page of the same list.
fn next_query(link: &str) -> Option<String> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = rest.to_ascii_lowercase();
    if !next.contains("rel=\"next\"") && !next.contains("rel=next") {
        return None;
    }
    let query = target.split_once('?')?.1;
    is_query(query).then(|| query.to_owned())
}

/// Whether a text may stand behind the question mark of a URL as it is.
fn is_query(text: &str) -> bool {
    text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// A media type as an answer may have it.
pub(crate) fn media_type_of(document: &UpstreamDocument) -> Arc<str> {
    let told = document.media_type().and_then(|told| told.split(';').next()).map(str::trim);
    let generic =
        |told: &&str| !matches!(*told, "" | "application/json" | "text/plain" | "application/octet-stream");
    if let Some(told) = told.filter(generic) {
        return told.into();
    }
    let object = serde_json::from_slice::<Map<String, Value>>(document.raw()).unwrap_or_default();
    match object.get("mediaType").and_then(Value::as_str) {
        Some(inside) => inside.into(),
        None if object.contains_key("manifests") => media_type::OCI_INDEX.into(),
        None => "application/vnd.oci.image.manifest.v1+json".into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_query_of_the_next_page_counts() {
        for (link, want) in [
            ("</v2/a/tags/list?n=2&last=x>; rel=\"next\"", Some("n=2&last=x")),
            ("<https://evil.example.com/x?last=y>; rel=next", Some("last=y")),
            ("</v2/a/tags/list?n=2>; rel=\"prev\"", None),
            ("</v2/a/tags/list>; rel=\"next\"", None),
            ("<?a b>; rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_query(link).as_deref(), want, "{link}");
        }
    }

    #[test]
    fn pages_of_tags() {
        let tags = |text: &str| read_tags(text.as_bytes()).map(|tags| tags.len());
        assert_eq!(tags(r#"{"name":"a","tags":["v1","..bad/","v2",3]}"#), Ok(2));
        assert_eq!(tags(r#"{"name":"a","tags":null}"#), Ok(0));
        for bad in ["<html>", "[]", "{}", r#"{"tags":"v1"}"#] {
            assert!(tags(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,100}") {
            let _ = next_query(&text);
            let _ = read_tags(text.as_bytes());
            let _ = is_manifest(&Bytes::from(text), None);
        }
    }
}
