//! The difference of two means as a part of the control's.

use crate::error::{StatsError, finite, probability};
use crate::inference::{Inference, Interval, Sample, saturating};
use crate::special::{Tail, normal_upper_quantile, student_t_quantile, two_sided_t};
use crate::welch::{Spread, difference};

/// From here on the delta method's interval is not to be trusted: see [`RelativeLiftTest::unstable`].
const UNSTABLE_FROM: f64 = 0.05;

/// The relative lift, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelativeLift {
    /// Mean of the treatment less mean of the control, as a fraction of the absolute value of the latter: 0.05 is 5 % more. None
    /// where an arm is empty or the control's mean is 0.
    pub lift: Option<f64>,
    /// What is known of it.
    pub test: Inference<RelativeLiftTest>,
}

/// How well the relative lift is known: by the delta method, and by Fieller's theorem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelativeLiftTest {
    /// The delta method's standard error of the lift.
    pub standard_error: f64,
    /// The degrees of freedom of [`welch`](crate::welch()) on the same arms, not whole.
    pub dof: f64,
    /// The lift over its standard error.
    pub t: f64,
    /// The p-value of that; 0 where it is below about 1e-308. It may differ from that of the difference: verdicts rest on
    /// [`WelchTest::p`](crate::WelchTest::p).
    pub p: f64,
    /// Its natural logarithm, finite also there.
    pub ln_p: f64,
    /// The delta method's confidence interval of the lift, of level `1 - alpha`.
    pub interval: Interval,
    /// Fieller's g: the squared ratio of the control's half-width to its mean, `z² s_c² / (n_c ȳ_c²)`.
    pub fieller_g: f64,
    /// Fieller's confidence interval of the lift, of level `1 - alpha`; none where g is 1 or more: then the control's mean may be 0,
    /// and no interval of finite width has that level.
    pub fieller: Option<Interval>,
}

impl RelativeLiftTest {
    /// Whether the control's mean is known so badly (g above 0.05) that the delta method's interval is not to be trusted, and
    /// [`RelativeLiftTest::fieller`] should be shown in its place.
    #[must_use]
    pub fn unstable(&self) -> bool {
        self.fieller_g > UNSTABLE_FROM
    }
}

/// The lift of the treatment's mean relative to the control's, `L = (ȳ_t - ȳ_c) / |ȳ_c|`, with two confidence intervals of level
/// `1 - alpha`.
///
/// By the **delta method** `Var L = s_t² / (n_t ȳ_c²) + s_c² ȳ_t² / (n_c ȳ_c⁴)`, with Student's t on Welch's degrees of freedom
/// (A. Deng, U. Knoblich and J. Lu, "Applying the delta method in metric analytics", KDD 2018, section 3.1). By **Fieller's
/// theorem**, which does not take the control's mean for a constant, the ends are
/// `(L + σ g) / (1 - g) ± z / (|ȳ_c| (1 - g)) sqrt((1 - g) s_t² / n_t + (ȳ_t / ȳ_c)² s_c² / n_c)` with the sign σ of `ȳ_c` and the normal
/// quantile z (E. C. Fieller, "Some problems in interval estimation", JRSS B 16, 1954, for the ratio of the means, less 1).
///
/// Where the control's mean is negative, a treatment that lies above it has a positive lift.
///
/// Each arm needs two subjects. There is no variance either where only the control varies and the treatment's mean is 0: its lift is
/// -1 whatever the control's mean.
///
/// # Errors
///
/// Those of [`welch`](crate::welch()).
///
/// ```
/// use backplane_stats::{Sample, relative_lift};
///
/// let control = Sample { n: 1000, mean: 2.0, m2: 4000.0 };
/// let treatment = Sample { n: 1000, mean: 2.2, m2: 4200.0 };
/// let result = relative_lift(&control, &treatment, 0.05)?;
/// let test = result.test.tested().ok_or("the arms vary")?;
/// assert!(result.lift.is_some_and(|lift| (lift - 0.1).abs() < 1e-12));
/// assert!(test.interval.low > 0.0 && !test.unstable());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn relative_lift(control: &Sample, treatment: &Sample, alpha: f64) -> Result<RelativeLift, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let Some(difference) = difference(control, treatment)? else {
        return Ok(RelativeLift {
            lift: None,
            test: Inference::TooFew,
        });
    };
    let relative = Relative::new(control, treatment, difference)?;
    let test = if control.n < 2 || treatment.n < 2 {
        Inference::TooFew
    } else if let Some(relative) = &relative {
        test(control, treatment, relative, alpha)?
    } else {
        Inference::ZeroBaseline
    };
    Ok(RelativeLift {
        lift: relative.map(|relative| relative.lift),
        test,
    })
}

