//! Which hosts and addresses a URL that was learnt from an upstream may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::UpstreamConfig;

/// What may be asked on behalf of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    origin: String,
    url: Url,
    trusted: Vec<String>,
    strict: bool,
}

/// What a URL is to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The configured origin itself.
    Configured,
    /// A host that the configuration trusts: it may have a private address.
    Trusted,
    /// A host that is known from the upstream's data alone: it may have a public address.
    Learnt,
}

impl Reach {
    pub(crate) fn of(config: &UpstreamConfig) -> Self {
        Self {
            origin: config.origin(),
            url: config.url.clone(),
            trusted: config.trusted_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            strict: config.strict_hosts,
        }
    }

    /// What a URL is to the upstream, or `None` where it must not be asked.
    pub(crate) fn standing(&self, url: &Url) -> Option<Standing> {
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some()
        {
            return None;
        }
        if url.origin().ascii_serialization() == self.origin {
            return Some(Standing::Configured);
        }
        let host = url.host_str()?.to_ascii_lowercase();
        let port = url.port_or_known_default()?;
        let with_port = format!("{host}:{port}");
        if self.trusted.iter().any(|trusted| *trusted == host || *trusted == with_port) {
            let metadata = literal(url).is_some_and(is_metadata);
            return (!metadata).then_some(Standing::Trusted);
        }
        let usual = matches!(port, 80 | 443) || self.url.port_or_known_default() == Some(port);
        if self.strict || !usual || literal(url).is_some_and(is_forbidden) {
            return None;
        }
        Some(Standing::Learnt)
    }
}

/// The address that a URL names itself.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Whether an address is no public one: private, local, reserved, or one of those in the clothes of IPv6.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

/// Whether an address is where clouds tell machines their credentials.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => {
            v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || embedded(v6).is_some_and(|v4| v4.is_link_local())
        }
    }
}

fn forbidden_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    match a {
        0 | 10 | 127 => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && matches!(c, 0 | 2)),
        198 => matches!(b, 18 | 19) || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => a >= 224,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = embedded(address) {
        return forbidden_v4(v4);
    }
    let [first, second, ..] = address.segments();
    address.is_unspecified()
        || address.is_loopback()
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        || first & 0xff00 == 0xff00
        || (first == 0x2001 && second == 0xdb8)
}

/// The IPv4 address inside an IPv6 one: mapped, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_forbidden_in_every_spelling() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
        ] {
            assert!(is_forbidden(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(!is_forbidden(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn checklist_23_learnt_urls_are_weighed() {
        let mut config = UpstreamConfig::new("up".parse().unwrap(), "http://10.0.0.5:8081/npm").unwrap();
        config.trusted_hosts = vec!["files.internal".to_owned(), "10.0.0.9:8082".to_owned()];
        let reach = Reach::of(&config);
        for (url, want) in [
            ("http://10.0.0.5:8081/x", Some(Standing::Configured)),
            ("http://10.0.0.5:8082/x", None),
            ("https://10.0.0.5:8081/x", None),
            ("http://10.0.0.9:8082/x", Some(Standing::Trusted)),
            ("http://10.0.0.9:80/x", None),
            ("https://files.internal/x", Some(Standing::Trusted)),
            ("https://FILES.internal/x", Some(Standing::Trusted)),
            ("https://cdn.example.com/x", Some(Standing::Learnt)),
            ("https://cdn.example.com:8081/x", Some(Standing::Learnt)),
            ("https://cdn.example.com:22/x", None),
            ("https://user@cdn.example.com/x", None),
            ("ftp://cdn.example.com/x", None),
            ("file:///etc/passwd", None),
            ("http://127.0.0.1/", None),
            ("http://2130706433/", None),
            ("http://0x7f.1/", None),
            ("http://[::ffff:10.0.0.1]/", None),
            ("http://169.254.169.254/latest", None),
        ] {
            assert_eq!(reach.standing(&url.parse().unwrap()), want, "{url}");
        }
        config.strict_hosts = true;
        assert_eq!(Reach::of(&config).standing(&"https://cdn.example.com/x".parse().unwrap()), None);
        config.trusted_hosts = vec!["169.254.169.254".to_owned()];
        assert_eq!(Reach::of(&config).standing(&"http://169.254.169.254/".parse().unwrap()), None);
    }
}
