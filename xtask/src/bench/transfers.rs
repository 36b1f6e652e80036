//! Blobs: one of 1 GiB, 64 of 16 MiB by 8 workers, and 100 pulls at the same time.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use super::{
    Bench,
    client::{Connection, Content},
    clients,
    fixtures::Stream,
    load::{self, Sample, Until},
    probes::Probe,
    report::{Goal, Outcome, Row, throughput_ratio},
    servers::{Kind, Server, start_all},
};

const REPOSITORY: &str = "measured/blobs";

/// Blobs of one size, pushed and pulled.
struct Plan {
    scenario: &'static str,
    title: &'static str,
    mebibytes: u64,
    count: u64,
    workers: usize,
}

pub(crate) async fn large(bench: &Bench) -> Result<Outcome> {
    let mebibytes = if bench.quick { 64 } else { 1024 };
    let plan = Plan {
        scenario: "blob-large",
        title: "One blob, pushed and pulled",
        mebibytes,
        count: 1,
        workers: 1,
    };
    measure(bench, &plan).await
}

pub(crate) async fn many(bench: &Bench) -> Result<Outcome> {
    let count = if bench.quick { 8 } else { 64 };
    let plan = Plan {
        scenario: "blobs",
        title: "Blobs of 16 MiB, pushed and pulled by 8 workers",
        mebibytes: 16,
        count,
        workers: 8,
    };
    measure(bench, &plan).await
}

async fn measure(bench: &Bench, plan: &Plan) -> Result<Outcome> {
    let mut outcome = bench.outcome(plan.scenario, plan.title)?;
    let size = plan.mebibytes;
    let row = |case: String, server: &str| Row {
        case,
        server: server.to_owned(),
        samples: Vec::new(),
        in_bytes: true,
        growth_mib: None,
    };
    let (push, pull) =
        (format!("push {} × {size} MiB", plan.count), format!("pull {} × {size} MiB", plan.count));
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |case: &str, server: &str, sample: Sample, growth: Option<f64>| {
        let at = rows.iter().position(|row| row.case == case && row.server == server).unwrap_or_else(|| {
            rows.push(row(case.to_owned(), server));
            rows.len() - 1
        });
        if let Some(row) = rows.get_mut(at) {
            row.samples.push(sample);
            row.growth_mib = match (row.growth_mib, growth) {
                (Some(a), Some(b)) => Some(f64::max(a, b)),
                (a, b) => a.or(b),
            };
        }
    };
    let probe = Probe::WriteAndHash { mebibytes: size * plan.count };
    for round in 0..bench.rounds() {
        // New stores each round: the disk holds one round's blobs at most.
        let servers =
            start_all(&[Kind::Ours, Kind::Nginx, Kind::Distribution], bench.cores, &bench.scratch).await?;
        let blobs: Vec<(String, Stream)> = (0..plan.count)
            .map(|at| Stream::new(size, 1000 * u64::from(round) + at))
            .map(|stream| (stream.digest(), stream))
            .collect();
        for server in &servers {
            if server.kind == Kind::Nginx {
                continue;
            }
            settle();
            let idle = server.memory().resident;
            server.reset_peak();
            let sample = load::run(
                server,
                plan.workers,
                Until::Count(plan.count),
                async |connection: &mut Connection, at| {
                    let (digest, stream) = pick(&blobs, at)?;
                    clients::push_blob(
                        connection,
                        server,
                        REPOSITORY,
                        digest,
                        Content::Stream(stream.clone()),
                    )
                    .await
                },
            )
            .await?;
            add(&push, server.kind.name(), sample, Some(growth(server, idle)));
        }
        settle();
        add(&push, "write, hash, one fsync", probe.measure(bench.cores, &bench.scratch)?, None);
        if let Some(nginx) = servers.iter().find(|server| server.kind == Kind::Nginx) {
            for (at, (_, stream)) in blobs.iter().enumerate() {
                let mut file = fs::File::create(nginx.dir.join("www").join(format!("blob-{at}")))?;
                for piece in stream.pieces() {
                    std::io::Write::write_all(&mut file, &piece)?;
                }
            }
        }
        settle();
        for server in &servers {
            let idle = server.memory().resident;
            server.reset_peak();
            let sample = load::run(
                server,
                plan.workers,
                Until::Count(plan.count),
                async |connection: &mut Connection, at| {
                    let (digest, stream) = pick(&blobs, at)?;
                    let target = match server.kind {
                        Kind::Nginx => format!("/blob-{at}"),
                        _ => format!("/v2/{REPOSITORY}/blobs/{digest}"),
                    };
                    let answer = connection.exchange(&server.get(&target, &[])).await?.expect(200)?;
                    anyhow::ensure!(answer.length == stream.len(), "a blob of {} bytes came", answer.length);
                    Ok(answer.length)
                },
            )
            .await?;
            add(&pull, server.kind.name(), sample, Some(growth(server, idle)));
        }
        for server in servers {
            let dir = server.dir.clone();
            server.stop()?;
            fs::remove_dir_all(dir)?;
        }
    }
    let of = |case: &str, server: &str| {
        rows.iter().find(|row| row.case == case && row.server == server).map(|row| row.samples.as_slice())
    };
    let ours = Kind::Ours.name();
    if let (Some(ours), Some(limit)) = (of(&push, ours), of(&push, "write, hash, one fsync")) {
        let name = format!("{push}: our throughput ÷ writing and hashing with one fsync");
        outcome.goals.push(Goal::ratio(name, ours, limit, 0.9, throughput_ratio));
    }
    if let (Some(ours), Some(limit)) = (of(&pull, ours), of(&pull, Kind::Nginx.name())) {
        let name = format!("{pull}: our throughput ÷ nginx's with sendfile");
        outcome.goals.push(Goal::ratio(name, ours, limit, 0.8, throughput_ratio));
    }
    for row in rows.iter().filter(|row| row.server == ours) {
        let values = row.growth_mib.into_iter().collect();
        outcome.goals.push(Goal::at_most(format!("{}: memory above idle", row.case), values, 64.0, "MiB"));
    }
    bench.show(&rows);
    outcome.rows = rows;
    Ok(outcome)
}

