//! From outcomes to a subject's value, and from subjects' values to a group's statistics.

use backplane_stats::{CrossMoments, Moments};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::plan::{Caps, Fold};

/// One subject's outcomes of one metric, folded so far: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Accumulator {
    /// Sum, greatest, least or last value, by the metric's fold.
    value: f64,
    /// Outcomes folded.
    count: u32,
    /// Outcomes that are not Binary, and in the highest bit whether one was not 0.
    rest: u32,
}

const NOT_ZERO: u32 = 1 << 31;

impl Accumulator {
    /// Whether nothing was folded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Folds one outcome in; a sum beyond the range of a double stays at its end. `is_last` tells whether it is the last so far (only asked for [`Fold::Last`]).
    pub fn fold(&mut self, fold: Fold, value: f64, binary: bool, is_last: bool) {
        self.value = match fold {
            _ if self.count == 0 => value,
            Fold::Max => self.value.max(value),
            Fold::Min => self.value.min(value),
            Fold::Last => {
                if is_last {
                    value
                } else {
                    self.value
                }
            }
            Fold::Sum | Fold::Count | Fold::Mean | Fold::Any | Fold::SumOrAny => {
                (self.value + value).clamp(f64::MIN, f64::MAX)
            }
        };
        self.count = self.count.saturating_add(1);
        if !binary && self.rest & !NOT_ZERO < !NOT_ZERO {
            self.rest += 1;
        }
        if value != 0.0 {
            self.rest |= NOT_ZERO;
        }
    }

    /// The subject's contribution, `None` without an outcome.
    #[must_use]
    pub fn unit(&self, fold: Fold, caps: Caps) -> Option<Unit> {
        if self.count == 0 {
            return None;
        }
        let any = if self.rest & NOT_ZERO == 0 { 0.0 } else { 1.0 };
        let folded = match fold {
            Fold::Sum | Fold::SumOrAny | Fold::Max | Fold::Min | Fold::Last => self.value,
            Fold::Count => f64::from(self.count),
            Fold::Mean => self.value / f64::from(self.count),
            Fold::Any => any,
        };
        Some(Unit {
            value: caps.apply(folded),
            any,
            outcomes: self.count,
            not_binary: self.rest & !NOT_ZERO,
        })
    }
}

/// What a subject with at least one outcome contributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// The folded, capped value.
    pub value: f64,
    /// 1 if one outcome was not 0, else 0.
    pub any: f64,
    /// Outcomes.
    pub outcomes: u32,
    /// Outcomes that are not Binary.
    pub not_binary: u32,
}

/// The statistics of the subjects of a group that have an outcome of a metric. Those without one are added at emission.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Of the values (of the sums, for an undeclared metric).
    pub moments: Moments,
    /// Of "one was not 0"; kept for undeclared metrics only.
    pub any: Option<Box<Moments>>,
    /// Attributed outcomes.
    pub outcomes: i64,
    /// Those that are not Binary.
    pub not_binary: i64,
}

impl Totals {
    /// Moves by the difference between a subject's old and new contribution.
    pub fn replace(&mut self, fold: Fold, old: Option<&Unit>, new: Option<&Unit>) {
        move_moments(
            &mut self.moments,
            old.map(|unit| unit.value),
            new.map(|unit| unit.value),
        );
        if fold == Fold::SumOrAny {
            let any = self.any.get_or_insert_default();
            move_moments(any, old.map(|unit| unit.any), new.map(|unit| unit.any));
        }
        let outcomes = |unit: Option<&Unit>| unit.map_or(0, |unit| i64::from(unit.outcomes));
        let not_binary = |unit: Option<&Unit>| unit.map_or(0, |unit| i64::from(unit.not_binary));
        self.outcomes += outcomes(new) - outcomes(old);
        self.not_binary += not_binary(new) - not_binary(old);
    }

    /// Takes a subject in where nothing but extremes is to be [corrected](Totals::correct).
    pub fn add_extremes(&mut self, fold: Fold, unit: &Unit) {
        self.moments.add_extreme(unit.value);
        if fold == Fold::SumOrAny {
            self.any.get_or_insert_default().add_extreme(unit.any);
        }
    }

    /// Adds another part of the same group up.
    pub fn merge(&mut self, other: &Totals) {
        self.moments.merge(&other.moments);
        if let Some(other_any) = &other.any {
            self.any.get_or_insert_default().merge(other_any);
        }
        self.outcomes += other.outcomes;
        self.not_binary += other.not_binary;
    }

    /// Takes from the same totals, built anew, what these do not know exactly any more. Sums stay as they are as long as they are sound: they
    /// must not depend on when somebody asked.
    pub fn correct(&mut self, built: &Totals) {
        self.moments.correct(&built.moments);
        if let Some((own, built)) = self.any.as_deref_mut().zip(built.any.as_deref()) {
            own.correct(built);
        }
    }

    /// Whether nobody has an outcome.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moments.count() == 0
    }
}

