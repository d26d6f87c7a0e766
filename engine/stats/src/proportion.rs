//! The difference of two proportions.

use crate::error::{StatsError, probability};
use crate::inference::{Inference, Interval};
use crate::special::{normal_upper_quantile, two_sided_normal};

/// Fisher's test is given up to this many subjects in both arms together.
const MOST_FOR_FISHER: u64 = 20_000;

/// Tables this close to the observed one's probability count as equal to it, as in R's `fisher.test`.
const TIE: f64 = 1e-7;

/// The difference of two proportions. It is [`Inference::Tested`] where both arms have subjects; its z-tests may then still lack
/// a variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProportionTest {
    /// The control's proportion.
    pub control: f64,
    /// The treatment's proportion.
    pub treatment: f64,
    /// The treatment's proportion less the control's.
    pub difference: f64,
    /// The standard error if both arms have one proportion.
    pub pooled_error: f64,
    /// The z-test with that standard error: the test to report.
    pub pooled: Inference<ZTest>,
    /// The standard error with a proportion for each arm.
    pub unpooled_error: f64,
    /// The z-test with that standard error, which agrees with the Wald interval.
    pub unpooled: Inference<ZTest>,
    /// Wald's interval of the difference.
    pub wald: Interval,
    /// Newcombe's interval, from Wilson's scores: holds its level also for few successes.
    pub newcombe: Interval,
    /// Agresti and Caffo's interval: Wald's after one success and one failure more in each arm.
    pub agresti_caffo: Interval,
    /// Fisher's exact p-value; none where the arms have more than 20,000 subjects together.
    pub fisher_p: Option<f64>,
}

/// A two-sided z-test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZTest {
    /// The difference over its standard error.
    pub z: f64,
    /// The p-value; 0 where it is below about 1e-308.
    pub p: f64,
    /// Its natural logarithm, finite also there.
    pub ln_p: f64,
}

/// Tests two proportions, `x_control` of `n_control` against `x_treatment` of `n_treatment`, two-sided, with intervals of level
/// `1 - alpha`.
///
/// Intervals after R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine
/// 17 (1998), method 10, and A. Agresti and B. Caffo, The American Statistician 54 (2000).
///
/// # Errors
///
/// [`StatsError::CorrectCounts`] for more successes than subjects, [`StatsError::CorrectParameter`] for an `alpha` outside (0, 1).
///
/// ```
/// let test = backplane_stats::proportion_z(40, 50, 60, 60, 0.05)?;
/// let test = test.tested().ok_or("both arms have subjects")?;
/// assert!(test.pooled.tested().is_some_and(|pooled| pooled.p < 0.001));
/// assert!(test.newcombe.low > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn proportion_z(
    x_control: u64,
    n_control: u64,
    x_treatment: u64,
    n_treatment: u64,
    alpha: f64,
) -> Result<Inference<ProportionTest>, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let control = Proportion::new(x_control, n_control, "the control's successes")?;
    let treatment = Proportion::new(x_treatment, n_treatment, "the treatment's successes")?;
    if n_control == 0 || n_treatment == 0 {
        return Ok(Inference::TooFew);
    }
    let z = normal_upper_quantile(0.5 * alpha);
    let difference = treatment.rate() - control.rate();
    let pooled_error = pooled_error(&control, &treatment);
    let unpooled_error = control.variance().sqrt().hypot(treatment.variance().sqrt());
    Ok(Inference::Tested(ProportionTest {
        control: control.rate(),
        treatment: treatment.rate(),
        difference,
        pooled_error,
        pooled: z_test(difference, pooled_error),
        unpooled_error,
        unpooled: z_test(difference, unpooled_error),
        wald: Interval::around(difference, z * unpooled_error),
        newcombe: newcombe(&control, &treatment, z),
        agresti_caffo: agresti_caffo(&control, &treatment, z),
        fisher_p: fisher(&control, &treatment),
    }))
}

/// Successes and failures of an arm; as floats, where a difference of the counts is taken before.
struct Proportion {
    x: u64,
    n: u64,
    successes: f64,
    failures: f64,
    total: f64,
}

impl Proportion {
    fn new(x: u64, n: u64, counted: &'static str) -> Result<Self, StatsError> {
        let Some(failures) = n.checked_sub(x) else {
            return Err(StatsError::CorrectCounts {
                counted,
                limit: "the arm's subjects",
            });
        };
        Ok(Proportion {
            x,
            n,
            successes: x as f64,
            failures: failures as f64,
            total: n as f64,
        })
    }

    fn rate(&self) -> f64 {
        self.successes / self.total
    }

    /// The variance of the rate, `p q / n`.
    fn variance(&self) -> f64 {
        self.rate() * (self.failures / self.total) / self.total
    }

    /// The distances of Wilson's score interval from the rate: down and up (E. B. Wilson, JASA 22, 1927).
    fn wilson_distances(&self, z: f64) -> (f64, f64) {
        let z_square = z * z;
        let root = z * (self.rate() * self.failures + 0.25 * z_square).sqrt();
        let total = self.total + z_square;
        let low = (self.successes + 0.5 * z_square - root) / total;
        let high = (self.successes + 0.5 * z_square + root) / total;
        ((self.rate() - low).max(0.0), (high - self.rate()).max(0.0))
    }

    /// The rate and its variance after one success and one failure more.
    fn adjusted(&self) -> (f64, f64) {
        let total = self.total + 2.0;
        let rate = (self.successes + 1.0) / total;
        (rate, rate * ((self.failures + 1.0) / total) / total)
    }
}

