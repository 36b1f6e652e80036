//! A Maven repository alone, in memory, without a server: requests in, responses out.
//!
//! It needs only the crates `registry-maven` and `registry-core`; here they are reached by the facade's re-exports.
//!
//! `cargo run --example maven_only --no-default-features --features maven`

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::sync::Arc;

use http_body_util::BodyExt as _;
use smartregistry::{
    Actor, Body, PackageRegistry, Protocol, Services,
    core::{
        auth::{DefaultAuthProvider, ScopeSet},
        catalog::Catalog,
        storage::{Storage, StorageOptions},
    },
    default_instance,
    http::Request,
    maven::{MavenConfig, MavenRegistry},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Storage::memory(StorageOptions::default());
    let auth = Arc::new(DefaultAuthProvider::builder().build()?);
    let services = Services::new(storage, auth, Catalog::memory());
    // The newest ten builds of each snapshot are enough here.
    let mut config = MavenConfig::default();
    config.keep_snapshot_builds = 10;
    let maven = MavenRegistry::new(default_instance(Protocol::Maven), services, config);
    maven.init().await?;

    // The host knows who asks: it puts an actor with scopes into the request's extensions.
    let alice = Actor::user("alice").with_scopes(ScopeSet::parse(["maven:artifact:com.acme:*:read,write"])?);
    let ask = async |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).extension(alice.clone());
        Ok::<_, Box<dyn std::error::Error>>(maven.handle(request.body(Body::from(body))?).await)
    };

    let pom = "/maven/com/acme/lib/1.0/lib-1.0.pom";
    println!("deploying a POM: {}", ask("PUT", pom, "<project/>").await?.status());
    println!("its SHA-1: {}", ask("GET", &format!("{pom}.sha1"), "").await?.status());
    let metadata = ask("GET", "/maven/com/acme/lib/maven-metadata.xml", "").await?;
    let metadata = metadata.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&metadata);
    let versions: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.starts_with("<version>")).collect();
    println!("the versions: {}", versions.join(" "));
    println!("other bytes for it: {}", ask("PUT", pom, "<project></project>").await?.status());
    maven.shutdown().await;
    Ok(())
}
