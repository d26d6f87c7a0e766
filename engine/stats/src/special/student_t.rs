//! Student's t distribution, also for very many degrees of freedom.

use std::f64::consts::PI;

use super::Tail;
use super::gamma::stirling_remainder;
use super::normal::{normal_upper_quantile, two_sided_normal};

/// Hill's expansion is used from this many degrees of freedom, ...
const HILL_FROM_DOF: f64 = 300.0;
/// ... while `t² / dof` is at most this. In that region its error in ln p is below 5e-16 of `max(|ln p|, 60)`; beyond it, where it
/// grows to percents, the continued fraction ends after few steps.
const HILL_UP_TO: f64 = 0.1;

/// The probability that a Student t is at least as far from zero as `t`, on `dof > 0` degrees of freedom (need not be whole);
/// error 2e-13. NaN outside the domain.
#[must_use]
pub fn student_t_p(t: f64, dof: f64) -> f64 {
    two_sided_t(t, dof).map_or(f64::NAN, |tail| tail.p)
}

/// The logarithm of [`student_t_p`], also where the probability itself is too small for a 64-bit float.
#[must_use]
pub fn student_t_ln_p(t: f64, dof: f64) -> f64 {
    two_sided_t(t, dof).map_or(f64::NAN, |tail| tail.ln_p)
}

/// The two-sided tail: by the expansion of G. W. Hill, "Algorithm 395: Student's t-distribution", CACM 13 (1970), for many degrees
/// of freedom, else `I_x(dof / 2, 1 / 2)` with `x = dof / (dof + t²)` by a continued fraction.
pub(crate) fn two_sided_t(t: f64, dof: f64) -> Option<Tail> {
    if t.is_nan() || !(dof > 0.0 && dof.is_finite()) {
        return None;
    }
    let t = t.abs();
    if t == 0.0 {
        return Some(Tail::CERTAIN);
    }
    if dof >= HILL_FROM_DOF && t * t <= HILL_UP_TO * dof {
        return Some(two_sided_normal(hill(t, dof)));
    }
    Some(by_fraction(t, dof))
}

/// The normal deviate that has the same tail as `t`.
fn hill(t: f64, dof: f64) -> f64 {
    let a = dof - 0.5;
    let b = 48.0 * a * a;
    let w = a * (t * t / dof).ln_1p();
    let second = (((4.0 * w + 33.0) * w + 240.0) * w + 855.0) / (10.0 * b * (b + 0.8 * w * w + 100.0));
    w.sqrt() * (1.0 + ((w + 3.0) / b - second))
}

fn by_fraction(t: f64, dof: f64) -> Tail {
    let a = 0.5 * dof;
    let (x, y) = parts(t, dof);
    // ln of x^a y^(1/2) / B(a, 1/2)
    let ln_factor = ln_t_density_scale(dof) - a * ln_1p_square_ratio(t, dof) + 0.5 * y.ln() + a.ln() * 0.5;
    // on this side of the mean the fraction ends quickly; on the other its mirror does, and the tail is not small
    if x < (a + 1.0) / (a + 2.5) {
        return Tail::from_ln(ln_factor + (beta_fraction(a, 0.5, x) / a).ln());
    }
    let inside = (2.0 * ln_factor.exp() * beta_fraction(0.5, a, y)).min(1.0);
    let p = 1.0 - inside;
    Tail {
        p,
        ln_p: (-inside).ln_1p().max(-f64::MAX),
    }
}

/// `dof / (dof + t²)` and `t² / (dof + t²)`, each as accurate as it can be.
fn parts(t: f64, dof: f64) -> (f64, f64) {
    let ratio = (t / dof.sqrt()).powi(2);
    (1.0 / (1.0 + ratio), 1.0 / (1.0 + 1.0 / ratio))
}

