//! The moments against exact rational arithmetic: the golden table, and random values.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may fail as the test does"
)]

mod support;

use backplane_stats::{CrossMoments, Moments};
use proptest::prelude::*;
use support::rows;

struct Case {
    id: String,
    x: Vec<f64>,
    y: Vec<f64>,
    partition_sizes: Vec<usize>,
    /// (index, new value of x)
    replacements: Vec<(usize, f64)>,
    n: u64,
    mean_x: f64,
    var_x: f64,
    mean_y: f64,
    cov_xy: f64,
}

fn cases() -> Vec<Case> {
    rows("merge_moments", 28)
        .iter()
        .map(|row| Case {
            id: row.place(),
            x: row.list("x", ';'),
            y: row.list("y", ';'),
            partition_sizes: row.list("partition_sizes", ';'),
            replacements: row
                .list::<String>("replace_x", '|')
                .iter()
                .map(|operation| operation.split_once(':').unwrap())
                .map(|(index, new)| (index.parse().unwrap(), new.parse().unwrap()))
                .collect(),
            n: row.value("n"),
            mean_x: row.value("mean_x"),
            var_x: row.value("var_x"),
            mean_y: row.value("mean_y"),
            cov_xy: row.value("cov_xy"),
        })
        .collect()
}

/// One state a partition, in which the old values stood before they were replaced.
fn parts(case: &Case) -> Vec<CrossMoments> {
    let mut parts = Vec::new();
    let mut start = 0;
    for size in &case.partition_sizes {
        let range = start..start + size;
        let mut part = CrossMoments::new();
        for index in range.clone() {
            part.add(case.x[index], case.y[index]);
        }
        for (index, new) in case.replacements.iter().filter(|(index, _)| range.contains(index)) {
            part.replace((case.x[*index], case.y[*index]), (*new, case.y[*index]));
        }
        parts.push(part);
        start += size;
    }
    assert_eq!(start, case.x.len(), "{}: the partitions cover all values", case.id);
    parts
}

fn merged<'a>(parts: impl IntoIterator<Item = &'a CrossMoments>) -> CrossMoments {
    let mut all = CrossMoments::new();
    for part in parts {
        all.merge(part);
    }
    all
}

/// Pairs of neighbours merge first, then the pairs.
fn merged_as_a_tree(parts: &[CrossMoments]) -> CrossMoments {
    match parts {
        [] => CrossMoments::new(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            merged(&[merged_as_a_tree(left), merged_as_a_tree(right)])
        }
    }
}

#[track_caller]
fn assert_close(actual: Option<f64>, expected: f64, tolerance: f64, what: &str) {
    match actual {
        None => assert!(expected.is_nan(), "{what}: nothing, expected {expected}"),
        Some(actual) => {
            let error = (actual - expected).abs() / expected.abs().max(1e-300);
            assert!(
                error <= tolerance || actual == expected,
                "{what}: {actual}, expected {expected} ({error:e})"
            );
        }
    }
}

fn check(case: &Case, moments: &CrossMoments, order: &str) {
    let what = |name: &str| format!("{} ({order}), {name}", case.id);
    assert_eq!(moments.count(), case.n, "{}", what("n"));
    assert_close(moments.mean_x(), case.mean_x, 1e-12, &what("mean_x"));
    assert_close(moments.mean_y(), case.mean_y, 1e-12, &what("mean_y"));
    assert_close(moments.x().variance(), case.var_x, 1e-9, &what("var_x"));
    assert_close(moments.covariance(), case.cov_xy, 1e-9, &what("cov_xy"));
}

#[test]
fn every_golden_row_is_met_in_every_merge_order() {
    for case in &cases() {
        let parts = parts(case);
        check(case, &merged(&parts), "forward");
        check(case, &merged(parts.iter().rev()), "backward");
        check(case, &merged_as_a_tree(&parts), "as a tree");
        for turn in 1..parts.len() {
            let (tail, head) = parts.split_at(turn);
            check(case, &merged(head.iter().chain(tail)), "rotated");
        }
    }
}

#[test]
fn a_replacement_is_a_removal_and_an_addition() {
    for case in cases().iter().filter(|case| !case.replacements.is_empty()) {
        let mut moments = CrossMoments::new();
        for (x, y) in case.x.iter().zip(&case.y) {
            moments.add(*x, *y);
        }
        for (index, new) in &case.replacements {
            moments.remove(case.x[*index], case.y[*index]);
            moments.add(*new, case.y[*index]);
        }
        check(case, &moments, "removed and added");
    }
}

#[test]
fn the_golden_extremes_are_found_by_merging() {
    for case in cases().iter().filter(|case| case.replacements.is_empty() && case.n > 0) {
        let moments = merged(&parts(case));
        let least = case.x.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = case.x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(
            (moments.min(), moments.max()),
            (Some(least), Some(greatest)),
            "{}",
            case.id
        );
    }
}

/// A value as an integer multiple of 2⁻¹⁰, so that all its sums are exact in `i128`.
const UNIT: f64 = 1.0 / 1024.0;

fn value() -> impl Strategy<Value = i64> {
    // magnitudes from one unit to 2⁴⁰ of them, both signs, and often equal or zero
    prop_oneof![
        (-1_i64 << 24..1_i64 << 24, 0_u32..16).prop_map(|(significand, exponent)| significand << exponent),
        -2_i64..3,
        Just((1_i64 << 40) + 1),
    ]
}

