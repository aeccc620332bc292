//! Exponential back-off with jitter (KIP-580): pure, randomness comes in as an argument. [`Jitter`] is where it comes from.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long to wait before attempt number `n`: `base * 2^n`, at most `max`, then ± 20 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// The share of the delay by which it varies either way (KIP-580).
    const JITTER: f64 = 0.2;

    /// A back-off from `base` up to `max`; a `max` below `base` counts as `base`.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max: max.max(base),
        }
    }

    /// The delay after `failures` failures in a row (0: none), with `random` drawn evenly from 0 to 1.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doublings = (failures - 1).min(31);
        let delay = self.base.saturating_mul(1 << doublings).min(self.max);
        delay.mul_f64(1.0 - Self::JITTER + 2.0 * Self::JITTER * random.clamp(0.0, 1.0))
    }
}

/// A small source of random numbers for delays; neither fast nor fit for secrets.
#[derive(Debug)]
pub struct Jitter(u64);

impl Default for Jitter {
    fn default() -> Self {
        // The standard hasher's keys are the only randomness that std offers.
        Self(RandomState::new().hash_one(0x6b61_666b_6121_u64) | 1)
    }
}

impl Jitter {
    /// A source that repeats itself, for simulation.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number between 0 and 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double holds"
    )]
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_vary_by_a_fifth() {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1000));
        let middle: Vec<u128> = (0..8).map(|n| backoff.delay(n, 0.5).as_millis()).collect();
        assert_eq!(middle, [0, 50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.delay(1, 0.0), Duration::from_millis(40));
        assert_eq!(backoff.delay(1, 1.0), Duration::from_millis(60));
        assert_eq!(backoff.delay(u32::MAX, 0.5), Duration::from_millis(1000));
    }

    #[test]
    fn fractions_lie_between_zero_and_one() {
        let mut jitter = Jitter::default();
        assert!((0..1000).all(|_| (0.0..1.0).contains(&jitter.fraction())));
    }
}