/// `ln(1 + t² / dof)`, also where the square overflows.
fn ln_1p_square_ratio(t: f64, dof: f64) -> f64 {
    let ratio = t / dof.sqrt();
    if ratio > 1e8 {
        2.0 * (t.ln() - 0.5 * dof.ln())
    } else {
        (ratio * ratio).ln_1p()
    }
}

/// `ln[Γ((dof + 1) / 2) / (Γ(dof / 2) sqrt(π dof / 2))]`: with `ln(1 / sqrt 2)` the logarithm of the t density at 0.
///
/// Tends to `-ln(π) / 2` from below; from Stirling remainders, because log-gammas cancel where `dof` is large.
pub(crate) fn ln_t_density_scale(dof: f64) -> f64 {
    let a = 0.5 * dof;
    // lnΓ(a + 1/2) - lnΓ(a) - ln(a) / 2
    let ratio = if a < 0.5 {
        libm::lgamma(a + 0.5) - libm::lgamma(a) - 0.5 * a.ln()
    } else {
        (a * (0.5 / a).ln_1p() - 0.5) + stirling_remainder(a + 0.5) - stirling_remainder(a)
    };
    ratio - 0.5 * PI.ln()
}

/// The continued fraction of the incomplete beta function `I_x(a, b)` without its factor, by Lentz's method (W. H. Press et al.,
/// Numerical Recipes, 3rd edition, 6.4).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / (1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..10_000_u32 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / (1.0 + even * d);
        c = 1.0 + even / c;
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / (1.0 + odd * d);
        c = 1.0 + odd / c;
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    h
}

/// The logarithm of the greatest float, rounded down.
const LN_GREATEST: f64 = 709.782_712_893_383_9;

/// The `t > 0` whose two-sided tail is `p`, in `(0, 1)`: the inverse of [`student_t_p`], error 1e-13. It is the
/// greatest float where it would be beyond. NaN outside the domain.
///
/// Newton's method on `ln p` as a function of `ln t`, which is concave, so that it converges from wherever it starts; it starts at
/// the inverse of Hill's first correction.
#[must_use]
pub fn student_t_quantile(p: f64, dof: f64) -> f64 {
    if !(p > 0.0 && p < 1.0 && dof > 0.0 && dof.is_finite()) {
        return f64::NAN;
    }
    let ln_target = p.ln();
    let ln_scale = ln_t_density_scale(dof) + 0.5 * std::f64::consts::LN_2;
    let mut ln_t = start(p, dof);
    for _ in 0..60 {
        let t = ln_t.exp();
        let Some(tail) = two_sided_t(t, dof) else {
            return f64::NAN;
        };
        // 2 t f(t) / p
        let ln_density = ln_scale - 0.5 * (dof + 1.0) * ln_1p_square_ratio(t, dof);
        let slope = (ln_t + ln_density - tail.ln_p).exp();
        let step = (tail.ln_p - ln_target) / slope;
        if !step.is_finite() {
            break;
        }
        ln_t = (ln_t + step).min(LN_GREATEST);
        // the next step would be about the square of this one
        if step.abs() < 1e-9 {
            break;
        }
    }
    if ln_t < LN_GREATEST { ln_t.exp() } else { f64::MAX }
}

/// The logarithm of a first guess at the quantile.
fn start(p: f64, dof: f64) -> f64 {
    let z = normal_upper_quantile(0.5 * p);
    let a = (dof - 0.5).max(0.5 * dof);
    let b = 48.0 * a * a;
    let correction = (z * z + 3.0) / b;
    // a correction that is not small leads nowhere near; without it the start is beyond the quantile, where Newton's steps are safe
    let root_w = if correction < 0.2 { z / (1.0 + correction) } else { z };
    let exponent = root_w * root_w / a;
    let ln_ratio = if exponent < 30.0 {
        exponent.exp_m1().ln()
    } else {
        exponent
    };
    (0.5 * (dof.ln() + ln_ratio)).clamp(-700.0, 700.0)
}
