//! The built binary, as a user and a supervisor see it.

mod commands;
mod configuration;
mod harness;
mod instances;
mod network;
mod serving;
mod tls;
