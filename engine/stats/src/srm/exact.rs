//! The exact multinomial test of the allocation, for small counts.

use std::f64::consts::PI;

use super::Arms;
use crate::error::StatsError;
use crate::special::{deviance, stirling_remainder};

/// The number of outcomes that the exact test goes through at most.
pub const MOST_OUTCOMES: u64 = 1_000_000;

/// Probabilities this close to the observed outcome's count as equal to it, as in R's `binom.test` and scipy's `binomtest`.
const TIE: f64 = 1e-7;

/// What the exact test gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exact {
    /// The test.
    Tested {
        /// The p-value; 0 where it is below about 1e-308.
        p: f64,
        /// Its natural logarithm, finite also there.
        ln_p: f64,
    },
    /// There are more than [`MOST_OUTCOMES`] possible outcomes. The sequential test is exact at every number of subjects, and with
    /// this many the chi-square test is mostly good as well.
    TooManyOutcomes,
}

/// The exact multinomial test of the counts against shares in proportion to the weights: the probability of all outcomes that are
/// not more probable than the observed one. For two arms it is the binomial test by minimum likelihood.
///
/// Without subjects, or with fewer than two arms of positive weight, p is 1. It goes through up to a million outcomes, some tens of
/// milliseconds: meant for expected counts below 5.
///
/// # Errors
///
/// Those of [`chi_square`](super::chi_square()).
///
/// ```
/// use backplane_stats::srm::{exact, Exact};
///
/// let Exact::Tested { p, .. } = exact(&[0, 13], &[0.5, 0.5])? else { unreachable!() };
/// assert!((p - 2.0 * 0.5_f64.powi(13)).abs() < 1e-15);
/// # Ok::<(), backplane_stats::StatsError>(())
/// ```
pub fn exact(counts: &[u64], weights: &[f64]) -> Result<Exact, StatsError> {
    let arms = Arms::new(counts, weights)?;
    if !arms.carry_a_test() {
        return Ok(Exact::Tested { p: 1.0, ln_p: 0.0 });
    }
    let subjects = counts.iter().zip(weights).filter(|(_, weight)| **weight != 0.0);
    let subjects = subjects.fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
    if !few_outcomes(subjects, arms.positive) {
        return Ok(Exact::TooManyOutcomes);
    }
    let mut observed = 0.0;
    let width = subjects as usize + 1;
    let mut terms = Vec::with_capacity(arms.positive * width);
    for arm in arms.iter() {
        observed += ln_term(arm.count, arm.expected);
        terms.extend((0..=subjects).map(|count| ln_term(count, arm.expected)));
    }
    let mut without_subjects = vec![0.0; arms.positive + 1];
    let mut sum = 0.0;
    for arm in (0..arms.positive).rev() {
        sum += terms[arm * width];
        without_subjects[arm] = sum;
    }
    let mut outcomes = Outcomes {
        terms: &terms,
        width,
        arms: arms.positive,
        without_subjects: &without_subjects,
        observed,
        limit: observed + TIE.ln_1p(),
        total: 0.0,
    };
    outcomes.visit(0, subjects as usize, 0.0);
    // the common factor of all outcomes, sqrt(2 π N) with its remainder; the observed outcome is in the total, as 1
    let n = subjects as f64;
    let ln_common = 0.5 * (2.0 * PI * n).ln() + stirling_remainder(n);
    let ln_p = (ln_common + observed + outcomes.total.ln()).min(0.0);
    Ok(Exact::Tested { p: ln_p.exp(), ln_p })
}

/// Whether the number of ways to spread the subjects over the arms, `C(subjects + arms - 1, arms - 1)`, is within the limit.
fn few_outcomes(subjects: u64, arms: usize) -> bool {
    let others = arms as u64 - 1;
    let (larger, smaller) = (subjects.max(others), subjects.min(others));
    let mut outcomes = 1_u128;
    for step in 1..=smaller {
        outcomes = outcomes * (u128::from(larger) + u128::from(step)) / u128::from(step);
        if outcomes > u128::from(MOST_OUTCOMES) {
            return false;
        }
    }
    true
}

