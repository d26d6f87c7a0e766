//! Double-double arithmetic: a number as the unevaluated sum of two `f64`, about 106 significant bits.
//!
//! The error-free transformations are those of T. J. Dekker, "A floating-point technique for extending the available
//! precision", Numerische Mathematik 18 (1971), and D. E. Knuth, The Art of Computer Programming, vol. 2, section 4.2.2. Addition
//! and multiplication are the accurate variants of M. Joldes, J.-M. Muller and V. Popescu, "Tight and rigorous error bounds for
//! basic building blocks of double-word arithmetic", ACM TOMS 44 (2017), algorithms 6 and 12: relative errors of at most
//! 3 u² and 5 u², with u = 2⁻⁵³.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A number held as `hi + lo`, where `lo` is at most half a unit in the last place of `hi`.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DoubleDouble {
    /// The number, rounded to `f64`.
    pub hi: f64,
    /// What the rounding left.
    pub lo: f64,
}

impl DoubleDouble {
    /// Zero.
    pub const ZERO: DoubleDouble = DoubleDouble { hi: 0.0, lo: 0.0 };

    /// `a + b`, exactly (Knuth's two-sum).
    #[inline]
    #[must_use]
    pub fn two_sum(a: f64, b: f64) -> Self {
        let hi = a + b;
        let b_seen = hi - a;
        let a_seen = hi - b_seen;
        DoubleDouble {
            hi,
            lo: (a - a_seen) + (b - b_seen),
        }
    }

    /// `a - b`, exactly.
    #[inline]
    #[must_use]
    pub fn two_difference(a: f64, b: f64) -> Self {
        Self::two_sum(a, -b)
    }

    /// `a * b`, exactly, unless it overflows or its low word underflows.
    #[inline]
    #[must_use]
    pub fn two_product(a: f64, b: f64) -> Self {
        let hi = a * b;
        DoubleDouble {
            hi,
            lo: product_error(a, b, hi),
        }
    }

    /// The square; as accurate as the product, in fewer operations.
    #[inline]
    #[must_use]
    pub fn square(self) -> Self {
        let leading = Self::two_product(self.hi, self.hi);
        quick_two_sum(leading.hi, leading.lo + (2.0 * self.hi * self.lo + self.lo * self.lo))
    }

    /// The nearest `f64`.
    #[inline]
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.hi + self.lo
    }

    /// A count as a number: exact, as an `f64` alone is not beyond 2⁵³.
    #[inline]
    #[must_use]
    pub fn from_count(count: u64) -> Self {
        const LOW_BITS: u64 = (1 << 32) - 1;
        // both halves are below 2⁵³ units of their scale, so the conversions are exact
        let high = (count & !LOW_BITS) as f64;
        let low = (count & LOW_BITS) as f64;
        quick_two_sum(high, low)
    }
}

/// `a + b`, exactly, for `|a| >= |b|` or `a = 0` (Dekker's fast two-sum).
#[inline]
fn quick_two_sum(a: f64, b: f64) -> DoubleDouble {
    let hi = a + b;
    DoubleDouble { hi, lo: b - (hi - a) }
}

/// `a * b - product`, where `product` is `a * b` rounded.
#[cfg(target_feature = "fma")]
#[inline]
fn product_error(a: f64, b: f64, product: f64) -> f64 {
    a.mul_add(b, -product)
}

/// `a * b - product`, where `product` is `a * b` rounded, from the halves of both factors (Dekker, after Veltkamp's split): without
/// the instruction a fused multiply-add is a library call, slower than these.
#[cfg(not(target_feature = "fma"))]
#[inline]
fn product_error(a: f64, b: f64, product: f64) -> f64 {
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
}

/// Two halves of at most 26 bits each, so that their products are exact.
#[cfg(not(target_feature = "fma"))]
#[inline]
fn split(value: f64) -> (f64, f64) {
    const SPLITTER: f64 = 134_217_729.0; // 2²⁷ + 1
    let scaled = SPLITTER * value;
    let high = scaled - (scaled - value);
    (high, value - high)
}

