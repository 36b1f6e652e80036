//! Package registries for the clients people have, as one library: it takes HTTP requests and gives HTTP responses.
//! The host owns the listener.
//!
//! ```
//! # #[cfg(feature = "npm")]
//! # async fn run() -> Result<(), smartregistry::BuildError> {
//! use smartregistry::{Body, SmartRegistry};
//!
//! // Everything in memory, with one registry of each protocol compiled in.
//! let registry = SmartRegistry::builder().in_memory().build().await?;
//! let request = smartregistry::http::Request::get("/npm/-/ping").body(Body::empty()).expect("a plain request");
//! let response = registry.handle_request(request).await;
//! assert_eq!(response.status(), 200);
//! registry.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`SmartRegistry`] is also a [`tower::Service`](tower_service::Service) of every request body, so it mounts in axum,
//! hyper or tonic as it is. Which protocols are compiled in is decided by the Cargo features `cargo`, `composer`, `maven`,
//! `npm`, `oci`, `pypi` and `rubygems`; all are on by default. What is not here: a listener, TLS, a command line and configuration
//! files. They are the server's, in the crate `smartregistry-server`.

mod builder;
mod defaults;
mod router;
mod service;

pub use async_trait::async_trait;
pub use http;
#[cfg(feature = "cargo")]
pub use registry_cargo as cargo;
#[cfg(feature = "composer")]
pub use registry_composer as composer;
pub use registry_core as core;
#[cfg(feature = "maven")]
pub use registry_maven as maven;
#[cfg(feature = "npm")]
pub use registry_npm as npm;
#[cfg(feature = "oci")]
pub use registry_oci as oci;
#[cfg(feature = "pypi")]
pub use registry_pypi as pypi;
#[cfg(feature = "rubygems")]
pub use registry_rubygems as rubygems;

pub use registry_core::{
    Actor, Administration, BasePath, Body, BodyError, Instance, InstanceName, Maintenance, PackageRegistry,
    Protocol, Request, Response, Services,
};
pub use secrecy::SecretString;

pub use self::{
    builder::{BuildError, Builder},
    defaults::{default_base_paths, default_instance},
    service::SmartRegistry,
};
