//! A Composer repository alone, in memory, without a server: requests in, responses out.
//!
//! It needs only the crates `registry-composer` and `registry-core`; here they are reached by the facade's re-exports.
//!
//! `cargo run --example composer_only --no-default-features --features composer`

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::sync::Arc;

use smartregistry::{
    Actor, Body, PackageRegistry, Protocol, Services,
    composer::{ComposerConfig, ComposerRegistry},
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
    // Names of acme's belong here, published or not: clients look for them nowhere else.
    let mut config = ComposerConfig::default();
    config.reserved_names = vec!["acme/*".to_owned()];
    let composer = ComposerRegistry::new(default_instance(Protocol::Composer), services, config);
    composer.init().await?;

    // The host knows who asks: it puts an actor with scopes into the request's extensions.
    let alice = Actor::user("alice").with_scopes(ScopeSet::parse(["composer:package:*:read,write"])?);
    let get = async |path: &str| {
        let request = Request::get(path).extension(alice.clone()).body(Body::empty())?;
        Ok::<_, Box<dyn std::error::Error>>(composer.handle(request).await.status())
    };

    println!("where everything is: {}", get("/composer/packages.json").await?);
    println!("a name that belongs here: {}", get("/composer/p2/acme/lib.json").await?);
    println!("a name that does not: {}", get("/composer/p2/other/lib.json").await?);
    composer.shutdown().await;
    Ok(())
}
