//! A Cargo registry alone, in memory, without a server: requests in, responses out.
//!
//! It needs only the crates `registry-cargo` and `registry-core`; here they are reached by the facade's re-exports.
//!
//! `cargo run --example cargo_only --no-default-features --features cargo`

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::sync::Arc;

use http_body_util::BodyExt as _;
use smartregistry::{
    Actor, Body, PackageRegistry, Protocol, Services,
    cargo::{CargoConfig, CargoRegistry},
    core::{
        auth::{DefaultAuthProvider, ScopeSet},
        catalog::Catalog,
        storage::{Storage, StorageOptions},
    },
    default_instance,
    http::Request,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Storage::memory(StorageOptions::default());
    let auth = Arc::new(DefaultAuthProvider::builder().build()?);
    let services = Services::new(storage, auth, Catalog::memory());
    // What is published here stays.
    let mut config = CargoConfig::default();
    config.allow_delete = false;
    let cargo = CargoRegistry::new(default_instance(Protocol::Cargo), services, config);
    cargo.init().await?;

    // The host knows who asks: it puts an actor with scopes into the request's extensions.
    let alice = Actor::user("alice").with_scopes(ScopeSet::parse(["cargo:crate:acme-*:*"])?);
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "registry.example.com");
        let response = cargo.handle(request.extension(alice.clone()).body(Body::empty())?).await;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok::<_, Box<dyn std::error::Error>>(format!("{} {text}", parts.status))
    };

    println!("what cargo reads first: {}", ask("GET", "/cargo/config.json").await?);
    println!("a crate that is not there: {}", ask("GET", "/cargo/ac/me/acme-lib").await?);
    println!("deleting: {}", ask("DELETE", "/cargo/api/v1/crates/acme-lib").await?);
    cargo.shutdown().await;
    Ok(())
}
