//! Random draws that are the same on every machine: integer arithmetic on ChaCha8, logarithms from `libm`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// 2^-53: the spacing of the uniform draws.
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

/// The draws of one stream of events.
pub struct Random {
    generator: ChaCha8Rng,
    /// Normal draws come in pairs.
    spare: Option<f64>,
}

impl Random {
    /// The draws of this stream of an experiment; those of different streams have nothing to do with each other.
    pub fn new(experiment: u64, stream: u32) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(experiment);
        generator.set_stream(u64::from(stream));
        Random { generator, spare: None }
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * UNIT
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// An index, each with the probability of its share; shares add up to 1.
    pub fn index(&mut self, shares: &[f64]) -> usize {
        let mut rest = self.unit();
        let last = shares.len().saturating_sub(1);
        for (index, share) in shares.iter().enumerate().take(last) {
            if rest < *share {
                return index;
            }
            rest -= share;
        }
        last
    }

    /// Standard normal, by the polar method (G. Marsaglia and T. A. Bray, SIAM Review 6, 1964).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * libm::log(square) / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// The exponential of a normal draw of this standard deviation.
    pub fn lognormal(&mut self, sigma: f64) -> f64 {
        libm::exp(sigma * self.normal())
    }
}
