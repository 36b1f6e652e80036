//! What the disk and a core allow: durable small files a second, and writing, hashing and syncing a large one.
//!
//! A probe is a process of its own, so that its processor time is measured as a server's is.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use sha1::Digest as _;

use super::{
    fixtures::{Numbers, Stream},
    load::{Sample, as_float},
    machine::Cores,
};

/// A probe's task, as it stands on its command line.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Probe {
    /// Small files, each written, synced, renamed and its folder synced
    Durable {
        /// How many threads
        #[arg(long)]
        threads: usize,
        /// For how long
        #[arg(long)]
        seconds: f64,
        /// The size of a file
        #[arg(long, default_value_t = 4096)]
        bytes: usize,
    },
    /// One large file, hashed with SHA-256 while it is written, and synced once
    WriteAndHash {
        /// How large
        #[arg(long)]
        mebibytes: u64,
    },
}

impl Probe {
    /// Runs the probe as a process on the servers' core, in a folder under `scratch`.
    pub(crate) fn measure(&self, cores: Cores, scratch: &Path) -> Result<Sample> {
        let dir = scratch.join("probe");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        let mut command: Command = cores.server(&std::env::current_exe()?);
        command.arg("bench-probe").current_dir(&dir);
        match self {
            Self::Durable { threads, seconds, bytes } => command.args([
                "durable",
                "--threads",
                &threads.to_string(),
                "--seconds",
                &seconds.to_string(),
                "--bytes",
                &bytes.to_string(),
            ]),
            Self::WriteAndHash { mebibytes } => {
                command.args(["write-and-hash", "--mebibytes", &mebibytes.to_string()])
            }
        };
        let output = command.output().context("could not start the probe")?;
        fs::remove_dir_all(&dir)?;
        if !output.status.success() {
            bail!("the probe failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("the probe printed no sample")
    }

    /// Does the work in the folder it runs in and prints the sample.
    pub(crate) fn work(&self) -> Result<()> {
        let begun = Instant::now();
        let (operations, bytes) = match self {
            Self::Durable { threads, seconds, bytes } => {
                let limit = Duration::from_secs_f64(*seconds);
                let counts: Vec<Result<u64>> = thread::scope(|scope| {
                    let workers: Vec<_> = (0..*threads)
                        .map(|at| {
                            scope.spawn(move || durable_files(&format!("folder-{at}"), *bytes, begun, limit))
                        })
                        .collect();
                    let joined = workers.into_iter().map(|worker| {
                        worker
                            .join()
                            .map_err(|_| anyhow!("a thread of the probe panicked"))
                            .and_then(|count| count)
                    });
                    joined.collect()
                });
                let count = counts.into_iter().sum::<Result<u64>>()?;
                (count, count * *bytes as u64)
            }
            Self::WriteAndHash { mebibytes } => (1, write_and_hash(*mebibytes)?),
        };
        let seconds = begun.elapsed().as_secs_f64();
        let stat = super::machine::Usage::of_self();
        let sample = Sample {
            operations,
            seconds,
            cpu_seconds: stat.as_secs_f64(),
            bytes,
            written: bytes,
            p50_micros: seconds * 1e6 / as_float(operations.max(1)),
            p99_micros: 0.0,
        };
        println!("{}", serde_json::to_string(&sample)?);
        Ok(())
    }
}

fn durable_files(dir: &str, bytes: usize, begun: Instant, limit: Duration) -> Result<u64> {
    fs::create_dir_all(dir)?;
    let folder = File::open(dir)?;
    let content = Numbers::new(5).bytes(bytes);
    let mut count = 0;
    while begun.elapsed() < limit {
        let (temporary, place) = (format!("{dir}/.new"), format!("{dir}/{count}"));
        let mut file = File::create(&temporary)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&temporary, &place)?;
        folder.sync_all()?;
        count += 1;
    }
    Ok(count)
}

fn write_and_hash(mebibytes: u64) -> Result<u64> {
    let stream = Stream::new(mebibytes, 99);
    let mut file = File::create("large")?;
    let mut hash = sha2::Sha256::new();
    for piece in stream.pieces() {
        hash.update(&piece);
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    if hash.finalize().len() != 32 {
        bail!("a SHA-256 has 32 bytes");
    }
    Ok(stream.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_and_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("x");
        let count =
            durable_files(place.to_str().unwrap(), 100, Instant::now(), Duration::from_millis(30)).unwrap();
        assert!(count > 0);
        assert_eq!(fs::read_dir(&place).unwrap().count() as u64, count);
    }
}
