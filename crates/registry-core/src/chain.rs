//! An error with its causes, as logs and people read it.

use std::{error::Error, fmt};

/// An error with its causes: `a: b: c`. A cause that the text before it tells already is left out, since many libraries
/// show their causes themselves.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !told.contains(&text) {
                write!(f, ": {text}")?;
                told = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the configuration")]
    struct Quiet(#[source] io::Error);

    /// Shows its cause itself.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach the bucket: {0}")]
    struct Talkative(#[source] io::Error);

    #[test]
    fn a_chain_shows_every_cause_once() {
        let quiet = Quiet(io::Error::other("disk on fire"));
        assert_eq!(Chain(&quiet).to_string(), "cannot read the configuration: disk on fire");
        let talkative = Quiet(io::Error::other(Talkative(io::Error::other("refused"))));
        let expect = "cannot read the configuration: cannot reach the bucket: refused";
        assert_eq!(Chain(&talkative).to_string(), expect);
    }
}
