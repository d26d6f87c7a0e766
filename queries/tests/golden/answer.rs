//! What a query answers, beside what was expected.

use arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::pretty::pretty_format_batches;
use backplane_queries::session;

use crate::table;

/// A golden table with the results of a query over it in further columns.
pub struct Answer {
    table: &'static str,
    rows: RecordBatch,
}

impl Answer {
    /// Runs the query over `<table>.csv`, which is `golden` in it, in sessions of both kinds, over batches of one row, of seven, and over
    /// all rows in one. The answers must be the same to the bit, and have a row for each of the table's.
    pub async fn of(table: &'static str, count: usize, query: &str) -> Self {
        let rows = table::read(table, count);
        let mut answers = Vec::new();
        for (batch_rows, context) in [
            (count, session::micro_batch(Default::default())),
            (1, session::micro_batch(Default::default())),
            (7, session::lake(Default::default())),
        ] {
            table::register(&context, "golden", &rows, batch_rows);
            let query = format!("select * from ({query}) order by case_id");
            let frame = context.sql(&query).await.unwrap();
            let batches = frame.collect().await.unwrap_or_else(|error| panic!("{table}: {error}"));
            answers.push(concat_batches(&batches[0].schema(), &batches).unwrap());
        }
        let first = answers.swap_remove(0);
        assert_eq!(first.num_rows(), count, "{table}: rows of the answer");
        // as texts, because NaN differs from itself; a float's text is that of no other float
        let text = |rows: &RecordBatch| pretty_format_batches(std::slice::from_ref(rows)).unwrap().to_string();
        for other in answers {
            assert!(text(&other) == text(&first), "{table}: the size of batches matters");
        }
        Answer { table, rows: first }
    }

    /// The numbers of a column.
    pub fn reals(&self, column: &str) -> Float64Array {
        let found = self.rows.column_by_name(column);
        let found = found.unwrap_or_else(|| panic!("{} has no column {column}", self.table));
        cast(found, &DataType::Float64)
            .unwrap()
            .as_primitive::<Float64Type>()
            .clone()
    }

    /// The lists of a column.
    pub fn lists(&self, column: &str) -> Vec<Float64Array> {
        let lists = self.rows.column_by_name(column).unwrap().as_list::<i32>();
        lists
            .iter()
            .map(|list| list.unwrap().as_primitive::<Float64Type>().clone())
            .collect()
    }

    /// Exactly the same, as whole numbers, texts or flags are.
    pub fn same(&self, actual: &str, expected: &str) {
        let column = |name: &str| cast(self.rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        let (actual_texts, expected_texts) = (column(actual), column(expected));
        let pairs = actual_texts
            .as_string::<i32>()
            .iter()
            .zip(expected_texts.as_string::<i32>());
        for (row, (found, wanted)) in pairs.enumerate() {
            assert!(found.is_some(), "{}: {actual} is null", self.place(row));
            assert_eq!(found, wanted, "{}: {actual}", self.place(row));
        }
    }

    /// Within this part of the expected value.
    pub fn relative(&self, actual: &str, expected: &str, tolerance: f64) {
        self.check(actual, expected, |_, expected| tolerance * expected.abs().max(1e-300));
    }

    /// Within this distance of the expected value, or this part of it where that is beyond 1: a logarithm, a power.
    pub fn absolute(&self, actual: &str, expected: &str, tolerance: f64) {
        self.check(actual, expected, |_, expected| tolerance * expected.abs().max(1.0));
    }

    /// Within 1e-9 of the expected value, or of the row's standard error where that is more.
    pub fn estimate(&self, actual: &str, expected: &str, standard_error: &str) {
        let errors = self.reals(standard_error);
        // the greater of a number and NaN is the number
        self.check(actual, expected, |row, expected| {
            1e-9 * expected.abs().max(errors.value(row))
        });
    }

    /// Within 1e-9 of the expected value; below 1e-290, only as small.
    pub fn p_value(&self, actual: &str, expected: &str) {
        self.check(actual, expected, |_, expected| {
            if expected >= 1e-290 { 1e-9 * expected } else { 1e-290 }
        });
    }

    /// Where NaN is expected, there is null; all else is as close as `allowed` says of its row and the expected value.
    fn check(&self, actual: &str, expected: &str, allowed: impl Fn(usize, f64) -> f64) {
        let (found, wanted) = (self.reals(actual), self.reals(expected));
        for row in 0..wanted.len() {
            let (value, wanted) = (found.is_valid(row).then(|| found.value(row)), wanted.value(row));
            let fits = match value {
                None => wanted.is_nan(),
                Some(value) => value == wanted || (value - wanted).abs() <= allowed(row, wanted),
            };
            assert!(fits, "{}: {actual} is {value:?}, expected {wanted:e}", self.place(row));
        }
    }

    fn place(&self, row: usize) -> String {
        let case = self
            .rows
            .column_by_name("case_id")
            .unwrap()
            .as_string::<i32>()
            .value(row);
        format!("{}.csv, {case}", self.table)
    }
}