fn move_moments(moments: &mut Moments, old: Option<f64>, new: Option<f64>) {
    match (old, new) {
        (Some(old), Some(new)) => {
            if old.to_bits() != new.to_bits() {
                moments.replace(old, new);
            }
        }
        (None, Some(new)) => moments.add(new),
        (Some(old), None) => moments.remove(old),
        (None, None) => {}
    }
}

/// The statistics of the units of a ratio that have an outcome of its numerator or denominator.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct PairTotals {
    /// Of (numerator, denominator) over subjects where both are present.
    pub moments: CrossMoments,
    /// Attributed outcomes of both together.
    pub outcomes: i64,
}

/// A subject's contribution to a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PairUnit {
    /// (numerator, denominator) where the subject has an outcome of either and both are present; else it is no unit of the ratio.
    pub values: Option<(f64, f64)>,
    /// Outcomes of both.
    pub outcomes: i64,
}

impl PairUnit {
    /// From the two metrics' contributions; `absent_*` is the value of a subject without an outcome, `None` where it is absent.
    #[must_use]
    pub fn new(
        numerator: Option<&Unit>,
        denominator: Option<&Unit>,
        absent_numerator: Option<f64>,
        absent_denominator: Option<f64>,
    ) -> PairUnit {
        if numerator.is_none() && denominator.is_none() {
            return PairUnit::default();
        }
        let x = numerator.map(|unit| unit.value).or(absent_numerator);
        let y = denominator.map(|unit| unit.value).or(absent_denominator);
        if x.is_none() || y.is_none() {
            return PairUnit::default();
        }
        let outcomes = |unit: Option<&Unit>| unit.map_or(0, |unit| i64::from(unit.outcomes));
        PairUnit {
            values: x.zip(y),
            outcomes: outcomes(numerator) + outcomes(denominator),
        }
    }
}

impl PairTotals {
    /// As [`Totals::correct`].
    pub fn correct(&mut self, built: &PairTotals) {
        self.moments.correct(&built.moments);
    }

    /// Moves by the difference between a subject's old and new contribution.
    pub fn replace(&mut self, old: &PairUnit, new: &PairUnit) {
        match (old.values, new.values) {
            (Some(before), Some(after)) => {
                if before != after {
                    self.moments.replace(before, after);
                }
            }
            (None, Some((x, y))) => self.moments.add(x, y),
            (Some((x, y)), None) => self.moments.remove(x, y),
            (None, None) => {}
        }
        self.outcomes += new.outcomes - old.outcomes;
    }

    /// As [`Totals::add_extremes`].
    pub fn add_extremes(&mut self, pair: &PairUnit) {
        if let Some((x, y)) = pair.values {
            self.moments.add_extremes(x, y);
        }
    }

    /// Adds another part of the same group up.
    pub fn merge(&mut self, other: &PairTotals) {
        self.moments.merge(&other.moments);
        self.outcomes += other.outcomes;
    }
}

/// The value that a subject without an outcome counts as, `None` where it is absent.
#[must_use]
pub fn absent_value(fold: Fold, caps: Caps) -> Option<f64> {
    fold.counts_absent_as_zero().then(|| caps.apply(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(fold: Fold, values: &[f64]) -> Unit {
        let mut accumulator = Accumulator::default();
        for value in values {
            accumulator.fold(fold, *value, false, true);
        }
        accumulator.unit(fold, Caps::NONE).unwrap()
    }

    #[test]
    fn each_fold_makes_its_value() {
        let values = [3.0, 0.0, -1.0];
        assert_eq!(folded(Fold::Sum, &values).value, 2.0);
        assert_eq!(folded(Fold::Count, &values).value, 3.0);
        assert_eq!(folded(Fold::Max, &values).value, 3.0);
        assert_eq!(folded(Fold::Min, &values).value, -1.0);
        assert_eq!(folded(Fold::Last, &values).value, -1.0);
        assert_eq!(folded(Fold::Any, &values).value, 1.0);
        assert_eq!(folded(Fold::Any, &[0.0, 0.0]).value, 0.0);
        assert!((folded(Fold::Mean, &values).value - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(folded(Fold::SumOrAny, &values).any, 1.0);
    }

    #[test]
    fn a_cap_cuts_the_folded_value_not_the_outcomes() {
        let mut accumulator = Accumulator::default();
        accumulator.fold(Fold::Sum, 8.0, false, true);
        accumulator.fold(Fold::Sum, -5.0, false, true);
        let unit = accumulator.unit(Fold::Sum, Caps { lower: 0.0, upper: 5.0 }).unwrap();
        assert_eq!(unit.value, 3.0);
    }

    #[test]
    fn totals_move_by_differences_and_come_back_to_nothing() {
        let mut totals = Totals::default();
        let first = folded(Fold::SumOrAny, &[1.0]);
        let second = folded(Fold::SumOrAny, &[1.0, 4.0]);
        totals.replace(Fold::SumOrAny, None, Some(&first));
        totals.replace(Fold::SumOrAny, Some(&first), Some(&second));
        assert_eq!((totals.moments.sum(), totals.outcomes, totals.not_binary), (5.0, 2, 2));
        totals.replace(Fold::SumOrAny, Some(&second), None);
        assert!(totals.is_empty());
        assert_eq!(totals.outcomes, 0);
    }
}