/// One arm's factor of a multinomial probability, as a logarithm, in Loader's form, which does not cancel: with `e` expected, a count
/// x > 0 gives `-e f(x/e - 1) - s(x) - ln(2 π x) / 2`, and 0 gives `-e`.
fn ln_term(count: u64, expected: f64) -> f64 {
    if count == 0 {
        return -expected;
    }
    let x = count as f64;
    let kernel = if x > 2.0 * expected {
        // far above the expectation, which may be as small as a float can be
        x * (x / expected).ln() - (x - expected)
    } else {
        expected * deviance((x - expected) / expected)
    };
    -kernel - stirling_remainder(x) - 0.5 * (2.0 * PI * x).ln()
}

/// The walk over all outcomes.
struct Outcomes<'a> {
    /// The factor of each arm at each count, arm by arm.
    terms: &'a [f64],
    /// The number of counts that an arm can have.
    width: usize,
    arms: usize,
    /// The factors of all arms from one on, when none of them receives a subject.
    without_subjects: &'a [f64],
    /// The observed outcome's factors.
    observed: f64,
    /// Outcomes up to here are not more probable than the observed one.
    limit: f64,
    /// The sum of their probabilities, in units of the observed one's.
    total: f64,
}

impl Outcomes<'_> {
    fn term(&self, arm: usize, count: usize) -> f64 {
        self.terms[arm * self.width + count]
    }

    /// Goes through all ways to spread `left` subjects, at least one, over the arms from `first` on; `so_far` has the factors of those before.
    ///
    /// It descends once per arm that receives a subject, so the depth is at most the lesser of arms and subjects, which the
    /// limit of outcomes keeps at about ten.
    fn visit(&mut self, first: usize, left: usize, mut so_far: f64) {
        let last = self.arms - 1;
        for arm in first..last {
            for count in 1..left {
                self.visit(arm + 1, left - count, so_far + self.term(arm, count));
            }
            self.count(so_far + self.term(arm, left) + self.without_subjects[arm + 1]);
            so_far += self.term(arm, 0);
        }
        self.count(so_far + self.term(last, left));
    }

    fn count(&mut self, ln_probability: f64) {
        if ln_probability <= self.limit {
            self.total += (ln_probability - self.observed).exp();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(counts: &[u64], weights: &[f64]) -> f64 {
        match exact(counts, weights).unwrap() {
            Exact::Tested { p, .. } => p,
            Exact::TooManyOutcomes => f64::NAN,
        }
    }

    #[test]
    fn nothing_to_test_is_no_mismatch() {
        assert_eq!(p(&[0, 0], &[0.5, 0.5]), 1.0);
        assert_eq!(p(&[7, 3], &[1.0, 0.0]), 1.0);
        assert_eq!(p(&[], &[]), 1.0);
    }

    #[test]
    fn the_most_probable_outcome_has_all_others_beside_it() {
        assert!((p(&[500_000, 499_999], &[1.0, 1.0]) - 1.0).abs() < 1e-9);
        assert!((p(&[3, 3, 3, 3], &[1.0; 4]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn more_outcomes_than_the_limit_are_not_gone_through() {
        assert_eq!(exact(&[500_000, 500_000], &[1.0, 1.0]), Ok(Exact::TooManyOutcomes));
        assert_eq!(exact(&[u64::MAX, u64::MAX, 3], &[1.0; 3]), Ok(Exact::TooManyOutcomes));
    }

    #[test]
    fn one_subject_over_very_many_arms_has_an_answer() {
        let mut counts = vec![0; 999_999];
        counts[123_456] = 1;
        let mut weights = vec![1.0; 999_999];
        weights[123_456] = 0.5;
        let expected = 0.5 / 999_998.5;
        assert!((p(&counts, &weights) / expected - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_p_value_below_the_least_float_has_its_logarithm() {
        let Exact::Tested { p, ln_p } = exact(&[0, 5_000], &[0.5, 0.5]).unwrap() else {
            unreachable!()
        };
        assert_eq!(p, 0.0);
        assert!((ln_p - (2_f64.ln() - 5_000.0 * 2_f64.ln())).abs() < 1e-9, "{ln_p}");
    }
}
