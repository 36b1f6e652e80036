//! How a command ends that does not succeed.

use std::{error::Error, fmt, process::ExitCode};

use smartregistry::core::Chain;

use crate::config::ConfigError;

/// Why a command did not succeed, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command was asked for something that it does not do: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into() }
    }

    /// The command failed: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failure { code: 1, message: message.into() }
    }

    /// What would be printed.
    pub(crate) fn into_message(self) -> String {
        self.message
    }

    /// The command failed while it did something: exit code 1.
    pub(crate) fn while_doing(what: impl fmt::Display, error: &dyn Error) -> Self {
        Failure::new(format!("{what}: {}", Chain(error)))
    }

    /// Tells the user, and gives the exit code.
    #[expect(clippy::print_stderr, reason = "this is where a command talks to its user")]
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::new(Chain(&error).to_string())
    }
}
