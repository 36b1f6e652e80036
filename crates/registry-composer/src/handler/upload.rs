//! Uploads: a ZIP as the body, or as a file in a form.

use std::sync::Arc;

use http::{StatusCode, header};
use registry_core::{
    Body, Response,
    auth::Action,
    hooks::Operation,
    http::{
        Query, Refusal, drain_body,
        form::{Form, FormLimits},
    },
    storage::{ArtifactSpec, PendingArtifact, UnknownFields, WantedDigests},
};
use serde_json::json;

use super::call::Call;
use crate::{
    archive,
    error::{Error, json_response},
    names::PackageName,
    store::{
        changes::{self, Publish, Published},
        package::{Dist, Release, Source},
    },
    upstream,
    version::Version,
    wire::{manifest::Manifest, metadata},
};

/// The longest text of a source.
const MAX_SOURCE: usize = 2048;

/// What is said about an archive beside what it says itself.
#[derive(Debug, Default)]
struct Said {
    version: Option<String>,
    kind: Option<String>,
    url: Option<String>,
    reference: Option<String>,
}

impl Said {
    fn take(&mut self, key: &str, value: &str) {
        let field = match key {
            "version" => &mut self.version,
            "src-type" | "source-type" => &mut self.kind,
            "src-url" | "source-url" => &mut self.url,
            "src-ref" | "source-reference" => &mut self.reference,
            _ => return,
        };
        if field.is_none() && !value.is_empty() {
            *field = Some(value.to_owned());
        }
    }

    /// Where the sources are. All three parts or none; nothing that a version control tool would take for an option.
    fn source(&mut self) -> Result<Option<Source>, Error> {
        let (kind, url, reference) = match (self.kind.take(), self.url.take(), self.reference.take()) {
            (None, None, None) => return Ok(None),
            (Some(kind), Some(url), Some(reference)) => (kind, url, reference),
            _ => return Err(Error::Unprocessable("a source has a type, a URL and a reference".to_owned())),
        };
        let plain = |text: &str| {
            text.len() <= MAX_SOURCE && !text.starts_with('-') && !text.chars().any(char::is_control)
        };
        let scheme = url::Url::parse(&url).ok().map(|url| url.scheme().to_owned());
        let known = matches!(scheme.as_deref(), Some("https" | "http" | "git" | "ssh"));
        let word = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain(&url) || !plain(&reference) || !known || !word || reference.contains(char::is_whitespace) {
            return Err(Error::Unprocessable(
                "a source's URL is https, http, git or ssh, and its type and reference are words".to_owned(),
            ));
        }
        Ok(Some(Source { kind, url, reference }))
    }
}

/// `PUT` and `POST /packages/upload/<package>/<version>` and `/packages/<package>`.
pub(crate) async fn upload(
    call: &mut Call<'_>,
    name: &PackageName,
    version: Option<&str>,
) -> Result<Response, Error> {
    let actor = call.allow(name, Action::Write).await?;
    let config = call.registry.config().clone();
    let mut said = Said::default();
    if let Some(version) = version {
        said.take("version", version);
    }
    let query = Query::of(&call.parts)?;
    for (key, value) in query.iter() {
        said.take(key, value);
    }
    if let Some(version) = &said.version {
        version.parse::<Version>()?;
    }
    if upstream::is_taken(call.registry, &actor, name).await? {
        return Err(Error::taken(name));
    }
    let pending = receive(call, name, &mut said).await?;

    let limits = archive::limits(config.max_unpacked_bytes, config.max_entries);
    let packages = call.registry.packages();
    let text = packages
        .store()
        .inspect(std::slice::from_ref(pending.data()), move |reader| archive::manifest(reader, &limits))
        .await??;
    let manifest = Manifest::parse(&text)?;
    let version = agreed(name, &said, &manifest)?;
    if version.is_dev() && !config.branches {
        return Err(Error::Unprocessable("this registry takes no branches, only releases".to_owned()));
    }
    let source = said.source()?;

    let digests = pending.digests().clone();
    let key = packages.key(name);
    let current = packages.load(name).await?;
    let now = call.now();
    let mut publish = Publish {
        name: name.clone(),
        identity: version.identity(),
        release: Arc::new(Release {
            version: version.as_str().to_owned(),
            normalized: version.normalized().to_owned(),
            fields: manifest.fields,
            source,
            time: manifest.time.unwrap_or(now),
            published: now,
            publisher: actor.name().to_owned(),
            dist: Dist::new(&digests.sha256, digests.sha1.unwrap_or_default(), pending.data().clone()),
            unknown: UnknownFields::default(),
        }),
        now,
        max_versions: config.max_versions,
        max_bytes: config.max_metadata_bytes,
        replaced_archives: config.replaced_archives,
    };
    // Asked here so that a refusal notes no vendor; the commit asks again.
    changes::check(current.as_deref().map(|found| &found.value), &publish)?;
    let mut permit = packages
        .store()
        .permit_with(|| {
            packages
                .store()
                .event(Operation::Put, &packages.archive_key(name, Some(version.as_str())), &actor)
                .package(name.as_str())
                .version(version.as_str())
                .size(pending.size())
                .digest(format!("sha256:{}", digests.sha256))
                .content_type("application/zip")
        })
        .await?;
    packages.note_vendor(name.vendor()).await?;
    let data = permit.attach(pending);
    if let Some(release) = Arc::get_mut(&mut publish.release) {
        release.dist.data = data;
    }
    let release = Arc::clone(&publish.release);
    let (published, written) =
        packages.store().commit(&key, permit, move |draft| changes::publish(draft, &publish)).await?;
    let written = written.as_deref().map(|written| &written.value);
    let identity = version.identity();
    let release = match (published, written.and_then(|package| package.releases.get(&identity))) {
        (Published::Same, Some(existing)) => existing,
        _ => &release,
    };
    if published == Published::New
        && let Some(written) = written
    {
        call.registry.tell_catalog(written);
    }
    let body = json!({
        "name": name.as_str(),
        "version": release.version,
        "version_normalized": release.normalized,
        "dist": metadata::dist(name.as_str(), &release.dist, &call.base),
    });
    let status = if published == Published::New { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json_response(status, &body))
}

