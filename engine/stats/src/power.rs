//! Planning: power, sample size and least detectable effect.
//!
//! All tests are two-sided at level `alpha`. Powers count both tails, and so do the sample sizes of the t-test and the z-test, as in
//! the Python package statsmodels; [`z_least_effect`] and [`proportion_sample_size`] are the usual closed forms, which leave out the
//! tail on the wrong side. Sample sizes are those of the control arm, real numbers to be rounded up; the treatment has `ratio` times
//! as many. Standardised effects are differences
//! over the standard deviation of one subject (Cohen's d); their sign does not matter.
//!
//! ```
//! use backplane_stats::power::{t_power, t_sample_size};
//!
//! let n = t_sample_size(0.2, 0.8, 1.0, 0.05)?; // 80 % power for a fifth of a standard deviation
//! assert_eq!(n.ceil(), 394.0);
//! assert!((t_power(0.2, n, 1.0, 0.05)? - 0.8).abs() < 1e-9);
//! # Ok::<(), backplane_stats::StatsError>(())
//! ```

use crate::error::{StatsError, finite, probability, within};
use crate::special::{
    deviance, ln_gamma_q, ln_t_density_scale, normal_sf, normal_upper_quantile, stirling_remainder, student_t_quantile,
};

const SIZES: (f64, f64) = (1e-3, 1e18);
const SIZE_RANGE: &str = "a number of subjects from 0.001 to 1e18";
/// With one degree of freedom there is a variance at all.
const LEAST_DOF: f64 = 1.0;
const RATIOS: (f64, f64) = (1e-9, 1e9);
const RATIO_RANGE: &str = "a ratio from 1e-9 to 1e9";
const EFFECTS: (f64, f64) = (1e-9, 1e9);
const EFFECT_RANGE: &str = "an effect from 1e-9 to 1e9 standard deviations";

/// The power of Student's t-test with common variance.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range; both arms together must have three subjects.
pub fn t_power(effect: f64, n_control: f64, ratio: f64, alpha: f64) -> Result<f64, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let effect = check_effect_or_none(effect)?;
    let n_control = within("n_control", n_control, SIZES, SIZE_RANGE)?;
    let ratio = check_ratio(ratio)?;
    let dof = n_control * (1.0 + ratio) - 2.0;
    if dof < LEAST_DOF {
        return Err(StatsError::CorrectParameter {
            parameter: "n_control",
            value: n_control,
            range: "enough subjects that both arms together have three",
        });
    }
    Ok(t_power_of(effect * effective(n_control, ratio).sqrt(), dof, alpha))
}

/// The subjects of the control arm with which Student's t-test has this power; at least so many that both arms together have
/// three.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range; `power` must exceed `alpha`.
pub fn t_sample_size(effect: f64, power: f64, ratio: f64, alpha: f64) -> Result<f64, StatsError> {
    let ratio = check_ratio(ratio)?;
    let alpha = probability("alpha", alpha)?;
    // the z-test needs a little less
    let mut low = z_sample_size(effect, power, ratio, alpha)?;
    let effect = effect.abs();
    let dof = |n: f64| n * (1.0 + ratio) - 2.0;
    let excess = |n: f64| t_power_of(effect * effective(n, ratio).sqrt(), dof(n), alpha) - power;
    // rounded up, so that a power can be asked for the result
    let least = (2.0 + LEAST_DOF) / (1.0 + ratio) * (1.0 + 4.0 * f64::EPSILON);
    if low <= least {
        low = least;
        if excess(low) >= 0.0 {
            return Ok(low);
        }
    }
    let mut high = low * 1.01 + 1.0 + 1.0 / (1.0 + ratio);
    // power tends to 1: this ends, and after a step or two
    while excess(high) < 0.0 && high < f64::MAX {
        low = high;
        high *= 2.0;
    }
    Ok(root(excess, low, high))
}

/// The power of the z-test, which takes the variance as known.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range.
pub fn z_power(effect: f64, n_control: f64, ratio: f64, alpha: f64) -> Result<f64, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let effect = check_effect_or_none(effect)?;
    let n_control = within("n_control", n_control, SIZES, SIZE_RANGE)?;
    let ratio = check_ratio(ratio)?;
    let critical = normal_upper_quantile(0.5 * alpha);
    Ok(z_power_of(effect * effective(n_control, ratio).sqrt(), critical))
}

/// The subjects of the control arm with which the z-test has this power.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range; `power` must exceed `alpha`.
pub fn z_sample_size(effect: f64, power: f64, ratio: f64, alpha: f64) -> Result<f64, StatsError> {
    let effect = within("effect", effect.abs(), EFFECTS, EFFECT_RANGE)?;
    let ratio = check_ratio(ratio)?;
    let shift = z_shift(power, alpha)?;
    // 1 / (1 / n_c + 1 / n_t) subjects give the shift
    finite("sample size", (shift / effect).powi(2) * (1.0 + 1.0 / ratio))
}

