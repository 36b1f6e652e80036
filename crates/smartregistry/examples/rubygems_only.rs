//! A RubyGems registry alone, in memory, without a server: requests in, responses out.
//!
//! It needs only the crates `registry-rubygems` and `registry-core`; here they are reached by the facade's re-exports.
//!
//! `cargo run --example rubygems_only --no-default-features --features rubygems`

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::{io::Write as _, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use smartregistry::{
    Actor, Body, PackageRegistry, Protocol, Services,
    core::{
        auth::{DefaultAuthProvider, ScopeSet},
        catalog::Catalog,
        storage::{Storage, StorageOptions},
    },
    default_instance,
    http::Request,
    rubygems::{RubygemsConfig, RubygemsRegistry},
};

type Error = Box<dyn std::error::Error>;

const SPECIFICATION: &str = "--- !ruby/object:Gem::Specification
name: hello
version: !ruby/object:Gem::Version
  version: 1.0.0
platform: ruby
authors: [Ann]
summary: Says hello
dependencies: []
";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let storage = Storage::memory(StorageOptions::default());
    let auth = Arc::new(DefaultAuthProvider::builder().build()?);
    let services = Services::new(storage, auth, Catalog::memory());
    let mut config = RubygemsConfig::default();
    config.reserved_names = vec!["json".to_owned()];
    let gems = RubygemsRegistry::new(default_instance(Protocol::Rubygems), services, config);
    gems.init().await?;

    // The host knows who asks: it puts an actor with scopes into the request's extensions.
    let alice = Actor::user("alice").with_scopes(ScopeSet::parse(["rubygems:gem:*:read,write"])?);
    let ask = async |method: &str, path: &str, body: Vec<u8>| {
        let request = Request::builder().method(method).uri(path).extension(alice.clone());
        let response = gems.handle(request.body(Body::from(body))?).await;
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
    };

    println!("{}", ask("POST", "/rubygems/api/v1/gems", gem()?).await?);
    println!("{}", ask("POST", "/rubygems/api/v1/gems", gem()?).await?);
    let info = ask("GET", "/rubygems/info/hello", Vec::new()).await?;
    println!(
        "its line in the index: {}",
        info.lines().nth(1).and_then(|line| line.get(..16)).unwrap_or_default()
    );
    let form = b"gem_name=hello&version=1.0.0".to_vec();
    println!("{}", ask("DELETE", "/rubygems/api/v1/gems/yank", form).await?);
    gems.shutdown().await;
    Ok(())
}

/// What `gem build` makes of a specification and a file.
fn gem() -> Result<Vec<u8>, Error> {
    let metadata = gzip(SPECIFICATION.as_bytes())?;
    let data = gzip(&tar(&[("lib/hello.rb", b"puts 'hello'\n")])?)?;
    let sha256 = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let checksums =
        format!("SHA256:\n  metadata.gz: {}\n  data.tar.gz: {}\n", sha256(&metadata), sha256(&data));
    tar(&[
        ("metadata.gz", &metadata),
        ("data.tar.gz", &data),
        ("checksums.yaml.gz", &gzip(checksums.as_bytes())?),
    ])
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn tar(files: &[(&str, &[u8])]) -> Result<Vec<u8>, Error> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes)?;
    }
    Ok(builder.into_inner()?)
}
