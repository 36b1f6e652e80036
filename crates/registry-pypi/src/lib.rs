//! A Python package index on `registry-core`: what pip, uv, poetry and pdm install from and twine, hatch and flit upload to.
//!
//! The crate answers HTTP requests and opens no socket; [`PypiRegistry`] is one instance of the protocol, to be mounted by a
//! host (or by the `smartregistry` crate, beside other protocols). A base path whose last segment is `simple` serves the simple API
//! itself; any other one, `/x`, serves `/x/simple/`, the JSON API at `/x/<project>/json`, and takes uploads at `/x/` and `/x/legacy/`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use registry_core::{
//!     Body, Instance, PackageRegistry, Protocol, Services, auth::DefaultAuthProvider, catalog::Catalog,
//!     storage::{Storage, StorageOptions},
//! };
//! use registry_pypi::{PypiConfig, PypiRegistry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Storage::memory(StorageOptions::default());
//! let auth = Arc::new(DefaultAuthProvider::open()?);
//! let services = Services::new(storage, auth, Catalog::memory());
//! let paths = vec!["/simple".parse()?, "/pypi".parse()?];
//! let instance = Instance::new(Protocol::Pypi.into(), Protocol::Pypi, paths);
//! let registry = PypiRegistry::new(instance, services, PypiConfig::default());
//!
//! let request = http::Request::get("/simple/").body(Body::empty())?;
//! assert_eq!(registry.handle(request).await.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `handler` has a line for each route and a file for each action; `names` and `version` are parsed types;
//! `wire` parses and renders without I/O; `archive` looks into files; `attestation` verifies what is signed; `store` has the documents, their keys and every change to them;
//! `upstream` asks other registries for what is not here.
//!
//! What is not here yet: the transparency logs
//! of attestations (their entries are stored and served, not verified), trusted publishing, and a search (pip's is answered with an explanation).

mod administration;
mod archive;
mod attestation;
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

pub use attestation::{AttestationRoots, AttestationRootsError};
pub use config::PypiConfig;
pub use registry::PypiRegistry;
