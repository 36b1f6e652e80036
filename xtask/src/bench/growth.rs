//! Whether a package with many versions, or a repository with many tags, costs more with each one.

use anyhow::Result;
use registry_releases::Ecosystem;

use super::{
    Bench,
    client::Connection,
    clients, fixtures,
    load::{self, Until},
    report::{Goal, Outcome, number, over},
    servers::{Kind, Server, start_all},
    uploads,
};

/// So many operations around a place are measured together.
const WINDOW: u64 = 10;
/// Which tags are measured.
const TAGS: [u64; 3] = [1, 100, 5000];

/// What one operation cost at a place.
struct Cost {
    server: &'static str,
    place: u64,
    store_requests: Option<f64>,
    cpu_millis: f64,
    written_kib: f64,
    millis: f64,
}

pub(crate) async fn versions(bench: &Bench) -> Result<Outcome> {
    let places: &[u64] = if bench.quick { &[1, 100] } else { &[1, 100, 1000] };
    let mut outcome =
        bench.outcome("versions", "The cost of the 1st, 100th and 1,000th version of a package")?;
    let mut costs = Vec::new();
    for server in start_all(&[Kind::Ours, Kind::Verdaccio], bench.cores, &bench.scratch).await? {
        // The first version is measured on packages of their own, the others on one that grows.
        costs.push(
            cost(&server, 1, async |connection: &mut Connection, at| {
                let name = format!("measured-first-{at}");
                clients::publish(connection, &server, &name, &fixtures::publish(&name, "1.0.0", 4000)?).await
            })
            .await?,
        );
        let grow = async |connection: &mut Connection, at: u64| {
            let name = "measured-growing";
            clients::publish(connection, &server, name, &fixtures::publish(name, &format!("1.{at}.0"), 4000)?)
                .await
        };
        grown(&server, places, &mut costs, grow).await?;
    }
    report(&mut outcome, "version", &costs);
    Ok(outcome)
}

pub(crate) async fn tags(bench: &Bench) -> Result<Outcome> {
    let places: &[u64] = if bench.quick { &[1, 100] } else { &TAGS };
    let mut outcome = bench.outcome("tags", "The cost of the 1st, 100th and 5,000th tag of a repository")?;
    let image = fixtures::image(77, 2000)?;
    let mut costs = Vec::new();
    for server in start_all(&[Kind::Ours, Kind::Distribution], bench.cores, &bench.scratch).await? {
        let tag = async |connection: &mut Connection, repository: &str, tag: &str| {
            clients::push_manifest(connection, &server, repository, tag, &image.manifest).await
        };
        let mut connection = server.connect().await?;
        for at in 0..WINDOW {
            push_blobs(&mut connection, &server, &format!("measured/first-{at}"), &image).await?;
        }
        push_blobs(&mut connection, &server, "measured/growing", &image).await?;
        costs.push(
            cost(&server, 1, async |connection: &mut Connection, at| {
                tag(connection, &format!("measured/first-{at}"), "v1").await
            })
            .await?,
        );
        let grow = async |connection: &mut Connection, at: u64| {
            tag(connection, "measured/growing", &format!("v{at}")).await
        };
        grown(&server, places, &mut costs, grow).await?;
    }
    report(&mut outcome, "tag", &costs);
    Ok(outcome)
}

/// The same for the packages of the other kinds: a table for all, and a goal for each.
pub(crate) async fn releases(bench: &Bench) -> Result<Outcome> {
    let places: &[u64] = if bench.quick { &[1, 100] } else { &[1, 100, 1000] };
    let title = "The cost of the 1st, 100th and 1,000th release of a package of the other kinds";
    let mut outcome = bench.outcome("releases", title)?;
    for ecosystem in Ecosystem::ALL {
        let mut costs = Vec::new();
        for server in start_all(&[Kind::Ours], bench.cores, &bench.scratch).await? {
            let release = async |connection: &mut Connection, name: &str, version: &str| {
                let steps = uploads::release(ecosystem, name, version, 4000)?;
                uploads::upload(connection, &server, &steps).await
            };
            costs.push(
                cost(&server, 1, async |connection: &mut Connection, at| {
                    release(connection, &format!("measured-first-{at}"), "1.0.0").await
                })
                .await?,
            );
            let grow = async |connection: &mut Connection, at: u64| {
                release(connection, "measured-growing", &format!("1.{at}.0")).await
            };
            grown(&server, places, &mut costs, grow).await?;
        }
        report(&mut outcome, &format!("{} release", ecosystem.name()), &costs);
    }
    Ok(outcome)
}

