//! The moments of two variables and their co-moment: ratio metrics and covariates.

use crate::double_double::DoubleDouble;
use crate::moments::Moments;

/// The moments of pairs `(x, y)`: those of each variable, and the sum of products of their deviations.
///
/// For a ratio metric x is the numerator and y the denominator. Precision, staleness of extremes and overflow are those of
/// [`Moments`]; the co-moment is kept as the double-double sum of `(x - shift_x)(y - shift_y)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CrossMoments {
    x: Moments,
    y: Moments,
    /// The sum of `(x - shift_x)(y - shift_y)`.
    products: DoubleDouble,
}

impl CrossMoments {
    /// The number of words of [`CrossMoments::to_array`].
    pub const WORDS: usize = 2 * Moments::WORDS + 2;

    /// No pairs.
    #[must_use]
    pub const fn new() -> Self {
        CrossMoments {
            x: Moments::new(),
            y: Moments::new(),
            products: DoubleDouble::ZERO,
        }
    }

    /// `count` pairs that are all the same.
    #[must_use]
    pub fn repeated(x: f64, y: f64, count: u64) -> Self {
        CrossMoments {
            x: Moments::repeated(x, count),
            y: Moments::repeated(y, count),
            products: DoubleDouble::ZERO,
        }
    }

    /// The number of pairs.
    #[inline]
    #[must_use]
    pub fn count(&self) -> u64 {
        self.x.count()
    }

    /// Takes in one pair of finite values.
    #[inline]
    pub fn add(&mut self, x: f64, y: f64) {
        self.x.add(x);
        self.y.add(y);
        self.products += self.product(x, y);
    }

    /// Takes back one pair that was added before; with the last one the state is new again.
    #[inline]
    pub fn remove(&mut self, x: f64, y: f64) {
        if self.count() <= 1 {
            *self = Self::new();
            return;
        }
        self.products -= self.product(x, y);
        self.x.remove(x);
        self.y.remove(y);
    }

    /// As [`Moments::add_extreme`], of both.
    #[inline]
    pub fn add_extremes(&mut self, x: f64, y: f64) {
        self.x.add_extreme(x);
        self.y.add_extreme(y);
    }

    /// Changes one pair `(x, y)` that was added before.
    #[inline]
    pub fn replace(&mut self, old: (f64, f64), new: (f64, f64)) {
        self.products += self.product(new.0, new.1) - self.product(old.0, old.1);
        self.x.replace(old.0, new.0);
        self.y.replace(old.1, new.1);
    }

    /// Takes in all pairs of another state.
    pub fn merge(&mut self, other: &CrossMoments) {
        if other.count() == 0 {
            return;
        }
        if self.count() == 0 {
            *self = *other;
            return;
        }
        let step_x = DoubleDouble::two_difference(other.x.shift(), self.x.shift());
        let step_y = DoubleDouble::two_difference(other.y.shift(), self.y.shift());
        let count = DoubleDouble::from_count(other.count());
        self.products += other.products + step_x * (other.y.shifted() + count * step_y) + step_y * other.x.shifted();
        self.x.merge(&other.x);
        self.y.merge(&other.y);
    }

    /// These pairs and `zeros` more, each of them (0, 0): the subjects that had no outcome of either.
    #[must_use]
    pub fn with_zeros(&self, zeros: u64) -> CrossMoments {
        let mut all = *self;
        all.merge(&CrossMoments::repeated(0.0, 0.0, zeros));
        all
    }

    /// The moments of x alone.
    #[must_use]
    pub fn x(&self) -> &Moments {
        &self.x
    }

    /// The moments of y alone.
    #[must_use]
    pub fn y(&self) -> &Moments {
        &self.y
    }

