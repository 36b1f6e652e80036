//! What clients read before they download, for packages other than npm's and OCI's: indexes, pages and their 304s.

use anyhow::Result;
use registry_releases::Ecosystem;

use super::{
    Bench,
    client::Connection,
    load,
    load::Until,
    metadata::{Case, measure},
    report::Outcome,
    servers::{Kind, Server, start_all},
    uploads,
};

/// How many releases the measured package has.
const RELEASES: u64 = 300;
/// How many projects the Python index lists at its root.
const PROJECTS: u64 = 2000;
const PACKAGE: &str = "measured-300";

const HTML: &str = "application/vnd.pypi.simple.v1+html";
const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn cases() -> Vec<Case> {
    let get = |name, path: &str, accept, conditional: bool| Case {
        name,
        peer: None,
        method: "GET",
        path: path.to_owned(),
        accept,
        gzip: false,
        conditional,
        goal: 1.0,
        by_rate: false,
    };
    let krate = "/cargo/me/as/measured-300";
    let page = "/simple/measured-300/";
    let p2 = "/composer/p2/acme/measured-300.json";
    let metadata = "/maven/com/example/measured-300/maven-metadata.xml";
    let info = "/rubygems/info/measured-300";
    vec![
        get("Cargo: index, 300 versions", krate, "*/*", false),
        get("Cargo: index, 304", krate, "*/*", true),
        get("Composer: p2, 300 versions", p2, "*/*", false),
        get("Composer: p2, 304", p2, "*/*", true),
        get("Maven: metadata, 300 versions", metadata, "*/*", false),
        get("Maven: metadata, 304", metadata, "*/*", true),
        get("PyPI: page of 300 files, HTML", page, HTML, false),
        get("PyPI: page of 300 files, JSON", page, JSON, false),
        get("PyPI: page, 304", page, JSON, true),
        get("PyPI: list of 2,000 projects, HTML", "/simple/", HTML, false),
        get("PyPI: list of 2,000 projects, JSON", "/simple/", JSON, false),
        get("PyPI: list, 304", "/simple/", JSON, true),
        get("RubyGems: info, 300 versions", info, "*/*", false),
        get("RubyGems: info, 304", info, "*/*", true),
        get("RubyGems: versions", "/rubygems/versions", "*/*", false),
        get("RubyGems: versions, 304", "/rubygems/versions", "*/*", true),
    ]
}

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    // No peer: pypiserver answers one connection at a time and cannot be asked by as many as these.
    let servers = start_all(&[Kind::Ours, Kind::Nginx], bench.cores, &bench.scratch).await?;
    for server in servers.iter().filter(|server| server.kind == Kind::Ours) {
        for ecosystem in Ecosystem::ALL {
            fill(server, ecosystem).await?;
        }
    }
    // Lists are derived: they know of everything a moment later.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let mut outcome = bench.outcome("indexes", "From memory: indexes, pages and lists of the other kinds")?;
    for case in cases() {
        measure(bench, &servers, &case, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Publishes what is asked for: many releases of one package, and for the Python index many projects.
async fn fill(server: &Server, ecosystem: Ecosystem) -> Result<()> {
    load::run(server, 1, Until::Count(RELEASES), async |connection: &mut Connection, at| {
        let steps = uploads::release(ecosystem, PACKAGE, &format!("1.0.{at}"), 256)?;
        uploads::upload(connection, server, &steps).await
    })
    .await?;
    if ecosystem == Ecosystem::PyPi {
        load::run(server, 8, Until::Count(PROJECTS - 1), async |connection: &mut Connection, at| {
            let steps = uploads::release(ecosystem, &format!("measured-project-{at}"), "1.0.0", 256)?;
            uploads::upload(connection, server, &steps).await
        })
        .await?;
    }
    Ok(())
}
