//! What is answered from memory: manifests, packuments, 304s; and tarballs, which come from the store.

use std::fs;

use anyhow::{Context, Result};

use super::{
    Bench,
    client::Request,
    clients,
    fixtures::{self, MANIFEST_TYPE},
    load,
    report::{Goal, Outcome, Row, cpu_ratio, rate_ratio},
    servers::{Kind, Server, start_all},
};

const CONNECTIONS: usize = 32;
const SMALL: &str = "measured-small";
const LARGE: &str = "measured-500";
const FULL: &str = "application/json";
const SHORT: &str = "application/vnd.npm.install-v1+json";

/// One thing that is asked for again and again.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Who else is asked, nginx aside.
    pub(crate) peer: Option<Kind>,
    pub(crate) method: &'static str,
    /// The path at ours; Verdaccio's lacks `/npm`.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) gzip: bool,
    pub(crate) conditional: bool,
    /// The ratio that is wanted; none where it is 0.
    pub(crate) goal: f64,
    pub(crate) by_rate: bool,
}

/// A request to one server, with what it must answer.
struct Target {
    server: usize,
    request: Request,
    status: u16,
    length: u64,
}

fn cases(manifest: &str, tarball: &str) -> Vec<Case> {
    let npm = |name, package: &str, accept, gzip, conditional| Case {
        name,
        peer: Some(Kind::Verdaccio),
        method: "GET",
        path: format!("/npm/{package}"),
        accept,
        gzip,
        conditional,
        goal: 1.0,
        by_rate: false,
    };
    let oci = |name, method, conditional| Case {
        name,
        peer: Some(Kind::Distribution),
        method,
        path: manifest.to_owned(),
        accept: MANIFEST_TYPE,
        gzip: false,
        conditional,
        goal: 1.0,
        by_rate: false,
    };
    vec![
        // What HTTP, the access log and the metrics cost alone: the least that any answer here can cost.
        Case { goal: 0.0, path: "/healthz".to_owned(), ..npm("health page", "", "*/*", false, false) },
        oci("manifest GET", "GET", false),
        oci("manifest HEAD", "HEAD", false),
        oci("manifest 304", "GET", true),
        npm("packument, 1 version, full", SMALL, FULL, false, false),
        npm("packument, 1 version, full, gzip", SMALL, FULL, true, false),
        npm("packument, 1 version, abbreviated", SMALL, SHORT, false, false),
        npm("packument, 1 version, 304", SMALL, SHORT, true, true),
        npm("packument, 500 versions, full", LARGE, FULL, false, false),
        npm("packument, 500 versions, full, gzip", LARGE, FULL, true, false),
        npm("packument, 500 versions, abbreviated", LARGE, SHORT, false, false),
        npm("packument, 500 versions, abbreviated, gzip", LARGE, SHORT, true, false),
        npm("packument, 500 versions, 304", LARGE, SHORT, true, true),
        Case { goal: 0.8, by_rate: true, ..npm("tarball of 100 KiB", tarball, "*/*", false, false) },
    ]
}

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let kinds = [Kind::Ours, Kind::Nginx, Kind::Distribution, Kind::Verdaccio];
    let servers = start_all(&kinds, bench.cores, &bench.scratch).await?;
    let image = fixtures::image(1, 4000)?;
    for server in &servers {
        let mut connection = server.connect().await?;
        match server.kind {
            Kind::Ours => {
                clients::push_image(&mut connection, server, "measured/image", "latest", &image).await?;
                publish(server).await?;
            }
            Kind::Distribution => {
                clients::push_image(&mut connection, server, "measured/image", "latest", &image).await?;
            }
            Kind::Verdaccio => publish(server).await?,
            Kind::Nginx | Kind::Pypiserver => {}
        }
    }
    let mut outcome = bench.outcome("metadata", "From memory: manifests, packuments, 304, and tarballs")?;
    let tarball = format!("{SMALL}/-/{SMALL}-1.0.0.tgz");
    for case in cases("/v2/measured/image/manifests/latest", &tarball) {
        measure(bench, &servers, &case, &mut outcome).await?;
    }
    Ok(outcome)
}

async fn publish(server: &Server) -> Result<()> {
    let mut connection = server.connect().await?;
    let one = fixtures::publish(SMALL, "1.0.0", 100 << 10)?;
    clients::publish(&mut connection, server, SMALL, &one).await?;
    for patch in 0..500 {
        let version = fixtures::publish(LARGE, &format!("1.0.{patch}"), 512)?;
        clients::publish(&mut connection, server, LARGE, &version).await?;
    }
    Ok(())
}

