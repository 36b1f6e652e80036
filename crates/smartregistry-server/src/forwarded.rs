//! For whom a proxy speaks: `X-Forwarded-For`, `-Proto` and `-Host`, from proxies that are trusted and nobody else.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header, uri::Authority};

use crate::config::TrustedProxies;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The most proxies that are followed back.
const MOST_HOPS: usize = 32;

/// Where a request really came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The origin that the client used, where a trusted proxy said so.
    pub(crate) external: Option<String>,
}

/// Reads what trusted proxies say, and removes the headers, so that nothing further in believes those of others.
pub(crate) fn resolve(peer: IpAddr, tls: bool, headers: &mut HeaderMap, trusted: &TrustedProxies) -> Origin {
    let mut origin = Origin { client: peer.to_canonical(), external: None };
    if trusted.contains(peer) {
        origin.client = client(origin.client, headers, trusted);
        origin.external = external(tls, headers);
    }
    for name in [FOR, HOST, PROTO] {
        headers.remove(name);
    }
    origin
}

/// The last address of the chain that is not a trusted proxy's: whatever stands before it may be invented.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut client = peer;
    let lines: Vec<&str> = headers.get_all(FOR).iter().filter_map(|v| v.to_str().ok()).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(MOST_HOPS) {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !trusted.contains(address) {
            break;
        }
    }
    client
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let found =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    found.or_else(bracketed).map(|a: IpAddr| a.to_canonical())
}

/// Scheme and host as the nearest proxy saw them, which is the last value of each header.
fn external(tls: bool, headers: &HeaderMap) -> Option<String> {
    let last = |name: HeaderName| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim).filter(|v| !v.is_empty())
    };
    let (proto, forwarded) = (last(PROTO), last(HOST));
    if proto.is_none() && forwarded.is_none() {
        return None;
    }
    let scheme = match proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(_) => "http",
        None if tls => "https",
        None => "http",
    };
    let host = forwarded.or_else(|| headers.get(header::HOST).and_then(|h| h.to_str().ok()))?;
    let authority: Authority = host.parse().ok().filter(|a: &Authority| !a.as_str().contains('@'))?;
    Some(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, trusted: &[&str], headers: &[(&str, &str)], client: &str, external: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let trusted = trusted.iter().map(|t| t.parse().unwrap()).collect();
        let got = resolve(peer.parse().unwrap(), false, &mut map, &trusted);
        let expect = Origin { client: client.parse().unwrap(), external: external.map(str::to_owned) };
        assert_eq!(got, expect);
        assert!(map.keys().all(|k| !k.as_str().starts_with("x-forwarded")));
    }

    #[test]
    fn strangers_are_not_believed() {
        let headers = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
        ];
        check("9.9.9.9", &[], &headers, "9.9.9.9", None);
        check("9.9.9.9", &["10.0.0.0/8"], &headers, "9.9.9.9", None);
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_proxy() {
        let check = |value: &str, client: &str| {
            check("10.0.0.1", &["10.0.0.0/8"], &[("x-forwarded-for", value)], client, None);
        };
        check("1.2.3.4", "1.2.3.4");
        check("6.6.6.6, 1.2.3.4", "1.2.3.4");
        check("6.6.6.6, 1.2.3.4, 10.0.0.7", "1.2.3.4");
        check("10.0.0.8, 10.0.0.7", "10.0.0.8");
        check("1.2.3.4:5678", "1.2.3.4");
        check("[2001:db8::1]:5678", "2001:db8::1");
        check("[2001:db8::1]", "2001:db8::1");
        check("::ffff:1.2.3.4", "1.2.3.4");
        check("unknown", "10.0.0.1");
        check("1.2.3.4, rubbish, 10.0.0.7", "10.0.0.7");
        check("", "10.0.0.1");
    }

    #[test]
    fn scheme_and_host_come_from_the_nearest_proxy() {
        let check = |headers: &[(&str, &str)], external: Option<&str>| {
            check("10.0.0.1", &["10.0.0.0/8"], headers, "10.0.0.1", external);
        };
        let host = ("host", "inner:3000");
        check(&[host], None);
        check(&[host, ("x-forwarded-proto", "https")], Some("https://inner:3000"));
        let outer = ("x-forwarded-host", "registry.example.com");
        check(&[host, outer, ("x-forwarded-proto", "https")], Some("https://registry.example.com"));
        check(&[host, outer], Some("http://registry.example.com"));
        check(
            &[host, ("x-forwarded-host", "evil.example, registry.example.com")],
            Some("http://registry.example.com"),
        );
        check(&[host, ("x-forwarded-host", "a b")], None);
        check(&[host, ("x-forwarded-host", "user@x")], None);
        check(&[host, ("x-forwarded-proto", "javascript")], Some("http://inner:3000"));
    }
}
