//! Putting a [`SmartRegistry`] together.

use std::{collections::BTreeSet, fmt, sync::Arc};

use registry_core::{
    BasePath, InstanceName, PackageRegistry, Services,
    auth::{AuthError, AuthProvider, DefaultAuthProvider},
    catalog::Catalog,
    clock::{Clock, SystemClock},
    hooks::{Hooks, StorageHooks},
    http::PublicUrl,
    registry::InitError,
    storage::{Storage, StorageError, StorageOptions},
    upstream::UpstreamEngine,
};

use crate::{SmartRegistry, defaults, router::Router};

/// Makes a registry once the services that all registries share are known.
pub(crate) type Make = Box<dyn FnOnce(Services) -> Arc<dyn PackageRegistry> + Send>;

/// Puts a [`SmartRegistry`] together; [`SmartRegistry::builder`] begins.
///
/// It needs a storage: [`Builder::storage`] or [`Builder::in_memory`]. Where no registry is added, there is one of each
/// protocol that is compiled in, at its usual base path. Without an auth provider there are no users, and the anonymous
/// actor may do nothing.
#[derive(Default)]
#[must_use]
pub struct Builder {
    storage: Option<Storage>,
    in_memory: bool,
    auth: Option<Arc<dyn AuthProvider>>,
    catalog: Option<Catalog>,
    public_url: PublicUrl,
    clock: Option<Arc<dyn Clock>>,
    hooks: Vec<Arc<dyn StorageHooks>>,
    upstreams: Option<UpstreamEngine>,
    registries: Vec<Make>,
}

/// Why there is no [`SmartRegistry`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The auth provider that is there where none is given could not be made.
    #[error("there is no auth provider")]
    Auth(#[source] AuthError),
    /// The catalog could not be started on the store.
    #[error("the catalog could not start")]
    Catalog(#[source] StorageError),
    /// Hooks belong to the storage; where the storage comes ready made, they must be in its options.
    #[error("hooks were given beside a storage: put them into the storage's options")]
    HooksBesideStorage,
    /// A registry could not start.
    #[error("a registry could not start")]
    Init(#[source] InitError),
    /// Two registries have one name, and so one part of the store.
    #[error("there are two registries named {0}")]
    Name(InstanceName),
    /// Two registries are at one place.
    #[error("the registries {first} and {second} are both at `{base}`")]
    Place {
        /// The base path.
        base: BasePath,
        /// The one registry.
        first: String,
        /// The other registry.
        second: String,
    },
    /// Nothing says where to keep things.
    #[error("there is no storage: call storage() or in_memory()")]
    Storage,
}

impl Builder {
    /// Keeps everything in this storage, whose options hold the hooks.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Keeps everything in memory, for tests and trials.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// Asks this provider who may do what.
    pub fn auth(mut self, auth: Arc<dyn AuthProvider>) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Takes this catalog of what exists, where several services share a storage. Whoever gives one starts it and shuts it down.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Gives clients URLs with this origin, `https://registry.example.com`. Without it, with each request's own.
    pub fn public_url(mut self, origin: impl Into<String>) -> Self {
        self.public_url = PublicUrl::fixed(origin);
        self
    }

    /// Tells the time by this clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Asks other registries for what is not here. Without it, what is not here does not exist.
    pub fn upstreams(mut self, engine: UpstreamEngine) -> Self {
        self.upstreams = Some(engine);
        self
    }

    /// Asks and tells these hooks around every operation, in the order in which they were added. Goes with
    /// [`Builder::in_memory`]; a ready storage has its hooks in its options.
    pub fn hooks(mut self, hooks: Arc<dyn StorageHooks>) -> Self {
        self.hooks.push(hooks);
        self
    }

    /// Adds a registry. `make` gets the services that all registries share, and may change its own copy of them.
    ///
    /// ```no_run
    /// # #[cfg(feature = "npm")]
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use smartregistry::{Instance, Protocol, SmartRegistry, npm::{NpmConfig, NpmRegistry}};
    ///
    /// let internal = Instance::new("npm-internal".parse()?, Protocol::Npm, vec!["/npm-internal".parse()?]);
    /// let registry = SmartRegistry::builder()
    ///     .in_memory()
    ///     .registry(|services| NpmRegistry::new(internal, services, NpmConfig::default()))
    ///     .build()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn registry<R, F>(mut self, make: F) -> Self
    where
        R: PackageRegistry + 'static,
        F: FnOnce(Services) -> R + Send + 'static,
    {
        self.registries.push(Box::new(|services| Arc::new(make(services))));
        self
    }

    /// Adds the usual registry of each protocol that is compiled in: Cargo at `/cargo`, Composer at `/composer`, Maven at `/maven`, npm
    /// at `/npm`, OCI at `/v2` and `/oci`, PyPI at `/simple` and `/pypi`, RubyGems at `/rubygems`. Happens by
    /// itself where no registry is added.
    pub fn default_registries(mut self) -> Self {
        self.registries.extend(defaults::registries());
        self
    }

    /// Starts everything.
    pub async fn build(mut self) -> Result<SmartRegistry, BuildError> {
        if self.registries.is_empty() {
            self = self.default_registries();
        }
        let storage = match self.storage {
            Some(_) if !self.hooks.is_empty() => return Err(BuildError::HooksBesideStorage),
            Some(storage) => storage,
            None if self.in_memory => {
                let mut options = StorageOptions::default();
                options.hooks = Hooks::new(self.hooks);
                Storage::memory(options)
            }
            None => return Err(BuildError::Storage),
        };
        let auth = match self.auth {
            Some(auth) => auth,
            None => Arc::new(DefaultAuthProvider::builder().build().map_err(BuildError::Auth)?),
        };
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let own_catalog = self.catalog.is_none();
        let catalog = self.catalog.unwrap_or_else(|| Catalog::stored(&storage, Arc::clone(&clock)));
        let mut services = Services::new(storage, auth, catalog);
        services.public_url = self.public_url;
        services.clock = clock;
        if let Some(upstreams) = self.upstreams {
            services.upstreams = upstreams;
        }
        let registries: Vec<_> = self.registries.into_iter().map(|make| make(services.clone())).collect();
        let mut names = BTreeSet::new();
        for registry in &registries {
            let name = &registry.instance().name;
            if !names.insert(name.clone()) {
                return Err(BuildError::Name(name.clone()));
            }
        }
        let router = Router::new(&registries).map_err(|clash| BuildError::Place {
            base: clash.base,
            first: clash.first,
            second: clash.second,
        })?;
        for registry in &registries {
            registry.init().await.map_err(BuildError::Init)?;
        }
        if own_catalog {
            services.catalog.start(&registries).await.map_err(BuildError::Catalog)?;
        }
        Ok(SmartRegistry::new(router, registries, services, own_catalog))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("storage", &self.storage)
            .field("in_memory", &self.in_memory)
            .field("auth", &self.auth)
            .field("public_url", &self.public_url)
            .field("registries", &self.registries.len())
            .finish_non_exhaustive()
    }
}