fn real(units: i64) -> f64 {
    units as f64 * UNIT
}

/// `n Σxy - Σx Σy`, which is n times the co-moment, in square units.
fn exact_scaled_co_moment(pairs: &[(i64, i64)]) -> i128 {
    let n = pairs.len() as i128;
    let sum = |of: fn(&(i64, i64)) -> i128| pairs.iter().map(of).sum::<i128>();
    n * sum(|(x, y)| i128::from(*x) * i128::from(*y)) - sum(|(x, _)| i128::from(*x)) * sum(|(_, y)| i128::from(*y))
}

/// `held` is the greatest sum of squares that the state ever held: values taken back leave what their squares took from the others.
fn assert_exact(moments: &CrossMoments, pairs: &[(i64, i64)], held: f64) {
    assert_eq!(moments.count(), pairs.len() as u64);
    if pairs.is_empty() {
        assert_eq!(*moments, CrossMoments::new());
        return;
    }
    let n = pairs.len() as f64;
    let of_x: Vec<(i64, i64)> = pairs.iter().map(|(x, _)| (*x, *x)).collect();
    let sum: i128 = pairs.iter().map(|(x, _)| i128::from(*x)).sum();
    assert_eq!(moments.sum(), sum as f64 * UNIT, "the sum is exact");
    let mean = sum as f64 * UNIT / n;
    assert_close(moments.mean_x(), mean, 1e-15, "mean");
    let m2 = exact_scaled_co_moment(&of_x) as f64 * UNIT * UNIT / n;
    let error = (moments.m2_x().unwrap() - m2).abs();
    assert!(
        error <= 1e-12 * m2 + 1e-27 * held,
        "m2: {:?}, expected {m2}",
        moments.m2_x()
    );
    // the co-moment may cancel to nothing: what is left is measured by the deviations it is made of
    let c = exact_scaled_co_moment(pairs) as f64 * UNIT * UNIT / n;
    let scale = (moments.m2_x().unwrap() * moments.m2_y().unwrap()).sqrt();
    let error = (moments.c().unwrap() - c).abs();
    assert!(
        error <= 1e-12 * scale + 1e-27 * held,
        "c: {:?}, expected {c}",
        moments.c()
    );
}

proptest! {
    #[test]
    fn any_partition_and_order_gives_the_exact_result(
        pairs in prop::collection::vec((value(), value(), 0_usize..4), 0..60),
        zeros in 0_u64..5,
    ) {
        let mut parts = [CrossMoments::new(); 4];
        for (x, y, part) in &pairs {
            parts[*part].add(real(*x), real(*y));
        }
        let mut all: Vec<(i64, i64)> = pairs.iter().map(|(x, y, _)| (*x, *y)).collect();
        assert_exact(&merged(&parts), &all, 0.0);
        assert_exact(&merged_as_a_tree(&parts), &all, 0.0);
        all.extend((0..zeros).map(|_| (0, 0)));
        assert_exact(&merged(parts.iter().rev()).with_zeros(zeros), &all, 0.0);
    }

    #[test]
    fn any_history_of_changes_equals_a_batch_over_what_is_left(
        start in prop::collection::vec((value(), value()), 1..40),
        changes in prop::collection::vec((0_usize..40, prop::option::of((value(), value()))), 0..120),
    ) {
        let changed = changes.iter().filter_map(|(_, change)| change.as_ref());
        let sizes = start.iter().chain(changed).flat_map(|(x, y)| [x.unsigned_abs(), y.unsigned_abs()]);
        let largest = 2.0 * sizes.max().unwrap_or(0) as f64;
        let mut left = start;
        let mut moments = CrossMoments::new();
        for (x, y) in &left {
            moments.add(real(*x), real(*y));
        }
        for (at, change) in changes {
            if left.is_empty() {
                break;
            }
            let at = at % left.len();
            let old = left[at];
            match change {
                Some(new) => {
                    moments.replace((real(old.0), real(old.1)), (real(new.0), real(new.1)));
                    left[at] = new;
                }
                None => {
                    moments.remove(real(old.0), real(old.1));
                    left.swap_remove(at);
                }
            }
        }
        let least = left.iter().map(|(x, _)| real(*x)).reduce(f64::min);
        let greatest = left.iter().map(|(x, _)| real(*x)).reduce(f64::max);
        if moments.extremes_stale() {
            prop_assert!(moments.min() <= least && moments.max() >= greatest, "stale extremes are bounds");
        } else {
            prop_assert_eq!((moments.min(), moments.max()), (least, greatest));
        }
        // constancy is only known with exact extremes, as the owner has them after its scan
        if let (Some(least), Some(greatest)) = (least, greatest) {
            moments.set_extremes(least, greatest);
            let y = left.iter().map(|(_, y)| real(*y));
            moments.set_extremes_y(y.clone().fold(f64::INFINITY, f64::min), y.fold(f64::NEG_INFINITY, f64::max));
        }
        let held = (largest * UNIT).powi(2) * 160.0;
        assert_exact(&moments, &left, held);
    }

    #[test]
    fn the_words_of_a_state_make_it_again(values in prop::collection::vec(any::<f64>(), 0..20)) {
        let mut moments = Moments::new();
        for value in values.iter().filter(|value| value.is_finite()) {
            moments.add(*value);
        }
        prop_assert_eq!(Moments::from_array(moments.to_array()).to_array(), moments.to_array());
    }
}
