//! `cargo xtask test-s3`: what must hold on a bucket as on a folder, with several servers on it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::native::{self, Backend};
use crate::seaweed::{BUCKET, Seaweed};
use crate::setup::Tools;
use crate::suites::{cargo_test, timed, workspace_tests};
use crate::tally::Tally;
use crate::workspace;

/// The features that the tests on a bucket are behind, which a plain `cargo test` has no service for.
pub(crate) const FEATURES: &str = "registry-core/test-s3,registry-tests/test-s3";
/// How the names of those tests begin.
pub(crate) const TESTS: [&str; 2] = ["storage::suite::s3", "nodes::"];

/// Builds the server and runs everything.
pub(crate) fn run(options: &native::Options, native_only: bool) -> Result<Tally> {
    let mut names = native::tools()?;
    names.push("seaweedfs".to_owned());
    let tools = Tools::ensure(names)?;
    run_with(&tools, &workspace::server_binary()?, options, native_only)
}

/// Runs everything with tools and a binary that are there.
pub(crate) fn run_with(
    tools: &Tools,
    binary: &Path,
    options: &native::Options,
    native_only: bool,
) -> Result<Tally> {
    let seaweed = Seaweed::start(tools, &workspace::scratch("seaweedfs")?)?;
    let mut tally = Tally::default();
    if !native_only {
        let (key_id, secret) = seaweed.credentials();
        let on_bucket = |command: &mut Command| {
            command
                .env("TEST_S3_ENDPOINT", seaweed.endpoint())
                .env("TEST_S3_BUCKET", BUCKET)
                .env("TEST_S3_ACCESS_KEY_ID", key_id)
                .env("TEST_S3_SECRET_ACCESS_KEY", secret)
                .env("TEST_SERVER_BINARY", binary);
            if options.full {
                command.env("TEST_FULL", "1");
            }
        };
        tally += timed("storage suite and several servers on one bucket", || {
            let mut command = workspace_tests();
            on_bucket(command.args(["--lib", "--test", "it", "--"]).args(TESTS));
            cargo_test(&mut command)
        })?;
    }
    tally += timed("native clients, two servers on one bucket", || {
        native::run_shared(tools, binary, &Backend::Bucket(seaweed.storage("native")), options)
    })?;
    tally += timed("native clients, blobs from the bucket", || {
        native::run_redirects(tools, binary, &Backend::Bucket(seaweed.storage("redirect")), options)
    })?;
    Ok(tally)
}
