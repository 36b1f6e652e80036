//! A Python package index alone, in memory, without a server: requests in, responses out.
//!
//! It needs only the crates `registry-pypi` and `registry-core`; here they are reached by the facade's re-exports.
//!
//! `cargo run --example pypi_only --no-default-features --features pypi`

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
    pypi::{PypiConfig, PypiRegistry},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Storage::memory(StorageOptions::default());
    let auth = Arc::new(DefaultAuthProvider::builder().build()?);
    let services = Services::new(storage, auth, Catalog::memory());
    // Files of up to a mebibyte are enough here.
    let mut config = PypiConfig::default();
    config.max_file_bytes = 1 << 20;
    let pypi = PypiRegistry::new(default_instance(Protocol::Pypi), services, config);
    pypi.init().await?;

    // The host knows who asks: it puts an actor with scopes into the request's extensions.
    let alice = Actor::user("alice").with_scopes(ScopeSet::parse(["pypi:package:acme-*:*"])?);
    let ask = async |method: &str, path: &str, body: &'static str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/vnd.pypi.simple.v1+json")
            .header("content-type", "multipart/form-data; boundary=XYZ")
            .extension(alice.clone());
        let response = pypi.handle(request.body(Body::from(body))?).await;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok::<_, Box<dyn std::error::Error>>(format!("{} {}", parts.status, text.trim_end()))
    };

    println!("all projects: {}", ask("GET", "/simple/", "").await?);
    println!("one that is not there: {}", ask("GET", "/simple/acme-lib/", "").await?);
    let form = "--XYZ\r\nContent-Disposition: form-data; name=\":action\"\r\n\r\nfile_upload\r\n--XYZ--\r\n";
    println!("an upload without a file: {}", ask("POST", "/pypi/", form).await?);
    pypi.shutdown().await;
    Ok(())
}
