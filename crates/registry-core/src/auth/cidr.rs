//! Blocks of addresses in CIDR notation.

use std::net::IpAddr;

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// `None` where the text is no address with an optional number of bits that it can have.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                let digits = bits.bytes().all(|b| b.is_ascii_digit()) && bits.len() <= 3;
                (address, Some(bits.parse().ok().filter(|_| digits)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    /// Whether the address lies in the block. An IPv4 address that came in an IPv6 one (`::ffff:10.0.0.1`) is taken as what
    /// it is.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.bits.into())).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.bits.into())).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V4(other)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.bits.into())).unwrap_or(0);
                (own.to_bits() ^ other.to_ipv6_mapped().to_bits()) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_hold_their_addresses() {
        for (block, address, want) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("10.0.0.0/8", "::ffff:10.2.3.4", true),
            ("::ffff:10.0.0.0/104", "10.2.3.4", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::1/128", "::1", true),
        ] {
            let block = Cidr::parse(block).unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), want, "{block:?} {address}");
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for bad in
            ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "::/0008", "10.0.0/8", "a/8", "/8"]
        {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_block_holds_just_what_shares_its_bits(a: u32, b: u32, bits in 0_u8..=32) {
            let block = Cidr { address: IpAddr::V4(a.into()), bits };
            let same = bits == 0 || a >> (32 - bits) == b >> (32 - bits);
            prop_assert_eq!(block.contains(IpAddr::V4(b.into())), same);
        }

        #[test]
        fn any_text_may_be_parsed(text in "[0-9a-f.:/]{0,20}") {
            if let Some(block) = Cidr::parse(&text) {
                prop_assert!(block.contains(block.address));
            }
        }
    }
}
