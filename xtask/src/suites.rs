//! `cargo xtask test`: every test and suite, one after the other, each with its time.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use crate::conformance;
use crate::native;
use crate::s3;
use crate::setup::Tools;
use crate::tally::Tally;
use crate::workspace::{self, cargo};

/// Runs everything. What a suite finds goes into the tally; an error is for what kept a suite from running at all.
pub(crate) fn run(full: bool, jobs: usize) -> Result<Tally> {
    let options = native::Options { full, jobs, ..native::Options::default() };
    let mut names = native::tools()?;
    names.extend(["conformance".to_owned(), "seaweedfs".to_owned()]);
    let tools = timed("setup", || Tools::ensure(names))?;
    let binary = timed("build", || {
        workspace::must(workspace_tests().args(["--no-run", "--quiet"]))?;
        // The server's own tests run it, so it was built with them.
        workspace::built_server()
    })?;
    let mut tally = Tally::default();
    tally += timed("cargo test", || {
        let mut command = workspace_tests();
        command.args(["--no-fail-fast", "--"]);
        for test in s3::TESTS {
            // They have a server to talk to in the part "S3".
            command.args(["--skip", test]);
        }
        command.env("TEST_SERVER_BINARY", &binary);
        if full {
            command.env("TEST_FULL", "1");
        }
        cargo_test(&mut command)
    })?;
    tally += timed("conformance", || conformance::run_with(&tools, &binary, false))?;
    tally += timed("native clients on a folder", || native::run_with(&tools, &binary, &options))?;
    tally += timed("S3", || s3::run_with(&tools, &binary, &options, false))?;
    Ok(tally)
}

/// The beginning of every `cargo test`. One set of packages and features for all of them: with another set, cargo would
/// build their dependencies once more.
pub(crate) fn workspace_tests() -> Command {
    let mut command = cargo();
    command.args(["test", "--locked", "--workspace", "--features", s3::FEATURES]);
    command
}

/// Runs a `cargo test`, shows what it prints, and counts. A run that did not get to its tests counts as one failure.
pub(crate) fn cargo_test(command: &mut Command) -> Result<Tally> {
    command.env("SMARTREGISTRY_ABORT_ON_PANIC", "true");
    let shown = crate::process::show(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start `{shown}`"))?;
    let stdout = child.stdout.take().ok_or_else(|| anyhow!("the child has no standard output"))?;
    let mut printed = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        // A name a line for thousands of tests tells nobody anything; what failed is shown again at the end.
        let dull = line.is_empty() || (line.starts_with("test ") && line.ends_with(" ... ok"));
        if !dull {
            println!("{line}");
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    let status = child.wait()?;
    let mut tally = Tally::of_cargo_test(&printed);
    if !status.success() && tally.failed == 0 {
        println!("`{shown}` failed ({status})");
        tally += Tally::one(false);
    } else if tally.passed == 0 && tally.failed == 0 {
        // A filter that matches nothing any more would pass for ever.
        println!("`{shown}` ran no test");
        tally += Tally::one(false);
    }
    Ok(tally)
}

/// Runs one part and prints what it took.
pub(crate) fn timed<T>(name: &str, part: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let started = Instant::now();
    let result = part().with_context(|| format!("in {name}"));
    println!("== {name}: {:.1} s", started.elapsed().as_secs_f64());
    result
}
