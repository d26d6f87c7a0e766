//! Rows of any table, made up but valid.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use backplane_events::Table;

/// 2026-01-05T22:00:00Z: rows an hour apart soon reach the next day.
const FIRST_INSTANT: i64 = 1_767_650_400_000_000;
const HOUR: i64 = 3_600_000_000;

/// `rows` rows of a table's schema, numbered from `first`: texts are `column-number`, instants an hour apart over several days, and
/// every third value of a column that may be null is null.
///
/// # Errors
/// The table has a column of a type that no table had when this was written.
pub fn sample(table: Table, first: usize, rows: usize) -> Result<RecordBatch, ArrowError> {
    let schema = table.schema();
    let numbers = first..first + rows;
    let columns = schema
        .fields()
        .iter()
        .map(|field| column(field, numbers.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns)
}

fn column(field: &Field, numbers: std::ops::Range<usize>) -> Result<ArrayRef, ArrowError> {
    let present = |number: usize| !field.is_nullable() || number % 3 != 1;
    let texts = || {
        numbers
            .clone()
            .map(|number| present(number).then(|| format!("{}-{number}", field.name())))
    };
    Ok(match field.data_type() {
        DataType::Utf8 => Arc::new(texts().collect::<StringArray>()),
        DataType::Dictionary(_, _) => cast(&texts().collect::<StringArray>(), field.data_type())?,
        DataType::Binary => Arc::new(BinaryArray::from_iter(
            texts().map(|text| text.map(|text| [text.as_bytes(), &[0xff]].concat())),
        )),
        DataType::Boolean => Arc::new(
            numbers
                .map(|number| present(number).then_some(number % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        DataType::Int64 => Arc::new(
            numbers
                .map(|number| present(number).then_some(number as i64))
                .collect::<Int64Array>(),
        ),
        DataType::Float64 => Arc::new(
            numbers
                .map(|number| present(number).then_some(number as f64 + 0.25))
                .collect::<Float64Array>(),
        ),
        DataType::Timestamp(_, _) => Arc::new(
            numbers
                .map(|number| present(number).then_some(FIRST_INSTANT + number as i64 * HOUR))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        other => return Err(ArrowError::NotYetImplemented(format!("samples of {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_samples() {
        for table in Table::ALL {
            assert_eq!(sample(*table, 5, 40).unwrap().num_rows(), 40);
        }
    }
}
