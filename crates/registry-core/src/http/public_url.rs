//! The URLs that clients are given.

use http::request::Parts;

/// How the origin (`https://registry.example.com`) of a request was decided outside: a server puts this into a request's
/// extensions when it trusts the proxy that forwarded it.
#[derive(Clone, Debug)]
pub struct ExternalOrigin(pub String);

/// The rule for the origin in URLs that clients are given.
#[derive(Clone, Debug, Default)]
pub struct PublicUrl {
    configured: Option<String>,
}

impl PublicUrl {
    /// Always this origin, without a slash at its end.
    pub fn fixed(origin: impl Into<String>) -> Self {
        Self { configured: Some(origin.into().trim_end_matches('/').to_owned()) }
    }

    /// The origin for a request: the configured one, else [`ExternalOrigin`] from its extensions, else `http://` (or the
    /// request URI's scheme) and the `Host` header or HTTP/2 authority. A host that is not a plain `host[:port]` is replaced by
    /// `localhost`.
    pub fn origin(&self, parts: &Parts) -> String {
        unimplemented!()
    }
}
