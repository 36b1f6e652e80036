//! What a server costs before it does anything: size, memory, time to the first answer.

use std::{fs, time::Duration};

use anyhow::Result;

use super::{
    Bench,
    load::as_float,
    report::{Goal, Outcome, Spread, number},
    servers::{self, Kind, Server},
};

/// How long after the start memory is read: what starts up in the background is then done.
const REST: Duration = Duration::from_secs(2);

pub(crate) async fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome = bench.outcome("start", "Size, idle memory, and time from start to first answer")?;
    let header = ["server", "first start", "later starts", "idle memory"];
    outcome.table.push(header.map(str::to_owned).to_vec());
    for kind in [Kind::Ours, Kind::Nginx, Kind::Distribution, Kind::Verdaccio] {
        let Some(server) = Server::start(kind, bench.cores, &bench.scratch).await? else { continue };
        let first = server.started_in;
        tokio::time::sleep(REST).await;
        let mut memory = vec![mebibytes(&server)];
        let dir = server.dir.clone();
        server.stop()?;
        let mut later = Vec::new();
        if kind == Kind::Ours {
            for _ in 0..bench.rounds() {
                let server = Server::start_ours_in(bench.cores, dir.clone()).await?;
                later.push(server.started_in.as_secs_f64() * 1e3);
                tokio::time::sleep(REST).await;
                memory.push(mebibytes(&server));
                server.stop()?;
            }
        }
        let again = Spread::of(later.iter().copied()).median;
        outcome.table.push(vec![
            kind.name().to_owned(),
            format!("{} ms", number(first.as_secs_f64() * 1e3)),
            if later.is_empty() { String::new() } else { format!("{} ms", number(again)) },
            format!("{} MiB", number(Spread::of(memory.iter().copied()).median)),
        ]);
        if kind == Kind::Ours {
            outcome.goals.push(Goal::at_most("idle memory", memory, 25.0, "MiB"));
            outcome.goals.push(Goal::at_most("start to first answer", later, 50.0, "ms"));
        }
    }
    let size = as_float(fs::metadata(servers::ours()?)?.len()) / f64::from(1 << 20);
    outcome.notes.push(format!("The binary has {} MiB.", number(size)));
    Ok(outcome)
}

fn mebibytes(server: &Server) -> f64 {
    as_float(server.memory().resident) / 1024.0
}