fn pooled_error(control: &Proportion, treatment: &Proportion) -> f64 {
    let total = control.total + treatment.total;
    let rate = (control.successes + treatment.successes) / total;
    let failure_rate = (control.failures + treatment.failures) / total;
    (rate * failure_rate * (1.0 / control.total + 1.0 / treatment.total)).sqrt()
}

fn z_test(difference: f64, standard_error: f64) -> Inference<ZTest> {
    if standard_error == 0.0 {
        return Inference::ZeroVariance;
    }
    let z = difference / standard_error;
    let tail = two_sided_normal(z);
    Inference::Tested(ZTest {
        z,
        p: tail.p,
        ln_p: tail.ln_p,
    })
}

fn newcombe(control: &Proportion, treatment: &Proportion, z: f64) -> Interval {
    let difference = treatment.rate() - control.rate();
    let (control_down, control_up) = control.wilson_distances(z);
    let (treatment_down, treatment_up) = treatment.wilson_distances(z);
    Interval {
        low: difference - treatment_down.hypot(control_up),
        high: difference + treatment_up.hypot(control_down),
    }
}

fn agresti_caffo(control: &Proportion, treatment: &Proportion, z: f64) -> Interval {
    let (control_rate, control_variance) = control.adjusted();
    let (treatment_rate, treatment_variance) = treatment.adjusted();
    Interval::around(
        treatment_rate - control_rate,
        z * (control_variance + treatment_variance).sqrt(),
    )
}

/// Fisher's exact test, two-sided: the probability, given the margins, of all tables that are not more probable than the observed
/// one (R. A. Fisher, 1935).
fn fisher(control: &Proportion, treatment: &Proportion) -> Option<f64> {
    let subjects = control.n.checked_add(treatment.n).filter(|n| *n <= MOST_FOR_FISHER)?;
    let successes = control.x + treatment.x;
    let least = successes.saturating_sub(treatment.n);
    let greatest = successes.min(control.n);
    // a table is named by the control's successes x; this is its probability over that of x - 1
    let ratio = |x: u64| {
        let gained = (control.n + 1 - x) as f64 * (successes + 1 - x) as f64;
        let lost = x as f64 * (treatment.n + x - successes) as f64;
        gained / lost
    };
    // probabilities in units of the most probable table's, from which they fall on both sides
    let mode = ((successes + 1) * (control.n + 1) / (subjects + 2)).clamp(least, greatest);
    let above = || (mode + 1..=greatest).scan(1.0, |relative, x| falling(relative, ratio(x)));
    let below = || {
        (least + 1..=mode)
            .rev()
            .scan(1.0, |relative, x| falling(relative, 1.0 / ratio(x)))
    };
    let observed = match control.x.checked_sub(mode) {
        Some(0) => return Some(1.0),
        Some(steps) => above().nth(steps as usize - 1),
        None => below().nth((mode - control.x) as usize - 1),
    };
    let limit = observed.unwrap_or(0.0) * (1.0 + TIE);
    let mut all = 0.0;
    let mut improbable = 0.0;
    for relative in std::iter::once(1.0).chain(above()).chain(below()) {
        all += relative;
        if relative <= limit {
            improbable += relative;
        }
    }
    Some((improbable / all).min(1.0))
}

/// The next of a row of products; none where they have come to nothing.
fn falling(product: &mut f64, factor: f64) -> Option<f64> {
    *product *= factor;
    (*product > 0.0).then_some(*product)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(x_control: u64, n_control: u64, x_treatment: u64, n_treatment: u64) -> ProportionTest {
        let test = proportion_z(x_control, n_control, x_treatment, n_treatment, 0.05).unwrap();
        *test.tested().unwrap()
    }

    #[test]
    fn an_empty_arm_is_too_few_and_more_successes_than_subjects_are_refused() {
        assert_eq!(proportion_z(0, 0, 3, 5, 0.05).unwrap().status(), "too_few");
        assert!(matches!(
            proportion_z(2, 1, 3, 5, 0.05),
            Err(StatsError::CorrectCounts { .. })
        ));
        assert!(proportion_z(1, 2, 3, 5, 1.0).is_err());
    }

    #[test]
    fn no_conversions_at_all_have_intervals_but_no_test() {
        let test = tested(0, 1000, 0, 1100);
        assert_eq!(
            (test.pooled, test.unpooled),
            (Inference::ZeroVariance, Inference::ZeroVariance)
        );
        assert_eq!((test.wald.low, test.wald.high), (0.0, 0.0));
        assert!(test.newcombe.low < 0.0 && test.newcombe.high > 0.0);
    }

    #[test]
    fn the_greatest_counts_have_an_answer() {
        let test = tested(u64::MAX, u64::MAX, u64::MAX / 2, u64::MAX);
        let pooled = test.pooled.tested().unwrap();
        assert!((test.difference + 0.5).abs() < 1e-15 && pooled.p == 0.0);
        assert!(pooled.ln_p.is_finite() && pooled.ln_p < -1e18, "{pooled:?}");
        assert_eq!(test.fisher_p, None);
    }

    #[test]
    fn fishers_test_of_the_lady_tasting_tea() {
        let p = tested(3, 4, 1, 4).fisher_p.unwrap();
        assert!((p - 34.0 / 70.0).abs() < 1e-15, "{p}");
    }

    #[test]
    fn a_table_beyond_the_least_float_is_improbable_all_the_same() {
        assert_eq!(tested(0, 10_000, 10_000, 10_000).fisher_p, Some(0.0));
    }
}