/// Asks all servers for the same, one after the other and again, and compares them.
pub(crate) async fn measure(
    bench: &Bench,
    servers: &[Server],
    case: &Case,
    outcome: &mut Outcome,
) -> Result<()> {
    let (targets, note) = targets(servers, case).await.with_context(|| case.name.to_owned())?;
    outcome.notes.extend(note);
    let mut rows: Vec<Row> = targets
        .iter()
        .filter_map(|target| servers.get(target.server))
        .map(|server| Row {
            case: case.name.to_owned(),
            server: server.kind.name().to_owned(),
            samples: Vec::new(),
            in_bytes: false,
            growth_mib: None,
        })
        .collect();
    let idle: Vec<u64> = servers.iter().map(|server| server.memory().resident).collect();
    servers.iter().for_each(Server::reset_peak);
    for _ in 0..bench.rounds() {
        for (row, target) in rows.iter_mut().zip(&targets) {
            let Some(server) = servers.get(target.server) else { continue };
            let repeat = |until| {
                load::repeat(server, CONNECTIONS, until, &target.request, target.status, target.length)
            };
            repeat(bench.warm_up()).await?;
            row.samples.push(repeat(bench.duration()).await?);
        }
    }
    for (row, target) in rows.iter_mut().zip(&targets) {
        if let (Some(server), Some(idle)) = (servers.get(target.server), idle.get(target.server)) {
            row.growth_mib = Some(load::as_float(server.memory().peak.saturating_sub(*idle)) / 1024.0);
        }
    }
    let of = |kind: Kind| rows.iter().find(|row| row.server == kind.name());
    if let (Some(ours), Some(limit)) = (of(Kind::Ours), of(Kind::Nginx))
        && case.goal > 0.0
    {
        let (measure, what) = if case.by_rate {
            (rate_ratio as fn(&_, &_) -> f64, "our rate ÷ nginx's")
        } else {
            (cpu_ratio as fn(&_, &_) -> f64, "nginx's CPU ÷ ours")
        };
        let name = format!("{}: {what}", case.name);
        outcome.goals.push(Goal::ratio(name, &ours.samples, &limit.samples, case.goal, measure));
    }
    bench.show(&rows);
    outcome.rows.extend(rows);
    Ok(())
}

/// Asks each server once, gives nginx the bytes that ours answered, and notes what each must answer from now on.
async fn targets(servers: &[Server], case: &Case) -> Result<(Vec<Target>, Option<String>)> {
    let mut more = vec![("accept", case.accept)];
    if case.gzip {
        more.push(("accept-encoding", "gzip"));
    }
    let mut targets = Vec::new();
    let mut file = String::new();
    let mut note = None;
    for (at, server) in servers.iter().enumerate() {
        let path = match server.kind {
            Kind::Ours => case.path.clone(),
            Kind::Nginx => file.clone(),
            // Theirs would be something else.
            _ if case.path == "/healthz" => continue,
            kind if Some(kind) == case.peer => match kind {
                Kind::Verdaccio => case.path.trim_start_matches("/npm").to_owned(),
                _ => case.path.clone(),
            },
            _ => continue,
        };
        let mut connection = server.connect().await?;
        let answer = connection.fetch(&server.get(&path, &more)).await?.expect(200)?;
        if server.kind == Kind::Ours {
            anyhow::ensure!(
                case.gzip == answer.header("content-encoding").is_some(),
                "gzip is {} in place of {}",
                !case.gzip,
                case.gzip
            );
            file = format!("/{}.json", case.name.replace([' ', ','], "-"));
            if let Some(nginx) = servers.iter().find(|server| server.kind == Kind::Nginx) {
                let place = nginx.dir.join("www").join(file.trim_start_matches('/'));
                if case.gzip {
                    fs::write(place.with_extension("json.gz"), &answer.body)?;
                }
                fs::write(place, &answer.body)?;
            }
            note = Some(format!(
                "{}: {} bytes.",
                case.name,
                super::report::number(load::as_float(answer.length))
            ));
        }
        let mut more = more.clone();
        let tag = answer.header("etag").unwrap_or_default().to_owned();
        if case.conditional {
            anyhow::ensure!(!tag.is_empty(), "{} sent no ETag", server.kind.name());
            more.push(("if-none-match", &tag));
        }
        let request = Request::new(case.method, &path, &server.headers(&more));
        let status = if case.conditional { 304 } else { 200 };
        let sent = if case.conditional || case.method == "HEAD" { 0 } else { answer.length };
        targets.push(Target { server: at, request, status, length: sent });
    }
    Ok((targets, note))
}
