//! What every package protocol of smartregistry shares.
//!
//! A protocol crate (`registry-npm`, `registry-oci`, …) implements [`PackageRegistry`] on top of [`Services`]:
//! [`storage`] (documents changed by conditional writes, artefacts written once), [`auth`] (credentials, scopes,
//! tokens), [`hooks`] (a host's say in every put, get and delete), [`catalog`] (what exists) and [`http`]
//! (conditional requests, ranges, negotiation, compression).
//!
//! Nothing here opens a socket: a request comes in as [`Request`], an answer leaves as [`Response`]. What is pulled through from other
//! registries ([`upstream`]) goes out by a client that its host brings, or by that of the feature `upstream`.

pub mod actor;
pub mod administration;
#[cfg(any(feature = "archive-tar", feature = "archive-zip"))]
pub mod archive;
pub mod auth;
pub mod body;
pub mod catalog;
pub mod chain;
pub mod clock;
pub mod hooks;
pub mod http;
pub mod instance;
pub mod maintenance;
pub mod parsed;
pub mod pattern;
pub mod protocol;
pub mod registry;
pub mod storage;
#[cfg(feature = "testing")]
pub mod testing;
pub mod upstream;

pub use actor::{Actor, ActorSlot};
pub use administration::Administration;
pub use body::{Body, BodyError};
pub use chain::Chain;
pub use instance::{BasePath, Instance, InstanceName};
pub use maintenance::Maintenance;
pub use pattern::Pattern;
pub use protocol::Protocol;
pub use registry::{PackageRegistry, Request, Response, Services};
