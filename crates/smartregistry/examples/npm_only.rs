//! The npm registry alone, in memory, without a server: requests in, responses out.
//!
//! It needs only the crates `registry-npm` and `registry-core`; here they are reached by the facade's re-exports.
//!
//! `cargo run --example npm_only --no-default-features --features npm`

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::sync::Arc;

use smartregistry::{
    Actor, Body, PackageRegistry, Protocol, Services,
    core::{
        auth::{DefaultAuthProvider, ScopeSet},
        catalog::Catalog,
        storage::{Storage, StorageOptions},
    },
    default_instance,
    http::Request,
    npm::{NpmConfig, NpmRegistry},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Storage::memory(StorageOptions::default());
    let auth = Arc::new(DefaultAuthProvider::builder().build()?);
    let services = Services::new(storage, auth, Catalog::memory());
    let npm = NpmRegistry::new(default_instance(Protocol::Npm), services, NpmConfig::default());
    npm.init().await?;

    // The host knows who asks: it puts an actor with scopes into the request's extensions.
    let alice = Actor::user("alice").with_scopes(ScopeSet::parse(["npm:package:*:read,write"])?);
    let ask = async |method: &str, path: &str, body: Body| {
        let request = Request::builder().method(method).uri(path).extension(alice.clone()).body(body)?;
        Ok::<_, Box<dyn std::error::Error>>(npm.handle(request).await)
    };

    println!("ping: {}", ask("GET", "/npm/-/ping", Body::empty()).await?.status());
    println!("whoami: {}", ask("GET", "/npm/-/whoami", Body::empty()).await?.status());
    println!("a package that is not there: {}", ask("GET", "/npm/lib", Body::empty()).await?.status());
    npm.shutdown().await;
    Ok(())
}
