//! `cargo xtask test-s3`: what must hold on a bucket as on a folder, with several servers on it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::native::{self, Backend};
use crate::seaweed::{BUCKET, Seaweed};
use crate::setup::Tools;
use crate::suites::{cargo_test, timed};
use crate::tally::Tally;
use crate::workspace::{self, cargo};

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
        tally += timed("storage suite on S3", || {
            let mut command = cargo();
            on_bucket(command.args([
                "test",
                "--locked",
                "--package",
                "registry-core",
                "--features",
                "test-s3",
            ]));
            cargo_test(command.args(["--lib", "--", "storage::suite::s3"]))
        })?;
        tally += timed("several servers on one bucket", || {
            let mut command = cargo();
            on_bucket(command.args([
                "test",
                "--locked",
                "--package",
                "registry-tests",
                "--features",
                "test-s3",
            ]));
            cargo_test(command.args(["--test", "it", "--", "nodes::"]))
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
