//! Effects that may be looked at at any time: confidence sequences and their e-values.

use crate::e_value::{EProcess, anytime_p};
use crate::error::{StatsError, finite, probability, within};
use crate::inference::{Inference, Interval, Sample, saturating};
use crate::relative_lift::Relative;
use crate::welch::difference;

/// What an effect is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The difference of means, in the metric's unit. Verdicts rest on this one.
    Absolute,
    /// The difference as a fraction of the control's mean (of its absolute value), with the delta method's standard error.
    Relative,
}

/// An effect with its evidence, valid at whatever time it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlwaysValid {
    /// The effect, on the scale that was asked for.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The natural logarithm of the e-value of "there is no effect".
    pub log_e: f64,
    /// `min(1, 1 / E)`, instantaneous: it may rise again. The running minimum is kept by [`AlwaysValidPath`].
    pub p: f64,
    /// Half the width of the confidence sequence at this sample.
    pub half_width: f64,
    /// The confidence sequence: the true effect is in all intervals of the path, with probability `1 - alpha`.
    pub interval: Interval,
}

const TUNING: (f64, f64) = (1.0, 1e100);
const TUNING_RANGE: &str = "a number of subjects from 1 to 1e100";

/// The asymptotic confidence sequence of a difference of means, and its e-value: what GrowthBook, Eppo and PostHog compute.
///
/// With standard error s, `N = n_c + n_t` and `r = tuning_n / (-2 ln α + ln(1 - 2 ln α))` the half-width is
/// `s sqrt((N + r) / N · ln((N + r) / (r α²)))` and `ln E = z² N / (2 (N + r)) - ln((N + r) / r) / 2`: the normal mixture of H. Robbins
/// (1970) as in S. R. Howard et al., "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49
/// (2021), equation 14, and I. Waudby-Smith et al., "Time-uniform central limit theory and asymptotic confidence sequences",
/// Annals of Statistics 52 (2024), equation 9. `alpha` must be that of the interval that is read.
///
/// `tuning_n` is the total number of subjects at which the sequence is narrowest: the planned total, else 5000. It must be fixed
/// before the start; it matters for the width, not for the validity.
///
/// The guarantee is asymptotic, so nothing should be read before a burn-in. 100 subjects an arm are enough where arms are of about
/// equal size. They are not where one arm is small and outcomes are rare or heavy-tailed, because its variance is underestimated
/// until it has seen its share of them: with one subject in ten in the treatment and a rate of 1 %, a test of level 0.05 raises an
/// alarm on about a third of streams without effect from 100 subjects on, on a tenth from 500, and on 2 % from 2,000 (the
/// calibration bench measures this).
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for `alpha` outside (0, 1) or `tuning_n` outside 1 to 1e100, [`StatsError::CorrectMoments`] and
/// [`StatsError::RescaleValues`] as [`welch`](crate::welch()).
///
/// ```
/// use backplane_stats::{Sample, Scale, always_valid};
///
/// let control = Sample { n: 5000, mean: 1.0, m2: 5000.0 };
/// let treatment = Sample { n: 5000, mean: 1.1, m2: 5000.0 };
/// let result = always_valid(&control, &treatment, 0.05, 10_000.0, Scale::Absolute)?;
/// let effect = result.tested().ok_or("the arms vary")?;
/// assert!(effect.p < 0.05 && effect.interval.low > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn always_valid(
    control: &Sample,
    treatment: &Sample,
    alpha: f64,
    tuning_n: f64,
    scale: Scale,
) -> Result<Inference<AlwaysValid>, StatsError> {
    let mixture = Mixture::new(alpha, tuning_n)?;
    effect(control, treatment, scale)?.try_then(|effect| {
        let log_e = mixture.log_e(&effect);
        let half_width = mixture.half_width(&effect);
        Ok(Inference::Tested(AlwaysValid {
            estimate: effect.estimate,
            standard_error: effect.standard_error,
            log_e,
            p: anytime_p(log_e),
            half_width,
            interval: Interval::around(effect.estimate, half_width),
        }))
    })
}

/// An estimate, its standard error and the number of subjects behind it.
struct Effect {
    estimate: f64,
    standard_error: f64,
    subjects: f64,
}

