//! How a command ends that does not succeed.

use std::{error::Error, fmt, process::ExitCode};

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

/// An error with its causes: `a: b: c`.
#[derive(Debug)]
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_shows_every_cause_once() {
        let inner = std::io::Error::other("disk on fire");
        let error = ConfigError::Read { path: "x.toml".into(), source: inner };
        assert_eq!(Chain(&error).to_string(), "cannot read the configuration file x.toml: disk on fire");
    }
}