/// 100 pulls of 16 MiB at the same time: what they cost in memory.
pub(crate) async fn concurrent(bench: &Bench) -> Result<Outcome> {
    let mut outcome = bench.outcome("concurrent-pulls", "100 pulls of 16 MiB at the same time")?;
    let servers = start_all(&[Kind::Ours, Kind::Distribution], bench.cores, &bench.scratch).await?;
    let stream = Stream::new(16, 4);
    let digest = stream.digest();
    let mut rows = Vec::new();
    for server in &servers {
        let mut connection = server.connect().await?;
        let content = Content::Stream(stream.clone());
        clients::push_blob(&mut connection, server, REPOSITORY, &digest, content).await?;
        let request = server.get(&format!("/v2/{REPOSITORY}/blobs/{digest}"), &[]);
        let idle = server.memory().resident;
        server.reset_peak();
        let mut samples = Vec::new();
        for _ in 0..bench.rounds() {
            samples.push(load::repeat(server, 100, Until::Count(100), &request, 200, stream.len()).await?);
        }
        rows.push(Row {
            case: "100 × 16 MiB at once".to_owned(),
            server: server.kind.name().to_owned(),
            samples,
            in_bytes: true,
            growth_mib: Some(growth(server, idle)),
        });
    }
    let grown =
        rows.iter().filter(|row| row.server == Kind::Ours.name()).filter_map(|row| row.growth_mib).collect();
    outcome.goals.push(Goal::at_most("100 pulls at once: memory above idle", grown, 64.0, "MiB"));
    bench.show(&rows);
    outcome.rows = rows;
    Ok(outcome)
}

fn pick(blobs: &[(String, Stream)], at: u64) -> Result<(&String, &Stream)> {
    let found = usize::try_from(at).ok().and_then(|at| blobs.get(at)).context("no such blob")?;
    Ok((&found.0, &found.1))
}

/// How far the peak lies above what was resident before, in MiB.
pub(crate) fn growth(server: &Server, idle: u64) -> f64 {
    load::as_float(server.memory().peak.saturating_sub(idle)) / 1024.0
}

/// Lets the disk finish what earlier runs left to it.
pub(crate) fn settle() {
    let _ = Command::new("sync").status();
}