fn effect(control: &Sample, treatment: &Sample, scale: Scale) -> Result<Inference<Effect>, StatsError> {
    let Some(difference) = difference(control, treatment)? else {
        return Ok(Inference::TooFew);
    };
    if control.n < 2 || treatment.n < 2 {
        return Ok(Inference::TooFew);
    }
    let (estimate, standard_error) = match scale {
        Scale::Absolute => {
            let standard_error = control.standard_error().hypot(treatment.standard_error());
            (difference, finite("standard error", standard_error)?)
        }
        Scale::Relative => {
            let Some(relative) = Relative::new(control, treatment, difference)? else {
                return Ok(Inference::ZeroBaseline);
            };
            (relative.lift, relative.standard_error(control, treatment)?)
        }
    };
    if standard_error == 0.0 {
        return Ok(Inference::ZeroVariance);
    }
    Ok(Inference::Tested(Effect {
        estimate,
        standard_error,
        subjects: control.n as f64 + treatment.n as f64,
    }))
}

/// The mixture that is tuned to a number of subjects.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mixture {
    /// `-2 ln α`
    evidence: f64,
    /// The number r of subjects whose information the mixing variance is worth.
    prior_subjects: f64,
}

impl Mixture {
    fn new(alpha: f64, tuning_n: f64) -> Result<Self, StatsError> {
        let alpha = probability("alpha", alpha)?;
        let tuning_n = within("tuning_n", tuning_n, TUNING, TUNING_RANGE)?;
        let evidence = -2.0 * alpha.ln();
        Ok(Mixture {
            evidence,
            prior_subjects: tuning_n / (evidence + evidence.ln_1p()),
        })
    }

    fn log_e(&self, effect: &Effect) -> f64 {
        let z = saturating(effect.estimate / effect.standard_error);
        let weight = effect.subjects / (effect.subjects + self.prior_subjects);
        let growth = (effect.subjects / self.prior_subjects).ln_1p();
        (0.5 * z * z * weight - 0.5 * growth).min(f64::MAX)
    }

    fn half_width(&self, effect: &Effect) -> f64 {
        let widening = 1.0 + self.prior_subjects / effect.subjects;
        let growth = (effect.subjects / self.prior_subjects).ln_1p();
        saturating(effect.standard_error * (widening * (growth + self.evidence)).sqrt())
    }
}

/// The always-valid test of one metric and pair of arms as data come: its e-value now and its running maximum, on the absolute
/// scale.
///
/// Nothing is evaluated before the burn-in is over. Where history is restated, build the path anew.
///
/// ```
/// use backplane_stats::{AlwaysValidPath, Sample};
///
/// let mut path = AlwaysValidPath::new(0.05, 5_000.0, 100)?;
/// let arm = |n: u64, mean: f64| Sample { n, mean, m2: n as f64 };
/// assert_eq!(path.evaluate(&arm(60, 0.0), &arm(99, 2.0))?, None); // within the burn-in
/// path.evaluate(&arm(600, 0.0), &arm(620, 0.3))?;
/// path.evaluate(&arm(900, 0.0), &arm(910, 0.1))?;
/// assert!(path.process().p() < 0.05, "the running p-value does not rise again");
/// # Ok::<(), backplane_stats::StatsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlwaysValidPath {
    alpha: f64,
    tuning_n: f64,
    burn_in: u64,
    /// Of `alpha` and `tuning_n`.
    mixture: Mixture,
    process: EProcess,
}

impl AlwaysValidPath {
    /// The number of words of [`AlwaysValidPath::to_array`].
    pub const WORDS: usize = 3 + EProcess::WORDS;

    /// A path before any data. `burn_in` is the number of subjects that each arm must have: 100, or 2,000 for rare or
    /// heavy-tailed outcomes where arms differ in size; see [`always_valid`].
    ///
    /// # Errors
    ///
    /// [`StatsError::CorrectParameter`] as [`always_valid`].
    pub fn new(alpha: f64, tuning_n: f64, burn_in: u64) -> Result<Self, StatsError> {
        Ok(AlwaysValidPath {
            alpha,
            tuning_n,
            burn_in,
            mixture: Mixture::new(alpha, tuning_n)?,
            process: EProcess::new(),
        })
    }

    /// Moves on to these samples, and gives the logarithm of their e-value; none, and no change, within the burn-in and where the
    /// data carry no test.
    ///
    /// # Errors
    ///
    /// [`StatsError::CorrectMoments`] and [`StatsError::RescaleValues`]; then nothing changes.
    pub fn evaluate(&mut self, control: &Sample, treatment: &Sample) -> Result<Option<f64>, StatsError> {
        let effect = effect(control, treatment, Scale::Absolute)?;
        let burnt_in = control.n.min(treatment.n) >= self.burn_in;
        let Some(effect) = effect.tested().filter(|_| burnt_in) else {
            return Ok(None);
        };
        let log_e = self.mixture.log_e(effect);
        self.process.observe(log_e);
        Ok(Some(log_e))
    }

    /// The e-value at the last evaluation, its running maximum, and the running p-value.
    #[must_use]
    pub fn process(&self) -> &EProcess {
        &self.process
    }

