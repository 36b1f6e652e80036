//! Test support shared by the suites over more than one crate: the built server as a process, clients for npm and OCI
//! that are a few requests each, uploads of the other kinds of packages, and numbers that look random.
//!
//! `TEST_SERVER_BINARY` names the server to test; without it the server is built with the profile of the tests.
//! `TEST_FULL=1` asks for the long versions, `TEST_SEED` for other random moments than the usual ones.

mod http;
mod npm;
mod oci;
mod releases;
mod seed;
mod server;

pub use http::{Answer, Client};
pub use npm::Publish;
pub use oci::{Image, MANIFEST_TYPE, digest_of};
pub use releases::{check_release, index, upload};
pub use seed::{Seed, full};
pub use server::{Place, Server};
