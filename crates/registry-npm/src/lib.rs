//! An npm registry on `registry-core`: what npm, pnpm, yarn, bun and deno publish to and install from.
//!
//! The crate answers HTTP requests and opens no socket; [`NpmRegistry`] is one instance of the protocol, to be mounted by a
//! host (or by the `smartregistry` crate, beside other protocols).
//!
//! ```
//! use std::sync::Arc;
//!
//! use registry_core::{
//!     Body, Instance, PackageRegistry, Protocol, Services, auth::DefaultAuthProvider, catalog::Catalog,
//!     storage::{Storage, StorageOptions},
//! };
//! use registry_npm::{NpmConfig, NpmRegistry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Storage::memory(StorageOptions::default());
//! let auth = Arc::new(DefaultAuthProvider::open()?);
//! let services = Services::new(storage, auth, Catalog::memory());
//! let instance = Instance::new(Protocol::Npm.into(), Protocol::Npm, vec!["/npm".parse()?]);
//! let registry = NpmRegistry::new(instance, services, NpmConfig::default());
//!
//! let request = http::Request::get("/npm/-/ping").body(Body::empty())?;
//! assert_eq!(registry.handle(request).await.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `handler` has a line for each route and a file for each action; `names` and `version` are parsed types;
//! `wire` parses and renders without I/O; `tarball` looks into archives; `store` has the documents, their keys and
//! every change to them; `upstream` asks other registries for what is not here.

mod administration;
mod config;
mod error;
mod handler;
mod maintenance;
mod names;
mod registry;
mod store;
mod tarball;
mod upstream;
mod version;
mod wire;

pub use config::{AccessLevel, NpmConfig};
pub use registry::NpmRegistry;
