//! Random numbers that are the same on every machine: integer arithmetic on ChaCha8, logarithms from `libm`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// 2^-53: the spacing of the uniform draws.
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// The stream of draws of one simulation.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        unit_of(self.bits())
    }

    /// Uniform in 0..n; 0 where n is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        scaled(self.bits(), n)
    }

    /// Uniform in low..high; low where that is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + i64::try_from(self.below(width)).unwrap_or(0)
    }

    /// Whether something of this probability happens; always one draw.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with this mean, cut off at eight times the mean.
    pub(crate) fn exponential(&mut self, mean: i64) -> i64 {
        (exponential_of(self.unit()) * mean as f64) as i64
    }

    /// One of the choices.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T], otherwise: T) -> T {
        let index = self.below(choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index))
            .copied()
            .unwrap_or(otherwise)
    }
}

/// The standard exponential quantile of a uniform draw, at most 8.
pub(crate) fn exponential_of(unit: f64) -> f64 {
    (-libm::log(1.0 - unit)).min(8.0)
}

/// 64 bits as a number in [0, 1).
pub(crate) fn unit_of(bits: u64) -> f64 {
    (bits >> 11) as f64 * UNIT
}

/// 64 uniform bits as a uniform number in 0..n.
pub(crate) fn scaled(bits: u64, n: u64) -> u64 {
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

/// A well mixed hash of two numbers (the finalizer of SplitMix64; Steele, Lea and Flood 2014).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An evenly spread sequence in [0, 1): multiples of an irrational number (Weyl). Its running mean stays close to one half, so
/// that what is planted shows for every seed and nothing else does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Even {
    state: u64,
    step: u64,
}

impl Even {
    /// The fraction of the golden ratio, in units of 2^-64.
    pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    /// The fraction of the square root of 2, in units of 2^-64.
    pub(crate) const ROOT_2: u64 = 0x6A09_E667_F3BC_C908;

    pub(crate) fn new(start: u64, step: u64) -> Self {
        Self { state: start, step }
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(self.step);
        unit_of(self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_on_every_machine() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..3).map(|_| random.below(1_000_000)).collect();
        assert_eq!(drawn, [157_796, 167_989, 704_276]);
    }

    #[test]
    fn an_even_sequence_keeps_its_mean() {
        let mut even = Even::new(3, Even::GOLDEN);
        let mean = (0..1000).map(|_| even.next()).sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.002, "{mean}");
    }

    #[test]
    fn an_empty_range_gives_its_lower_end() {
        let mut random = Random::new(7);
        assert_eq!(random.between(5, 5), 5);
        assert_eq!(random.between(5, 4), 5);
    }
}