impl From<f64> for DoubleDouble {
    #[inline]
    fn from(value: f64) -> Self {
        DoubleDouble { hi: value, lo: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        let high = Self::two_sum(self.hi, other.hi);
        let low = Self::two_sum(self.lo, other.lo);
        let partial = quick_two_sum(high.hi, high.lo + low.hi);
        quick_two_sum(partial.hi, partial.lo + low.lo)
    }
}

impl Neg for DoubleDouble {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        DoubleDouble {
            hi: -self.hi,
            lo: -self.lo,
        }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for DoubleDouble {
    type Output = Self;

    #[inline]
    fn mul(self, other: Self) -> Self {
        let leading = Self::two_product(self.hi, other.hi);
        let crossed = self.hi * other.lo + self.lo * other.hi + self.lo * other.lo;
        quick_two_sum(leading.hi, leading.lo + crossed)
    }
}

impl Div for DoubleDouble {
    type Output = Self;

    /// Long division with three quotient digits of 53 bits; by zero it is what `f64` makes of it, infinite or not a number.
    #[inline]
    fn div(self, divisor: Self) -> Self {
        let first = self.hi / divisor.hi;
        if !first.is_finite() {
            return Self::from(first);
        }
        let rest = self - divisor * Self::from(first);
        let second = rest.hi / divisor.hi;
        let rest = rest - divisor * Self::from(second);
        let third = rest.hi / divisor.hi;
        quick_two_sum(first, second) + Self::from(third)
    }
}

impl AddAssign for DoubleDouble {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for DoubleDouble {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_f64_would_round_away() {
        let sum = DoubleDouble::two_sum(1e16, 1.0);
        assert_eq!((sum.hi, sum.lo), (1e16, 1.0));
        let back = sum - DoubleDouble::from(1e16);
        assert_eq!(back.to_f64(), 1.0);
    }

    #[test]
    fn a_product_keeps_its_low_word() {
        let odd = f64::from_bits(0x3ff0_0000_0000_0001); // 1 + 2⁻⁵²
        let square = DoubleDouble::two_product(odd, odd);
        assert_eq!(square.hi, 1.0 + 2.0 * f64::EPSILON);
        assert_eq!(square.lo, f64::EPSILON * f64::EPSILON);
        assert_eq!(square.lo, odd.mul_add(odd, -square.hi));
    }

    #[test]
    fn a_quotient_times_its_divisor_is_the_dividend_again() {
        let third = DoubleDouble::from(1.0) / DoubleDouble::from(3.0);
        let one = third * DoubleDouble::from(3.0);
        assert!((one - DoubleDouble::from(1.0)).to_f64().abs() < 1e-31, "{one:?}");
        assert_eq!((DoubleDouble::from(6.0) / DoubleDouble::from(3.0)).to_f64(), 2.0);
    }

    #[test]
    fn division_by_zero_is_infinite() {
        assert_eq!((DoubleDouble::from(1.0) / DoubleDouble::ZERO).to_f64(), f64::INFINITY);
        assert!((DoubleDouble::ZERO / DoubleDouble::ZERO).to_f64().is_nan());
    }

    #[test]
    fn a_count_beyond_two_to_the_53_is_exact() {
        let count = DoubleDouble::from_count((1 << 53) + 1);
        assert_eq!((count - DoubleDouble::from_count(1 << 53)).to_f64(), 1.0);
        let greatest = DoubleDouble::from_count(u64::MAX);
        assert_eq!(
            (DoubleDouble::from(18_446_744_073_709_551_616.0) - greatest).to_f64(),
            1.0
        );
    }

    #[test]
    fn squares_are_products() {
        let value = DoubleDouble::from(1.0) / DoubleDouble::from(7.0);
        let difference = value.square() - value * value;
        assert!(difference.to_f64().abs() < 1e-33, "{difference:?}");
    }
}
