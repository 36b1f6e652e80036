//! From a configuration to registries: opens the store, and puts auth, catalog and registries on it.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use smartregistry::{
    SmartRegistry,
    cargo::CargoRegistry,
    composer::ComposerRegistry,
    core::{
        PackageRegistry, Services,
        auth::{AuthOptions, ScopeSet, StoredAuthProvider},
        catalog::Catalog,
        clock::SystemClock,
        http::PublicUrl,
        storage::{ProcessRole, Storage, StorageOptions},
        upstream::{HttpConnector, StaticUpstreamProvider, UpstreamEngine, Upstreams},
    },
    maven::MavenRegistry,
    npm::NpmRegistry,
    oci::OciRegistry,
    pypi::PypiRegistry,
    rubygems::RubygemsRegistry,
};

use crate::{
    config::{ADMIN_TOKEN, CacheConfig, Config, InstanceConfig, Settings},
    exit::Failure,
    front::Live,
    log::Log,
};

/// The shortest administrator's token that the environment may give.
const SHORTEST_ADMIN_TOKEN: usize = 16;

/// How long changes whose clients went away may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Registries on an open store.
#[derive(Debug)]
pub(crate) struct Opened {
    registry: SmartRegistry,
    auth: Arc<StoredAuthProvider>,
}

impl Opened {
    /// What exists, as lists and searches know it.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.registry.catalog()
    }

    /// Users and tokens.
    pub(crate) fn auth(&self) -> &StoredAuthProvider {
        &self.auth
    }

    /// Where everything is kept.
    pub(crate) fn storage(&self) -> &Storage {
        self.registry.storage()
    }

    /// The upstreams of one of the registries, and what is kept of them.
    pub(crate) fn upstreams_of(&self, registry: &dyn PackageRegistry) -> Upstreams {
        self.registry.upstreams_of(registry.instance())
    }

    /// All registries.
    pub(crate) fn registries(&self) -> &[Arc<dyn PackageRegistry>] {
        self.registry.registries()
    }

    /// Ends what registries and auth do in the background; the store stays open.
    pub(crate) async fn end_registries(&self) {
        self.registry.shutdown().await;
        self.auth.shutdown().await;
    }

    /// Ends everything that runs in the background.
    pub(crate) async fn close(&self) {
        self.end_registries().await;
        self.registry.catalog().shutdown().await;
        // What is not done by then is as if the process had been killed, which the store is made for.
        let _ = tokio::time::timeout(DRAIN, self.registry.storage().drained()).await;
    }
}

/// Opens the store for a command that ends soon.
pub(crate) async fn open_for_command(config: &Config) -> Result<Opened, Failure> {
    open(config, ProcessRole::Command).await
}

/// Opens the store for a server. The administrator's token comes with it where this is the first start.
pub(crate) async fn open_for_serving(config: &Config) -> Result<(Opened, Option<SecretString>), Failure> {
    let opened = open(config, ProcessRole::Server).await?;
    let minted = opened.auth.ensure_admin_token().await;
    let minted = minted.map_err(|e| Failure::while_doing("cannot make the administrator's token", &e))?;
    start_catalog(&opened).await?;
    Ok((opened, minted.map(|minted| minted.secret)))
}

async fn open(config: &Config, role: ProcessRole) -> Result<Opened, Failure> {
    // Wrong settings are told before a store is made for them.
    let admin_token = admin_token()?;
    let upstreams = upstreams(config)?;
    let storage = open_storage(config, role).await?;
    let catalog = Catalog::stored(&storage, Arc::new(SystemClock));
    put_together(config, storage, catalog, upstreams, admin_token).await
}

/// A server leaves its marker in the store, and finds out whether an earlier one crashed. Commands do not.
async fn start_catalog(opened: &Opened) -> Result<(), Failure> {
    let started = opened.registry.catalog().start(opened.registry.registries()).await;
    started.map_err(|e| Failure::while_doing("cannot start the catalog", &e))
}

/// Registries of another configuration on a store that is open.
pub(crate) async fn reopen(opened: &Opened, config: &Config) -> Result<Opened, Failure> {
    let (storage, catalog) = (opened.registry.storage().clone(), opened.registry.catalog().clone());
    // What is known of upstreams that stay as they are stays known.
    let upstreams = opened.registry.upstreams().with_provider(Arc::new(provider(config)));
    check_upstreams(&upstreams)?;
    let reopened = put_together(config, storage, catalog, upstreams, admin_token()?).await?;
    start_catalog(&reopened).await?;
    Ok(reopened)
}

/// The registries on the same store with a catalog of their own, for a command that makes it anew in memory.
pub(crate) async fn with_own_catalog(opened: &Opened, config: &Config) -> Result<Opened, Failure> {
    let upstreams = opened.registry.upstreams().clone();
    put_together(config, opened.registry.storage().clone(), Catalog::memory(), upstreams, None).await
}

/// The registries of a configuration on no store at all, to ask them what does not depend on one.
pub(crate) async fn without_store(config: &Config) -> Result<Opened, Failure> {
    let storage = Storage::memory(StorageOptions::default());
    put_together(config, storage, Catalog::memory(), UpstreamEngine::none(), None).await
}

