//! The simple API: the list of projects, and a project's page.

use std::{sync::Arc, time::SystemTime};

use http::HeaderValue;
use registry_core::{
    Actor, PackageRegistry as _, Response,
    auth::Action,
    hooks::Operation,
    http::{Query, Refusal, Representation},
    storage::Versioned,
};

use super::{
    call::{Call, page_headers},
    foreign, moved, name,
};
use crate::{
    error::Error,
    names::ProjectName,
    store::project::Project,
    upstream::{self, Found},
    wire::{
        negotiate::Form,
        simple::{Page, render_index, render_page},
    },
};

/// A page with more releases than this is rendered on a thread of its own.
const LARGE: usize = 200;

/// `GET /simple/`.
pub(crate) async fn index(call: &Call<'_>) -> Result<Response, Error> {
    let actor = call.actor().await?;
    call.allows_some(&actor, Action::Read)?;
    let form = form(call)?;
    let store = call.registry.projects().store();
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    let shown = format!("simple {form:?} {privacy}");
    let services = call.registry.services();
    let list = services.listed((call.registry.instance(), store), &actor, &shown, |entries| {
        let projects: Vec<(&str, &str)> = entries
            .iter()
            .filter(|entry| entry.name.parse::<ProjectName>().is_ok())
            .map(|entry| {
                let display = entry.details.get("display").and_then(serde_json::Value::as_str);
                (entry.name.as_str(), display.unwrap_or(&entry.name))
            })
            .collect();
        let content_type = HeaderValue::from_static(form.content_type());
        let body = render_index(form, &projects).into();
        let representation = Representation::new(content_type, body, None, page_headers(&actor));
        let weight = representation.weight();
        (representation, weight)
    });
    Ok(list.await?.respond(&call.parts))
}

/// `GET /simple/<project>/`.
pub(crate) async fn page(call: &Call<'_>, text: &str, at: &str) -> Result<Response, Error> {
    let project = name(text)?;
    if project.as_str() != text {
        return Ok(moved(call, &format!("{at}/{project}/")));
    }
    let actor = call.allow(&project, Action::Read).await?;
    let form = form(call)?;
    let found = upstream::find(call.registry, &actor, &project).await?.ok_or_else(Error::no_project)?;
    told(call, &actor, &project).await?;
    let document = match found {
        Found::Hosted(document) => document,
        Found::Both(document, project) => {
            return foreign::page(call, &actor, &project, Some(document), form).await;
        }
        Found::Foreign(project) => return foreign::page(call, &actor, &project, None, form).await,
    };
    Ok(rendered(call, &actor, &project, document, form).await?.respond(&call.parts))
}

/// The form that the client wants.
fn form(call: &Call<'_>) -> Result<Form, Error> {
    let query = Query::of(&call.parts).map_err(|error| Error::bad(error.to_string()))?;
    let format = query.get("format");
    match Form::negotiate(&call.parts.headers, format) {
        Some(form) => Ok(form),
        None if call.registry.config().lenient_accept && format.is_none() => Ok(Form::Text),
        None => Err(Error::NotAcceptable(Form::LISTED)),
    }
}

/// A page in one form, made once a revision.
async fn rendered(
    call: &Call<'_>,
    actor: &Actor,
    name: &ProjectName,
    document: Arc<Versioned<Project>>,
    form: Form,
) -> Result<Arc<Representation>, Error> {
    let projects = call.registry.projects();
    let (store, key) = (projects.store().clone(), projects.key(name));
    let privacy = if actor.is_anonymous() { "public" } else { "private" };
    // Only provenances have whole URLs: other pages are the same for whatever host a client names.
    let index = if document.has_provenance() { call.urls().index } else { String::new() };
    let variant = format!("page {form:?} {privacy} {index}");
    if let Some(found) = store.derived_cached(&key, &document.revision, &variant) {
        return Ok(found);
    }
    let headers = page_headers(actor);
    let files: usize = document.releases.values().map(|release| release.files.len()).sum();
    let make = move || {
        store.derived(&key, &document.revision, &variant, || {
            let representation = Representation::new(
                HeaderValue::from_static(form.content_type()),
                render_page(form, &Page::of(&document, &index)).into(),
                Some(SystemTime::from(document.modified)),
                headers,
            );
            let weight = representation.weight();
            (representation, weight)
        })
    };
    if files <= LARGE {
        return Ok(make());
    }
    // At most a few at once, and whoever waited finds what the one before made.
    let _turn = call.registry.renderers().acquire().await.map_err(Refusal::internal)?;
    Ok(tokio::task::spawn_blocking(make).await.map_err(Refusal::internal)?)
}

