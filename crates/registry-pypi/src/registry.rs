//! [`PypiRegistry`]: the registry as its host sees it.

use std::sync::Arc;

use async_trait::async_trait;
use registry_core::{
    Actor, BasePath, Instance, PackageRegistry, Request, Response, Services,
    hooks::Operation,
    storage::{Draft, StorageError},
    upstream::Upstreams,
};
use tokio::sync::Semaphore;

use crate::{
    config::PypiConfig,
    handler,
    names::ProjectName,
    store::{Projects, project::Project},
    version::Version,
};

/// Large pages are rendered by so many threads at once.
const RENDERERS: usize = 2;

/// A Python package index: one instance, under its base paths.
#[derive(Clone, Debug)]
pub struct PypiRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    services: Services,
    config: PypiConfig,
    projects: Projects,
    upstreams: Upstreams,
    renderers: Semaphore,
    index: String,
    base: String,
}

impl PypiRegistry {
    /// A registry for this instance. Does no I/O.
    pub fn new(instance: Instance, services: Services, config: PypiConfig) -> Self {
        let projects = Projects::new(services.storage.store(&instance));
        let bases = || instance.base_paths.iter().map(BasePath::as_str);
        let base = bases().find(|base| !is_index(base)).or(bases().next()).unwrap_or_default().to_owned();
        let index =
            bases().find(|base| is_index(base)).map_or_else(|| format!("{base}/simple"), str::to_owned);
        let upstreams = Upstreams::new(&instance, &services);
        let renderers = Semaphore::new(RENDERERS);
        let inner = Inner { instance, services, config, projects, upstreams, renderers, index, base };
        Self { inner: Arc::new(inner) }
    }

    /// The settings.
    pub fn config(&self) -> &PypiConfig {
        &self.inner.config
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(crate) fn projects(&self) -> &Projects {
        &self.inner.projects
    }

    /// Other registries that are asked for what is not here.
    pub(crate) fn upstreams(&self) -> &Upstreams {
        &self.inner.upstreams
    }

    /// Held while a large page is rendered.
    pub(crate) fn renderers(&self) -> &Semaphore {
        &self.inner.renderers
    }

    /// Changes a project: asks the hooks, commits, tells the catalog.
    pub(crate) async fn change<E>(
        &self,
        actor: &Actor,
        operation: Operation,
        (name, version): (&ProjectName, Option<&Version>),
        change: impl FnMut(&mut Draft<Project>) -> Result<(), E> + Send + 'static,
    ) -> Result<(), E>
    where
        E: From<StorageError> + Send + 'static,
    {
        let (store, key) = (self.projects().store(), self.projects().key(name));
        let event = || {
            store
                .event(operation, &key, actor)
                .package(name.as_str())
                .version_if_any(version.map(Version::as_str))
        };
        if let Some(written) = store.change(&key, event, change).await? {
            self.tell_catalog(&written);
        }
        Ok(())
    }

    /// Tells the catalog what became of a project.
    pub(crate) fn tell_catalog(&self, project: &Project) {
        let instance = &self.inner.instance.name;
        self.services().catalog.changed(instance, project.name.as_str(), project.catalog_entry());
    }

    /// The path of the simple API that clients are told.
    pub(crate) fn index_path(&self) -> &str {
        &self.inner.index
    }

    /// The path of everything else that clients are told.
    pub(crate) fn base_path(&self) -> &str {
        &self.inner.base
    }
}

/// Whether a base path is that of the simple API itself.
pub(crate) fn is_index(base: &str) -> bool {
    base.rsplit('/').next() == Some("simple")
}

#[async_trait]
impl PackageRegistry for PypiRegistry {
    fn instance(&self) -> &Instance {
        &self.inner.instance
    }

    async fn handle(&self, request: Request) -> Response {
        handler::handle(self, request).await
    }

    fn client_settings(&self, base_url: &str) -> String {
        // The URL ends in the first base path; the origin is what comes before.
        let first = self.inner.instance.base_paths.first().map_or("", |base| base.as_str());
        let origin = base_url.trim_end_matches('/');
        let origin = origin.strip_suffix(first).unwrap_or(origin);
        let (index, base) = (self.index_path(), self.base_path());
        let (scheme, host) = origin.split_once("://").unwrap_or(("http", origin));
        format!(
            "# pip: pip.conf\n\
             [global]\n\
             index-url = {scheme}://__token__:TOKEN@{host}{index}/\n\
             # uv: pyproject.toml, with UV_INDEX_PRIVATE_USERNAME=__token__ and UV_INDEX_PRIVATE_PASSWORD=TOKEN\n\
             [[tool.uv.index]]\n\
             name = \"private\"\n\
             url = \"{origin}{index}/\"\n\
             publish-url = \"{origin}{base}/\"\n\
             default = true\n\
             # twine: .pypirc\n\
             [distutils]\n\
             index-servers = private\n\
             [private]\n\
             repository = {origin}{base}/\n\
             username = __token__\n\
             password = TOKEN\n"
        )
    }
}
