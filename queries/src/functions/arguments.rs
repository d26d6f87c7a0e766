//! Reading the arguments of a function, with a clear sentence where they do not fit.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::ColumnarValue;

/// The arguments as arrays of `rows` values each.
pub(super) fn arrays(arguments: Vec<ColumnarValue>, rows: usize) -> Result<Vec<ArrayRef>> {
    arguments
        .into_iter()
        .map(|argument| argument.into_array(rows))
        .collect()
}

/// The argument at `index`; planning has made sure that it is there.
pub(super) fn argument(arguments: &[ArrayRef], index: usize) -> Result<&ArrayRef> {
    arguments.get(index).ok_or_else(|| missing(index))
}

/// What [`argument`] says of an argument that is not there.
fn missing(index: usize) -> DataFusionError {
    exec_datafusion_err!("argument {} is missing", index + 1)
}

/// Refuses a call with a number of arguments that the function does not take.
pub(super) fn check_count(usage: &str, given: &[DataType], least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&given.len()) {
        return Ok(());
    }
    plan_err!("{usage} was called with {} arguments", given.len())
}

/// Whether a value of this type converts to `Float64` without a change of meaning.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_null()
}

/// Whether this is a text, in any of its encodings.
pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}
