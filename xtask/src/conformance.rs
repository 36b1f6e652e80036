//! `cargo xtask conformance`: the OCI distribution specification's own suite, in its version `dev`.
//!
//! Four runs: with a token and anonymously, each with sparse manifests refused and allowed. The suite's program exits
//! with 0 when its configuration is wrong and it ran nothing, so the counts are taken from the results that it wrote.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::docs;
use crate::process;
use crate::server::{Site, Storage};
use crate::setup::Tools;
use crate::tally::Tally;
use crate::workspace;

/// A run with fewer tests has not run the suite.
const FEWEST_TESTS: u64 = 900;
const LIMIT: Duration = Duration::from_secs(300);

/// How one of the runs is set up.
#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    anonymous: bool,
    sparse: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant { name: "token", anonymous: false, sparse: false },
    Variant { name: "token-sparse", anonymous: false, sparse: true },
    Variant { name: "anonymous", anonymous: true, sparse: false },
    Variant { name: "anonymous-sparse", anonymous: true, sparse: true },
];

/// What the suite's program counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

/// Builds the server, runs all variants and prints their totals.
pub(crate) fn run(write_docs: bool) -> Result<Tally> {
    let tools = Tools::ensure(["conformance"])?;
    run_with(&tools, &workspace::server_binary()?, write_docs)
}

/// Runs all variants with tools and a binary that are there.
pub(crate) fn run_with(tools: &Tools, binary: &Path, write_docs: bool) -> Result<Tally> {
    let program = tools.program("conformance", "conformance")?;
    let dir = workspace::scratch("conformance")?;
    let mut tally = Tally::default();
    let mut table =
        String::from("| run | tests | passed | failed | skipped |\n| --- | --- | --- | --- | --- |\n");
    for variant in VARIANTS {
        let started = Instant::now();
        match run_variant(variant, &program, binary, &dir.join(variant.name)) {
            Ok(counts) => {
                let passed = counts.passed();
                println!(
                    "conformance {}: {} tests, {passed} passed, {} failed, {} skipped ({} s)",
                    variant.name,
                    counts.tests,
                    counts.failures + counts.errors,
                    counts.skipped,
                    started.elapsed().as_secs(),
                );
                let _ = writeln!(
                    table,
                    "| {} | {} | {passed} | {} | {} |",
                    variant.describe(),
                    counts.tests,
                    counts.failures + counts.errors,
                    counts.skipped
                );
                tally += Tally { passed, failed: counts.tests.saturating_sub(passed) };
            }
            Err(error) => {
                println!("conformance {}: FAIL: {error:#}", variant.name);
                let _ = writeln!(table, "| {} | did not run | | | |", variant.describe());
                tally += Tally::one(false);
            }
        }
    }
    if write_docs {
        docs::replace_section("docs/compatibility.md", "conformance", &table)?;
    }
    println!();
    Ok(tally)
}

fn run_variant(variant: Variant, program: &Path, binary: &Path, dir: &Path) -> Result<Counts> {
    let results = dir.join("results");
    fs::create_dir_all(&results)?;
    let site = Site::new(binary, &dir.join("server"), &Storage::Folder, &variant.config())?;
    let server = site.start("server")?;
    let mut command = process::clean(program, process::SYSTEM_PATH, dir);
    command
        .current_dir(dir)
        .env("OCI_REGISTRY", server.addr().to_string())
        .env("OCI_TLS", "disabled")
        .env("OCI_VERSION", "dev")
        .env("OCI_LOG", "error")
        .env("OCI_DATA_SPARSE", if variant.sparse { "true" } else { "false" })
        .env("OCI_RESULTS_DIR", &results);
    if !variant.anonymous {
        let scopes = ["oci:repository:conformance/*:pull,push,delete".to_owned()];
        command
            .env("OCI_USERNAME", "conformance")
            .env("OCI_PASSWORD", site.create_token("conformance", &scopes)?);
    }
    let outcome = process::run(&mut command, &dir.join("suite"), LIMIT)?;
    server.stop()?;
    // The folder was empty before, so what is there now was written by this run.
    let report = fs::read_to_string(results.join("junit.xml")).with_context(|| {
        format!("the suite {} and wrote no results:\n{}", outcome.ending(), outcome.tail(20))
    })?;
    let counts = counts(&report)?;
    if counts.tests <= FEWEST_TESTS {
        bail!("only {} tests were run, where more than {FEWEST_TESTS} are expected", counts.tests);
    }
    if counts.passed() != counts.tests {
        let wrong =
            outcome.stdout.lines().filter(|line| line.ends_with(": FAIL") || line.ends_with(": Skip"));
        println!("{}", wrong.take(60).collect::<Vec<_>>().join("\n"));
        println!("  the whole report is {}", results.join("report.html").display());
    } else if !outcome.ok() {
        bail!("all tests passed, but the suite {}:\n{}", outcome.ending(), outcome.tail(20));
    }
    Ok(counts)
}

impl Variant {
    fn config(self) -> String {
        let mut config = String::new();
        if self.anonymous {
            config.push_str("[auth]\nanonymous = [\"oci:*:*:pull,push,delete\"]\n");
        }
        let _ = writeln!(config, "[oci]\nallow_sparse = {}", self.sparse);
        config
    }

    fn describe(self) -> String {
        let who = if self.anonymous { "anonymous" } else { "with a token" };
        let sparse = if self.sparse { "sparse manifests allowed" } else { "sparse manifests refused" };
        format!("{who}, {sparse}")
    }
}

impl Counts {
    fn passed(self) -> u64 {
        self.tests.saturating_sub(self.failures + self.errors + self.skipped)
    }
}

/// The counts in the first element of a JUnit report that has them all.
fn counts(report: &str) -> Result<Counts> {
    let element = report
        .split('<')
        .find(|element| element.starts_with("testsuite ") || element.starts_with("testsuite\n"))
        .and_then(|element| element.split('>').next())
        .ok_or_else(|| anyhow!("the report has no test suite"))?;
    let number = |name: &str| -> Result<u64> {
        let value = element.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).ok_or_else(|| anyhow!("the report has no count `{name}`"))
    };
    // The attribute is left out where nothing was skipped; so the skipped cases are counted one by one, and the larger number holds.
    let skipped_cases = report.matches("<skipped").count().try_into()?;
    let skipped = if element.contains(" skipped=") { number("skipped")? } else { 0 };
    Ok(Counts {
        tests: number("tests")?,
        failures: number("failures")?,
        errors: number("errors")?,
        skipped: skipped.max(skipped_cases),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_report_are_read() {
        let report = "<testsuites time=\"6.7\" tests=\"990\" failures=\"153\" skipped=\"61\">\n  <testsuite name=\"OCI\" \
            tests=\"990\" failures=\"153\" errors=\"1\" skipped=\"61\" time=\"6.7\">\n<testcase tests=\"4\">";
        let found = counts(report).unwrap();
        assert_eq!(found, Counts { tests: 990, failures: 153, errors: 1, skipped: 61 });
        assert_eq!(found.passed(), 775);
        let none_said = "<testsuite name=\"OCI\" tests=\"990\" failures=\"0\" errors=\"0\">\n<testcase>";
        assert_eq!(counts(none_said).unwrap().passed(), 990);
        let one_case = "<testsuite name=\"OCI\" tests=\"990\" failures=\"0\" errors=\"0\">\n<testcase><skipped></skipped>";
        assert_eq!(counts(one_case).unwrap().skipped, 1);
        assert!(counts("<html></html>").is_err());
        assert!(counts("<testsuite tests=\"x\">").is_err());
    }
}
