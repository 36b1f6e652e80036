//! Small writes that must be durable: images pushed and packages published.

use anyhow::Result;
use registry_releases::Ecosystem;

use super::{
    Bench,
    client::Connection,
    clients, fixtures,
    load::{self, Sample},
    probes::Probe,
    report::{Goal, Outcome, Row, number, over},
    servers::{Kind, Server, start_all},
    transfers::{growth, settle},
    uploads,
};

const WORKERS: usize = 8;

/// What is written again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A whole small image, each in a tag of its worker's repository.
    Image,
    /// The first version of a package.
    Package,
    /// A further version of the one package.
    Version,
    /// The first release of a package of another kind.
    Release(Ecosystem),
}

pub(crate) async fn images(bench: &Bench) -> Result<Outcome> {
    let mut outcome = bench.outcome("images", "Whole small images pushed, by 8 workers")?;
    measure(bench, &mut outcome, "image", What::Image, Some(Kind::Distribution)).await?;
    Ok(outcome)
}

pub(crate) async fn publishes(bench: &Bench) -> Result<Outcome> {
    let mut outcome = bench.outcome("publish", "npm publishes, by 8 workers")?;
    measure(bench, &mut outcome, "new packages", What::Package, Some(Kind::Verdaccio)).await?;
    measure(bench, &mut outcome, "versions of one package", What::Version, Some(Kind::Verdaccio)).await?;
    Ok(outcome)
}

pub(crate) async fn releases(bench: &Bench) -> Result<Outcome> {
    let title = "First releases of packages of the other kinds, by 8 workers";
    let mut outcome = bench.outcome("uploads", title)?;
    for ecosystem in Ecosystem::ALL {
        measure(bench, &mut outcome, ecosystem.name(), What::Release(ecosystem), uploads::peer(ecosystem))
            .await?;
    }
    outcome.notes.push(
        "A release of Maven's is nine requests: a JAR, its POM and the metadata with two checksums each."
            .to_owned(),
    );
    Ok(outcome)
}

async fn measure(
    bench: &Bench,
    outcome: &mut Outcome,
    case: &str,
    what: What,
    peer: Option<Kind>,
) -> Result<()> {
    let kinds: Vec<Kind> = std::iter::once(Kind::Ours).chain(peer).collect();
    let servers = start_all(&kinds, bench.cores, &bench.scratch).await?;
    let seconds = bench.duration_seconds();
    let probe = Probe::Durable { threads: WORKERS, seconds, bytes: 4096 };
    let row = |server: &str| Row {
        case: case.to_owned(),
        server: server.to_owned(),
        samples: Vec::new(),
        in_bytes: false,
        growth_mib: None,
    };
    let mut rows: Vec<Row> = servers.iter().map(|server| row(server.kind.name())).collect();
    let mut disk = row("durable files, 8 threads");
    let idle: Vec<u64> = servers.iter().map(|server| server.memory().resident).collect();
    servers.iter().for_each(Server::reset_peak);
    let mut writes = Vec::new();
    for round in 0..bench.rounds() {
        for (server, row) in servers.iter().zip(&mut rows) {
            settle();
            let before = if server.kind == Kind::Ours { Some(server.store_requests().await?) } else { None };
            let sample = one_round(bench, server, what, u64::from(round)).await?;
            if let Some(before) = before {
                let made = server.store_requests().await?.since(&before);
                writes.push(over(made.writes(), load::as_float(sample.operations)));
            }
            row.samples.push(sample);
        }
        settle();
        disk.samples.push(probe.measure(bench.cores, &bench.scratch)?);
    }
    for ((server, row), idle) in servers.iter().zip(&mut rows).zip(idle) {
        row.growth_mib = Some(growth(server, idle));
    }
    if let Some(ours) = rows.iter().find(|row| row.server == Kind::Ours.name()) {
        // What the disk allows: its durable files a second, spread over the durable writes of one operation.
        let per_operation = super::report::Spread::of(writes.iter().copied()).median;
        let name =
            format!("{case}: our rate × {} writes each ÷ durable files a second", number(per_operation));
        let share = |ours: &Sample, disk: &Sample| over(ours.rate() * per_operation, disk.rate());
        outcome.goals.push(Goal::ratio(name, &ours.samples, &disk.samples, 0.5, share));
        let rates: Vec<f64> = ours.samples.iter().map(Sample::rate).collect();
        let wanted = match what {
            What::Image => Some(210.0),
            What::Package | What::Version => Some(300.0),
            What::Release(_) => None,
        };
        if let Some(wanted) = wanted {
            let rate = Goal::at_most(format!("{case}: rate"), rates, wanted, "/s");
            outcome.goals.push(Goal { at_least: true, ..rate });
        }
        let grown = ours.growth_mib.into_iter().collect();
        outcome.goals.push(Goal::at_most(format!("{case}: memory above idle"), grown, 64.0, "MiB"));
    }
    outcome.notes.push(format!(
        "{case}: {} writes to the store each (all requests of the store that write, counted by `/metrics`).",
        number(super::report::Spread::of(writes).median)
    ));
    rows.push(disk);
    bench.show(&rows);
    outcome.rows.extend(rows);
    Ok(())
}

/// One run; everything that is written is made beforehand, so that the load generator only sends.
async fn one_round(bench: &Bench, server: &Server, what: What, round: u64) -> Result<Sample> {
    let most = bench.most_writes();
    let until = bench.duration();
    match what {
        What::Image => {
            let images = (0..most)
                .map(|at| fixtures::image(round * 1_000_000 + at, 4000))
                .collect::<Result<Vec<_>>>()?;
            load::run(server, WORKERS, until, async |connection: &mut Connection, at| {
                let Some(image) = take(&images, at) else { return spent().await };
                let repository = format!("measured/image-{}", at % WORKERS as u64);
                clients::push_image(connection, server, &repository, &format!("r{round}-{at}"), image).await
            })
            .await
        }
        What::Release(ecosystem) => one_round_of_releases(bench, server, ecosystem, round).await,
        What::Package | What::Version => {
            let name = |at: u64| match what {
                What::Version => "measured-versions".to_owned(),
                _ => format!("measured-{round}-{at}"),
            };
            let made = (0..most)
                .map(|at| {
                    let name = name(at);
                    Ok((fixtures::publish(&name, &format!("{round}.0.{at}"), 4000)?, name))
                })
                .collect::<Result<Vec<_>>>()?;
            load::run(server, WORKERS, until, async |connection: &mut Connection, at| {
                let Some((publish, name)) = take(&made, at) else { return spent().await };
                clients::publish(connection, server, name, publish).await
            })
            .await
        }
    }
}

/// One run of first releases.
async fn one_round_of_releases(
    bench: &Bench,
    server: &Server,
    ecosystem: Ecosystem,
    round: u64,
) -> Result<Sample> {
    let made = (0..bench.most_writes())
        .map(|at| uploads::release(ecosystem, &format!("measured-r{round}-{at}"), "1.0.0", 4000))
        .collect::<Result<Vec<_>>>()?;
    load::run(server, WORKERS, bench.duration(), async |connection: &mut Connection, at| {
        let Some(steps) = take(&made, at) else { return spent().await };
        uploads::upload(connection, server, steps).await
    })
    .await
}

fn take<T>(made: &[T], at: u64) -> Option<&T> {
    usize::try_from(at).ok().and_then(|at| made.get(at))
}

async fn spent() -> Result<u64> {
    anyhow::bail!("more was written than was made beforehand: raise the number")
}
