//! The difference of two means.

use crate::error::{StatsError, finite, probability};
use crate::inference::{Inference, Interval, Sample, saturating};
use crate::special::{Tail, student_t_quantile, two_sided_t};

/// The difference of two means, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// Mean of the treatment less mean of the control, in the metric's unit; none where an arm is empty.
    pub difference: Option<f64>,
    /// The test of its being 0.
    pub test: Inference<WelchTest>,
}

/// Welch's test, two-sided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WelchTest {
    /// The standard error of the difference, in the metric's unit.
    pub standard_error: f64,
    /// The degrees of freedom, not whole.
    pub dof: f64,
    /// The difference over its standard error.
    pub t: f64,
    /// The p-value; 0 where it is below about 1e-308.
    pub p: f64,
    /// Its natural logarithm, finite also there.
    pub ln_p: f64,
    /// The confidence interval of the difference, of level `1 - alpha`.
    pub interval: Interval,
}

/// Welch's test of two means, two-sided (B. L. Welch, "The generalization of 'Student's' problem when several different population
/// variances are involved", Biometrika 34, 1947), with its confidence interval of level `1 - alpha`.
///
/// Each arm needs two subjects, and one of them has to vary. One arm without variance is fine.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an `alpha` outside (0, 1), [`StatsError::CorrectMoments`], and
/// [`StatsError::RescaleValues`] where values are so large that their differences or squares overflow.
///
/// ```
/// use backplane_stats::{Sample, welch};
///
/// let control = Sample { n: 1000, mean: 2.0, m2: 4000.0 };
/// let treatment = Sample { n: 1000, mean: 2.2, m2: 4200.0 };
/// let result = welch(&control, &treatment, 0.05)?;
/// let test = result.test.tested().ok_or("the arms vary")?;
/// assert!(test.p < 0.05 && test.interval.low > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn welch(control: &Sample, treatment: &Sample, alpha: f64) -> Result<Welch, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let Some(difference) = difference(control, treatment)? else {
        return Ok(Welch {
            difference: None,
            test: Inference::TooFew,
        });
    };
    Ok(Welch {
        difference: Some(difference),
        test: test(control, treatment, difference, alpha)?,
    })
}

/// Mean of the treatment less mean of the control, both checked; none where an arm is empty.
pub(crate) fn difference(control: &Sample, treatment: &Sample) -> Result<Option<f64>, StatsError> {
    control.check("control")?;
    treatment.check("treatment")?;
    if control.n == 0 || treatment.n == 0 {
        return Ok(None);
    }
    finite("difference of means", treatment.mean - control.mean).map(Some)
}

fn test(control: &Sample, treatment: &Sample, difference: f64, alpha: f64) -> Result<Inference<WelchTest>, StatsError> {
    Spread::new(control, treatment)?.try_then(|Spread { standard_error, dof }| {
        let t = saturating(difference / standard_error);
        let tail = two_sided_t(t, dof).unwrap_or(Tail::CERTAIN);
        Ok(Inference::Tested(WelchTest {
            standard_error,
            dof,
            t,
            p: tail.p,
            ln_p: tail.ln_p,
            interval: Interval::around(difference, student_t_quantile(alpha, dof) * standard_error),
        }))
    })
}

/// How far a difference of means may be off.
pub(crate) struct Spread {
    /// The standard error of the difference, not 0.
    pub(crate) standard_error: f64,
    /// Welch's degrees of freedom.
    pub(crate) dof: f64,
}

impl Spread {
    pub(crate) fn new(control: &Sample, treatment: &Sample) -> Result<Inference<Self>, StatsError> {
        if control.n < 2 || treatment.n < 2 {
            return Ok(Inference::TooFew);
        }
        let (of_control, of_treatment) = (control.standard_error(), treatment.standard_error());
        let standard_error = finite("standard error", of_control.hypot(of_treatment))?;
        if standard_error == 0.0 {
            return Ok(Inference::ZeroVariance);
        }
        // Welch and Satterthwaite's ν = se⁴ / (v_c² / (n_c - 1) + v_t² / (n_t - 1)), by shares of se², which cannot overflow
        let share_control = (of_control / standard_error).powi(2);
        let share_treatment = (of_treatment / standard_error).powi(2);
        let dof =
            1.0 / (share_control.powi(2) / (control.n - 1) as f64 + share_treatment.powi(2) / (treatment.n - 1) as f64);
        Ok(Inference::Tested(Spread { standard_error, dof }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIED: Sample = Sample {
        n: 12,
        mean: 1.5,
        m2: 3.3,
    };

    fn status(control: Sample, treatment: Sample) -> &'static str {
        welch(&control, &treatment, 0.05).unwrap().test.status()
    }

    #[test]
    fn a_test_needs_two_subjects_an_arm_and_a_variance() {
        let none = Sample {
            n: 0,
            mean: f64::NAN,
            m2: f64::NAN,
        };
        assert_eq!(welch(&none, &VARIED, 0.05).unwrap().difference, None);
        assert_eq!(status(VARIED, none), "too_few");
        assert_eq!(
            status(
                Sample {
                    n: 1,
                    mean: 1.0,
                    m2: 0.0
                },
                VARIED
            ),
            "too_few"
        );
        let constant = Sample {
            n: 5,
            mean: 1.0,
            m2: 0.0,
        };
        assert_eq!(status(constant, constant), "zero_variance");
        assert_eq!(status(constant, VARIED), "ok");
    }

    #[test]
    fn moments_that_are_none_are_refused() {
        for (mean, m2) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, -1.0), (0.0, f64::NAN)] {
            let error = welch(&VARIED, &Sample { n: 3, mean, m2 }, 0.05).unwrap_err();
            assert_eq!(error, StatsError::CorrectMoments { arm: "treatment" });
        }
        for alpha in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(welch(&VARIED, &VARIED, alpha).is_err());
        }
    }

    #[test]
    fn what_overflows_is_an_error_and_the_rest_is_finite() {
        let far = Sample {
            n: 2,
            mean: f64::MAX,
            m2: f64::MAX,
        };
        let opposite = Sample { mean: -f64::MAX, ..far };
        let overflow = StatsError::RescaleValues {
            statistic: "difference of means",
        };
        assert_eq!(welch(&far, &opposite, 0.05), Err(overflow));
        let overflowed = Sample {
            m2: f64::INFINITY,
            ..far
        };
        assert!(matches!(
            welch(&far, &overflowed, 0.05),
            Err(StatsError::RescaleValues { .. })
        ));
        let tiny = Sample {
            n: u64::MAX,
            mean: 0.0,
            m2: 5e-324,
        };
        let test = welch(&tiny, &Sample { mean: f64::MAX, ..tiny }, 1e-300).unwrap().test;
        let test = test.tested().unwrap();
        assert_eq!((test.t, test.p), (f64::MAX, 0.0));
        assert!(test.ln_p.is_finite() && test.interval.high.is_finite(), "{test:?}");
    }

    #[test]
    fn moments_make_a_sample() {
        let mut moments = crate::Moments::new();
        assert_eq!(Sample::from(&moments).n, 0);
        moments.add(1.0);
        moments.add(4.0);
        assert_eq!(
            Sample::from(&moments),
            Sample {
                n: 2,
                mean: 2.5,
                m2: 4.5
            }
        );
    }
}
