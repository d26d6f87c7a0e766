//! p-values of many tests, adjusted for their number.
//!
//! | controlled | the tests depend on each other | function |
//! |---|---|---|
//! | the chance of any false claim | in any way | [`holm`], never weaker than [`bonferroni`] |
//! | | as those of a positively dependent family | [`hochberg`] |
//! | the share of false claims among all | so | [`benjamini_hochberg`] |
//! | | in any way | [`benjamini_yekutieli`] |
//!
//! The family is that of one scorecard: its goal metrics times its treatment arms. An adjusted p-value is compared with the same
//! level as a plain one, and is given in the place of the p-value it belongs to.
//!
//! Every function leaves what is no p-value (NaN, as of a metric that cannot be tested yet, or a number outside 0 to 1) out of the
//! family, and gives NaN in its place. Equal p-values have equal adjusted ones.

/// Bonferroni's adjustment, `min(1, m p)` in a family of m.
///
/// C. E. Bonferroni (1936); [`holm`] claims all that this does, and more, at the same level.
#[must_use]
pub fn bonferroni(p_values: &[f64]) -> Vec<f64> {
    let family = Family::new(p_values);
    let m = family.size();
    family.adjusted(|ascending| ascending.iter().map(|p| p * m).collect())
}

/// Holm's step-down adjustment, `max over i <= j of (m - i + 1) p_(i)` for the j-th least of m.
///
/// S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
///
/// ```
/// let adjusted = backplane_stats::holm(&[0.04, f64::NAN, 0.01]);
/// assert_eq!(adjusted[0], 0.04);
/// assert!(adjusted[1].is_nan(), "not in the family");
/// assert_eq!(adjusted[2], 0.02);
/// ```
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let family = Family::new(p_values);
    let m = family.size();
    family.adjusted(|ascending| rising(ascending, |rank| m - rank + 1.0))
}

/// Hochberg's step-up adjustment, `min over i >= j of (m - i + 1) p_(i)` for the j-th least of m.
///
/// Y. Hochberg, "A sharper Bonferroni procedure for multiple tests of significance", Biometrika 75 (1988). It holds for independent
/// tests and for those that are positively dependent in the sense of Simes' inequality.
#[must_use]
pub fn hochberg(p_values: &[f64]) -> Vec<f64> {
    let family = Family::new(p_values);
    let m = family.size();
    family.adjusted(|ascending| falling(ascending, |rank| m - rank + 1.0))
}

/// Benjamini and Hochberg's adjustment, `min over i >= j of m p_(i) / i` for the j-th least of m, for the false discovery rate.
///
/// Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995).
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let family = Family::new(p_values);
    let m = family.size();
    family.adjusted(|ascending| falling(ascending, |rank| m / rank))
}

/// Benjamini and Yekutieli's adjustment: that of [`benjamini_hochberg`] times `1 + 1/2 + … + 1/m`.
///
/// Y. Benjamini and D. Yekutieli, "The control of the false discovery rate in multiple testing under dependency", Annals of Statistics
/// 29 (2001), theorem 1.3.
#[must_use]
pub fn benjamini_yekutieli(p_values: &[f64]) -> Vec<f64> {
    let family = Family::new(p_values);
    let m = family.size();
    let harmonic: f64 = (1..=family.members.len()).map(|rank| 1.0 / rank as f64).sum();
    family.adjusted(|ascending| falling(ascending, |rank| m * harmonic / rank))
}

/// The p-values among the given ones, from the least.
struct Family {
    /// How many values were given.
    given: usize,
    /// Places and p-values; equal ones in the order in which they were given.
    members: Vec<(usize, f64)>,
}

impl Family {
    fn new(p_values: &[f64]) -> Self {
        let mut members: Vec<(usize, f64)> = p_values
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, p)| (0.0..=1.0).contains(p))
            .collect();
        members.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        Family {
            given: p_values.len(),
            members,
        }
    }

    fn size(&self) -> f64 {
        self.members.len() as f64
    }

    /// The values that `adjust` makes of the ascending p-values, at most 1, in the places of these; NaN elsewhere.
    fn adjusted(&self, adjust: impl FnOnce(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let ascending: Vec<f64> = self.members.iter().map(|(_, p)| *p).collect();
        let mut all = vec![f64::NAN; self.given];
        for ((place, _), adjusted) in self.members.iter().zip(adjust(&ascending)) {
            if let Some(slot) = all.get_mut(*place) {
                *slot = adjusted.min(1.0);
            }
        }
        all
    }
}

/// The running maximum of `factor(rank) p`, from the least p-value up; ranks count from 1.
fn rising(ascending: &[f64], factor: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut greatest = 0.0_f64;
    let ranked = ascending.iter().enumerate();
    ranked
        .map(|(index, p)| {
            greatest = greatest.max(factor((index + 1) as f64) * p);
            greatest
        })
        .collect()
}

/// The running minimum of `factor(rank) p`, from the greatest p-value down; ranks count from 1.
fn falling(ascending: &[f64], factor: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut least = f64::INFINITY;
    let mut adjusted = ascending.to_vec();
    for (index, p) in adjusted.iter_mut().enumerate().rev() {
        least = least.min(factor((index + 1) as f64) * *p);
        *p = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    type Adjust = fn(&[f64]) -> Vec<f64>;

    const ADJUSTMENTS: [Adjust; 5] = [bonferroni, holm, hochberg, benjamini_hochberg, benjamini_yekutieli];

    #[test]
    fn what_is_no_p_value_leaves_the_family() {
        for adjust in ADJUSTMENTS {
            let alone = adjust(&[0.03, 0.001, 0.2]);
            let among = adjust(&[f64::NAN, 0.03, -0.1, 0.001, 1.5, f64::INFINITY, 0.2, -f64::NAN]);
            assert_eq!([among[1], among[3], among[6]], alone[..]);
            assert!([0, 2, 4, 5, 7].iter().all(|place| among[*place].is_nan()), "{among:?}");
        }
    }

    #[test]
    fn no_tests_have_no_p_values() {
        for adjust in ADJUSTMENTS {
            assert_eq!(adjust(&[]), Vec::<f64>::new());
            assert!(adjust(&[f64::NAN])[0].is_nan());
            assert_eq!(adjust(&[0.3]), [0.3]);
        }
    }

    #[test]
    fn equal_p_values_are_adjusted_alike() {
        for adjust in ADJUSTMENTS {
            let adjusted = adjust(&[0.02, 0.5, 0.02, 0.001, 0.02, 0.5]);
            assert_eq!([adjusted[0], adjusted[0]], [adjusted[2], adjusted[4]]);
            assert_eq!(adjusted[1], adjusted[5]);
        }
    }
}
