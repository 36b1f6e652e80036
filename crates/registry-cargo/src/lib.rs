//! A Cargo registry on `registry-core`: what `cargo publish` uploads to and `cargo build` resolves from, by the sparse protocol.
//!
//! The crate answers HTTP requests and opens no socket; [`CargoRegistry`] is one instance of the protocol, to be mounted by a
//! host (or by the `smartregistry` crate, beside other protocols).
//!
//! ```
//! use std::sync::Arc;
//!
//! use registry_cargo::{CargoConfig, CargoRegistry};
//! use registry_core::{
//!     Body, Instance, PackageRegistry, Protocol, Services,
//!     auth::{DefaultAuthProvider, ScopeSet},
//!     catalog::Catalog,
//!     storage::{Storage, StorageOptions},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Storage::memory(StorageOptions::default());
//! let auth = DefaultAuthProvider::builder().anonymous(ScopeSet::parse(["cargo:crate:*:read"])?).build()?;
//! let services = Services::new(storage, Arc::new(auth), Catalog::memory());
//! let instance = Instance::new(Protocol::Cargo.into(), Protocol::Cargo, vec!["/cargo".parse()?]);
//! let registry = CargoRegistry::new(instance, services, CargoConfig::default());
//!
//! let request = http::Request::get("/cargo/config.json").body(Body::empty())?;
//! assert_eq!(registry.handle(request).await.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `handler` has a line for each route and a file for each action; `names` and `version` are parsed types;
//! `wire` parses and renders without I/O (the upload, the packaged manifest, the index); `store` has the document of a crate and
//! every change to it.
//!
//! Crates that were not published here are pulled through from other registries where the host's services have upstreams
//! (`upstream`).
//!
//! What is not here: RFC 3231's asymmetric tokens (they are refused with 401), the Git index protocol, and download counts (they are
//! told as 0).

mod administration;
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

pub use config::CargoConfig;
pub use registry::CargoRegistry;
