//! Sample ratio mismatch: whether subjects came to the arms in the proportions that were configured.
//!
//! | question | function |
//! |---|---|
//! | shown on a scorecard, beside other tools | [`chi_square`]; with changed allocations [`chi_square_epochs`] |
//! | an expected count is below 5 | [`exact`] |
//! | watched on a stream, raising alerts | [`sequential_mixture`], as a path [`SrmPath`]; [`sequential`] for one concentration |
//!
//! A chi-square test that is read again and again raises false alarms on up to a third of healthy experiments; the sequential test
//! may be read after every subject.
//!
//! Counts are distinct subjects by arm. Weights are the configured shares, on any scale; what counts is their proportion. An arm of
//! weight 0 is left out of every test, as no subject should come to it; those that do are the `leak` of the results. An arm
//! without subjects stays in.

mod chi_square;
mod epochs;
mod exact;
mod path;
mod sequential;

pub use chi_square::{ChiSquare, chi_square};
pub use epochs::{ChiSquareEpochs, Epoch, chi_square_epochs};
pub use exact::{Exact, MOST_OUTCOMES, exact};
pub use path::{Concentration, SrmPath};
pub use sequential::{MIXTURE, sequential, sequential_mixture};

use crate::DoubleDouble;
use crate::error::StatsError;

/// The least share of an arm that takes part: squares of deviations over it stay within a float.
const LEAST_SHARE: f64 = 1e-200;

/// Counts and weights that fit each other.
struct Arms<'a> {
    counts: &'a [u64],
    weights: &'a [f64],
    /// Weights are taken times two to the power of this, so that neither their sum nor a product overflows.
    exponent: i32,
    total_weight: DoubleDouble,
    /// The subjects in arms of positive weight.
    subjects: DoubleDouble,
    /// How many arms have a positive weight.
    positive: usize,
    /// The subjects in arms of weight 0.
    leak: u64,
}

/// An arm of positive weight.
struct Arm {
    count: u64,
    /// The share of its weight.
    share: f64,
    /// The number of subjects expected.
    expected: f64,
    /// The subjects beyond that; as accurate as a float is, also where both are beyond 2⁵³.
    deviation: f64,
}

impl<'a> Arms<'a> {
    fn new(counts: &'a [u64], weights: &'a [f64]) -> Result<Self, StatsError> {
        if counts.len() != weights.len() {
            return Err(StatsError::PairCountsWithWeights {
                counts: counts.len(),
                weights: weights.len(),
            });
        }
        let mut arms = Arms {
            counts,
            weights,
            exponent: scale_exponent(weights)?,
            total_weight: DoubleDouble::ZERO,
            subjects: DoubleDouble::ZERO,
            positive: 0,
            leak: 0,
        };
        for (count, weight) in counts.iter().zip(weights) {
            if *weight == 0.0 {
                arms.leak = arms.leak.saturating_add(*count);
                continue;
            }
            arms.total_weight += DoubleDouble::from(scaled(*weight, arms.exponent));
            arms.subjects += DoubleDouble::from_count(*count);
            arms.positive += 1;
        }
        arms.check_shares()?;
        Ok(arms)
    }

    fn check_shares(&self) -> Result<(), StatsError> {
        let least = LEAST_SHARE * self.total_weight.to_f64();
        for (arm, weight) in self.weights.iter().enumerate() {
            if *weight != 0.0 && scaled(*weight, self.exponent) < least {
                return Err(StatsError::CorrectWeights { arm, weight: *weight });
            }
        }
        Ok(())
    }

    /// The subjects in arms of positive weight.
    fn subjects(&self) -> f64 {
        self.subjects.to_f64()
    }

    /// The number of arms of positive weight, less one.
    fn dof(&self) -> u32 {
        u32::try_from(self.positive.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Whether there is anything to test: subjects, and two arms that they could have come to.
    fn carry_a_test(&self) -> bool {
        self.positive >= 2 && self.subjects() > 0.0
    }

    /// The arms of positive weight.
    fn iter(&self) -> impl Iterator<Item = Arm> + '_ {
        let per_weight = self.subjects / self.total_weight;
        let total_weight = self.total_weight.to_f64();
        let pairs = self.counts.iter().zip(self.weights);
        pairs.filter(|(_, weight)| **weight != 0.0).map(move |(count, weight)| {
            let weight = scaled(*weight, self.exponent);
            let expected = per_weight * DoubleDouble::from(weight);
            Arm {
                count: *count,
                share: weight / total_weight,
                expected: expected.to_f64(),
                deviation: (DoubleDouble::from_count(*count) - expected).to_f64(),
            }
        })
    }
}

/// The power of two that brings the greatest weight near 1; 0 where it is of usual size.
fn scale_exponent(weights: &[f64]) -> Result<i32, StatsError> {
    let mut greatest = 0.0_f64;
    for (arm, weight) in weights.iter().enumerate() {
        if !(*weight >= 0.0 && weight.is_finite()) {
            return Err(StatsError::CorrectWeights { arm, weight: *weight });
        }
        greatest = greatest.max(*weight);
    }
    if greatest == 0.0 || (1e-50..=1e50).contains(&greatest) {
        return Ok(0);
    }
    Ok(-libm::ilogb(greatest))
}

fn scaled(weight: f64, exponent: i32) -> f64 {
    if exponent == 0 {
        weight
    } else {
        libm::scalbn(weight, exponent)
    }
}
