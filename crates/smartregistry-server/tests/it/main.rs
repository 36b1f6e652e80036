//! The built binary, as a user and a supervisor see it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod commands;
mod configuration;
mod harness;
mod instances;
mod network;
mod packages;
mod serving;
mod setup;
mod tls;
mod upstreams;