/// A difference on the scale of the control's mean.
pub(crate) struct Relative {
    /// The difference over the absolute value of the control's mean.
    pub(crate) lift: f64,
    /// The treatment's mean over that, without its sign.
    ratio: f64,
    /// The absolute value of the control's mean.
    baseline: f64,
}

impl Relative {
    /// None where the control's mean is 0.
    pub(crate) fn new(control: &Sample, treatment: &Sample, difference: f64) -> Result<Option<Self>, StatsError> {
        let baseline = control.mean.abs();
        if baseline == 0.0 {
            return Ok(None);
        }
        Ok(Some(Relative {
            lift: finite("relative difference", difference / baseline)?,
            ratio: treatment.mean.abs() / baseline,
            baseline,
        }))
    }

    /// The delta method's standard error of the lift, for at least two subjects an arm.
    pub(crate) fn standard_error(&self, control: &Sample, treatment: &Sample) -> Result<f64, StatsError> {
        let of_treatment = treatment.standard_error() / self.baseline;
        let of_control = control.standard_error() / self.baseline * self.ratio;
        finite("standard error", of_control.hypot(of_treatment))
    }
}

fn test(
    control: &Sample,
    treatment: &Sample,
    relative: &Relative,
    alpha: f64,
) -> Result<Inference<RelativeLiftTest>, StatsError> {
    let standard_error = relative.standard_error(control, treatment)?;
    if standard_error == 0.0 {
        return Ok(Inference::ZeroVariance);
    }
    Spread::new(control, treatment)?.try_then(|Spread { dof, .. }| {
        let t = saturating(relative.lift / standard_error);
        let tail = two_sided_t(t, dof).unwrap_or(Tail::CERTAIN);
        let half_width = student_t_quantile(alpha, dof) * standard_error;
        let (fieller_g, fieller) = fieller(control, treatment, relative, alpha);
        Ok(Inference::Tested(RelativeLiftTest {
            standard_error,
            dof,
            t,
            p: tail.p,
            ln_p: tail.ln_p,
            interval: Interval::around(relative.lift, half_width),
            fieller_g,
            fieller,
        }))
    })
}

