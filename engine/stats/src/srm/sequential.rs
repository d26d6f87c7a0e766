//! The anytime-valid multinomial test of the allocation.

use super::{Arm, Arms};
use crate::e_value::log_mean_exp;
use crate::error::{StatsError, within};
use crate::special::{deviance, stirling_remainder};

/// The concentrations of the default mixture: strong, medium and small mismatches are each found about as early as by the
/// concentration that is best for them.
pub const MIXTURE: [f64; 3] = [1e2, 1e4, 1e6];

/// The least and the greatest concentration.
pub(super) const CONCENTRATIONS: (f64, f64) = (1e-50, 1e50);
pub(super) const CONCENTRATION_RANGE: &str = "a number from 1e-50 to 1e50";

/// The logarithm of the Bayes factor of a mismatch against the configured allocation, after these cumulative counts.
///
/// With shares θ the alternative is a Dirichlet mixture of parameters `concentration · θ`: the greater the concentration, the
/// smaller the mismatch it looks for. The Bayes factor is an e-value: it may be read after every subject, and exceeds `1 / α` at
/// any time with probability at most α if the allocation is as configured. It depends on the counts alone, so that batching does
/// not matter. Without subjects, or with fewer than two arms of positive weight, it is 1, its logarithm 0.
///
/// M. Lindon and A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, equation 6, rearranged so that
/// nothing cancels (naive log-gammas are off by 1e-6 at 1e9 subjects, this by 1e-14).
///
/// # Errors
///
/// Those of [`chi_square`](super::chi_square()), and [`StatsError::CorrectParameter`] for a concentration outside 1e-50 to 1e50.
///
/// ```
/// use backplane_stats::anytime_p;
/// use backplane_stats::srm::sequential;
///
/// let log_e = sequential(&[520_482, 479_518], &[0.5, 0.5], 10_000.0)?;
/// assert!(anytime_p(log_e) < 1e-300);
/// # Ok::<(), backplane_stats::StatsError>(())
/// ```
pub fn sequential(counts: &[u64], weights: &[f64], concentration: f64) -> Result<f64, StatsError> {
    let concentration = within("concentration", concentration, CONCENTRATIONS, CONCENTRATION_RANGE)?;
    let arms = Arms::new(counts, weights)?;
    let [log_e] = log_bayes_factors(&arms, [concentration]);
    Ok(log_e)
}

/// The logarithm of the mean of the Bayes factors of [`sequential()`] for the concentrations of [`MIXTURE`], which is an e-value as
/// well.
///
/// # Errors
///
/// Those of [`chi_square`](super::chi_square()).
pub fn sequential_mixture(counts: &[u64], weights: &[f64]) -> Result<f64, StatsError> {
    let arms = Arms::new(counts, weights)?;
    Ok(log_mean_exp(log_bayes_factors(&arms, MIXTURE)))
}

/// For each concentration `X sum θ f(δ) - sum ln(1 + δ) / 2 - (k - 1) ln(1 + N/A) / 2 + sum [s(x) - s(α)] - [s(X) - s(A)]`, where A is the
/// concentration, N the subjects, X their sum, α and x the same of each arm, `1 + δ = x / (X θ)`, f the deviance kernel and s
/// Stirling's remainder.
fn log_bayes_factors<const C: usize>(arms: &Arms<'_>, concentrations: [f64; C]) -> [f64; C] {
    if !arms.carry_a_test() {
        return [0.0; C];
    }
    let subjects = arms.subjects();
    let mut sums = concentrations.map(|concentration| Sums {
        concentration,
        fit: 0.0,
        spread: 0.0,
    });
    // the arms outside: their deviations take longer to compute than all else
    for arm in arms.iter() {
        for sums in &mut sums {
            sums.add(&arm, subjects);
        }
    }
    sums.map(|sums| sums.log_bayes_factor(subjects, arms.dof()))
}

/// The sums over arms for one concentration.
struct Sums {
    concentration: f64,
    /// `X sum θ f(δ)`
    fit: f64,
    /// `sum [s(x) - s(α) - ln(1 + δ) / 2]`
    spread: f64,
}

impl Sums {
    fn add(&mut self, arm: &Arm, subjects: f64) {
        let prior = self.concentration * arm.share;
        let posterior = prior + arm.count as f64;
        let scale = (self.concentration + subjects) * arm.share;
        let delta = arm.deviation / scale;
        // where δ is near -1, one plus it has lost its digits
        let ln_ratio = if delta > -0.5 {
            delta.ln_1p()
        } else {
            (posterior / scale).ln()
        };
        self.fit += scale * deviance(delta);
        self.spread += stirling_remainder(posterior) - stirling_remainder(prior) - 0.5 * ln_ratio;
    }

    fn log_bayes_factor(&self, subjects: f64, dof: u32) -> f64 {
        self.fit + self.spread
            - 0.5 * f64::from(dof) * (subjects / self.concentration).ln_1p()
            - (stirling_remainder(self.concentration + subjects) - stirling_remainder(self.concentration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subject_is_no_evidence() {
        for concentration in [1e-50, 1.0, 1e4, 1e50] {
            let log_e = sequential(&[0, 1, 0], &[0.2, 0.3, 0.5], concentration).unwrap();
            assert!(log_e.abs() < 1e-13, "{concentration:e}: {log_e:e}");
        }
    }

    #[test]
    fn two_subjects_have_the_evidence_of_a_sum_by_hand() {
        // (α + 1) / (A + 1) / θ with α = 5, A = 10, θ = 1/2: the second subject in the first one's arm
        let log_e = sequential(&[2, 0], &[1.0, 1.0], 10.0).unwrap();
        assert!((log_e - (12.0_f64 / 11.0).ln()).abs() < 1e-15, "{log_e}");
    }

    #[test]
    fn nothing_to_test_is_no_evidence() {
        for (counts, weights) in [(&[][..], &[][..]), (&[0, 0], &[0.5, 0.5]), (&[7, 3], &[1.0, 0.0])] {
            assert_eq!(sequential(counts, weights, 100.0), Ok(0.0));
            assert_eq!(sequential_mixture(counts, weights), Ok(0.0));
        }
    }

    #[test]
    fn a_concentration_that_is_none_is_refused() {
        for concentration in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-60] {
            let error = sequential(&[1, 1], &[0.5, 0.5], concentration).unwrap_err();
            assert!(matches!(
                error,
                StatsError::CorrectParameter {
                    parameter: "concentration",
                    ..
                }
            ));
        }
    }

    #[test]
    fn the_greatest_counts_and_smallest_shares_have_an_answer() {
        for concentration in [1e-50, 1e2, 1e50] {
            for counts in [[u64::MAX, u64::MAX], [u64::MAX, 0], [0, u64::MAX], [1, 1]] {
                let log_e = sequential(&counts, &[1.0, 1e-190], concentration).unwrap();
                assert!(log_e.is_finite(), "{counts:?} {concentration:e}: {log_e}");
            }
        }
    }
}
