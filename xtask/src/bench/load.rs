//! Running operations against a server and counting what they cost.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::{
    client::{Connection, Request},
    servers::Server,
};

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After this time; operations that have begun are finished.
    Elapsed(Duration),
    /// After this many operations.
    Count(u64),
}

/// One run against one server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    /// Processor time of the server.
    pub(crate) cpu_seconds: f64,
    /// Bytes of content moved.
    pub(crate) bytes: u64,
    /// Bytes that the server handed to write calls, sockets included.
    pub(crate) written: u64,
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
}

impl Sample {
    pub(crate) fn rate(&self) -> f64 {
        per(self.operations, self.seconds)
    }

    /// Mebibytes a second.
    pub(crate) fn throughput(&self) -> f64 {
        per(self.bytes, self.seconds) / f64::from(1 << 20)
    }

    pub(crate) fn cpu_micros(&self) -> f64 {
        if self.operations == 0 { 0.0 } else { self.cpu_seconds * 1e6 / as_float(self.operations) }
    }
}

/// `operation` in a loop on `connections` connections. It is given its connection and a number that no other operation
/// of this run has, and returns the bytes of content that it moved.
pub(crate) async fn run<F>(server: &Server, connections: usize, until: Until, operation: F) -> Result<Sample>
where
    F: AsyncFn(&mut Connection, u64) -> Result<u64>,
{
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(server.connect().await?);
    }
    let next = Rc::new(Cell::new(0_u64));
    let before = server.usage();
    let begun = Instant::now();
    let workers = opened.into_iter().map(|mut connection| {
        let (next, operation) = (Rc::clone(&next), &operation);
        async move {
            let (mut bytes, mut times) = (0, Vec::new());
            loop {
                let number = next.get();
                let over = match until {
                    Until::Elapsed(limit) => begun.elapsed() >= limit,
                    Until::Count(count) => number >= count,
                };
                if over {
                    return Ok::<_, anyhow::Error>((bytes, times));
                }
                next.set(number + 1);
                let start = Instant::now();
                bytes += operation(&mut connection, number).await?;
                times.push(start.elapsed());
            }
        }
    });
    let results = try_join_all(workers).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = server.usage();
    let mut times: Vec<Duration> = results.iter().flat_map(|(_, times)| times).copied().collect();
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            .map_or(0.0, |t| t.as_secs_f64() * 1e6)
    };
    Ok(Sample {
        operations: times.len() as u64,
        seconds,
        cpu_seconds: after.cpu_since(&before).as_secs_f64(),
        bytes: results.iter().map(|(bytes, _)| bytes).sum(),
        written: after.written.saturating_sub(before.written),
        p50_micros: at(50),
        p99_micros: at(99),
    })
}

/// The same request again and again; every answer must have this status and length.
pub(crate) async fn repeat(
    server: &Server,
    connections: usize,
    until: Until,
    request: &Request,
    status: u16,
    length: u64,
) -> Result<Sample> {
    let answers = run(server, connections, until, async |connection: &mut Connection, _| {
        let answer = connection.exchange(request).await?.expect(status)?;
        anyhow::ensure!(
            answer.length == length,
            "an answer had {} bytes in place of {length}",
            answer.length
        );
        Ok(length)
    });
    tokio::select! {
        sample = answers => sample,
        never = stay_awake() => match never {},
    }
}

/// Keeps this core from going to sleep between two answers: waking it would be work of the server's core, more of it the
/// more often the generator has to wait, which is to say for the slower server.
async fn stay_awake() -> std::convert::Infallible {
    loop {
        tokio::task::yield_now().await;
    }
}

fn per(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { as_float(count) / seconds } else { 0.0 }
}

/// Counts here are far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn as_float(count: u64) -> f64 {
    count as f64
}
