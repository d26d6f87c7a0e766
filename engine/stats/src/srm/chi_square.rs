//! Pearson's chi-square test of the allocation.

use super::Arms;
use crate::error::StatsError;
use crate::special::{Tail, chi_square_tail};

/// Pearson's chi-square test of counts against shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    /// `sum (observed - expected)² / expected`, over the arms of positive weight.
    pub statistic: f64,
    /// The number of those arms, less one.
    pub dof: u32,
    /// The p-value; 0 where it is below about 1e-308.
    pub p: f64,
    /// Its natural logarithm, finite also there.
    pub ln_p: f64,
    /// The least expected count; below 5 the p-value is not to be trusted, and [`exact`](super::exact) is. 0 where there is no test.
    pub min_expected: f64,
    /// The greatest distance of an observed share from its configured one, as a fraction of 1.
    pub max_share_deviation: f64,
    /// Subjects in arms of weight 0; they are in no other figure.
    pub leak: u64,
}

/// Pearson's chi-square test of the counts against shares in proportion to the weights (K. Pearson, 1900), to be read once.
///
/// Without subjects, or with fewer than two arms of positive weight, the statistic is 0 and p is 1.
///
/// # Errors
///
/// [`StatsError::PairCountsWithWeights`], and [`StatsError::CorrectWeights`] for a weight that is negative, not finite, or smaller
/// than 1e-200 of all.
///
/// ```
/// let test = backplane_stats::srm::chi_square(&[821_588, 815_482], &[0.5, 0.5])?;
/// assert!((test.statistic - 22.774).abs() < 1e-3);
/// assert!(test.p < 0.001);
/// # Ok::<(), backplane_stats::StatsError>(())
/// ```
pub fn chi_square(counts: &[u64], weights: &[f64]) -> Result<ChiSquare, StatsError> {
    let arms = Arms::new(counts, weights)?;
    let mut statistic = 0.0;
    let mut min_expected = f64::INFINITY;
    let mut max_deviation = 0.0_f64;
    if arms.carry_a_test() {
        for arm in arms.iter() {
            statistic += arm.deviation * (arm.deviation / arm.expected);
            min_expected = min_expected.min(arm.expected);
            max_deviation = max_deviation.max(arm.deviation.abs());
        }
        max_deviation /= arms.subjects();
    } else {
        min_expected = 0.0;
    }
    let dof = arms.dof();
    let tail = chi_square_tail(statistic, dof).unwrap_or(Tail::CERTAIN);
    Ok(ChiSquare {
        statistic,
        dof,
        p: tail.p,
        ln_p: tail.ln_p,
        min_expected,
        max_share_deviation: max_deviation,
        leak: arms.leak,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_test_is_no_mismatch() {
        for (counts, weights) in [
            (&[][..], &[][..]),
            (&[0, 0], &[0.5, 0.5]),
            (&[7, 3], &[1.0, 0.0]),
            (&[7, 3], &[0.0, 0.0]),
        ] {
            let test = chi_square(counts, weights).unwrap();
            assert_eq!((test.statistic, test.p, test.min_expected), (0.0, 1.0, 0.0));
        }
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        for weight in [f64::NAN, -1.0, f64::INFINITY, 1e-300] {
            let error = chi_square(&[5, 5], &[1.0, weight]).unwrap_err();
            assert!(
                matches!(error, StatsError::CorrectWeights { arm: 1, .. }),
                "{weight}: {error}"
            );
        }
        let error = chi_square(&[5, 5], &[1.0]).unwrap_err();
        assert_eq!(error, StatsError::PairCountsWithWeights { counts: 2, weights: 1 });
    }

    #[test]
    fn the_greatest_counts_have_an_answer() {
        let test = chi_square(&[u64::MAX, 0, u64::MAX], &[1.0, 1e-190, 1.0]).unwrap();
        assert!(test.statistic < 1e-100 && test.p > 0.999, "{test:?}");
        let test = chi_square(&[0, u64::MAX], &[1.0, 1e-190]).unwrap();
        assert!(test.statistic.is_finite() && test.ln_p.is_finite(), "{test:?}");
        assert_eq!(test.max_share_deviation, 1.0);
        let leak = chi_square(&[1, u64::MAX, u64::MAX], &[1.0, 0.0, 0.0]).unwrap().leak;
        assert_eq!(leak, u64::MAX);
    }

    #[test]
    fn the_scale_of_weights_does_not_matter() {
        let expected = chi_square(&[480, 520, 60], &[0.5, 0.5, 0.0625]).unwrap();
        for scale in [2_f64.powi(-1060), 2_f64.powi(1023), 64.0] {
            let weights = [0.5 * scale, 0.5 * scale, 0.0625 * scale];
            assert_eq!(chi_square(&[480, 520, 60], &weights).unwrap(), expected, "{scale:e}");
        }
    }
}
