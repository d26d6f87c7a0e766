//! The moments of one variable, mergeable and open to removal.

use crate::double_double::DoubleDouble;

/// Count, mean, sum of squared deviations and extremes of the values that are in it.
///
/// It holds, in double-double, the sums of `y - shift` and of `(y - shift)²`, where `shift` is the first value it ever saw. Sums of
/// that kind are taken back as well as made, so that a group's statistics follow its subjects one difference at a time; the shift
/// and the low words keep the cancellation in `m2` far below 1e-9 even where the mean is 1e15 standard deviations from zero. The
/// error of `m2` is about 1e-31 of the greatest sum of squares the state ever held (around its shift).
///
/// The extremes are exact under addition. When an extreme value is taken back, [`Moments::extremes_stale`] tells that they are now
/// only bounds, until the owner scans its values and calls [`Moments::set_extremes`].
///
/// Squares overflow beyond about 1e150; see [`Moments::is_finite`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Moments {
    count: u64,
    shift: f64,
    /// The sum of `y - shift`.
    shifted: DoubleDouble,
    /// The sum of `(y - shift)²`.
    squares: DoubleDouble,
    min: f64,
    max: f64,
    extremes_stale: bool,
    /// Whether a value was taken back that outweighed all others.
    outweighed: bool,
}

/// A value whose square is so many times the sum of the others' leaves too little of them behind when it is taken back.
const OUTWEIGHS: f64 = 1e8;
/// Squares around the shift that are so many times those around the mean say too little about them.
const FAR: f64 = 1e20;

impl Default for Moments {
    fn default() -> Self {
        Self::new()
    }
}