/// Fieller's g and interval.
fn fieller(control: &Sample, treatment: &Sample, relative: &Relative, alpha: f64) -> (f64, Option<Interval>) {
    let z = normal_upper_quantile(0.5 * alpha);
    let of_control = control.standard_error() / relative.baseline;
    let of_treatment = treatment.standard_error() / relative.baseline;
    let g = saturating((z * of_control).powi(2));
    let rest = 1.0 - g;
    if rest <= 0.0 {
        return (g, None);
    }
    // the centre of the ratio's interval less 1, (ρ / (1 - g) - 1), in a form that does not cancel; with a negative baseline the
    // lift is -(ρ - 1), which turns the interval round
    let centre = (relative.lift + g.copysign(control.mean)) / rest;
    let error = (rest.sqrt() * of_treatment).hypot(relative.ratio * of_control);
    (g, Some(Interval::around(saturating(centre), z * error / rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(n: u64, mean: f64, m2: f64) -> Sample {
        Sample { n, mean, m2 }
    }

    fn tested(control: Sample, treatment: Sample) -> RelativeLiftTest {
        *relative_lift(&control, &treatment, 0.05)
            .unwrap()
            .test
            .tested()
            .unwrap()
    }

    #[test]
    fn what_carries_no_test_says_why() {
        let varied = arm(12, 1.5, 3.3);
        for (control, treatment, lift, status) in [
            (arm(0, f64::NAN, f64::NAN), varied, None, "too_few"),
            (arm(1, 1.0, 0.0), varied, Some(0.5), "too_few"),
            (arm(1, 0.0, 0.0), varied, None, "too_few"),
            (arm(12, 0.0, 3.3), varied, None, "zero_baseline"),
            (arm(12, 1.0, 0.0), arm(9, 2.0, 0.0), Some(1.0), "zero_variance"),
            (varied, arm(9, 0.0, 0.0), Some(-1.0), "zero_variance"),
            (arm(12, 1.0, 0.0), varied, Some(0.5), "ok"),
        ] {
            let result = relative_lift(&control, &treatment, 0.05).unwrap();
            assert_eq!(
                (result.lift, result.test.status()),
                (lift, status),
                "{control:?} {treatment:?}"
            );
        }
    }

    #[test]
    fn arguments_that_are_none_are_refused() {
        let varied = arm(12, 1.5, 3.3);
        for alpha in [0.0, 1.0, f64::NAN] {
            assert!(relative_lift(&varied, &varied, alpha).is_err());
        }
        let error = relative_lift(&arm(12, 1.5, -1.0), &varied, 0.05).unwrap_err();
        assert_eq!(error, StatsError::CorrectMoments { arm: "control" });
        let overflow = StatsError::RescaleValues {
            statistic: "relative difference",
        };
        assert_eq!(
            relative_lift(&arm(9, 1e-300, 1.0), &arm(9, 1e300, 1.0), 0.05),
            Err(overflow)
        );
    }

    #[test]
    fn values_of_the_other_sign_have_the_other_lift() {
        let (control, treatment) = (arm(700, 4.0, 6000.0), arm(650, 3.4, 5800.0));
        let mirrored = |sample: Sample| Sample {
            mean: -sample.mean,
            ..sample
        };
        let (test, mirror) = (
            tested(control, treatment),
            tested(mirrored(control), mirrored(treatment)),
        );
        let turned = |interval: Interval| Interval {
            low: -interval.high,
            high: -interval.low,
        };
        assert_eq!(mirror.t, -test.t);
        assert_eq!(mirror.interval, turned(test.interval));
        assert_eq!(mirror.fieller, test.fieller.map(turned));
    }

    #[test]
    fn an_uncertain_baseline_is_unstable_and_one_that_may_be_zero_has_no_interval_of_fieller() {
        let treatment = arm(300, 0.5, 300.0);
        let sure = tested(arm(300, 1.0, 300.0), treatment);
        assert!(!sure.unstable() && sure.fieller.is_some(), "{sure:?}");
        let unsure = tested(arm(300, 0.3, 300.0), treatment);
        assert!(unsure.unstable() && unsure.fieller.is_some(), "{unsure:?}");
        let unknown = tested(arm(300, 0.1, 300.0), treatment);
        assert!(
            unknown.unstable() && unknown.fieller_g > 1.0 && unknown.fieller.is_none(),
            "{unknown:?}"
        );
    }

    #[test]
    fn a_certain_baseline_gives_both_intervals_the_same_centre() {
        let test = tested(arm(300, 2.0, 0.0), arm(300, 2.5, 300.0));
        let fieller = test.fieller.unwrap();
        assert_eq!(test.fieller_g, 0.0);
        assert!((fieller.low + fieller.high - test.interval.low - test.interval.high).abs() < 1e-15);
    }
}
