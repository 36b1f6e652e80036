//! A Maven repository on `registry-core`: what Maven, Gradle, Ivy, sbt and coursier resolve from and deploy to.
//!
//! The crate answers HTTP requests and opens no socket; [`MavenRegistry`] is one instance of the protocol, to be mounted by a
//! host (or by the `smartregistry` crate, beside other protocols).
//!
//! ```
//! use std::sync::Arc;
//!
//! use registry_core::{
//!     Actor, Body, Instance, PackageRegistry, Protocol, Services, auth::{DefaultAuthProvider, ScopeSet}, catalog::Catalog,
//!     storage::{Storage, StorageOptions},
//! };
//! use registry_maven::{MavenConfig, MavenRegistry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Storage::memory(StorageOptions::default());
//! let auth = Arc::new(DefaultAuthProvider::open()?);
//! let services = Services::new(storage, auth, Catalog::memory());
//! let instance = Instance::new(Protocol::Maven.into(), Protocol::Maven, vec!["/maven".parse()?]);
//! let registry = MavenRegistry::new(instance, services, MavenConfig::default());
//!
//! // The host knows who asks; elsewhere credentials come with the request.
//! let actor = Actor::user("alice").with_scopes(ScopeSet::everything());
//! let put = http::Request::put("/maven/com/acme/lib/1.0/lib-1.0.pom").extension(actor);
//! assert_eq!(registry.handle(put.body(Body::from("<project/>"))?).await.status(), 201);
//! let get = http::Request::get("/maven/com/acme/lib/maven-metadata.xml").body(Body::empty())?;
//! assert_eq!(registry.handle(get).await.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `handler` has a line for each route and a file for each action; `names` and `version` are parsed types;
//! `wire` parses and renders without I/O; `archive` looks into the JARs of plugins; `store` has the documents, their keys and every change to them.
//!
//! What was not deployed here is pulled through from other repositories where the host's services have upstreams (`upstream`).
//!
//! What it does not do yet: several repositories as one group, an index for searches, and redirects to a bucket.

mod administration;
mod archive;
mod config;
mod error;
mod handler;
mod maintenance;
mod names;
mod registry;
mod store;
mod upstream;
mod version;
mod wire;

pub use config::{LatestPolicy, MavenConfig, VersionPolicy, WritePolicy};
pub use registry::MavenRegistry;
