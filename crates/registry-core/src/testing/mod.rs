//! What the tests of every protocol crate stand on: a registry in memory, requests to it, answers read whole.
//!
//! A protocol says in a [`Subject`] how its registry is made and what its refusals look like; [`Setup`] is then what a test changes
//! before it builds its [`App`]. Nothing here opens a socket or touches a disk, and whatever is not as it should be panics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a harness fails its test by panicking")]

pub mod archives;
mod page;
mod recorder;
mod request;
mod upstream;

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

pub use self::{
    page::Page,
    recorder::Recorder,
    request::{Ask, Reply},
    upstream::{Canned, FakeUpstream, Seen},
};
use crate::{
    Instance, PackageRegistry, Protocol, Services,
    auth::{AuthOptions, DefaultAuthBuilder, DefaultAuthProvider, ScopeSet},
    catalog::Catalog,
    clock::{Clock as _, ManualClock},
    maintenance::{GcRun, Maintenance, VerifyRun},
    storage::{Storage, StorageOptions},
    upstream::{HttpConnector, InstanceUpstreams, StaticUpstreamProvider, UpstreamConfig, UpstreamEngine},
};

/// A protocol as its tests see it.
pub trait Subject: Sized {
    /// The registry under test.
    type Registry: PackageRegistry;
    /// Its settings.
    type Config;
    /// The protocol.
    const PROTOCOL: Protocol;
    /// Where the registry lies.
    const BASES: &'static [&'static str];
    /// What [`App::ask`] puts before each path, unless a test says otherwise.
    const PREFIX: &'static str;
    /// What clients put before a token in `Authorization`.
    const SCHEME: &'static str = "Bearer ";
    /// The scopes of bob, a user who may do little.
    const BOB: &'static [&'static str];

    /// The settings that tests begin with.
    fn config() -> Self::Config;

    /// Makes the registry.
    fn registry(instance: Instance, services: Services, config: Self::Config) -> Self::Registry;

    /// The sentence in a refusal's body. Panics where the refusal is not in the protocol's form.
    fn sentence(reply: &Reply) -> String;
}

/// What an [`App`] is made of. Tests change it, then call [`Setup::build`].
#[derive(Debug)]
pub struct Setup<S: Subject> {
    /// Users and tokens.
    pub auth: DefaultAuthBuilder,
    /// The protocol's settings.
    pub config: S::Config,
    /// The storage's settings, hooks among them.
    pub options: StorageOptions,
    /// Where the registry lies.
    pub bases: &'static [&'static str],
    /// What [`App::ask`] puts before each path.
    pub prefix: &'static str,
    /// The upstreams and their rules.
    pub upstreams: InstanceUpstreams,
    clock: Arc<ManualClock>,
}

/// Scopes from their texts.
pub fn scopes<T: AsRef<str>>(texts: &[T]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

impl<S: Subject> Setup<S> {
    /// Five users, each with the token `NAME-token`: alice may do everything, bob what [`Subject::BOB`] says, reader only read, writer
    /// read and write, other everything in another protocol. alice and bob have passwords, too: `NAME's password`. It is always the
    /// 4th of March 2026.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-04T05:06:07.890Z".parse().unwrap()));
        let options = AuthOptions { clock: Arc::<ManualClock>::clone(&clock), ..AuthOptions::default() };
        let every = |actions: &str| scopes(&[format!("{}:{actions}", every_name(S::PROTOCOL))]);
        let elsewhere = if S::PROTOCOL == Protocol::Npm { Protocol::Cargo } else { Protocol::Npm };
        let auth = DefaultAuthProvider::builder()
            .options(options)
            .user("alice", "alice's password", every("*"))
            .user("bob", "bob's password", scopes(S::BOB))
            .token("alice", "alice-token", every("*"))
            .token("bob", "bob-token", scopes(S::BOB))
            .token("reader", "reader-token", every("read"))
            .token("writer", "writer-token", every("read,write"))
            .token("other", "other-token", scopes(&[format!("{}:*", every_name(elsewhere))]));
        Self {
            auth,
            config: S::config(),
            options: StorageOptions::default(),
            bases: S::BASES,
            prefix: S::PREFIX,
            upstreams: InstanceUpstreams::default(),
            clock,
        }
    }

    /// Everybody may read without credentials.
    pub fn open() -> Self {
        Self::new().anonymous(&[format!("{}:read", every_name(S::PROTOCOL))])
    }

    /// What may be done without credentials.
    pub fn anonymous<T: AsRef<str>>(mut self, texts: &[T]) -> Self {
        self.auth = self.auth.anonymous(scopes(texts));
        self
    }

    /// One more user with the token `NAME-token`.
    pub fn user<T: AsRef<str>>(mut self, name: &str, texts: &[T]) -> Self {
        self.auth = self.auth.token(name, format!("{name}-token"), scopes(texts));
        self
    }

    /// Asks one more upstream, with the usual settings, named `up`, `up2`, `up3` …
    pub fn upstream(self, url: &str) -> Self {
        self.upstream_with(url, |_| {})
    }

    /// [`Setup::upstream`] with other settings.
    pub fn upstream_with(mut self, url: &str, change: impl FnOnce(&mut UpstreamConfig)) -> Self {
        let count = self.upstreams.upstreams.len();
        let id = if count == 0 { "up".to_owned() } else { format!("up{}", count + 1) };
        let mut config = UpstreamConfig::new(id.parse().unwrap(), url).unwrap();
        change(&mut config);
        self.upstreams.upstreams.push(config);
        self
    }

    /// The registry, over an empty store in memory.
    pub fn build(self) -> App<S> {
        let storage = Storage::memory(self.options.clone());
        self.build_on(storage)
    }

    /// The registry over this store, which another one may have filled.
    pub fn build_on(self, storage: Storage) -> App<S> {
        let mut services = Services::new(storage, Arc::new(self.auth.build().unwrap()), Catalog::memory());
        services.clock = Arc::<ManualClock>::clone(&self.clock);
        if !self.upstreams.upstreams.is_empty() {
            let provider = StaticUpstreamProvider::new();
            let provider = provider.with(S::PROTOCOL.into(), S::PROTOCOL, self.upstreams);
            services.upstreams = UpstreamEngine::new(Arc::new(provider), Arc::new(HttpConnector));
        }
        let bases = self.bases.iter().map(|base| base.parse().unwrap()).collect();
        let instance = Instance::new(S::PROTOCOL.into(), S::PROTOCOL, bases);
        let registry = S::registry(instance.clone(), services.clone(), self.config);
        App { registry, services, clock: self.clock, instance, prefix: self.prefix }
    }
}

