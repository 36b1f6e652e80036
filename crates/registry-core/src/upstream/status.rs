//! Where an answer came from, as its headers tell (RFC 9211, RFC 9111).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::UpstreamId;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// A copy that is fresh.
    Hit,
    /// Asked for just now.
    Miss,
    /// A copy that the upstream just confirmed.
    Revalidated,
    /// A copy that is being refreshed.
    StaleWhileRevalidate,
    /// A copy, because the upstream failed.
    StaleIfError,
    /// A copy, because nothing is asked.
    Offline,
}

impl CacheState {
    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Revalidated => "revalidated",
            Self::StaleWhileRevalidate => "swr",
            Self::StaleIfError => "sie",
            Self::Offline => "offline",
        }
    }
}

/// Where an answer came from, and how old it is.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The upstream.
    pub upstream: UpstreamId,
    /// By which way.
    pub state: CacheState,
    /// For how long ago the upstream confirmed it; nothing for what never changes.
    pub age: Option<Duration>,
    /// For how long it is fresh.
    pub ttl: Option<Duration>,
}

impl Provenance {
    /// Puts `Cache-Status`, `Age` and, on what is stale, `Warning` on an answer.
    pub fn put_on(&self, headers: &mut HeaderMap) {
        let how = match self.state {
            CacheState::Miss => "fwd=uri-miss; stored",
            CacheState::Revalidated => "fwd=stale; fwd-status=304",
            _ => "hit",
        };
        let mut text = format!("smartregistry; {how}");
        if let Some((ttl, age)) = self.ttl.zip(self.age) {
            let left = i128::from(ttl.as_secs()) - i128::from(age.as_secs());
            text = format!("{text}; ttl={left}");
        }
        let detail = match self.state {
            CacheState::StaleWhileRevalidate | CacheState::StaleIfError | CacheState::Offline => {
                format!("; detail=\"{} {}\"", self.upstream, self.state.as_str())
            }
            _ => format!("; detail=\"{}\"", self.upstream),
        };
        text.push_str(&detail);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(CACHE_STATUS, value);
        }
        if let Some(age) = self.age {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        }
        let warning = match self.state {
            CacheState::StaleWhileRevalidate => "110 smartregistry \"Response is Stale\"",
            CacheState::StaleIfError => "111 smartregistry \"Revalidation Failed\"",
            CacheState::Offline => "112 smartregistry \"Disconnected Operation\"",
            CacheState::Hit | CacheState::Miss | CacheState::Revalidated => return,
        };
        headers.insert(header::WARNING, HeaderValue::from_static(warning));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_where_an_answer_came_from() {
        for (state, status, warning) in [
            (CacheState::Hit, "smartregistry; hit; ttl=-30; detail=\"public\"", None),
            (CacheState::Miss, "smartregistry; fwd=uri-miss; stored; ttl=-30; detail=\"public\"", None),
            (
                CacheState::StaleIfError,
                "smartregistry; hit; ttl=-30; detail=\"public sie\"",
                Some("111 smartregistry \"Revalidation Failed\""),
            ),
        ] {
            let provenance = Provenance {
                upstream: "public".parse().unwrap(),
                state,
                age: Some(Duration::from_secs(90)),
                ttl: Some(Duration::from_mins(1)),
            };
            let mut headers = HeaderMap::new();
            provenance.put_on(&mut headers);
            assert_eq!(headers["cache-status"], status);
            assert_eq!(headers["age"], "90");
            assert_eq!(headers.get("warning").map(|value| value.to_str().unwrap()), warning);
        }
    }
}
