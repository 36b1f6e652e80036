//! A Composer repository on `registry-core`: what `composer install`, `update`, `require`, `search` and `audit` read, and where PHP
//! packages are uploaded to.
//!
//! The crate answers HTTP requests and opens no socket; [`ComposerRegistry`] is one instance of the protocol, to be mounted by a
//! host (or by the `smartregistry` crate, beside other protocols).
//!
//! ```
//! use std::sync::Arc;
//!
//! use registry_composer::{ComposerConfig, ComposerRegistry};
//! use registry_core::{
//!     Body, Instance, PackageRegistry, Protocol, Services, auth::{DefaultAuthProvider, ScopeSet}, catalog::Catalog,
//!     storage::{Storage, StorageOptions},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Storage::memory(StorageOptions::default());
//! let everybody = ScopeSet::parse(["composer:package:*:read"])?;
//! let auth = Arc::new(DefaultAuthProvider::builder().anonymous(everybody).build()?);
//! let services = Services::new(storage, auth, Catalog::memory());
//! let instance = Instance::new(Protocol::Composer.into(), Protocol::Composer, vec!["/composer".parse()?]);
//! let registry = ComposerRegistry::new(instance, services, ComposerConfig::default());
//!
//! let request = http::Request::get("/composer/packages.json").body(Body::empty())?;
//! assert_eq!(registry.handle(request).await.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `handler` has a line for each route and a file for each action; `names` and `version` are parsed types;
//! `wire` parses and renders without I/O; `archive` looks into archives; `store` has the documents, their keys and every
//! change to them.
//!
//! Packages that were not published here are pulled through from other repositories where the host's services have upstreams
//! (`upstream`).
//!
//! What it does not do yet: keep security advisories and filter lists of its own (it answers that there are none), take
//! archives other than ZIP, answer with redirects to a bucket, offer a feed of changes, and count downloads of each package.

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

pub use config::ComposerConfig;
pub use registry::ComposerRegistry;
