//! How close a result has to be to its golden value, and how close the worst one was.

use std::cell::Cell;

use crate::support::Row;

/// Compares the results of one table, and tells the worst error when all are done (seen with `--nocapture`).
pub struct Closeness {
    table: &'static str,
    /// The worst error so far, as a share of what is allowed, and its own size.
    worst: Cell<(f64, f64)>,
}

impl Closeness {
    pub fn of(table: &'static str) -> Self {
        Closeness {
            table,
            worst: Cell::new((0.0, 0.0)),
        }
    }

    /// Within this part of the golden value.
    #[track_caller]
    pub fn relative(&self, row: &Row, column: &str, actual: f64, tolerance: f64) {
        let expected: f64 = row.value(column);
        self.check(row, column, actual, expected, tolerance, expected.abs().max(1e-300));
    }

    /// Within 1e-9 of the golden value, or of the row's standard error where that is more: an estimate or an interval's end.
    #[track_caller]
    pub fn estimate(&self, row: &Row, column: &str, actual: f64, standard_error: f64) {
        let expected: f64 = row.value(column);
        self.check(row, column, actual, expected, 1e-9, expected.abs().max(standard_error));
    }

    /// Within this distance of the golden value.
    #[track_caller]
    pub fn absolute(&self, row: &Row, column: &str, actual: f64, tolerance: f64) {
        self.check(row, column, actual, row.value(column), tolerance, 1.0);
    }

    /// Within this distance of the golden value, or this part of it where that is beyond 1: a logarithm.
    #[track_caller]
    pub fn logarithm(&self, row: &Row, column: &str, actual: f64, tolerance: f64) {
        let expected: f64 = row.value(column);
        self.check(row, column, actual, expected, tolerance, expected.abs().max(1.0));
    }

    /// Within 1e-9 of the golden value; below 1e-290, only as small.
    #[track_caller]
    pub fn p_value(&self, row: &Row, column: &str, actual: f64) {
        if row.value::<f64>(column) >= 1e-290 {
            self.relative(row, column, actual, 1e-9);
        } else {
            assert!(
                (0.0..=1e-290).contains(&actual),
                "{}, {column}: {actual:e}",
                row.place()
            );
        }
    }

    #[track_caller]
    fn check(&self, row: &Row, column: &str, actual: f64, expected: f64, tolerance: f64, scale: f64) {
        let error = if actual == expected {
            0.0
        } else {
            (actual - expected).abs() / scale
        };
        assert!(
            error <= tolerance,
            "{}, {column}: {actual:e}, expected {expected:e}, error {error:e}",
            row.place()
        );
        let (worst, _) = self.worst.get();
        if error / tolerance > worst {
            self.worst.set((error / tolerance, error));
        }
    }
}

impl Drop for Closeness {
    fn drop(&mut self) {
        let (share, error) = self.worst.get();
        println!(
            "{}: worst error {error:.1e}, {share:.1e} of what is allowed",
            self.table
        );
    }
}
