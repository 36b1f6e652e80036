//! The URLs that clients are given.

use http::{header, request::Parts};

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
        if let Some(configured) = &self.configured {
            return configured.clone();
        }
        if let Some(ExternalOrigin(origin)) = parts.extensions.get() {
            return origin.trim_end_matches('/').to_owned();
        }
        let scheme = match parts.uri.scheme_str() {
            Some("https") => "https",
            _ => "http",
        };
        // HTTP/2 has the authority in the URI, and then it counts (RFC 9113 section 8.3.1).
        let host = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| parts.headers.get(header::HOST)?.to_str().ok());
        let host = host.filter(|host| is_plain_host(host)).unwrap_or("localhost");
        [scheme, "://", host].concat()
    }
}

/// Whether a text is `host`, `host:port`, `[v6]` or `[v6]:port` and nothing else: what stands in it ends up in documents.
pub fn is_plain_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", after)
        }
        None => match text.find(':') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        },
    };
    let host_ok = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let port_ok = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|port| port > 0)
        }
        None => port.is_empty(),
    };
    host_ok && port_ok
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(uri: &str, host: Option<&str>) -> Parts {
        let mut builder = http::Request::get(uri);
        if let Some(host) = host {
            builder = builder.header(header::HOST, host);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn configured_wins() {
        let mut request = parts("/npm/x", Some("other.example.com"));
        request.extensions.insert(ExternalOrigin("https://proxy.example.com".to_owned()));
        assert_eq!(
            PublicUrl::fixed("https://registry.example.com/").origin(&request),
            "https://registry.example.com"
        );
        assert_eq!(PublicUrl::default().origin(&request), "https://proxy.example.com");
    }

    #[test]
    fn from_the_request() {
        let rule = PublicUrl::default();
        for (uri, host, want) in [
            ("/", Some("registry.example.com"), "http://registry.example.com"),
            ("/", Some("127.0.0.1:3000"), "http://127.0.0.1:3000"),
            ("/", Some("[::1]:3000"), "http://[::1]:3000"),
            ("https://a.example.com/x", Some("b.example.com"), "https://a.example.com"),
            ("http://a.example.com:8080/x", None, "http://a.example.com:8080"),
            ("/", None, "http://localhost"),
            ("/", Some("a/b"), "http://localhost"),
            ("/", Some("user@a"), "http://localhost"),
            ("/", Some("a\"><script>"), "http://localhost"),
            ("/", Some(""), "http://localhost"),
        ] {
            assert_eq!(rule.origin(&parts(uri, host)), want, "{uri} {host:?}");
        }
    }

    #[test]
    fn hosts() {
        for good in ["a", "a.b-c_d", "a:1", "a:65535", "[::1]", "[fe80::1]:80"] {
            assert!(is_plain_host(good), "{good}");
        }
        for bad in [
            "", ":80", "a:", "a:0", "a:65536", "a:+1", "a b", "[::1", "[x]", "[::1]x", "a:1:2", "ä", "a%41",
            "a/",
        ] {
            assert!(!is_plain_host(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_host_reads_as_a_url(host in "[A-Za-z0-9.:_\\[\\]-]{1,30}") {
            if is_plain_host(&host) && !host.starts_with(['.', '-', '_']) && !host.starts_with('[') {
                let authority = host.parse::<http::uri::Authority>();
                prop_assert!(authority.is_ok(), "{}", host);
            }
        }
    }
}