/// The least standardised effect that the z-test finds with this power, by the closed form `(z_{α/2} + z_β) se`.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range; `power` must exceed `alpha`.
pub fn z_least_effect(n_control: f64, power: f64, ratio: f64, alpha: f64) -> Result<f64, StatsError> {
    let n_control = within("n_control", n_control, SIZES, SIZE_RANGE)?;
    let ratio = check_ratio(ratio)?;
    let alpha = probability("alpha", alpha)?;
    let power = check_power(power, alpha)?;
    let shift = normal_upper_quantile(0.5 * alpha) + normal_upper_quantile(1.0 - power);
    Ok(shift.max(0.0) / effective(n_control, ratio).sqrt())
}

/// The power of the z-test of two proportions, `base_rate` in the control and `base_rate + effect` in the treatment, with the
/// pooled standard error under no effect and the unpooled one under this.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range; both rates must be within (0, 1).
pub fn proportion_power(
    base_rate: f64,
    effect: f64,
    n_control: f64,
    ratio: f64,
    alpha: f64,
) -> Result<f64, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let n_control = within("n_control", n_control, SIZES, SIZE_RANGE)?;
    let errors = ProportionErrors::new(base_rate, effect, check_ratio(ratio)?)?;
    let critical = normal_upper_quantile(0.5 * alpha) * errors.without_effect / errors.with_effect;
    let shift = effect.abs() * n_control.sqrt() / errors.with_effect;
    Ok(z_power_of(shift, critical))
}

/// The subjects of the control arm with which the z-test of two proportions has this power, by the usual closed form, in which the
/// tail on the wrong side does not count.
///
/// # Errors
///
/// [`StatsError::CorrectParameter`] for an argument outside its range; both rates must be within (0, 1), the effect may not be 0,
/// and `power` must exceed `alpha`.
pub fn proportion_sample_size(
    base_rate: f64,
    effect: f64,
    power: f64,
    ratio: f64,
    alpha: f64,
) -> Result<f64, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let power = check_power(power, alpha)?;
    within(
        "effect",
        effect.abs(),
        (1e-9, 1.0),
        "a difference of rates of at least 1e-9",
    )?;
    let errors = ProportionErrors::new(base_rate, effect, check_ratio(ratio)?)?;
    let needed = normal_upper_quantile(0.5 * alpha) * errors.without_effect
        + normal_upper_quantile(1.0 - power) * errors.with_effect;
    Ok((needed.max(0.0) / effect).powi(2))
}

/// Standard errors of the difference of two rates, times the root of the control's subjects.
struct ProportionErrors {
    without_effect: f64,
    with_effect: f64,
}

impl ProportionErrors {
    fn new(base_rate: f64, effect: f64, ratio: f64) -> Result<Self, StatsError> {
        let control = probability("base_rate", base_rate)?;
        let treatment = probability("base_rate + effect", base_rate + effect)?;
        let pooled = (control + treatment * ratio) / (1.0 + ratio);
        let error =
            |control: f64, treatment: f64| (control * (1.0 - control) + treatment * (1.0 - treatment) / ratio).sqrt();
        Ok(ProportionErrors {
            without_effect: error(pooled, pooled),
            with_effect: error(control, treatment),
        })
    }
}

fn check_ratio(ratio: f64) -> Result<f64, StatsError> {
    within("ratio", ratio, RATIOS, RATIO_RANGE)
}

/// An effect's size, which here may be 0.
fn check_effect_or_none(effect: f64) -> Result<f64, StatsError> {
    within(
        "effect",
        effect.abs(),
        (0.0, EFFECTS.1),
        "an effect of at most 1e9 standard deviations",
    )
}

fn check_power(power: f64, alpha: f64) -> Result<f64, StatsError> {
    if power > alpha && power < 1.0 {
        return Ok(power);
    }
    Err(StatsError::CorrectParameter {
        parameter: "power",
        value: power,
        range: "a power above alpha and below 1",
    })
}

/// `1 / (1 / n_c + 1 / n_t)`.
fn effective(n_control: f64, ratio: f64) -> f64 {
    n_control * ratio / (1.0 + ratio)
}

/// The two-sided power of a z-statistic of this mean.
fn z_power_of(shift: f64, critical: f64) -> f64 {
    (normal_sf(critical - shift) + normal_sf(critical + shift)).min(1.0)
}

/// The mean of a z-statistic that has this power, both tails counted.
fn z_shift(power: f64, alpha: f64) -> Result<f64, StatsError> {
    let alpha = probability("alpha", alpha)?;
    let power = check_power(power, alpha)?;
    let critical = normal_upper_quantile(0.5 * alpha);
    // without the far tail it takes at least as much
    let high = (critical + normal_upper_quantile(1.0 - power)).max(1.0);
    Ok(root(|shift| z_power_of(shift, critical) - power, 0.0, high))
}

