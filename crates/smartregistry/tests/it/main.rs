//! The facade as a host uses it.

mod service;

#[cfg(feature = "npm")]
mod npm;