    /// The state as plain words, for checkpoints: the bits of `alpha` and `tuning_n`, `burn_in`, the words of
    /// [`EProcess::to_array`].
    #[must_use]
    pub fn to_array(&self) -> [u64; Self::WORDS] {
        let [log_e, log_e_max] = self.process.to_array();
        [
            self.alpha.to_bits(),
            self.tuning_n.to_bits(),
            self.burn_in,
            log_e,
            log_e_max,
        ]
    }

    /// The state of these words, as [`AlwaysValidPath::to_array`] gave them.
    ///
    /// # Errors
    ///
    /// [`StatsError::RebuildState`] or [`StatsError::CorrectParameter`] if they are not such words.
    pub fn from_array(words: [u64; Self::WORDS]) -> Result<Self, StatsError> {
        let [alpha, tuning_n, burn_in, log_e, log_e_max] = words;
        let mut path = Self::new(f64::from_bits(alpha), f64::from_bits(tuning_n), burn_in)?;
        path.process = EProcess::from_array([log_e, log_e_max]).ok_or(StatsError::RebuildState {
            state: "an always-valid path",
        })?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(n: u64, mean: f64) -> Sample {
        Sample { n, mean, m2: n as f64 }
    }

    fn status(control: Sample, treatment: Sample, scale: Scale) -> &'static str {
        always_valid(&control, &treatment, 0.05, 5_000.0, scale)
            .unwrap()
            .status()
    }

    #[test]
    fn what_carries_no_test_says_why() {
        assert_eq!(status(arm(1, 0.0), arm(9, 0.0), Scale::Absolute), "too_few");
        assert_eq!(status(arm(0, 0.0), arm(9, 0.0), Scale::Relative), "too_few");
        assert_eq!(status(arm(9, 0.0), arm(9, 1.0), Scale::Absolute), "ok");
        assert_eq!(status(arm(9, 0.0), arm(9, 1.0), Scale::Relative), "zero_baseline");
        let constant = Sample {
            n: 9,
            mean: 1.0,
            m2: 0.0,
        };
        assert_eq!(status(constant, constant, Scale::Relative), "zero_variance");
    }

    #[test]
    fn parameters_that_are_none_are_refused() {
        for (alpha, tuning_n) in [
            (0.0, 5e3),
            (1.0, 5e3),
            (f64::NAN, 5e3),
            (0.05, 0.0),
            (0.05, f64::NAN),
            (0.05, 1e200),
        ] {
            assert!(always_valid(&arm(9, 0.0), &arm(9, 0.0), alpha, tuning_n, Scale::Absolute).is_err());
            assert!(AlwaysValidPath::new(alpha, tuning_n, 100).is_err());
        }
    }

    #[test]
    fn the_interval_excludes_no_effect_exactly_when_the_p_value_is_below_alpha() {
        for alpha in [1e-6, 0.01, 0.05, 0.3] {
            let width = |mean: f64| {
                let result = always_valid(&arm(800, 0.0), &arm(900, mean), alpha, 3_000.0, Scale::Absolute);
                *result.unwrap().tested().unwrap()
            };
            let edge = width(0.0).half_width;
            assert!((width(edge).p / alpha - 1.0).abs() < 1e-9, "{alpha}");
            assert!(width(edge * 1.01).interval.low > 0.0 && width(edge * 1.01).p < alpha);
        }
    }

    #[test]
    fn burn_in_counts_for_each_arm() {
        let mut path = AlwaysValidPath::new(0.05, 5_000.0, 100).unwrap();
        assert_eq!(path.evaluate(&arm(99, 0.0), &arm(5_000, 9.0)), Ok(None));
        assert_eq!(path.process(), &EProcess::new());
        assert!(
            path.evaluate(&arm(100, 0.0), &arm(100, 9.0))
                .unwrap()
                .is_some_and(|log_e| log_e > 10.0)
        );
    }

    #[test]
    fn words_make_the_same_path_again() {
        let mut path = AlwaysValidPath::new(0.01, 700.0, 3).unwrap();
        path.evaluate(&arm(50, 0.0), &arm(60, 2.0)).unwrap();
        path.evaluate(&arm(80, 0.0), &arm(90, 0.5)).unwrap();
        assert_eq!(AlwaysValidPath::from_array(path.to_array()), Ok(path));
        assert!(AlwaysValidPath::from_array([0; AlwaysValidPath::WORDS]).is_err());
        let mut words = path.to_array();
        words[4] = f64::NAN.to_bits();
        assert!(matches!(
            AlwaysValidPath::from_array(words),
            Err(StatsError::RebuildState { .. })
        ));
    }
}