/// The upstreams of a configuration. Opens no connection.
pub(crate) fn upstreams(config: &Config) -> Result<UpstreamEngine, Failure> {
    let spool = config.cache.spool.clone();
    let engine = UpstreamEngine::with_spool(Arc::new(provider(config)), Arc::new(HttpConnector), spool);
    check_upstreams(&engine)?;
    Ok(engine)
}

fn provider(config: &Config) -> StaticUpstreamProvider {
    config.upstreams.iter().fold(StaticUpstreamProvider::new(), |provider, one| {
        provider.with(one.instance.clone(), one.protocol, one.set.clone())
    })
}

fn check_upstreams(engine: &UpstreamEngine) -> Result<(), Failure> {
    engine.check().map_err(|e| Failure::while_doing("cannot ask the upstreams", &e))
}

async fn put_together(
    config: &Config,
    storage: Storage,
    catalog: Catalog,
    upstreams: UpstreamEngine,
    admin_token: Option<SecretString>,
) -> Result<Opened, Failure> {
    let auth = StoredAuthProvider::new(&storage, auth_options(config, admin_token));
    let auth = Arc::new(auth.map_err(|e| Failure::while_doing("cannot start the auth provider", &e))?);
    let registry = registries(config, storage, catalog, upstreams, Arc::clone(&auth)).await?;
    Ok(Opened { registry, auth })
}

fn auth_options(config: &Config, admin_token: Option<SecretString>) -> AuthOptions {
    let mut options = AuthOptions::default();
    options.anonymous = config.auth.anonymous.clone();
    options.instance_anonymous =
        config.instances.iter().filter_map(|i| Some((i.name.clone(), i.anonymous.clone()?))).collect();
    options.signup = config.auth.signup.then(ScopeSet::nothing);
    options.admin_token = admin_token;
    options.jwt_secret.clone_from(&config.auth.jwt_secret);
    options.max_staleness = config.auth.max_staleness;
    options
}

async fn registries(
    config: &Config,
    storage: Storage,
    catalog: Catalog,
    upstreams: UpstreamEngine,
    auth: Arc<StoredAuthProvider>,
) -> Result<SmartRegistry, Failure> {
    let mut builder =
        SmartRegistry::builder().storage(storage).catalog(catalog).auth(auth).upstreams(upstreams);
    if let Some(origin) = &config.public_url {
        builder = builder.public_url(origin);
    }
    for one in &config.instances {
        let instance = one.instance();
        let origin = one.origin.clone();
        let at_its_url = move |mut services: Services| {
            if let Some(origin) = origin {
                services.public_url = PublicUrl::fixed(origin);
            }
            services
        };
        builder =
            match one.settings.clone() {
                Settings::Cargo(cargo) => {
                    builder.registry(|services| CargoRegistry::new(instance, at_its_url(services), cargo))
                }
                Settings::Composer(composer) => builder
                    .registry(|services| ComposerRegistry::new(instance, at_its_url(services), composer)),
                Settings::Maven(maven) => {
                    builder.registry(|services| MavenRegistry::new(instance, at_its_url(services), maven))
                }
                Settings::Npm(npm) => {
                    builder.registry(|services| NpmRegistry::new(instance, at_its_url(services), npm))
                }
                Settings::Oci(oci) => {
                    builder.registry(|services| OciRegistry::new(instance, at_its_url(services), oci))
                }
                Settings::Pypi(pypi) => {
                    builder.registry(|services| PypiRegistry::new(instance, at_its_url(services), pypi))
                }
                Settings::Rubygems(rubygems) => builder
                    .registry(|services| RubygemsRegistry::new(instance, at_its_url(services), rubygems)),
            };
    }
    builder.build().await.map_err(|e| Failure::while_doing("cannot start the registries", &e))
}

/// The administrator's token from the environment, if it gives one.
pub(crate) fn admin_token() -> Result<Option<SecretString>, Failure> {
    match std::env::var(ADMIN_TOKEN) {
        Err(std::env::VarError::NotPresent) => Ok(None),
        Ok(token) if token.len() >= SHORTEST_ADMIN_TOKEN => Ok(Some(SecretString::from(token))),
        Ok(_) => {
            let reason = format!("{ADMIN_TOKEN} must have at least {SHORTEST_ADMIN_TOKEN} characters");
            Err(Failure::new(reason))
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::new(format!("{ADMIN_TOKEN} is not UTF-8"))),
    }
}

/// What a front needs of some registries.
pub(crate) fn live(opened: &Opened, config: &Config, log: &Log) -> Live {
    let own = |i: &InstanceConfig| Some((i.name.to_string(), PublicUrl::fixed(i.origin.as_ref()?)));
    Live {
        registry: opened.registry.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        public_url: config.public_url.as_ref().map_or_else(PublicUrl::default, PublicUrl::fixed),
        origins: config.instances.iter().filter_map(own).collect(),
        access: log.access(&config.log),
        metrics_here: config.metrics.enabled && config.metrics.listen.is_none(),
    }
}

async fn open_storage(config: &Config, role: ProcessRole) -> Result<Storage, Failure> {
    let CacheConfig { max_staleness, memory, .. } = config.cache;
    let mut options = StorageOptions::default();
    options.cache_bytes = memory;
    options.max_staleness = max_staleness;
    Storage::connect(&config.storage.location, role, &config.storage.connection, options)
        .await
        .map_err(|e| Failure::while_doing(format!("cannot open the store {}", config.storage.location), &e))
}
