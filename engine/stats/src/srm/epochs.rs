//! The chi-square test where the allocation changed while the experiment ran.

use super::{Arm, Arms, chi_square};
use crate::error::StatsError;
use crate::special::{Tail, chi_square_tail};

/// The stratified statistic works on a matrix of arms by arms.
const MOST_ARMS: usize = 512;

/// The subjects that came while one allocation was in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch<'a> {
    /// First exposures by arm.
    pub counts: &'a [u64],
    /// The shares in force, on any scale.
    pub weights: &'a [f64],
}

/// Chi-square tests over allocation epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquareEpochs {
    /// `(O - E)' V⁻ (O - E)` of the counts summed over epochs: a lasting mismatch in one direction.
    pub statistic: f64,
    /// The rank of V: the number of arms, less one, if epochs share arms.
    pub dof: u32,
    /// The p-value of the stratified statistic.
    pub p: f64,
    /// Its natural logarithm.
    pub ln_p: f64,
    /// The sum of the epochs' own chi-square statistics: any mismatch in any epoch.
    pub omnibus_statistic: f64,
    /// The sum of the epochs' degrees of freedom, over epochs that have subjects.
    pub omnibus_dof: u32,
    /// The p-value of the omnibus statistic.
    pub omnibus_p: f64,
    /// Its natural logarithm.
    pub omnibus_ln_p: f64,
    /// The greatest distance between an arm's count and its expectation, both over all epochs, as a fraction of all subjects.
    pub max_share_deviation: f64,
    /// Subjects that came to an arm while its weight was 0.
    pub leak: u64,
}

