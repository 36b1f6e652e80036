//! The facade as a host uses it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod service;

#[cfg(all(feature = "npm", feature = "oci"))]
mod examples;
#[cfg(feature = "npm")]
mod npm;