impl Moments {
    /// The number of words of [`Moments::to_array`].
    pub const WORDS: usize = 9;

    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Moments {
            count: 0,
            shift: 0.0,
            shifted: DoubleDouble::ZERO,
            squares: DoubleDouble::ZERO,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            extremes_stale: false,
            outweighed: false,
        }
    }

    /// `count` values that are all the same.
    #[must_use]
    pub fn repeated(value: f64, count: u64) -> Self {
        if count == 0 {
            return Self::new();
        }
        Moments {
            count,
            shift: value,
            min: value,
            max: value,
            ..Self::new()
        }
    }

    /// The number of values.
    #[inline]
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes in one value, which must be finite.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if self.count == 0 {
            self.shift = value;
        }
        let distance = DoubleDouble::two_difference(value, self.shift);
        self.count += 1;
        self.shifted += distance;
        self.squares += distance.square();
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Takes in one value of a state that serves [`Moments::correct`] where nothing but extremes is to be corrected: sums are not kept.
    #[inline]
    pub fn add_extreme(&mut self, value: f64) {
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Takes back one value that was added before; with the last one the state is new again.
    #[inline]
    pub fn remove(&mut self, value: f64) {
        if self.count <= 1 {
            *self = Self::new();
            return;
        }
        let distance = DoubleDouble::two_difference(value, self.shift);
        let before = self.squares.hi;
        self.count -= 1;
        self.shifted -= distance;
        self.squares -= distance.square();
        if (value <= self.min) | (value >= self.max) {
            self.take_back_extreme(before);
        }
    }

    /// Changes one value that was added before: the same as removing `old` and adding `new`, in one step.
    #[inline]
    pub fn replace(&mut self, old: f64, new: f64) {
        debug_assert!(self.count > 0, "there is no value to replace");
        let step = DoubleDouble::two_difference(new, old);
        let old_distance = DoubleDouble::two_difference(old, self.shift);
        let new_distance = DoubleDouble::two_difference(new, self.shift);
        let before = self.squares.hi;
        self.shifted += step;
        // b² - a² = (b - a)(b + a): one product, and exact where the two nearly cancel
        self.squares += step * (old_distance + new_distance);
        if ((old <= self.min) & (new > old)) | ((old >= self.max) & (new < old)) {
            self.take_back_extreme(before);
        }
        self.min = self.min.min(new);
        self.max = self.max.max(new);
    }

    /// Takes in all values of another state.
    pub fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let moved = if other.shift.to_bits() == self.shift.to_bits() {
            *other
        } else {
            other.moved_to(self.shift)
        };
        self.count += other.count;
        self.shifted += moved.shifted;
        self.squares += moved.squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.extremes_stale |= other.extremes_stale;
        self.outweighed |= other.outweighed;
    }

    /// These values and `zeros` more, each of them 0: the subjects that had no outcome.
    ///
    /// The zeros are kept apart until here so that they do not become the shift; among them, squares around zero are no loss.
    #[must_use]
    pub fn with_zeros(&self, zeros: u64) -> Moments {
        let mut all = *self;
        all.merge(&Moments::repeated(0.0, zeros));
        all
    }

    /// The sum of the values; 0 when there are none.
    #[must_use]
    pub fn sum(&self) -> f64 {
        (self.shifted + DoubleDouble::from_count(self.count) * DoubleDouble::from(self.shift)).to_f64()
    }

    /// The mean; none when there are no values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if self.is_constant() {
            return Some(self.min);
        }
        let mean = DoubleDouble::from(self.shift) + self.shifted / DoubleDouble::from_count(self.count);
        Some(mean.to_f64())
    }

    /// The sum of squared deviations from the mean, never negative; none when there are no values.
    #[must_use]
    pub fn m2(&self) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if self.is_constant() {
            return Some(0.0);
        }
        let m2 = self.squares - self.shifted.square() / DoubleDouble::from_count(self.count);
        // values are finite, so what is not a number here is an overflow
        Some(if self.is_finite() {
            m2.to_f64().max(0.0)
        } else {
            f64::INFINITY
        })
    }

    /// The unbiased variance, `m2 / (count - 1)`; none for fewer than two values.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        self.m2().map(|m2| m2 / (self.count - 1) as f64)
    }

    /// The least value, or a lower bound of it when [`Moments::extremes_stale`]; none when there are no values.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The greatest value, or an upper bound of it when [`Moments::extremes_stale`]; none when there are no values.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Whether an extreme was taken back since the extremes were last known exactly.
    #[inline]
    #[must_use]
    pub fn extremes_stale(&self) -> bool {
        self.extremes_stale
    }

    /// States the extremes, found by a scan of the values.
    pub fn set_extremes(&mut self, min: f64, max: f64) {
        self.min = min;
        self.max = max;
        self.extremes_stale = false;
    }

    /// Whether the sums are still numbers. Once squares have overflowed (values beyond about 1e150), [`Moments::m2`] is infinite and
    /// stays so, whatever is taken back: the owner builds the state anew from its values.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.squares.to_f64().is_finite() && self.shifted.square().to_f64().is_finite()
    }

    /// Whether the sums have overflown, or have lost digits that the promised precision needs because values far from all others were
    /// among them: the owner builds the state anew from its values.
    #[must_use]
    pub fn needs_rebuild(&self) -> bool {
        let is_far = || {
            // in most cases plain numbers tell already
            let around_mean = self.squares.hi - self.shifted.hi * self.shifted.hi / self.count as f64;
            self.squares.hi > 0.0
                && around_mean <= 1e-10 * self.squares.hi
                && !self.is_constant()
                && self.squares.hi > FAR * self.m2().unwrap_or(0.0)
        };
        self.count > 0 && (self.outweighed || !self.is_finite() || is_far())
    }

    /// Takes from the same values, added up anew, what is not known exactly any more: the extremes, and all of it if it
    /// [needs to be](Moments::needs_rebuild).
    pub fn correct(&mut self, built: &Moments) {
        if self.needs_rebuild() {
            *self = *built;
        } else if let Some((min, max)) = built.min().zip(built.max()) {
            self.set_extremes(min, max);
        }
    }

    #[cold]
    fn take_back_extreme(&mut self, squares_before: f64) {
        self.extremes_stale = true;
        self.outweighed |= squares_before > OUTWEIGHS * self.squares.hi.abs();
    }

    /// The state as plain words, for checkpoints and for SQL:
    /// `count, shift, shifted.hi, shifted.lo, squares.hi, squares.lo, min, max, extremes_stale`, where the reals are their bits
    /// (`f64::to_bits`), the count is itself; the last word is 1 where extremes are stale, and 2 more where a value outweighed all others.
    #[must_use]
    pub fn to_array(&self) -> [u64; Self::WORDS] {
        [
            self.count,
            self.shift.to_bits(),
            self.shifted.hi.to_bits(),
            self.shifted.lo.to_bits(),
            self.squares.hi.to_bits(),
            self.squares.lo.to_bits(),
            self.min.to_bits(),
            self.max.to_bits(),
            u64::from(self.extremes_stale) + 2 * u64::from(self.outweighed),
        ]
    }

    /// The state of these words, as [`Moments::to_array`] gave them.
    #[must_use]
    pub fn from_array(words: [u64; Self::WORDS]) -> Self {
        let [
            count,
            shift,
            shifted_hi,
            shifted_lo,
            squares_hi,
            squares_lo,
            min,
            max,
            flags,
        ] = words;
        Moments {
            count,
            shift: f64::from_bits(shift),
            shifted: DoubleDouble {
                hi: f64::from_bits(shifted_hi),
                lo: f64::from_bits(shifted_lo),
            },
            squares: DoubleDouble {
                hi: f64::from_bits(squares_hi),
                lo: f64::from_bits(squares_lo),
            },
            min: f64::from_bits(min),
            max: f64::from_bits(max),
            extremes_stale: flags & 1 != 0,
            outweighed: flags & 2 != 0,
        }
    }

    /// The value that distances are taken from.
    pub(crate) fn shift(&self) -> f64 {
        self.shift
    }

    /// The sum of distances from the shift.
    pub(crate) fn shifted(&self) -> DoubleDouble {
        self.shifted
    }

    /// Whether all values are known to be the same; then there is no deviation at all, and no rounding of one.
    pub(crate) fn is_constant(&self) -> bool {
        !self.extremes_stale && self.min == self.max
    }

    /// The same values with another shift.
    fn moved_to(&self, shift: f64) -> Moments {
        let step = DoubleDouble::two_difference(self.shift, shift);
        let total_step = step * DoubleDouble::from_count(self.count);
        let doubled = self.shifted + self.shifted;
        Moments {
            shift,
            shifted: self.shifted + total_step,
            squares: self.squares + step * (doubled + total_step),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::new();
        for value in values {
            moments.add(*value);
        }
        moments
    }

    #[test]
    fn nothing_has_no_mean_and_a_sum_of_zero() {
        let empty = Moments::new();
        assert_eq!((empty.count(), empty.sum()), (0, 0.0));
        assert_eq!(
            (empty.mean(), empty.m2(), empty.min(), empty.max()),
            (None, None, None, None)
        );
    }

    #[test]
    fn one_value_has_no_variance() {
        let one = of(&[3.5]);
        assert_eq!((one.mean(), one.m2(), one.variance()), (Some(3.5), Some(0.0), None));
    }

    #[test]
    fn removing_the_last_value_leaves_a_new_state() {
        let mut moments = of(&[1e300]);
        moments.remove(1e300);
        assert_eq!(moments, Moments::new());
    }

    #[test]
    fn an_extreme_taken_back_is_reported_and_may_be_stated_anew() {
        let mut moments = of(&[1.0, 2.0, 3.0]);
        moments.replace(2.0, 2.5);
        assert!(!moments.extremes_stale());
        moments.replace(3.0, 4.0);
        assert!(
            !moments.extremes_stale(),
            "the greatest value grew: it is the greatest still"
        );
        moments.replace(4.0, 2.0);
        assert!(moments.extremes_stale());
        moments.set_extremes(1.0, 2.5);
        assert_eq!(
            (moments.min(), moments.max(), moments.extremes_stale()),
            (Some(1.0), Some(2.5), false)
        );
        moments.remove(1.0);
        assert!(moments.extremes_stale());
    }

    #[test]
    fn what_an_outlier_leaves_behind_is_to_be_built_anew() {
        // taken back after it has outweighed all others
        let mut late = of(&[1.0, 2.0, 1.7e15, 4.0]);
        assert!(!late.needs_rebuild());
        late.remove(1.7e15);
        assert!(late.needs_rebuild());
        assert!(Moments::from_array(late.to_array()).needs_rebuild());
        let mut merged = of(&[3.0]);
        merged.merge(&late);
        assert!(merged.needs_rebuild());
        // it was the first, and distances are still taken from it
        let mut first = of(&[1.7e15, 1.0, 2.0, 4.0]);
        first.remove(1.7e15);
        assert!(first.needs_rebuild());
        let mut replaced = of(&[1.0, 2.0, 4.0, 1e12]);
        replaced.replace(1e12, 3.0);
        assert!(replaced.needs_rebuild());
        // usual values that come and go
        let mut usual = of(&[1.0, 2.0, 40.0, 4.0]);
        usual.remove(40.0);
        usual.replace(4.0, 0.0);
        assert!(!usual.needs_rebuild() && !Moments::new().needs_rebuild() && !of(&[7.0, 7.0]).needs_rebuild());
    }

    #[test]
    fn stale_extremes_stay_stale_through_a_merge() {
        let mut stale = of(&[1.0, 2.0, 3.0]);
        stale.remove(3.0);
        let mut all = of(&[9.0]);
        all.merge(&stale);
        assert!(all.extremes_stale());
    }

    #[test]
    fn equal_values_deviate_by_exactly_nothing() {
        let mut moments = of(&[0.1, 0.1, 0.1]);
        for _ in 0..3 {
            moments.replace(0.1, 0.7);
        }
        moments.set_extremes(0.7, 0.7);
        assert_eq!((moments.mean(), moments.m2()), (Some(0.7), Some(0.0)));
    }

    #[test]
    fn zeros_join_a_far_away_group_without_disturbing_it() {
        let far = of(&[1e12, 1e12 + 0.5]);
        assert_eq!(far.with_zeros(0), far);
        let all = far.with_zeros(2);
        assert_eq!((all.count(), all.min(), all.max()), (4, Some(0.0), Some(1e12 + 0.5)));
        assert_eq!(all.sum(), 2e12 + 0.5);
        assert_eq!(far.m2(), Some(0.125));
        assert_eq!(Moments::new().with_zeros(3).mean(), Some(0.0));
    }

    #[test]
    fn an_overflow_is_an_infinite_deviation_and_is_reported() {
        let moments = of(&[1e200, -1e200]);
        assert!(!moments.is_finite());
        assert_eq!(moments.m2(), Some(f64::INFINITY));
        assert_eq!(moments.mean(), Some(0.0));
    }

    #[test]
    fn words_make_the_same_state_again() {
        let mut moments = of(&[0.1, 1e12, -3.0]);
        moments.remove(-3.0);
        assert_eq!(Moments::from_array(moments.to_array()), moments);
        assert_eq!(Moments::from_array(Moments::new().to_array()), Moments::new());
    }
}