/// Tests counts against an allocation that changed from epoch to epoch.
///
/// The stratified statistic is `(O - E)' V⁻ (O - E)` with `E = sum n_e w_e` and `V = sum n_e (diag w_e - w_e w_e')` over epochs e
/// (N. Mantel, "Chi-square tests with one degree of freedom: extensions of the Mantel-Haenszel procedure", JASA 58, 1963, for
/// multinomial strata). Simply adding counts up and testing them against the last allocation is wrong: Simpson's paradox.
///
/// # Errors
///
/// Those of [`chi_square`](super::chi_square()) for any epoch; [`StatsError::PairCountsWithWeights`] also where epochs differ in
/// their number of arms; [`StatsError::ReduceArms`] beyond 512 arms.
pub fn chi_square_epochs(epochs: &[Epoch<'_>]) -> Result<ChiSquareEpochs, StatsError> {
    let arms = epochs.first().map_or(0, |epoch| epoch.counts.len());
    if arms > MOST_ARMS {
        return Err(StatsError::ReduceArms { arms, limit: MOST_ARMS });
    }
    let mut pooled = Pooled::new(arms);
    let mut omnibus_statistic = 0.0;
    let mut omnibus_dof = 0_u32;
    for epoch in epochs {
        pooled.add(epoch)?;
        let alone = chi_square(epoch.counts, epoch.weights)?;
        omnibus_statistic += alone.statistic;
        if alone.min_expected > 0.0 {
            omnibus_dof = omnibus_dof.saturating_add(alone.dof);
        }
    }
    let max_share_deviation = pooled.max_share_deviation();
    let leak = pooled.leak;
    let (statistic, dof) = pooled.quadratic_form();
    let stratified = chi_square_tail(statistic, dof).unwrap_or(Tail::CERTAIN);
    let omnibus = chi_square_tail(omnibus_statistic, omnibus_dof).unwrap_or(Tail::CERTAIN);
    Ok(ChiSquareEpochs {
        statistic,
        dof,
        p: stratified.p,
        ln_p: stratified.ln_p,
        omnibus_statistic,
        omnibus_dof,
        omnibus_p: omnibus.p,
        omnibus_ln_p: omnibus.ln_p,
        max_share_deviation,
        leak,
    })
}

/// Deviations and their covariance, summed over epochs.
struct Pooled {
    /// The number of arms.
    width: usize,
    /// Observed less expected, by arm.
    deviations: Vec<f64>,
    /// Minus the covariance of each two arms, `sum n_e w_i w_j`, row by row; never negative. The diagonal is not used, because the
    /// rows of V add up to 0: V is the Laplacian of the graph that has these as the weights of its edges.
    edges: Vec<f64>,
    subjects: f64,
    leak: u64,
}

impl Pooled {
    fn new(arms: usize) -> Self {
        Pooled {
            width: arms,
            deviations: vec![0.0; arms],
            edges: vec![0.0; arms * arms],
            subjects: 0.0,
            leak: 0,
        }
    }

    fn add(&mut self, epoch: &Epoch<'_>) -> Result<(), StatsError> {
        let arms = Arms::new(epoch.counts, epoch.weights)?;
        if epoch.counts.len() != self.width {
            return Err(StatsError::PairCountsWithWeights {
                counts: epoch.counts.len(),
                weights: self.width,
            });
        }
        self.leak = self.leak.saturating_add(arms.leak);
        if !arms.carry_a_test() {
            return Ok(());
        }
        self.subjects += arms.subjects();
        let positive = || (0..self.width).filter(|arm| epoch.weights[*arm] != 0.0);
        let tested: Vec<(usize, Arm)> = positive().zip(arms.iter()).collect();
        for (row, arm) in &tested {
            self.deviations[*row] += arm.deviation;
            for (column, other) in &tested {
                self.edges[row * self.width + column] += arm.share * other.expected;
            }
        }
        Ok(())
    }

    fn max_share_deviation(&self) -> f64 {
        let greatest = self
            .deviations
            .iter()
            .map(|deviation| deviation.abs())
            .fold(0.0, f64::max);
        if self.subjects > 0.0 {
            greatest / self.subjects
        } else {
            0.0
        }
    }

    /// `d' V⁻ d` and the rank of V, by eliminating one arm after the other.
    ///
    /// Eliminating a vertex of a graph Laplacian joins its neighbours by edges `a_ij a_ik / sum a_i`: no differences are taken, so that
    /// it needs no pivots and no tolerance for the rank (W. K. Grassmann, M. I. Taksar and D. P. Heyman, Operations Research 33,
    /// 1985). What is eliminated last in each connected part has no edges left, and no deviation either.
    fn quadratic_form(mut self) -> (f64, u32) {
        let width = self.width;
        let mut statistic = 0.0;
        let mut rank = 0;
        for arm in 0..width {
            let total: f64 = (arm + 1..width).map(|other| self.edges[arm * width + other]).sum();
            if total <= 0.0 {
                continue;
            }
            rank += 1;
            statistic += self.deviations[arm] * (self.deviations[arm] / total);
            for row in arm + 1..width {
                let share = self.edges[arm * width + row] / total;
                self.deviations[row] += share * self.deviations[arm];
                for column in arm + 1..width {
                    self.edges[row * width + column] += share * self.edges[arm * width + column];
                }
            }
        }
        (statistic, rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relative(actual: f64, expected: f64) -> f64 {
        (actual - expected).abs() / expected.abs()
    }

    #[test]
    fn one_epoch_is_the_plain_test() {
        let (counts, weights) = ([480, 530, 240], [2.0, 2.0, 1.0]);
        let plain = chi_square(&counts, &weights).unwrap();
        let epoch = Epoch {
            counts: &counts,
            weights: &weights,
        };
        let stratified = chi_square_epochs(&[epoch]).unwrap();
        assert!(relative(stratified.statistic, plain.statistic) < 1e-13);
        assert_eq!((stratified.dof, stratified.omnibus_dof), (2, 2));
        assert!(relative(stratified.max_share_deviation, plain.max_share_deviation) < 1e-13);
    }

    #[test]
    fn a_ramp_up_is_no_mismatch_though_the_totals_are_far_from_the_last_allocation() {
        let ramp = Epoch {
            counts: &[9_000, 1_000],
            weights: &[0.9, 0.1],
        };
        let equal = Epoch {
            counts: &[5_000, 5_000],
            weights: &[0.5, 0.5],
        };
        assert!(chi_square_epochs(&[ramp, equal]).unwrap().statistic < 1e-25);
        assert!(chi_square(&[14_000, 6_000], &[0.5, 0.5]).unwrap().p < 1e-300);
    }

    #[test]
    fn an_arm_that_came_later_and_arms_that_never_met_have_their_own_degrees_of_freedom() {
        let without = Epoch {
            counts: &[510, 490, 0],
            weights: &[0.5, 0.5, 0.0],
        };
        let with = Epoch {
            counts: &[350, 320, 330],
            weights: &[1.0, 1.0, 1.0],
        };
        let both = chi_square_epochs(&[without, with]).unwrap();
        assert_eq!((both.dof, both.omnibus_dof), (2, 3));
        let apart = [
            Epoch {
                counts: &[510, 490, 1, 0],
                weights: &[0.5, 0.5, 0.0, 0.0],
            },
            Epoch {
                counts: &[0, 0, 120, 80],
                weights: &[0.0, 0.0, 0.5, 0.5],
            },
        ];
        let apart = chi_square_epochs(&apart).unwrap();
        assert_eq!((apart.dof, apart.leak), (2, 1));
        assert!(relative(apart.statistic, apart.omnibus_statistic) < 1e-13, "{apart:?}");
    }

    #[test]
    fn no_epochs_and_empty_epochs_are_no_mismatch() {
        let nothing = chi_square_epochs(&[]).unwrap();
        assert_eq!((nothing.p, nothing.dof), (1.0, 0));
        let empty = Epoch {
            counts: &[0, 0],
            weights: &[0.5, 0.5],
        };
        let nothing = chi_square_epochs(&[empty]).unwrap();
        assert_eq!((nothing.omnibus_p, nothing.omnibus_dof), (1.0, 0));
    }

    #[test]
    fn epochs_of_other_arms_are_refused() {
        let two = Epoch {
            counts: &[1, 2],
            weights: &[0.5, 0.5],
        };
        let three = Epoch {
            counts: &[1, 2, 3],
            weights: &[1.0, 1.0, 1.0],
        };
        assert_eq!(
            chi_square_epochs(&[two, three]),
            Err(StatsError::PairCountsWithWeights { counts: 3, weights: 2 })
        );
        let many = (vec![1; 513], vec![1.0; 513]);
        let epoch = Epoch {
            counts: &many.0,
            weights: &many.1,
        };
        assert_eq!(
            chi_square_epochs(&[epoch]),
            Err(StatsError::ReduceArms { arms: 513, limit: 512 })
        );
    }
}