/// The two-sided power of a t-statistic of this noncentrality: `P(T² > c²)`, where T² has a noncentral F distribution with one and
/// `dof` degrees of freedom. With `λ = noncentrality² / 2` and `y = dof / (dof + c²)` it is
/// `sum Poisson(j; λ) I_y(dof / 2, j + 1/2)` over j >= 0 (Abramowitz and Stegun, 26.6.18), where the first incomplete beta is `alpha`
/// itself, and each is the one before and a positive term, so that nothing cancels.
fn t_power_of(noncentrality: f64, dof: f64, alpha: f64) -> f64 {
    let critical = student_t_quantile(alpha, dof);
    let ratio = (critical / dof.sqrt()).powi(2);
    if is_certain(noncentrality, critical, dof) {
        return 1.0;
    }
    if noncentrality > 1e3 {
        return t_power_of_large(noncentrality, ratio, dof);
    }
    let x = 1.0 / (1.0 + 1.0 / ratio);
    let rate = 0.5 * noncentrality * noncentrality;
    // x^(1/2) y^b / (B(b, 1/2) / 2)
    let b = 0.5 * dof;
    let mut term = 2.0 * (ln_t_density_scale(dof) + 0.5 * b.ln() - b * ratio.ln_1p() + 0.5 * x.ln()).exp();
    let mut tail = alpha;
    let mut power = 0.0;
    // the weights outside add up to less than 1e-20
    let spread = 10.0 * rate.sqrt() + 40.0;
    let (first, last) = ((rate - spread).max(0.0) as u32, (rate + spread) as u32);
    for j in 0..=last {
        if j >= first {
            power += poisson(f64::from(j), rate) * tail.min(1.0);
        }
        tail += term;
        let a = f64::from(j) + 0.5;
        term *= x * (a + b) / (a + 1.0);
    }
    power.min(1.0)
}

/// Whether the power differs from 1 by less than 1e-18: a t within the critical value needs a numerator below half of its mean,
/// or a denominator that makes up for the other half.
fn is_certain(noncentrality: f64, critical: f64, dof: f64) -> bool {
    let needed = noncentrality / (2.0 * critical);
    noncentrality > 20.0 && needed > 1.0 && ln_gamma_q(0.5 * dof, 0.5 * dof * needed * needed) < -42.0
}

/// The probability of j at this rate, in Loader's form.
fn poisson(j: f64, rate: f64) -> f64 {
    if j == 0.0 {
        return (-rate).exp();
    }
    if rate == 0.0 {
        return 0.0;
    }
    let kernel = rate * deviance((j - rate) / rate);
    (-kernel - stirling_remainder(j)).exp() / (2.0 * std::f64::consts::PI * j).sqrt()
}

/// The power where the noncentrality is so large that the numerator of T hardly varies: the tail of its denominator, averaged over
/// the numerator by Gauss and Hermite's rule of three points, whose error is of the sixth power of 1 / noncentrality.
fn t_power_of_large(noncentrality: f64, ratio: f64, dof: f64) -> f64 {
    // |T| > c where the denominator's chi-square is below (Z + noncentrality)² dof / c²
    let at = |z: f64| {
        let limit = (noncentrality + z).powi(2) / ratio;
        -ln_gamma_q(0.5 * dof, 0.5 * limit).exp_m1()
    };
    let step = 3_f64.sqrt();
    (4.0 * at(0.0) + at(step) + at(-step)) / 6.0
}

/// The root of an increasing function between two points, by regula falsi with the Illinois correction (M. Dowell and P. Jarratt,
/// BIT 11, 1971), and a bisection now and then where that is slow.
fn root(function: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let (mut at_low, mut at_high) = (function(low), function(high));
    if at_low >= 0.0 {
        return low;
    }
    if at_high <= 0.0 {
        return high;
    }
    let mut root = low;
    let mut last_was_low = None;
    for iteration in 0..200 {
        let secant = high - at_high * ((high - low) / (at_high - at_low));
        let bisect = iteration % 8 == 7 || !(secant > low && secant < high);
        let next = if bisect { 0.5 * (low + high) } else { secant };
        let moved = (next - root).abs();
        root = next;
        let value = function(root);
        if value == 0.0 || moved <= 4.0 * f64::EPSILON * root || high - low <= 4.0 * f64::EPSILON * high {
            break;
        }
        let is_low = value < 0.0;
        if is_low {
            (low, at_low) = (root, value);
        } else {
            (high, at_high) = (root, value);
        }
        // the same end twice: the other one is too heavy
        match (is_low, last_was_low) {
            (true, Some(true)) => at_high *= 0.5,
            (false, Some(false)) => at_low *= 0.5,
            _ => {}
        }
        last_was_low = Some(is_low);
    }
    root
}
