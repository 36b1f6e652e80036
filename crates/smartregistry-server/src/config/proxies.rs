//! Which peers may say for whom they speak.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses: `10.0.0.0/8`, `::1`, `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// IPv4 addresses in their IPv6-mapped form, so that both kinds compare alike.
    base: u128,
    bits: u32,
}

/// The peers whose `X-Forwarded-*` headers are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Vec<Block>);

/// Not an address or a block of addresses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an address or a block of addresses such as 10.0.0.0/8")]
pub(crate) struct BlockError(String);

impl TrustedProxies {
    /// Whether one of the blocks holds the address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let number = number(address);
        self.0.iter().any(|block| (number ^ block.base) & mask(block.bits) == 0)
    }
}

impl FromIterator<Block> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        TrustedProxies(blocks.into_iter().collect())
    }
}

impl FromStr for Block {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Self, BlockError> {
        let wrong = || BlockError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (width, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = match bits {
            Some(bits) => bits.parse::<u32>().ok().filter(|b| *b <= width).ok_or_else(wrong)?,
            None => width,
        };
        let bits = bits + offset;
        Ok(Block { base: number(address) & mask(bits), bits })
    }
}

fn number(address: IpAddr) -> u128 {
    let address: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(address)
}

fn mask(bits: u32) -> u128 {
    u128::MAX.checked_shl(128u32.saturating_sub(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(block: &str, address: &str, expect: bool) {
        let proxies: TrustedProxies = [block.parse().unwrap()].into_iter().collect();
        assert_eq!(proxies.contains(address.parse().unwrap()), expect, "{address} in {block}");
    }

    #[test]
    fn blocks_hold_their_addresses() {
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "::ffff:127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.1.2.3/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::1/129", "proxy.example.com", "10.0.0.0/-1", "/8"] {
            assert!(text.parse::<Block>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_block_trusts_nobody() {
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_block_holds_its_own_base(bytes in any::<[u8; 4]>(), bits in 0u32..=32) {
            let address = IpAddr::from(bytes);
            let block: Block = format!("{address}/{bits}").parse().unwrap();
            prop_assert!(TrustedProxies::from_iter([block]).contains(address));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = text.parse::<Block>();
        }
    }
}