/// Asks and tells the hooks of a read.
pub(super) async fn told(call: &Call<'_>, actor: &Actor, name: &ProjectName) -> Result<(), Error> {
    let projects = call.registry.projects();
    let store = projects.store();
    let permit = store
        .permit_with(|| store.event(Operation::Get, &projects.key(name), actor).package(name.as_str()))
        .await?;
    store.finish(permit).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use registry_core::{
        Body, Instance, PackageRegistry as _, Protocol, Services,
        auth::{DefaultAuthProvider, ScopeSet},
        catalog::Catalog,
        storage::{ArtifactSpec, Created, Storage, StorageOptions, UnknownFields},
    };

    use crate::{
        PypiConfig, PypiRegistry,
        names::FileKind,
        store::project::{File, Project, Release},
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn checklist_60_a_page_of_twenty_thousand_files_is_rendered_once() {
        const FILES: usize = 20_000;
        let mut options = StorageOptions::default();
        options.cache_bytes = 256 << 20;
        let anonymous = ScopeSet::parse(["pypi:package:*:read"]).unwrap();
        let auth = DefaultAuthProvider::builder().anonymous(anonymous).build().unwrap();
        let services = Services::new(Storage::memory(options), std::sync::Arc::new(auth), Catalog::memory());
        let instance = Instance::new(Protocol::Pypi.into(), Protocol::Pypi, vec!["/simple".parse().unwrap()]);
        let registry = PypiRegistry::new(instance, services, PypiConfig::default());
        let (projects, name) = (registry.projects(), "foo".parse().unwrap());
        let key = projects.file_key(&name, "x");
        let data = projects.store().write_artifact_bytes(&key, "x".into(), ArtifactSpec::default()).await;
        let data = data.unwrap().keep();
        let now = registry.services().clock.now();
        let mut project = Project::new(name, now);
        for n in 0..FILES / 20 {
            let version = format!("1.{n}");
            let file = |m: usize| File {
                name: format!("foo-{version}-py3-none-platform{m:02}.whl"),
                kind: FileKind::Wheel,
                python: "py3".to_owned(),
                data: data.clone(),
                md5: "0".repeat(32),
                blake2b_256: "0".repeat(64),
                metadata: data.clone(),
                metadata_served: true,
                requires_python: Some(">=3.9".to_owned()),
                signature: None,
                provenance: None,
                yanked: None,
                uploaded: now,
                uploader: "alice".to_owned(),
                comment: None,
                unknown: UnknownFields::default(),
            };
            let release = Release {
                info: data.clone(),
                summary: None,
                keywords: Vec::new(),
                files: (0..20).map(file).collect(),
                unknown: UnknownFields::default(),
            };
            project.releases.insert(version.parse().unwrap(), release.into());
        }
        let made = projects.store().create(&projects.key(&project.name), project).await.unwrap();
        assert!(matches!(made, Created::Now(_)));

        let get = async |encoding: &str| {
            let request = http::Request::get("/simple/foo/?format=application/vnd.pypi.simple.v1%2Bjson");
            let request = request.header("accept-encoding", encoding).body(Body::empty()).unwrap();
            let response = registry.handle(request).await;
            assert_eq!(response.status(), 200);
            // One frame: the cached bytes themselves.
            response.into_body().frame().await.unwrap().unwrap().into_data().unwrap()
        };
        let first = get("identity").await;
        let page: serde_json::Value = serde_json::from_slice(&first).unwrap();
        assert_eq!(page["files"].as_array().unwrap().len(), FILES);
        assert_eq!(page["versions"].as_array().unwrap().len(), FILES / 20);
        assert_eq!(page["versions"][10], "1.10");
        assert_eq!(get("identity").await.as_ptr(), first.as_ptr());
    }
}
