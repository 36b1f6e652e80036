#![doc = include_str!("../README.md")]

mod access;
mod administration;
mod catalog;
mod config;
mod error;
mod gc;
mod handler;
mod hash;
pub mod names;
mod registry;
mod session;
mod store;
mod upstream;
mod verify;
mod wire;

pub use config::{DeleteConfig, OciConfig};
pub use registry::OciRegistry;