async fn push_blobs(
    connection: &mut Connection,
    server: &Server,
    repository: &str,
    image: &fixtures::Image,
) -> Result<()> {
    for (digest, content) in &image.blobs {
        let content = super::client::Content::Bytes(content.clone());
        clients::push_blob(connection, server, repository, digest, content).await?;
    }
    Ok(())
}

/// Runs `operation` with 0, 1, 2 … and measures the windows that end at the places beyond the first.
async fn grown<F>(server: &Server, places: &[u64], costs: &mut Vec<Cost>, operation: F) -> Result<()>
where
    F: AsyncFn(&mut Connection, u64) -> Result<u64>,
{
    let mut done = 0;
    for place in places.iter().copied().filter(|place| *place > WINDOW) {
        let before = place - WINDOW - done;
        load::run(server, 1, Until::Count(before), async |connection: &mut Connection, at| {
            operation(connection, done + at).await
        })
        .await?;
        done += before;
        let start = done;
        costs.push(
            cost(server, place, async |connection: &mut Connection, at| {
                operation(connection, start + at).await
            })
            .await?,
        );
        done += WINDOW;
    }
    Ok(())
}

/// Measures a window of operations, one after the other.
async fn cost<F>(server: &Server, place: u64, operation: F) -> Result<Cost>
where
    F: AsyncFn(&mut Connection, u64) -> Result<u64>,
{
    let before = if server.kind == Kind::Ours { Some(server.store_requests().await?) } else { None };
    let sample = load::run(server, 1, Until::Count(WINDOW), operation).await?;
    let store_requests = match before {
        Some(before) => Some(server.store_requests().await?.since(&before).total() / load::as_float(WINDOW)),
        None => None,
    };
    let each = |sum: f64| sum / load::as_float(WINDOW);
    Ok(Cost {
        server: server.kind.name(),
        place,
        store_requests,
        cpu_millis: each(sample.cpu_seconds * 1e3),
        written_kib: each(load::as_float(sample.written) / 1024.0),
        millis: each(sample.seconds * 1e3),
    })
}

fn report(outcome: &mut Outcome, what: &str, costs: &[Cost]) {
    if outcome.table.is_empty() {
        let header = ["server", "operation", "store requests", "CPU", "bytes written", "time"];
        outcome.table.push(header.map(str::to_owned).to_vec());
    }
    for cost in costs {
        outcome.table.push(vec![
            cost.server.to_owned(),
            format!("{what} {}", number(load::as_float(cost.place))),
            cost.store_requests.map_or_else(String::new, number),
            format!("{} ms", number(cost.cpu_millis)),
            format!("{} KiB", number(cost.written_kib)),
            format!("{} ms", number(cost.millis)),
        ]);
    }
    let ours: Vec<&Cost> = costs.iter().filter(|cost| cost.server == Kind::Ours.name()).collect();
    if let (Some(first), Some(last)) = (ours.first(), ours.last())
        && let (Some(a), Some(b)) = (first.store_requests, last.store_requests)
    {
        let name = format!("{what} {} ÷ {what} 1 in store requests", number(load::as_float(last.place)));
        outcome.goals.push(Goal::at_most(name, vec![over(b, a)], 1.5, "×"));
    }
    let note = format!(
        "Each line is the mean of {WINDOW} operations; bytes written are those handed to write calls, sockets included."
    );
    if !outcome.notes.contains(&note) {
        outcome.notes.push(note);
    }
}
