//! A RubyGems registry on `registry-core`: what `gem` and Bundler install from and `gem push` publishes to.
//!
//! The crate answers HTTP requests and opens no socket; [`RubygemsRegistry`] is one instance of the protocol, to be mounted by a
//! host (or by the `smartregistry` crate, beside other protocols).
//!
//! ```
//! use std::sync::Arc;
//!
//! use registry_core::{
//!     Body, Instance, PackageRegistry, Protocol, Services, auth::DefaultAuthProvider, catalog::Catalog,
//!     storage::{Storage, StorageOptions},
//! };
//! use registry_rubygems::{RubygemsConfig, RubygemsRegistry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Storage::memory(StorageOptions::default());
//! let auth = Arc::new(DefaultAuthProvider::open()?);
//! let services = Services::new(storage, auth, Catalog::memory());
//! let instance = Instance::new(Protocol::Rubygems.into(), Protocol::Rubygems, vec!["/rubygems".parse()?]);
//! let registry = RubygemsRegistry::new(instance, services, RubygemsConfig::default());
//!
//! let request = http::Request::get("/rubygems/versions").body(Body::empty())?;
//! assert_eq!(registry.handle(request).await.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `handler` has a line for each route and a file for each action; `names` and `version` are parsed types;
//! `wire` parses and renders without I/O; `archive` looks into gems; `store` has the documents, their keys and every change to them, and
//! the log that `/versions` is (`store/announce.rs` has the rule that keeps it right).
//!
//! A host calls [`init`](registry_core::PackageRegistry::init) before the first request: it completes what a crash interrupted.
//!
//! Gems that were not pushed here are pulled through from other registries where the host's services have upstreams (`upstream`).
//!
//! What is not here yet: attestations (they are taken and dropped), trusted publishing, one-time passwords, roles of owners, and
//! counts of downloads (they are 0).

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

pub use config::RubygemsConfig;
pub use registry::RubygemsRegistry;
