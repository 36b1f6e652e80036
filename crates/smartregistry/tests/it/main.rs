//! The facade as a host uses it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod service;

#[cfg(feature = "npm")]
mod npm;
