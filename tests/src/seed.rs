//! Numbers that look random and can be had again.

use std::{env, time::Duration};

/// Whether the long versions are asked for.
pub fn full() -> bool {
    env::var_os("TEST_FULL").is_some_and(|value| value == "1")
}

/// A sequence of numbers that is the same for the same seed.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The sequence of a test: by its name, and by `TEST_SEED` where it is set.
    pub fn of(test: &str) -> Self {
        let chosen = env::var("TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
        let name = test.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(name ^ chosen.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A sequence of its own for a part of the test.
    pub fn fork(&mut self) -> Self {
        Self(self.draw())
    }

    /// The next number (SplitMix64).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or_default()
    }

    /// A time between the two.
    pub fn time_between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.below(span.max(1)))
    }

    /// That many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.draw().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let (mut a, mut b, mut c) = (Seed::of("x"), Seed::of("x"), Seed::of("y"));
        let first = a.bytes(20);
        assert_eq!(first, b.bytes(20));
        assert_ne!(first, c.bytes(20));
        let (low, high) = (Duration::from_millis(5), Duration::from_millis(9));
        assert!((0..100).all(|_| (low..high).contains(&a.time_between(low, high))));
    }
}
