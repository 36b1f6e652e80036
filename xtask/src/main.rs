//! The project's own tasks: `cargo xtask --help` lists them.
//!
//! Everything that CI does is one of these commands, so that it can be done at home just the same.

mod access_log;
mod bench;
mod ci;
mod conformance;
mod docs;
mod native;
mod process;
mod proxy;
mod s3;
mod seaweed;
mod server;
mod setup;
mod suites;
mod tally;
mod tidy;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::setup::{Pins, Tools};
use crate::tally::Tally;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the suites need: Debian's packages, client programs, Go tools
    Setup {
        /// Also what only the benchmarks need
        #[arg(value_parser = ["bench"])]
        what: Option<String>,
    },
    /// Run every test and suite; ends with a line `N passed, N failed`
    Test {
        /// Also the long versions
        #[arg(long)]
        full: bool,
        #[command(flatten)]
        jobs: Jobs,
    },
    /// Run the real clients against the server on a folder
    TestNative {
        /// Protocols; all when none is given
        protocols: Vec<String>,
        /// Only this client (by its id in the suite's file); repeats
        #[arg(long = "client", value_name = "ID")]
        clients: Vec<String>,
        /// Also the long steps
        #[arg(long)]
        full: bool,
        /// Instead of the suites: real trees through a server that asks the registries which the clients use by themselves
        #[arg(long)]
        live: bool,
        /// Write the tables to docs/compatibility.md
        #[arg(long)]
        write_docs: bool,
        /// Test this server in place of the one that is built
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
        #[command(flatten)]
        jobs: Jobs,
    },
    /// Run the storage suite and the real clients on an S3 server, the clients with two servers on one bucket
    TestS3 {
        /// Protocols for the clients; all when none is given
        protocols: Vec<String>,
        /// Only this client; repeats
        #[arg(long = "client", value_name = "ID")]
        clients: Vec<String>,
        /// Only the clients, not the suites that are cargo tests
        #[arg(long)]
        native_only: bool,
        #[command(flatten)]
        jobs: Jobs,
    },
    /// Run the OCI distribution specification's suite
    Conformance {
        /// Write the totals to docs/compatibility.md
        #[arg(long)]
        write_docs: bool,
    },
    /// Measure the server beside its peers and the machine's limits; writes docs/benchmarks.md
    Bench(bench::Options),
    /// A part of `bench` that is a process of its own
    #[command(hide = true)]
    BenchProbe {
        #[command(subcommand)]
        probe: bench::Probe,
    },
    /// Check what the compiler cannot: the crate graph, layouts, file lengths, names that must not be written
    Tidy,
    /// Check licences, banned crates and sources with cargo-deny
    Deny,
    /// Everything that must pass before a change is taken
    Ci,
}

#[derive(Debug, Args)]
struct Jobs {
    /// How many clients run at the same time
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
}

/// One more than there are processors: a client waits for its server much of the time.
fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup { what } => {
            let mut names = Pins::load()?.all();
            if what.is_some() {
                names.extend(Pins::bench());
            }
            Tools::ensure(names)?;
            println!("everything is installed");
            Ok(())
        }
        Task::Test { full, jobs } => close(suites::run(full, jobs.jobs)?),
        Task::TestNative { protocols, clients, full, live, write_docs, binary, jobs } => {
            close(native::run(&native::Options {
                protocols,
                clients,
                full,
                live,
                write_docs,
                binary,
                jobs: jobs.jobs,
            })?)
        }
        Task::TestS3 { protocols, clients, native_only, jobs } => {
            let options =
                native::Options { protocols, clients, jobs: jobs.jobs, ..native::Options::default() };
            close(s3::run(&options, native_only)?)
        }
        Task::Conformance { write_docs } => close(conformance::run(write_docs)?),
        Task::Bench(options) => bench::run(&options),
        Task::BenchProbe { probe } => probe.work(),
        Task::Tidy => tidy::run(),
        Task::Deny => ci::deny(),
        Task::Ci => close(ci::run(default_jobs())?),
    }
}

/// Prints the closing line, alone on a line as tools that read such runs expect it; fails when something failed.
fn close(tally: Tally) -> Result<()> {
    println!("{tally}");
    if tally.failed > 0 {
        bail!("{} of {} checks failed", tally.failed, tally.passed + tally.failed);
    }
    if tally.passed == 0 {
        bail!("nothing was run");
    }
    Ok(())
}