    /// The sum of x.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.x.sum()
    }

    /// The mean of x; none when there are no pairs.
    #[must_use]
    pub fn mean_x(&self) -> Option<f64> {
        self.x.mean()
    }

    /// The mean of y; none when there are no pairs.
    #[must_use]
    pub fn mean_y(&self) -> Option<f64> {
        self.y.mean()
    }

    /// The sum of squared deviations of x; none when there are no pairs.
    #[must_use]
    pub fn m2_x(&self) -> Option<f64> {
        self.x.m2()
    }

    /// The sum of squared deviations of y; none when there are no pairs.
    #[must_use]
    pub fn m2_y(&self) -> Option<f64> {
        self.y.m2()
    }

    /// The co-moment: the sum of `(x - mean_x)(y - mean_y)`; none when there are no pairs. Not a number where it overflowed.
    #[must_use]
    pub fn c(&self) -> Option<f64> {
        if self.count() == 0 {
            return None;
        }
        if self.x.is_constant() || self.y.is_constant() {
            return Some(0.0);
        }
        let count = DoubleDouble::from_count(self.count());
        Some((self.products - self.x.shifted() * self.y.shifted() / count).to_f64())
    }

    /// The unbiased covariance, `c / (count - 1)`; none for fewer than two pairs.
    #[must_use]
    pub fn covariance(&self) -> Option<f64> {
        if self.count() < 2 {
            return None;
        }
        self.c().map(|c| c / (self.count() - 1) as f64)
    }

    /// The least x, or a lower bound of it when [`CrossMoments::extremes_stale`]; none when there are no pairs.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.x.min()
    }

    /// The greatest x, or an upper bound of it when [`CrossMoments::extremes_stale`]; none when there are no pairs.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.x.max()
    }

    /// Whether an extreme of x was taken back since the extremes were last known exactly. Those of y are asked of
    /// [`CrossMoments::y`].
    #[inline]
    #[must_use]
    pub fn extremes_stale(&self) -> bool {
        self.x.extremes_stale()
    }

    /// As [`Moments::correct`], from the same pairs added up anew.
    pub fn correct(&mut self, built: &CrossMoments) {
        if self.x.needs_rebuild() || self.y.needs_rebuild() {
            *self = *built;
        } else {
            self.x.correct(&built.x);
            self.y.correct(&built.y);
        }
    }

    /// States the extremes of x, found by a scan of the pairs.
    pub fn set_extremes(&mut self, min: f64, max: f64) {
        self.x.set_extremes(min, max);
    }

    /// States the extremes of y, found by a scan of the pairs.
    pub fn set_extremes_y(&mut self, min: f64, max: f64) {
        self.y.set_extremes(min, max);
    }

    /// The state as plain words: those of x, those of y ([`Moments::to_array`]), `products.hi`, `products.lo`.
    #[must_use]
    pub fn to_array(&self) -> [u64; Self::WORDS] {
        let mut words = [0; Self::WORDS];
        let ends = [self.products.hi.to_bits(), self.products.lo.to_bits()];
        let all = self.x.to_array().into_iter().chain(self.y.to_array()).chain(ends);
        for (word, value) in words.iter_mut().zip(all) {
            *word = value;
        }
        words
    }

    /// The state of these words, as [`CrossMoments::to_array`] gave them.
    #[must_use]
    pub fn from_array(words: [u64; Self::WORDS]) -> Self {
        let mut x = [0; Moments::WORDS];
        let mut y = [0; Moments::WORDS];
        let mut products = [0; 2];
        let parts = x.iter_mut().chain(&mut y).chain(&mut products);
        for (part, word) in parts.zip(words) {
            *part = word;
        }
        let [hi, lo] = products.map(f64::from_bits);
        CrossMoments {
            x: Moments::from_array(x),
            y: Moments::from_array(y),
            products: DoubleDouble { hi, lo },
        }
    }

    #[inline]
    fn product(&self, x: f64, y: f64) -> DoubleDouble {
        DoubleDouble::two_difference(x, self.x.shift()) * DoubleDouble::two_difference(y, self.y.shift())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, f64)]) -> CrossMoments {
        let mut moments = CrossMoments::new();
        for (x, y) in pairs {
            moments.add(*x, *y);
        }
        moments
    }

    #[test]
    fn nothing_has_no_co_moment() {
        assert_eq!(CrossMoments::new().c(), None);
        assert_eq!(of(&[(1.0, 2.0)]).covariance(), None);
    }

    #[test]
    fn the_co_moment_is_the_sum_of_products_of_deviations() {
        let moments = of(&[(1.0, 10.0), (2.0, 30.0), (3.0, 20.0)]);
        assert_eq!(moments.c(), Some(10.0));
        assert_eq!((moments.mean_x(), moments.mean_y()), (Some(2.0), Some(20.0)));
        assert_eq!((moments.m2_x(), moments.m2_y()), (Some(2.0), Some(200.0)));
        assert_eq!(
            (moments.min(), moments.max(), moments.sum()),
            (Some(1.0), Some(3.0), 6.0)
        );
    }

    #[test]
    fn zeros_count_as_pairs() {
        let moments = of(&[(2.0, 1.0), (4.0, 2.0)]).with_zeros(1);
        assert_eq!((moments.count(), moments.c()), (3, Some(4.0)));
    }

    #[test]
    fn repeated_pairs_merge_like_any_others() {
        let mut moments = of(&[(2.0, 1.0), (4.0, 2.0)]);
        moments.merge(&CrossMoments::repeated(3.0, 6.0, 2));
        assert_eq!((moments.count(), moments.sum(), moments.c()), (4, 12.0, Some(1.0)));
        assert_eq!(CrossMoments::repeated(3.0, 6.0, 0), CrossMoments::new());
    }

    #[test]
    fn a_constant_variable_has_no_co_moment_at_all() {
        assert_eq!(of(&[(0.1, 0.3), (0.1, 0.7), (0.1, 0.9)]).c(), Some(0.0));
    }

    #[test]
    fn removing_the_last_pair_leaves_a_new_state() {
        let mut moments = of(&[(5.0, 6.0)]);
        moments.remove(5.0, 6.0);
        assert_eq!(moments, CrossMoments::new());
    }

    #[test]
    fn words_make_the_same_state_again() {
        let moments = of(&[(0.1, 7.0), (1e12, -3.0), (-0.3, 1e-9)]);
        assert_eq!(CrossMoments::from_array(moments.to_array()), moments);
    }
}
