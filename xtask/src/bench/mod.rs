//! `cargo xtask bench`: what the server costs, beside its peers and beside what the machine allows.

mod client;
mod clients;
mod disk;
mod fixtures;
mod growth;
mod indexes;
mod load;
mod machine;
mod metadata;
mod probes;
mod report;
mod servers;
mod start;
mod transfers;
mod uploads;
mod writes;

use std::{os::unix::process::CommandExt as _, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use clap::Args;

use crate::workspace;
use load::Until;
use machine::Cores;
pub(crate) use probes::Probe;
use report::{Outcome, Row};
use servers::Kind;

/// All scenarios, in the order of the page.
const SCENARIOS: [&str; 13] = [
    "start",
    "disk",
    "metadata",
    "indexes",
    "blob-large",
    "blobs",
    "concurrent-pulls",
    "images",
    "publish",
    "uploads",
    "versions",
    "releases",
    "tags",
];

/// What to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Scenarios; all when none is given
    scenarios: Vec<String>,
    /// A short look: few and short runs, small sizes; nothing is written
    #[arg(long)]
    quick: bool,
    /// How long each run takes, where that is not said by what it moves
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) quick: bool,
    seconds: f64,
    pub(crate) cores: Cores,
    pub(crate) scratch: PathBuf,
}

/// Builds the server and this program for release, and runs the scenarios from there.
pub(crate) fn run(options: &Options) -> Result<()> {
    for name in &options.scenarios {
        if !SCENARIOS.contains(&name.as_str()) {
            bail!("there is no scenario `{name}`; there are {}", SCENARIOS.join(", "));
        }
    }
    if cfg!(debug_assertions) {
        return again_in_release();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(options))
}

/// The load generator must not be what is measured: it runs optimised, as the servers do.
fn again_in_release() -> Result<()> {
    let packages = ["--package", "smartregistry-server", "--package", "xtask"];
    workspace::must(workspace::cargo().args(["build", "--locked", "--release"]).args(packages))?;
    let program = workspace::target().join("release").join("xtask");
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(error.into())
}

async fn measure(options: &Options) -> Result<()> {
    let bench = Bench {
        quick: options.quick,
        seconds: options.seconds,
        cores: Cores::claim(),
        scratch: workspace::scratch("bench")?,
    };
    let wanted = |name: &str| options.scenarios.is_empty() || options.scenarios.iter().any(|s| s == name);
    let mut missed = 0;
    for name in SCENARIOS.into_iter().filter(|name| wanted(name)) {
        eprintln!("{name} …");
        let outcome = match name {
            "start" => start::run(&bench).await?,
            "disk" => disk::run(&bench)?,
            "metadata" => metadata::run(&bench).await?,
            "indexes" => indexes::run(&bench).await?,
            "blob-large" => transfers::large(&bench).await?,
            "blobs" => transfers::many(&bench).await?,
            "concurrent-pulls" => transfers::concurrent(&bench).await?,
            "images" => writes::images(&bench).await?,
            "publish" => writes::publishes(&bench).await?,
            "uploads" => writes::releases(&bench).await?,
            "releases" => growth::releases(&bench).await?,
            "versions" => growth::versions(&bench).await?,
            _ => growth::tags(&bench).await?,
        };
        missed += outcome.goals.iter().filter(|goal| !goal.met()).count();
        println!("{}", outcome.markdown());
        if !bench.quick {
            outcome.save()?;
        }
    }
    std::fs::remove_dir_all(&bench.scratch)?;
    if !bench.quick {
        let kinds = [Kind::Ours, Kind::Nginx, Kind::Distribution, Kind::Verdaccio, Kind::Pypiserver];
        let versions: Vec<(String, String)> =
            kinds.iter().filter_map(|kind| Some((kind.name().to_owned(), kind.version()?))).collect();
        report::write_page(&SCENARIOS, &versions)?;
    }
    println!("{missed} goals not met");
    Ok(())
}

impl Bench {
    /// How often each server is measured.
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { 5 }
    }

    pub(crate) fn duration_seconds(&self) -> f64 {
        if self.quick { 0.5 } else { self.seconds }
    }

    /// How long one run takes.
    pub(crate) fn duration(&self) -> Until {
        Until::Elapsed(Duration::from_secs_f64(self.duration_seconds()))
    }

    /// The run before each that counts.
    pub(crate) fn warm_up(&self) -> Until {
        Until::Elapsed(Duration::from_secs_f64(self.duration_seconds() / 10.0))
    }

    /// More than any server writes in one run.
    pub(crate) fn most_writes(&self) -> u64 {
        if self.quick { 2_500 } else { 10_000 }
    }

    /// An outcome without figures yet.
    pub(crate) fn outcome(&self, scenario: &str, title: &str) -> Result<Outcome> {
        Ok(Outcome {
            scenario: scenario.to_owned(),
            title: title.to_owned(),
            machine: machine::describe(self.cores, &self.scratch)?,
            rows: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
            table: Vec::new(),
        })
    }

    /// Says on standard error how far the run is.
    pub(crate) fn show(&self, rows: &[Row]) {
        for row in rows {
            let rate = report::Spread::of(row.samples.iter().map(load::Sample::rate)).median;
            eprintln!("  {}, {}: {} /s", row.case, row.server, report::number(rate));
        }
    }
}
