//! The normal distribution: tails, their logarithms, quantiles.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use super::{HALF_LN_2_PI, Tail};

/// From here on the logarithm of the tail is its asymptotic series, whose ninth term is below 1e-17.
const ASYMPTOTIC_FROM: f64 = 25.0;

/// The upper tail of the standard normal distribution, `P(Z >= z)`; error 4e-15, 0 beyond `z` of about 38.
#[must_use]
pub fn normal_sf(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// The logarithm of [`normal_sf`], finite for every finite `z`; error 1e-14, or as much of the tail where that is near 1.
///
/// Beyond 25 by the asymptotic series (Abramowitz and Stegun, 26.2.12).
#[must_use]
pub fn normal_ln_sf(z: f64) -> f64 {
    if z >= ASYMPTOTIC_FROM {
        return asymptotic_ln_sf(z);
    }
    if z < 0.0 {
        return (-normal_sf(-z)).ln_1p();
    }
    normal_sf(z).ln()
}

fn asymptotic_ln_sf(z: f64) -> f64 {
    let inverse_square = 1.0 / (z * z);
    // 1 - 1/z² (1 - 3/z² (1 - 5/z² (…)))
    let mut series = 1.0;
    for odd in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        series = 1.0 - odd * inverse_square * series;
    }
    let ln_sf = -0.5 * z * z - z.ln() - HALF_LN_2_PI + (-inverse_square * series).ln_1p();
    ln_sf.max(-f64::MAX)
}

/// `P(|Z| >= |z|)`.
pub(crate) fn two_sided_normal(z: f64) -> Tail {
    let z = z.abs();
    if z >= ASYMPTOTIC_FROM {
        return Tail::from_ln(asymptotic_ln_sf(z) + LN_2);
    }
    let p = libm::erfc(z * FRAC_1_SQRT_2);
    Tail { p, ln_p: p.ln() }
}

/// The value that a standard normal exceeds with this probability, in `(0, 1)`: the inverse of [`normal_sf`].
///
/// M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988); error 1e-15.
/// NaN outside `[0, 1]`.
#[must_use]
pub fn normal_upper_quantile(probability: f64) -> f64 {
    if !(0.0..=1.0).contains(&probability) {
        return f64::NAN;
    }
    let from_middle = 0.5 - probability;
    if from_middle.abs() <= 0.425 {
        let r = 0.180_625 - from_middle * from_middle;
        return from_middle * ratio(&MIDDLE, r);
    }
    let tail = probability.min(1.0 - probability);
    let r = (-tail.ln()).sqrt();
    let z = if tail == 0.0 {
        f64::INFINITY
    } else if r <= 5.0 {
        ratio(&TAIL, r - 1.6)
    } else {
        ratio(&FAR_TAIL, r - 5.0)
    };
    if from_middle < 0.0 { -z } else { z }
}

/// A quotient of two polynomials of degree seven, coefficients from the highest degree down.
struct Ratio {
    numerator: [f64; 8],
    denominator: [f64; 8],
}

fn ratio(of: &Ratio, x: f64) -> f64 {
    let value = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient);
    value(&of.numerator) / value(&of.denominator)
}

const MIDDLE: Ratio = Ratio {
    numerator: [
        2_509.080_928_730_122_7,
        33_430.575_583_588_13,
        67_265.770_927_008_7,
        45_921.953_931_549_87,
        13_731.693_765_509_46,
        1_971.590_950_306_551_3,
        133.141_667_891_784_38,
        3.387_132_872_796_366_5,
    ],
    denominator: [
        5_226.495_278_852_545,
        28_729.085_735_721_943,
        39_307.895_800_092_71,
        21_213.794_301_586_597,
        5_394.196_021_424_751,
        687.187_007_492_057_9,
        42.313_330_701_600_91,
        1.0,
    ],
};

const TAIL: Ratio = Ratio {
    numerator: [
        7.745_450_142_783_414e-4,
        0.022_723_844_989_269_184,
        0.241_780_725_177_450_6,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    denominator: [
        1.050_750_071_644_416_9e-9,
        5.475_938_084_995_345e-4,
        0.015_198_666_563_616_457,
        0.148_103_976_427_480_08,
        0.689_767_334_985_1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
};

const FAR_TAIL: Ratio = Ratio {
    numerator: [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        0.001_242_660_947_388_078_4,
        0.026_532_189_526_576_124,
        0.296_560_571_828_504_87,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    denominator: [
        2.044_263_103_389_939_8e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        7.868_691_311_456_133e-4,
        0.014_875_361_290_850_615,
        0.136_929_880_922_735_8,
        0.599_832_206_555_888,
        1.0,
    ],
};
