//! Everything that can be answered instead of what was asked, and how RubyGems' clients expect it: plain text, which they print.

use http::StatusCode;
use registry_core::{
    Response,
    administration::AdministrationError,
    archive::tar::TarError,
    http::{Refusal, RefusalHeaders, basic_challenge, respond_text},
};

use crate::{
    names::GemNameError,
    version::VersionError,
    wire::{checksums::ChecksumsError, spec::SpecError},
};

/// For who came without credentials.
const LOG_IN: &str = "Access Denied. Authentication is required: send a token of this registry.";

/// Why a request was not done. `Display` is what the client reads; what only the log should hold is in the source.
///
/// No text begins with the words at which `gem` asks for a code or for more rights (`You have enabled multi…`, `The API key
/// doesn't …`): it would wait for an answer for ever.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("Unable to change case of gem name with indexed versions: there is a gem {0} already.")]
    Case(String),
    #[error("This server cannot process this gem: {0}")]
    Checksums(#[from] ChecksumsError),
    /// What goes wrong in every protocol.
    #[error(transparent)]
    Common(Refusal),
    #[error("This server cannot process this gem: {0}")]
    Gem(String),
    #[error("There was a problem saving your gem: {0}")]
    Name(#[from] GemNameError),
    #[error(
        "Repushing of gem versions is not allowed.\nThe version that is there has other content: push a new version, or use `gem yank` \
         to take back the one that is there."
    )]
    Repush,
    #[error("There was a problem saving your gem: {0}")]
    Spec(#[from] SpecError),
    #[error("This server cannot process this gem: {0}")]
    Tar(TarError),
    #[error("the request names more than {0} gems: ask for fewer at once")]
    TooManyGems(usize),
    /// A request that is understood and cannot be done.
    #[error("{0}")]
    Unprocessable(String),
    #[error("{0}")]
    Version(#[from] VersionError),
    #[error(
        "A yanked version already exists ({0}).\nRepushing of gem versions is not allowed: push a new version."
    )]
    Yanked(String),
}

impl<E: Into<Refusal>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<Error> for AdministrationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Common(refusal) => refusal.into(),
            error => Self::of_status(error.status(), error.to_string()),
        }
    }
}

impl Error {
    /// A gem of another registry, whose place nobody takes by accident.
    pub(crate) fn taken(name: &crate::names::GemName) -> Self {
        Refusal::Forbidden(format!(
            "{name} is a gem of the registry that this one stands before: to push under its name, have it reserved here."
        ))
        .into()
    }

    /// A request that cannot be done as it is; the text is a sentence for the client.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Refusal::BadRequest(text.into()).into()
    }

    /// A gem that is not there.
    pub(crate) fn no_gem() -> Self {
        Refusal::NotFound("This gem could not be found".to_owned()).into()
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Common(refusal) => refusal.status(),
            Self::Case(_) | Self::Repush | Self::Yanked(_) => StatusCode::CONFLICT,
            // Clients and scripts know this status for a platform that is none.
            Self::Spec(SpecError::Platform(_)) => StatusCode::CONFLICT,
            Self::Checksums(_)
            | Self::Gem(_)
            | Self::Name(_)
            | Self::Spec(_)
            | Self::Tar(_)
            | Self::TooManyGems(_)
            | Self::Unprocessable(_)
            | Self::Version(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// The sentence for the client.
    fn text(&self) -> String {
        match self {
            Self::Common(refusal) => refusal.client_text(LOG_IN),
            other => other.to_string(),
        }
    }

    /// The answer: plain text, which clients print.
    pub(crate) fn render(&self) -> Response {
        let status = self.status();
        let mut response = respond_text(status, self.text());
        let headers = match self {
            Self::Common(refusal) => refusal.headers(Some(basic_challenge("rubygems"))),
            _ => RefusalHeaders::default(),
        };
        headers.put_on(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header;
    use registry_core::{auth::AuthError, storage::StorageError};

    use super::*;

    fn header(error: &Error, name: &header::HeaderName) -> Option<String> {
        error.render().headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn refusals_say_what_to_do_and_nothing_of_the_store() {
        let many = Error::from(AuthError::TooManyAttempts(Duration::from_millis(7500)));
        let down = Error::from(StorageError::Contended { key: "secret/key".into(), attempts: 3 });
        for (error, status, want) in [(many, 429, "7"), (down, 503, "2")] {
            assert_eq!(error.status(), status);
            assert_eq!(header(&error, &header::RETRY_AFTER).as_deref(), Some(want));
            assert!(!error.text().contains("secret"));
        }
        for error in [AuthError::Missing, AuthError::Invalid("no")] {
            let error = Error::from(error);
            assert_eq!(
                header(&error, &header::WWW_AUTHENTICATE).as_deref(),
                Some("Basic realm=\"rubygems\"")
            );
        }
        assert_eq!(header(&Refusal::Forbidden("no".into()).into(), &header::WWW_AUTHENTICATE), None);
        assert_eq!(header(&Refusal::MethodNotAllowed("GET").into(), &header::ALLOW).as_deref(), Some("GET"));
    }
}