impl<S: Subject> Default for Setup<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// The scope of all names of a protocol, without actions.
fn every_name(protocol: Protocol) -> String {
    format!("{protocol}:{}:*", protocol.resource_type())
}

/// A registry under test.
pub struct App<S: Subject> {
    /// The registry.
    pub registry: S::Registry,
    /// What it stands on.
    pub services: Services,
    /// The time, for the registry and for users' tokens.
    pub clock: Arc<ManualClock>,
    /// The registry's name and place.
    pub instance: Instance,
    /// What [`App::ask`] puts before each path.
    pub prefix: &'static str,
}

impl<S: Subject> fmt::Debug for App<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl<S: Subject> App<S> {
    /// A request to a path below the prefix.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_, S> {
        self.ask_at(method, &format!("{}{path}", self.prefix))
    }

    /// A request to a path from the root on.
    pub fn ask_at(&self, method: &str, path: &str) -> Ask<'_, S> {
        Ask::new(self, method, path)
    }

    /// What alice gets at a path.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).token("alice-token").send().await
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Key, size and time of all stored objects, after everything in the background ended.
    pub async fn objects(&self) -> Vec<(String, u64, std::time::SystemTime)> {
        self.services.storage.drained().await;
        let store = self.services.storage.store(&self.instance);
        let entries = store.list(&store.key().build()).await.unwrap();
        entries.into_iter().map(|entry| (entry.key.to_string(), entry.size, entry.modified)).collect()
    }

    /// The keys of all stored objects.
    pub async fn keys(&self) -> Vec<String> {
        self.objects().await.into_iter().map(|(key, _, _)| key).collect()
    }

    /// Waits until so many objects are stored: what goes on in the background when an answer has ended.
    pub async fn settled(&self, objects: usize) {
        for _ in 0..1000 {
            if self.keys().await.len() >= objects {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.keys().await);
    }

    /// Takes away all stored objects whose keys have this text in them, as a broken disk would. Says how many.
    pub async fn lose(&self, text: &str) -> usize {
        let store = self.services.storage.store(&self.instance);
        let mut lost = 0;
        for entry in store.list(&store.key().build()).await.unwrap() {
            if entry.key.as_str().contains(text) {
                store.remove(&entry.key).await.unwrap();
                lost += 1;
            }
        }
        lost
    }

    /// Collects garbage as if it were `now`. Says how many objects went, or would go.
    pub async fn collect(&self, now: DateTime<Utc>, grace: Duration, dry_run: bool) -> u64 {
        let run = GcRun::new(now, grace, dry_run);
        self.registry.collect_garbage(&run).await.unwrap();
        run.report.removed_count().0
    }

    /// What `verify` finds.
    pub async fn faults(&self) -> Vec<String> {
        let run = VerifyRun::default();
        self.registry.verify(&run).await.unwrap();
        run.report.faults()
    }
}