/// Takes the archive in.
async fn receive(call: &mut Call<'_>, name: &PackageName, said: &mut Said) -> Result<PendingArtifact, Error> {
    let limit = call.registry.config().max_archive_bytes;
    let content_type = call.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form =
        content_type.is_some_and(|found| found.to_ascii_lowercase().starts_with("multipart/form-data"));
    if call.parts.headers.get(header::CONTENT_ENCODING).is_some_and(|found| found != "identity") {
        return Err(Error::bad("an archive is sent as it is, without a Content-Encoding"));
    }
    if !is_form && call.announced().is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge { what: "archive", limit }.into());
    }
    let body = call.take_body();
    if !is_form {
        return write(call, name, said.version.as_deref(), body).await;
    }
    let mut form = Form::new(
        &call.parts.headers,
        body,
        FormLimits { parts: 100, field_bytes: 64 << 10, ..FormLimits::default() },
    )?;
    let mut found = None;
    let result = receive_form(call, name, said, &mut form, &mut found).await;
    if let Err(error) = result {
        drain_body(form.into_body()).await;
        return Err(error);
    }
    found.ok_or_else(|| Error::bad("the form has no file"))
}

async fn receive_form(
    call: &Call<'_>,
    name: &PackageName,
    said: &mut Said,
    form: &mut Form,
    found: &mut Option<PendingArtifact>,
) -> Result<(), Error> {
    while let Some(part) = form.next().await? {
        if part.file_name.is_none() && !matches!(part.name.as_str(), "file" | "package") {
            let text = form.text().await?;
            said.take(&part.name, &text);
            continue;
        }
        if found.is_some() {
            return Err(Error::bad("the form has more than one file"));
        }
        let file = form.file();
        match write(call, name, said.version.as_deref(), file).await {
            Ok(pending) => *found = Some(pending),
            // What broke off is the form, and it knows why.
            Err(error) => return Err(form.take_failure().map_or(error, Error::from)),
        }
    }
    Ok(())
}

/// Streams an archive to the store. What a version's text may hold that a key may not, the key's encoder escapes.
async fn write(
    call: &Call<'_>,
    name: &PackageName,
    version: Option<&str>,
    body: Body,
) -> Result<PendingArtifact, Error> {
    let packages = call.registry.packages();
    let spec = ArtifactSpec {
        digests: WantedDigests { sha1: true, ..WantedDigests::default() },
        max_bytes: Some(call.registry.config().max_archive_bytes),
        ..ArtifactSpec::default()
    };
    let pending = packages.store().write_artifact(&packages.archive_key(name, version), body, spec).await;
    let pending = pending.map_err(|error| Refusal::of_upload("archive", error))?;
    if pending.size() == 0 {
        return Err(Error::bad("the request has no archive"));
    }
    Ok(pending)
}

/// The version that is published: what was said, else what composer.json says, and never two that differ.
fn agreed(name: &PackageName, said: &Said, manifest: &Manifest) -> Result<Version, Error> {
    if manifest.name != *name {
        return Err(Error::Unprocessable(format!(
            "composer.json is of \"{}\", but it was sent to \"{name}\"",
            manifest.name
        )));
    }
    match (&said.version, &manifest.version) {
        (None, None) => Err(Error::Unprocessable(
            "there is no version: put it into the path, the query (?version=) or composer.json".to_owned(),
        )),
        (Some(version), None) | (None, Some(version)) => Ok(version.parse()?),
        (Some(version), Some(own)) => {
            let (version, own): (Version, Version) = (version.parse()?, own.parse()?);
            if version.identity() != own.identity() {
                return Err(Error::Unprocessable(format!(
                    "composer.json says version {}, but the request {}",
                    own.as_str(),
                    version.as_str()
                )));
            }
            Ok(version)
        }
    }
}
