//! Credentials in every style that clients send.

use http::HeaderMap;
use secrecy::SecretString;

/// What a request's `Authorization` header holds. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `Basic`: a user's name and password, or a token as the password (any user name), or a token as the user name with
    /// an empty password or `x-oauth-basic`.
    Basic {
        /// The user's name.
        user: SecretString,
        /// The password.
        password: SecretString,
    },
    /// `Bearer`: a token.
    Bearer(SecretString),
    /// The header's value without a scheme (Cargo, RubyGems).
    Plain(SecretString),
}

/// The `Authorization` header is there but cannot be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the Authorization header cannot be read")]
pub struct MalformedCredentials;

impl Credentials {
    /// The credentials of a request, if any. Schemes are compared without regard to case; a `Basic` header with an empty user
    /// name and an empty password counts as none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, MalformedCredentials> {
        unimplemented!()
    }
}
