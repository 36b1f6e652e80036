//! The OCI registry.

mod config;
mod error;
mod handler;
mod hash;
pub mod names;
mod session;
mod wire;

pub use config::{DeleteConfig, OciConfig};
