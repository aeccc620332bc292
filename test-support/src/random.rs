//! Random numbers that one seed repeats exactly, for inputs and simulations. Never for secrets.

/// `SplitMix64` (Steele, Lea, Flood 2014): eight bytes of state, the same numbers on every machine and for ever.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0. Uniform but for a bias of bound / 2⁶⁴.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of the half-open interval from 0 to 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double holds"
    )]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Overwrites `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Ranks 0, 1, 2 … drawn with probability proportional to 1 / (rank + 1)^exponent: how often words occur in a text.
#[derive(Debug, Clone)]
pub struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// A distribution over `count` ranks.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^53")]
    pub fn new(count: usize, exponent: f64) -> Self {
        assert!(count > 0, "a distribution needs something to draw");
        let mut sum = 0.0;
        let cumulative = (1..=count)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        Self { cumulative }
    }

    /// Draws one rank.
    pub fn draw(&self, random: &mut SplitMix64) -> usize {
        let total = self
            .cumulative
            .last()
            .copied()
            .expect("never empty, by new()");
        let point = random.unit() * total;
        self.cumulative
            .partition_point(|&sum| sum <= point)
            .min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_sequence() {
        // The first values for seed 1234567, as in the reference implementation's test vectors.
        let mut random = SplitMix64::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn zipf_draws_low_ranks_most_and_all_ranks_sometimes() {
        let (zipf, mut random) = (Zipf::new(10, 1.0), SplitMix64::new(1));
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[zipf.draw(&mut random)] += 1;
        }
        assert!(
            seen[0] > seen[1] && seen[1] > seen[4] && seen.iter().all(|&n| n > 0),
            "{seen:?}"
        );
    }
}
