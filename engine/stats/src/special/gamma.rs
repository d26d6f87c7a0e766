//! The gamma function's remainder, the deviance kernel, and the incomplete gamma function with the chi-square tail.

use super::normal::two_sided_normal;
use super::{HALF_LN_2_PI, Tail};

/// The argument from which Stirling's series has no rounding to give way to.
const SERIES_FROM: f64 = 12.0;

/// Near `x = a` a series or fraction takes a few times the square root of `a` steps: this is enough for all degrees of freedom that
/// can be given, and a bound, so that no argument makes it endless.
const MOST_TERMS: u32 = 1_000_000;

/// What Stirling's formula leaves of the log-gamma function: `ln Γ(x) - [(x - 1/2) ln x - x + ln(2π)/2]`, for `x > 0`.
///
/// Differences of log-gammas cancel where `x` is large; differences of these remainders, with the rest simplified by hand, do not.
/// The series is that of Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1.41. NaN for `x <= 0`.
#[must_use]
pub fn stirling_remainder(x: f64) -> f64 {
    if x >= SERIES_FROM {
        let inverse = 1.0 / x;
        let square = inverse * inverse;
        let mut sum = 1.0 / 156.0;
        for coefficient in [
            -691.0 / 360_360.0,
            1.0 / 1188.0,
            -1.0 / 1680.0,
            1.0 / 1260.0,
            -1.0 / 360.0,
            1.0 / 12.0,
        ] {
            sum = sum * square + coefficient;
        }
        return sum * inverse;
    }
    if x > 0.0 {
        libm::lgamma(x) - ((x - 0.5) * x.ln() - x + HALF_LN_2_PI)
    } else {
        f64::NAN
    }
}

/// `(1 + δ) ln(1 + δ) - δ`: what a count that is `1 + δ` times its expectation adds, per expected one, to half a log-likelihood
/// ratio. It is 1 at `δ = -1`, the least argument, and never negative.
///
/// Below 0.05 it is the power series, because there the closed form cancels (C. Loader, "Fast and accurate computation of binomial
/// probabilities", 2000, has the same kernel).
pub(crate) fn deviance(delta: f64) -> f64 {
    if delta <= -1.0 {
        return 1.0;
    }
    if delta.abs() >= 0.05 {
        return (1.0 + delta) * delta.ln_1p() - delta;
    }
    // the sum over k >= 2 of (-δ)^k / (k (k - 1)), from its smallest term: 0.05^14 / 182 is below 1e-17 of the first
    let mut sum = 0.0;
    for degree in (2..=13_u32).rev() {
        let k = f64::from(degree);
        sum = 1.0 / (k * (k - 1.0)) - delta * sum;
    }
    delta * delta * sum
}

/// The logarithm of the regularised upper incomplete gamma function `Q(a, x) = Γ(a, x) / Γ(a)`, for `a > 0` and `x >= 0`.
///
/// By the series of `P = 1 - Q` below `x = a + 1`, else by Lentz's evaluation of Legendre's continued fraction (W. H. Press et al.,
/// Numerical Recipes, 3rd edition, 6.2); the factor before both is in Loader's form, which does not cancel for large `a`.
/// Error at most 1e-13 relative in Q for `|ln Q| < 700`, below that 1e-15 of the logarithm; for `a` beyond 1e10 and `x` near it the
/// number of steps is capped. NaN outside the domain.
#[must_use]
pub fn ln_gamma_q(a: f64, x: f64) -> f64 {
    gamma_q(a, x).map_or(f64::NAN, |tail| tail.ln_p)
}

fn gamma_q(a: f64, x: f64) -> Option<Tail> {
    if !(a > 0.0 && a.is_finite() && x >= 0.0) {
        return None;
    }
    if x == 0.0 {
        return Some(Tail::CERTAIN);
    }
    if x == f64::INFINITY {
        return Some(Tail::from_ln(f64::NEG_INFINITY));
    }
    // ln of x^a e^-x / Γ(a)
    let delta = (x - a) / a;
    let ln_factor = if x < a * 1e-3 || x > a * 1e3 {
        // far from a nothing cancels, and `1 + δ` would lose the digits of x
        a * (x / a).ln() - (x - a)
    } else {
        a * (delta.ln_1p() - delta)
    } + 0.5 * a.ln()
        - HALF_LN_2_PI
        - stirling_remainder(a);
    if x < a + 1.0 {
        let lower = (lower_series(a, x) * ln_factor.exp()).min(1.0);
        let ln_p = (-lower).ln_1p();
        return Some(Tail { p: 1.0 - lower, ln_p });
    }
    Some(Tail::from_ln(ln_factor + upper_fraction(a, x).ln()))
}

/// `P(a, x)` without its factor: the sum of `x^n / (a (a + 1) … (a + n))`.
fn lower_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for n in 1..MOST_TERMS {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * f64::EPSILON * 0.25 {
            break;
        }
    }
    sum
}

/// `Q(a, x)` without its factor: the continued fraction `1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / …))`.
fn upper_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut d = 1.0 / b;
    let mut c = f64::INFINITY;
    let mut h = d;
    for n in 1..MOST_TERMS {
        let n = f64::from(n);
        let numerator = n * (a - n);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let step = c * d;
        h *= step;
        if (step - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    h
}

/// The upper tail of the chi-square distribution, `P(X² >= statistic)`; 0 below about 1e-308. NaN for a negative statistic. With no
/// degrees of freedom X² is 0.
#[must_use]
pub fn chi_square_sf(statistic: f64, dof: u32) -> f64 {
    chi_square_tail(statistic, dof).map_or(f64::NAN, |tail| tail.p)
}

/// The logarithm of [`chi_square_sf`], also where the probability itself is too small for a 64-bit float.
#[must_use]
pub fn chi_square_ln_sf(statistic: f64, dof: u32) -> f64 {
    chi_square_tail(statistic, dof).map_or(f64::NAN, |tail| tail.ln_p)
}

pub(crate) fn chi_square_tail(statistic: f64, dof: u32) -> Option<Tail> {
    match (statistic >= 0.0, dof) {
        (false, _) => None,
        (true, 0) if statistic == 0.0 => Some(Tail::CERTAIN),
        (true, 0) => Some(Tail::from_ln(f64::NEG_INFINITY)),
        (true, 1) => Some(two_sided_normal(statistic.sqrt())),
        (true, 2) => Some(Tail::from_ln(-0.5 * statistic)),
        (true, _) => gamma_q(0.5 * f64::from(dof), 0.5 * statistic),
    }
}
