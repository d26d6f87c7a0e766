//! What tests are made from and what they give: samples, intervals, and whether the data carry a test at all.

use crate::Moments;
use crate::error::StatsError;

/// The sufficient statistics of one arm: of one number per subject.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many subjects.
    pub n: u64,
    /// The mean over them, in the metric's unit; not looked at where `n` is 0.
    pub mean: f64,
    /// The sum of squared deviations from the mean, in the square of that unit; not looked at where `n` is 0.
    pub m2: f64,
}

impl Sample {
    /// Whether these can be the moments of values, and that they did not overflow.
    pub(crate) fn check(&self, arm: &'static str) -> Result<(), StatsError> {
        if self.n == 0 {
            return Ok(());
        }
        if self.m2 == f64::INFINITY {
            return Err(StatsError::RescaleValues {
                statistic: "sum of squared deviations",
            });
        }
        if self.mean.is_finite() && self.m2 >= 0.0 {
            return Ok(());
        }
        Err(StatsError::CorrectMoments { arm })
    }

    /// The standard error of the mean, for at least two subjects.
    pub(crate) fn standard_error(&self) -> f64 {
        // root before quotient: m2 / n² may be too small for a float where its root is not
        self.m2.sqrt() / ((self.n - 1) as f64 * self.n as f64).sqrt()
    }
}

impl From<&Moments> for Sample {
    fn from(moments: &Moments) -> Self {
        Sample {
            n: moments.count(),
            mean: moments.mean().unwrap_or_default(),
            m2: moments.m2().unwrap_or_default(),
        }
    }
}

/// A test, or why the data do not carry one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Inference<T> {
    /// The test.
    Tested(T),
    /// An arm has fewer subjects than the test needs: two for a mean, one for a proportion.
    TooFew,
    /// No arm varies, so that there is no standard error. That is no evidence of equality, and no p-value of 1.
    ZeroVariance,
    /// The difference is asked for relative to a control whose mean is 0.
    ZeroBaseline,
}

impl<T> Inference<T> {
    /// The test, if the data carry one.
    #[must_use]
    pub fn tested(&self) -> Option<&T> {
        match self {
            Inference::Tested(test) => Some(test),
            Inference::TooFew | Inference::ZeroVariance | Inference::ZeroBaseline => None,
        }
    }

    /// What `next` makes of the test; where there is none, why.
    pub(crate) fn try_then<U>(
        self,
        next: impl FnOnce(T) -> Result<Inference<U>, StatsError>,
    ) -> Result<Inference<U>, StatsError> {
        match self {
            Inference::Tested(test) => next(test),
            Inference::TooFew => Ok(Inference::TooFew),
            Inference::ZeroVariance => Ok(Inference::ZeroVariance),
            Inference::ZeroBaseline => Ok(Inference::ZeroBaseline),
        }
    }

    /// `ok`, `too_few`, `zero_variance` or `zero_baseline`, as tables and reports name it.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Inference::Tested(_) => "ok",
            Inference::TooFew => "too_few",
            Inference::ZeroVariance => "zero_variance",
            Inference::ZeroBaseline => "zero_baseline",
        }
    }
}

/// A two-sided interval of the level that the test was asked for. An end that does not fit a 64-bit float is the greatest one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// `centre` plus and minus `half_width`, not beyond the greatest float.
    pub(crate) fn around(centre: f64, half_width: f64) -> Self {
        Interval {
            low: saturating(centre - half_width),
            high: saturating(centre + half_width),
        }
    }
}

/// The value, or the greatest float of its sign.
pub(crate) fn saturating(value: f64) -> f64 {
    value.clamp(-f64::MAX, f64::MAX)
}
