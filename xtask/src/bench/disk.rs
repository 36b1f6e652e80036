//! What the disk and a core allow, alone.

use anyhow::Result;

use super::{
    Bench,
    probes::Probe,
    report::{Outcome, Row},
    transfers::settle,
};

pub(crate) fn run(bench: &Bench) -> Result<Outcome> {
    let mut outcome =
        bench.outcome("disk", "The limits: durable small files, and writing and hashing a large one")?;
    let durable = |threads| Probe::Durable { threads, seconds: bench.duration_seconds(), bytes: 4096 };
    let large = Probe::WriteAndHash { mebibytes: if bench.quick { 64 } else { 1024 } };
    let cases =
        [("one thread", durable(1), false), ("8 threads", durable(8), false), ("1 file", large, true)];
    for (case, probe, in_bytes) in cases {
        let mut samples = Vec::new();
        for _ in 0..bench.rounds() {
            settle();
            samples.push(probe.measure(bench.cores, &bench.scratch)?);
        }
        let server =
            if in_bytes { "write, hash, one fsync" } else { "write, fsync, rename, fsync of the folder" };
        outcome.rows.push(Row {
            case: case.to_owned(),
            server: server.to_owned(),
            samples,
            in_bytes,
            growth_mib: None,
        });
    }
    bench.show(&outcome.rows);
    Ok(outcome)
}
